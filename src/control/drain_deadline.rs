//! The deadline of requests in flight on a release that left the live table.
//!
//! It is for releases that are not in the table at all: a weight of 0 ends nothing. A release that a rollback would bring
//! back is watched as before, but its streams end too.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::watch_set::{ReleaseKey, key_of};
use crate::fleet::{RosterRole, WatchedRelease};

/// Longest time after a swap at which a request may still be counted that the table before had selected.
const LATE: Duration = Duration::from_secs(5);

/// Releases that may have requests in flight and are not in the live table, each with the time at which it left.
#[derive(Debug, Default)]
pub(super) struct DrainTimers(HashMap<ReleaseKey, Instant>);

impl DrainTimers {
    /// True while a release may reach its deadline, so that the next pass must not be skipped.
    pub(super) fn is_armed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Aborts the requests in flight on releases that left `drain` ago or earlier. True if there were any.
    pub(super) fn abort_overdue(
        &mut self,
        watched: &[WatchedRelease],
        now: Instant,
        drain: Duration,
    ) -> bool {
        let mut has_aborted = false;
        let mut armed = HashMap::new();
        for watched in watched
            .iter()
            .filter(|watched| watched.role != RosterRole::Live)
        {
            let (roster, key) = (&watched.roster, key_of(watched));
            let since = self.0.get(&key).copied().unwrap_or(now);
            let (age, in_flight) = (now.duration_since(since), roster.in_flight());
            if in_flight > 0 && age >= drain {
                tracing::info!(release = %key.0, version = %key.1, in_flight, "aborting requests in flight on a removed release");
                roster.abort_all();
                has_aborted = true;
            }
            if in_flight > 0 || age < LATE {
                armed.insert(key, since);
            }
        }
        self.0 = armed;
        has_aborted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Hashed, ReleaseName, ReleaseSpec, Version},
    };

    fn watched(fleet: &Fleet, role: RosterRole) -> WatchedRelease {
        let name: ReleaseName = "blue".parse().unwrap();
        WatchedRelease {
            roster: fleet.roster(&name, &Version::default()),
            spec: Arc::new(Hashed::new(ReleaseSpec::default())),
            urls: Arc::new([]),
            role,
        }
    }

    #[test]
    fn what_is_in_flight_on_a_release_that_left_ends_after_its_time_and_not_before() {
        let fleet = Fleet::new(1);
        let (live, warm) = (
            watched(&fleet, RosterRole::Live),
            watched(&fleet, RosterRole::Warm),
        );
        let url = "http://127.0.0.1:9".parse().unwrap();
        live.roster.set(&[(url, "127.0.0.1:9".parse().unwrap())]);
        let request = live
            .roster
            .pick(&crate::fleet::Pick::random(0, 0, 0))
            .unwrap();
        let (start, drain) = (Instant::now(), Duration::from_secs(60));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut timers = DrainTimers::default();
        assert!(!timers.abort_overdue(std::slice::from_ref(&live), start, drain));
        assert!(!timers.is_armed());
        let warm = std::slice::from_ref(&warm);
        assert!(!timers.abort_overdue(warm, after(100), drain));
        assert!(timers.is_armed());
        assert!(!timers.abort_overdue(warm, after(159), drain) && !request.is_aborted());
        // One that came back starts anew.
        assert!(!timers.abort_overdue(std::slice::from_ref(&live), after(160), drain));
        assert!(!timers.abort_overdue(warm, after(170), drain));
        assert!(!timers.abort_overdue(warm, after(229), drain) && !request.is_aborted());
        assert!(timers.abort_overdue(warm, after(230), drain) && request.is_aborted());
        drop(request);
        assert!(!timers.abort_overdue(warm, after(240), drain));
        assert!(!timers.is_armed());
    }
}
