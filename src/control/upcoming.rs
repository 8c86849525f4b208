//! Rosters of a change that is not live yet: they are looked up and checked while somebody waits for it.

use std::collections::BTreeMap;

use super::Controller;
use crate::fleet::WatchedRelease;

/// What is looked after for changes that are not live yet, by who wants it.
#[derive(Debug, Default)]
pub(super) struct UpcomingReleases {
    wanted: BTreeMap<u64, Upcoming>,
    next: u64,
}

/// What one change needs before it is live.
#[derive(Debug, Default)]
pub(super) struct Upcoming {
    /// Rosters that the live table does not have.
    pub(super) rosters: Vec<WatchedRelease>,
    /// Detached rosters, one for each name that is to join a roster that is live already.
    pub(super) names: Vec<WatchedRelease>,
}

/// Rosters that are looked after until this is dropped.
#[derive(Debug)]
pub(super) struct UpcomingGuard<'a> {
    controller: &'a Controller,
    id: u64,
}

impl UpcomingReleases {
    pub(super) fn rosters(&self) -> impl Iterator<Item = &WatchedRelease> {
        self.wanted.values().flat_map(|upcoming| &upcoming.rosters)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &WatchedRelease> {
        self.wanted.values().flat_map(|upcoming| &upcoming.names)
    }

    fn add(&mut self, upcoming: Upcoming) -> u64 {
        self.next += 1;
        self.wanted.insert(self.next, upcoming);
        self.next
    }
}

impl Controller {
    /// Says which rosters a change is about to need, so that they are looked after before it is live.
    pub(super) fn watch_upcoming(&self, upcoming: Upcoming) -> UpcomingGuard<'_> {
        let id = self.change_expected(|expected| expected.add(upcoming));
        UpcomingGuard {
            controller: self,
            id,
        }
    }
}

impl Drop for UpcomingGuard<'_> {
    fn drop(&mut self) {
        let id = self.id;
        self.controller
            .change_expected(|expected| expected.wanted.remove(&id));
    }
}
