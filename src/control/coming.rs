//! Rosters of a change that is not live yet: they are looked up and checked while somebody waits for it.

use std::collections::BTreeMap;

use super::Controller;
use crate::fleet::Watched;

/// What is looked after for changes that are not live yet, by who wants it.
#[derive(Debug, Default)]
pub(super) struct Expected {
    wanted: BTreeMap<u64, Vec<Watched>>,
    next: u64,
}

/// Rosters that are looked after until this is dropped.
#[derive(Debug)]
pub(super) struct Coming<'a> {
    controller: &'a Controller,
    id: u64,
}

impl Expected {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Watched> {
        self.wanted.values().flatten()
    }

    fn add(&mut self, watched: Vec<Watched>) -> u64 {
        self.next += 1;
        self.wanted.insert(self.next, watched);
        self.next
    }
}

impl Controller {
    /// Says which rosters a change is about to need, so that they are looked after before it is live.
    pub(super) fn expect(&self, watched: Vec<Watched>) -> Coming<'_> {
        let id = self.change_expected(|expected| expected.add(watched));
        Coming {
            controller: self,
            id,
        }
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let id = self.id;
        self.controller
            .change_expected(|expected| expected.wanted.remove(&id));
    }
}
