//! The statistics of releases that left: they are shown for some time more.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::watch_set::{ReleaseKey, WatchSet};

/// Longest time that the statistics of a release that left are kept.
const RETENTION: Duration = Duration::from_secs(10 * 60);

/// Releases that left, each with the time at which it did.
#[derive(Debug, Default)]
pub(super) struct StatisticsRetention(HashMap<ReleaseKey, Instant>);

impl StatisticsRetention {
    /// Adds the releases that left; those that are watched again need no retention.
    pub(super) fn update(&mut self, watched: &WatchSet, left: Vec<ReleaseKey>, now: Instant) {
        self.0.retain(|key, _| !watched.contains(key));
        self.0.extend(left.into_iter().map(|key| (key, now)));
    }

    /// The releases whose statistics are still kept.
    pub(super) fn kept(&mut self, now: Instant) -> HashSet<ReleaseKey> {
        self.0
            .retain(|_, since| now.duration_since(*since) < RETENTION);
        self.0.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;

    #[test]
    fn statistics_stay_for_ten_minutes() {
        let key: ReleaseKey = ("blue".parse().unwrap(), Version::default());
        let start = Instant::now();
        let mut retention = StatisticsRetention::default();
        retention.update(&WatchSet::default(), vec![key.clone()], start);
        assert!(
            retention
                .kept(start + Duration::from_secs(599))
                .contains(&key)
        );
        assert!(retention.kept(start + RETENTION).is_empty());
    }
}
