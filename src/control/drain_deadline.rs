//! When the time of what is in flight on a release that left the live table is over.
//!
//! Only a release that is not in the table at all is meant: a weight of 0 ends nothing. One that a rollback would bring
//! back is looked after as before, but its streams are not spared.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    fleet::{Role, WatchedRelease},
    model::{ReleaseName, Version},
};

/// A request that was selected by the table before may be counted this late.
const LATE: Duration = Duration::from_secs(5);

/// Since when releases are not in the live table, as far as something may be in flight on them.
#[derive(Debug, Default)]
pub(super) struct DrainTimers(HashMap<(ReleaseName, Version), Instant>);

impl DrainTimers {
    /// Whether it has to be looked again, whatever else has changed.
    pub(super) fn is_due(&self) -> bool {
        !self.0.is_empty()
    }

    /// Tells what has been in flight for `drain` on releases that left to end; whether there was any.
    pub(super) fn look(
        &mut self,
        watched: &[WatchedRelease],
        now: Instant,
        drain: Duration,
    ) -> bool {
        let mut has_ended = false;
        let mut gone = HashMap::new();
        for watched in watched.iter().filter(|watched| watched.role != Role::Live) {
            let roster = &watched.roster;
            let key = (roster.release().clone(), roster.version().clone());
            let since = self.0.get(&key).copied().unwrap_or(now);
            let (age, in_flight) = (now.duration_since(since), roster.in_flight());
            if in_flight > 0 && age >= drain {
                tracing::info!(release = %key.0, version = %key.1, in_flight, "ending what is in flight on a release that left");
                roster.abort_all();
                has_ended = true;
            }
            if in_flight > 0 || age < LATE {
                gone.insert(key, since);
            }
        }
        self.0 = gone;
        has_ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Hashed, ReleaseSpec},
    };

    fn watched(fleet: &Fleet, role: Role) -> WatchedRelease {
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
        let (live, warm) = (watched(&fleet, Role::Live), watched(&fleet, Role::Warm));
        let url = "http://127.0.0.1:9".parse().unwrap();
        live.roster.set(&[(url, "127.0.0.1:9".parse().unwrap())]);
        let request = live.roster.pick(0, 0, 0).unwrap();
        let (start, drain) = (Instant::now(), Duration::from_secs(60));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut recall = DrainTimers::default();
        assert!(!recall.look(std::slice::from_ref(&live), start, drain));
        assert!(!recall.is_due());
        let warm = std::slice::from_ref(&warm);
        assert!(!recall.look(warm, after(100), drain));
        assert!(recall.is_due());
        assert!(!recall.look(warm, after(159), drain) && !request.is_aborted());
        // One that came back starts anew.
        assert!(!recall.look(std::slice::from_ref(&live), after(160), drain));
        assert!(!recall.look(warm, after(170), drain));
        assert!(!recall.look(warm, after(229), drain) && !request.is_aborted());
        assert!(recall.look(warm, after(230), drain) && request.is_aborted());
        drop(request);
        assert!(!recall.look(warm, after(240), drain));
        assert!(!recall.is_due());
    }
}
