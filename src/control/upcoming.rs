//! Releases of changes that are not live yet: they are resolved and checked while a change waits for them.

use std::collections::BTreeMap;

use crate::fleet::WatchedRelease;

/// The releases that one change needs before it is live.
#[derive(Debug, Default)]
pub(super) struct Upcoming {
    /// Rosters that the live table does not have.
    pub(super) rosters: Vec<WatchedRelease>,
    /// Detached rosters, one for each name that is to join a roster that is live already.
    pub(super) names: Vec<WatchedRelease>,
}

/// The releases of all changes that wait, by change.
#[derive(Debug, Default)]
pub(super) struct UpcomingReleases {
    by_change: BTreeMap<u64, Upcoming>,
    last: u64,
}

impl UpcomingReleases {
    pub(super) fn rosters(&self) -> impl Iterator<Item = &WatchedRelease> {
        self.by_change
            .values()
            .flat_map(|upcoming| &upcoming.rosters)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &WatchedRelease> {
        self.by_change.values().flat_map(|upcoming| &upcoming.names)
    }

    /// Adds what a change needs; returns the number by which it is removed.
    pub(super) fn add(&mut self, upcoming: Upcoming) -> u64 {
        self.last += 1;
        self.by_change.insert(self.last, upcoming);
        self.last
    }

    pub(super) fn remove(&mut self, change: u64) {
        self.by_change.remove(&change);
    }
}
