//! All rosters, and the list of those that somebody needs: what is live, what a rollback would need, what drains.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Roster;
use crate::{
    model::{EndpointUrl, Hashed, ReleaseName, ReleaseSpec, RouteName, Version},
    stats::OutcomeTable,
};

/// Why a roster is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// In the live table.
    Live,
    /// In a table that a rollback would go to.
    Warm,
    /// In neither, but requests are still in flight on it.
    Draining,
    /// In none of them: a change that is to bring it waits for its health.
    Candidate,
}

impl Role {
    /// The word in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Warm => "warm",
            Self::Draining => "draining",
            Self::Candidate => "candidate",
        }
    }
}

/// A roster that is to be resolved, health-checked and shown.
#[derive(Debug, Clone)]
pub struct WatchedRelease {
    /// The roster.
    pub roster: Arc<Roster>,
    /// How to check and reach it.
    pub spec: Arc<Hashed<ReleaseSpec>>,
    /// What it is to hold: names to resolve, or addresses.
    pub urls: Arc<[EndpointUrl]>,
    /// Why it is looked after.
    pub role: Role,
}

/// What cells are kept by: route, release and version.
pub type CellKey = (RouteName, ReleaseName, Version);

type CellMap = HashMap<CellKey, Arc<OutcomeTable>>;

/// Parts that statistics are kept in: whoever walks over all of them holds one of the locks, and for a moment.
const PARTS: usize = 64;

/// The registry of rosters and of statistics. A roster that nobody holds any more is forgotten.
#[derive(Debug)]
pub struct Fleet {
    workers: usize,
    rosters: Mutex<HashMap<(ReleaseName, Version), Weak<Roster>>>,
    cells: Box<[Mutex<CellMap>]>,
    hasher: RandomState,
    watched: ArcSwap<Vec<WatchedRelease>>,
    lookups: ArcSwap<Vec<WatchedRelease>>,
    changes: watch::Sender<u64>,
}

impl Fleet {
    /// An empty registry whose counters have a slot for each worker.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            rosters: Mutex::default(),
            cells: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            watched: ArcSwap::default(),
            lookups: ArcSwap::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// How many workers count in it.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The roster of a version of a release: the one that exists, or a new, empty one.
    pub fn roster(&self, release: &ReleaseName, version: &Version) -> Arc<Roster> {
        let mut rosters = self.rosters();
        let key = (release.clone(), version.clone());
        if let Some(roster) = rosters.get(&key).and_then(Weak::upgrade) {
            return roster;
        }
        let roster = Arc::new(Roster::new(release.clone(), version.clone(), self.workers));
        rosters.retain(|_, roster| roster.strong_count() > 0);
        rosters.insert(key, Arc::downgrade(&roster));
        roster
    }

    /// A roster apart from the one that requests are sent by: what a version of a release would have, to be checked before
    /// it has it.
    pub fn candidate(&self, release: &ReleaseName, version: &Version) -> Arc<Roster> {
        Arc::new(Roster::new(release.clone(), version.clone(), self.workers))
    }

    // A panic while the lock is held leaves the map whole, so a poisoned lock is as good as another.
    fn rosters(&self) -> MutexGuard<'_, HashMap<(ReleaseName, Version), Weak<Roster>>> {
        self.rosters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The statistics of a version of a release on a route: the ones that exist, or new ones at zero.
    pub fn cells(
        &self,
        route: &RouteName,
        release: &ReleaseName,
        version: &Version,
    ) -> Arc<OutcomeTable> {
        let key = (route.clone(), release.clone(), version.clone());
        let make = || Arc::new(OutcomeTable::new(self.workers));
        Arc::clone(lock(self.part(&key)).entry(key).or_insert_with(make))
    }

    /// All statistics in which something was recorded, in no order. No lock is held while `each` is called: to compile a
    /// route takes its statistics, and a rollback may have to.
    pub fn each_cells(&self, mut each: impl FnMut(&CellKey, &Arc<OutcomeTable>)) {
        for part in &self.cells {
            let part = lock(part);
            let used = part.iter().filter(|(_, cells)| !cells.is_empty());
            let used: Vec<_> = used
                .map(|(key, cells)| (key.clone(), Arc::clone(cells)))
                .collect();
            drop(part);
            for (key, cells) in &used {
                each(key, cells);
            }
        }
    }

    /// Forgets statistics that no table holds any more and that `keep` does not want: the series of retired releases go.
    pub fn retain_cells(&self, keep: impl Fn(&CellKey) -> bool) {
        for part in &self.cells {
            lock(part).retain(|key, cells| Arc::strong_count(cells) > 1 || keep(key));
        }
    }

    fn part(&self, key: &CellKey) -> &Mutex<CellMap> {
        let hash = usize::try_from(self.hasher.hash_one(key)).unwrap_or_default();
        &self.cells[hash % self.cells.len()]
    }

    /// Says which rosters are needed from now on; wakes those who look after them. One caller: the controller.
    pub fn watch(&self, watched: Vec<WatchedRelease>) {
        self.watch_beside(watched, Vec::new());
    }

    /// Like [`Fleet::watch`], and says which detached rosters are to be looked up beside, and nothing else.
    pub fn watch_beside(&self, watched: Vec<WatchedRelease>, lookups: Vec<WatchedRelease>) {
        self.watched.store(Arc::new(watched));
        self.lookups.store(Arc::new(lookups));
        self.changes.send_modify(|count| *count += 1);
    }

    /// The rosters that are needed.
    pub fn watched(&self) -> Arc<Vec<WatchedRelease>> {
        self.watched.load_full()
    }

    /// Detached rosters that are to be looked up.
    pub fn lookups(&self) -> Arc<Vec<WatchedRelease>> {
        self.lookups.load_full()
    }

    /// A receiver that is told whenever [`Fleet::watched`] or [`Fleet::lookups`] has changed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

// A panic while the lock is held leaves the map whole, so a poisoned lock is as good as another.
fn lock(part: &Mutex<CellMap>) -> MutexGuard<'_, CellMap> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_is_the_same_for_all_who_hold_it_and_forgotten_afterwards() {
        let fleet = Fleet::new(1);
        let (name, version) = (ReleaseName::new("blue").unwrap(), Version::default());
        let first = fleet.roster(&name, &version);
        assert!(Arc::ptr_eq(&first, &fleet.roster(&name, &version)));
        let other = fleet.roster(&name, &Version::new("2").unwrap());
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, other));
        fleet.roster(&ReleaseName::new("green").unwrap(), &version);
        assert!(!fleet.rosters().contains_key(&(name, version)));
    }

    #[test]
    fn who_looks_at_all_statistics_holds_no_lock_that_a_route_needs() {
        let fleet = Fleet::new(1);
        let (route, version) = (RouteName::new("chat").unwrap(), Version::default());
        let (blue, green) = ["blue", "green"]
            .map(|name| ReleaseName::new(name).unwrap())
            .into();
        let cells = fleet.cells(&route, &blue, &version);
        fleet.cells(&route, &green, &version);
        cells.record_bytes(0, 1, 1);
        let mut seen = Vec::new();
        fleet.each_cells(|(_, release, _), _| {
            // Taken on this thread: it would wait for ever if the walk held a lock.
            assert!(Arc::ptr_eq(&fleet.cells(&route, &blue, &version), &cells));
            seen.push(release.clone());
        });
        assert_eq!(seen, [blue], "what nothing was recorded in is left out");
    }
}
