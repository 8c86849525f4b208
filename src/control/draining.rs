//! Releases that left the tables and still have requests in flight.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::watch_set::{ReleaseKey, WatchSet, key_of};
use crate::fleet::WatchedRelease;

/// Draining releases, each with the time at which it left.
#[derive(Debug, Default)]
pub(super) struct Draining(HashMap<ReleaseKey, Instant>);

impl Draining {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps in the watch set what was watched and has requests in flight, for `longest` at most. Returns the releases
    /// that have drained, or whose time is over.
    pub(super) fn update(
        &mut self,
        before: &[WatchedRelease],
        wanted: &mut WatchSet,
        now: Instant,
        longest: Duration,
    ) -> Vec<ReleaseKey> {
        self.0.retain(|key, _| !wanted.contains(key));
        let mut drained = Vec::new();
        for release in before {
            let key = key_of(release);
            if wanted.contains(&key) {
                continue;
            }
            let since = *self.0.entry(key.clone()).or_insert(now);
            if release.roster.in_flight() > 0 && now.duration_since(since) < longest {
                wanted.add_draining(release);
            } else {
                self.0.remove(&key);
                drained.push(key);
            }
        }
        drained
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fleet::{Fleet, RosterRole},
        model::{Hashed, ReleaseSpec, Version},
    };

    #[test]
    fn a_release_drains_while_something_is_in_flight_and_its_time_is_not_over() {
        let fleet = Fleet::new(1);
        let roster = fleet.roster(&"blue".parse().unwrap(), &Version::default());
        let url = "http://127.0.0.1:9".parse().unwrap();
        roster.set(&[(url, "127.0.0.1:9".parse().unwrap())]);
        let request = roster.pick(&crate::fleet::Pick::random(0, 0, 0)).unwrap();
        let before = [WatchedRelease {
            roster,
            spec: Arc::new(Hashed::new(ReleaseSpec::default())),
            urls: Arc::new([]),
            role: RosterRole::Live,
        }];
        let (start, longest) = (Instant::now(), Duration::from_secs(60));
        let mut draining = Draining::default();
        let mut update = |seconds| {
            let mut wanted = WatchSet::default();
            let now = start + Duration::from_secs(seconds);
            let drained = draining.update(&before, &mut wanted, now, longest);
            let roles = wanted.into_releases().into_iter().map(|one| one.role);
            (drained.len(), roles.collect::<Vec<_>>())
        };
        assert_eq!(update(0), (0, vec![RosterRole::Draining]));
        assert_eq!(update(59), (0, vec![RosterRole::Draining]));
        assert_eq!(update(60), (1, Vec::new()), "its time is over");
        // It starts anew.
        assert_eq!(update(61), (0, vec![RosterRole::Draining]));
        drop(request);
        assert_eq!(update(62), (1, Vec::new()), "it has drained");
    }

    #[test]
    fn a_release_that_is_wanted_does_not_drain() {
        let fleet = Fleet::new(1);
        let release = WatchedRelease {
            roster: fleet.roster(&"blue".parse().unwrap(), &Version::default()),
            spec: Arc::new(Hashed::new(ReleaseSpec::default())),
            urls: Arc::new([]),
            role: RosterRole::Live,
        };
        let mut wanted = WatchSet::default();
        wanted.add_candidates([&release].into_iter());
        let mut draining = Draining::default();
        let before = std::slice::from_ref(&release);
        let drained = draining.update(before, &mut wanted, Instant::now(), Duration::ZERO);
        assert!(drained.is_empty() && draining.is_empty());
    }
}
