//! The deadline of requests in flight on a release that left the live table.
//!
//! It is for releases that are not in the table at all: a weight of 0 ends nothing. A release that a rollback would bring
//! back is watched as before, but its streams end too.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::watch_set::{ReleaseKey, key_of};
use crate::fleet::{Roster, RosterRole, WatchedRelease};

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

    /// The releases that left `drain` ago or earlier and have requests in flight, which are to end.
    pub(super) fn overdue(
        &mut self,
        watched: &[WatchedRelease],
        now: Instant,
        drain: Duration,
    ) -> Vec<Arc<Roster>> {
        let mut overdue = Vec::new();
        let mut armed = HashMap::new();
        for watched in watched
            .iter()
            .filter(|watched| watched.role != RosterRole::Live)
        {
            let (roster, key) = (&watched.roster, key_of(watched));
            let since = self.0.get(&key).copied().unwrap_or(now);
            let (age, in_flight) = (now.duration_since(since), roster.in_flight());
            if in_flight > 0 && age >= drain {
                tracing::info!(release = %key.0, version = %key.1, in_flight, "ending requests in flight on a removed release");
                overdue.push(Arc::clone(roster));
            }
            if in_flight > 0 || age < LATE {
                armed.insert(key, since);
            }
        }
        self.0 = armed;
        overdue
    }
}

#[cfg(test)]
mod tests {
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
        let (live, warm) = (std::slice::from_ref(&live), std::slice::from_ref(&warm));
        let mut overdue = |watched: &[WatchedRelease], seconds| {
            let overdue = timers.overdue(watched, after(seconds), drain);
            (overdue.len(), timers.is_armed())
        };
        assert_eq!(overdue(live, 0), (0, false));
        assert_eq!(overdue(warm, 100), (0, true));
        assert_eq!(overdue(warm, 159), (0, true));
        // One that came back starts anew.
        assert_eq!(overdue(live, 160), (0, false));
        assert_eq!(overdue(warm, 170), (0, true));
        assert_eq!(overdue(warm, 229), (0, true));
        assert_eq!(overdue(warm, 230), (1, true));
        drop(request);
        assert_eq!(overdue(warm, 240), (0, false));
    }
}
