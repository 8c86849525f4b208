//! Registry of all rosters, and the list of watched ones: live, needed for a rollback, or draining.

use std::{
    collections::{BTreeSet, HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    RateBuckets, RateLimitOf, Roster, ServiceWatch,
    flag_cells::{FlagCellKey, FlagCells},
    paused_requests::{PausedRequests, PausedRoutes},
    rate_limits::RateLimits,
};
use crate::{
    model::{
        EndpointSpec, FlagName, Hashed, RateLimitSpec, ReleaseName, ReleaseSpec, RouteName,
        VariantMark, VariantName, Version,
    },
    stats::{Halves, MirrorCounters, OutcomeTable},
};

/// Reason for watching a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RosterRole {
    /// In the live table.
    Live,
    /// In a table that a rollback goes to.
    Warm,
    /// In neither, but with requests in flight.
    Draining,
    /// In none of them: a change waits for its health.
    Candidate,
}

impl RosterRole {
    /// Name in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Warm => "warm",
            Self::Draining => "draining",
            Self::Candidate => "candidate",
        }
    }
}

/// A roster to be resolved, health-checked and shown.
#[derive(Debug, Clone)]
pub struct WatchedRelease {
    /// The roster.
    pub roster: Arc<Roster>,
    /// Spec with its health check and protocol.
    pub spec: Arc<Hashed<ReleaseSpec>>,
    /// Configured endpoints: names to resolve, or addresses.
    pub urls: Arc<[EndpointSpec]>,
    /// Reason for watching it.
    pub role: RosterRole,
}

/// Key of the outcome counters: route, release and version.
pub type CellKey = (RouteName, ReleaseName, Version);

type CellMap = HashMap<CellKey, Arc<OutcomeTable>>;
type HalvesMap = HashMap<CellKey, Arc<Halves>>;
type MirrorMap = HashMap<CellKey, Arc<MirrorCounters>>;

/// Number of shards of the statistics: a walk over all of them holds one lock at a time, and only briefly.
const PARTS: usize = 64;

/// Registry of rosters and statistics. It holds rosters weakly.
#[derive(Debug)]
pub struct Fleet {
    workers: usize,
    rosters: Mutex<HashMap<(ReleaseName, Version), Weak<Roster>>>,
    cells: Box<[Mutex<CellMap>]>,
    mirrors: Mutex<MirrorMap>,
    /// Routes whose requests are counted by halves as well.
    halved: BTreeSet<RouteName>,
    halves: Mutex<HalvesMap>,
    flag_cells: FlagCells,
    rate_limits: RateLimits,
    paused: PausedRoutes,
    hasher: RandomState,
    watched: ArcSwap<Vec<WatchedRelease>>,
    lookups: ArcSwap<Vec<WatchedRelease>>,
    service_watches: ArcSwap<Vec<Arc<ServiceWatch>>>,
    changes: watch::Sender<u64>,
}

impl Fleet {
    /// Creates an empty registry; its counters have a slot for each worker.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            rosters: Mutex::default(),
            cells: (0..PARTS).map(|_| Mutex::default()).collect(),
            mirrors: Mutex::default(),
            halved: BTreeSet::new(),
            halves: Mutex::default(),
            flag_cells: FlagCells::default(),
            rate_limits: RateLimits::default(),
            paused: PausedRoutes::default(),
            hasher: RandomState::new(),
            watched: ArcSwap::default(),
            lookups: ArcSwap::default(),
            service_watches: ArcSwap::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// The registry with counters of halves on these routes.
    #[must_use]
    pub fn with_halves_on(self, routes: &[RouteName]) -> Self {
        let halved = routes.iter().cloned().collect();
        Self { halved, ..self }
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Roster of a version of a release; created empty if there is none.
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

    /// Creates a roster that is not used by requests: it holds the future endpoints of a release, to be checked
    /// before a change.
    pub fn candidate(&self, release: &ReleaseName, version: &Version) -> Arc<Roster> {
        Arc::new(Roster::new(release.clone(), version.clone(), self.workers))
    }

    // Safe to ignore poisoning: a panic under the lock leaves the map intact.
    fn rosters(&self) -> MutexGuard<'_, HashMap<(ReleaseName, Version), Weak<Roster>>> {
        self.rosters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Outcome counters of a version of a release on a route; created at zero if there are none.
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

    /// Calls `each` for all outcome counters with a recorded outcome, in any order. No lock is held during the call:
    /// compiling a route takes its counters, and a rollback may have to compile.
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

    /// Counters of the copies that a route sends to a version of a release; created at zero if there are none.
    pub fn mirror(
        &self,
        route: &RouteName,
        release: &ReleaseName,
        version: &Version,
    ) -> Arc<MirrorCounters> {
        let key = (route.clone(), release.clone(), version.clone());
        Arc::clone(self.mirrors().entry(key).or_default())
    }

    /// All counters of copies, by route, release and version.
    pub fn all_mirrors(&self) -> Vec<(CellKey, Arc<MirrorCounters>)> {
        let mirrors = self.mirrors();
        let all = mirrors.iter();
        let mut all: Vec<_> = all
            .map(|(key, counters)| (key.clone(), Arc::clone(counters)))
            .collect();
        drop(mirrors);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    // Safe to ignore poisoning: a panic under the lock leaves the map intact.
    fn mirrors(&self) -> MutexGuard<'_, MirrorMap> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters of the halves of a release's requests; `None` on a route that is not calibrated.
    pub fn halves(
        &self,
        route: &RouteName,
        release: &ReleaseName,
        version: &Version,
    ) -> Option<Arc<Halves>> {
        self.halved.contains(route).then(|| {
            let key = (route.clone(), release.clone(), version.clone());
            let make = || Arc::new(Halves::new(self.workers));
            Arc::clone(self.all_halves().entry(key).or_insert_with(make))
        })
    }

    // Safe to ignore poisoning: a panic under the lock leaves the map intact.
    fn all_halves(&self) -> MutexGuard<'_, HalvesMap> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters of the requests that got a variant of a flag; created at zero if there are none.
    pub fn flag_cells(&self, flag: &FlagName, variant: &VariantName) -> Arc<OutcomeTable> {
        let key = (flag.clone(), variant.clone());
        self.flag_cells.of(key, self.workers)
    }

    /// All counters of variants with a recorded outcome, by flag and variant.
    pub fn used_flag_cells(&self) -> Vec<(FlagCellKey, Arc<OutcomeTable>)> {
        self.flag_cells.used()
    }

    /// Counters of the variants with these marks, as far as there are any.
    pub fn marked_flag_cells(&self, marks: &[VariantMark]) -> Vec<Arc<OutcomeTable>> {
        self.flag_cells.marked(marks)
    }

    /// Buckets of a rate limit of a route; full ones if no table has the same limit.
    pub fn rate_buckets(
        &self,
        route: &RouteName,
        of: RateLimitOf,
        spec: &RateLimitSpec,
    ) -> Arc<RateBuckets> {
        self.rate_limits.of((route.clone(), of), spec)
    }

    /// Number of the requests that wait on a route while it is paused.
    pub fn paused_requests(&self, route: &RouteName) -> Arc<PausedRequests> {
        self.paused.of(route)
    }

    /// The paused routes of all tables, and how many requests wait on each.
    pub fn paused_routes(&self) -> Vec<(RouteName, u32)> {
        self.paused.all()
    }

    /// Removes counters that no table holds and that `keep` rejects, such as those of retired releases.
    pub fn retain_cells(&self, keep: impl Fn(&CellKey) -> bool) {
        self.mirrors()
            .retain(|key, counters| Arc::strong_count(counters) > 1 || keep(key));
        self.all_halves()
            .retain(|key, halves| Arc::strong_count(halves) > 1 || keep(key));
        for part in &self.cells {
            lock(part).retain(|key, cells| Arc::strong_count(cells) > 1 || keep(key));
        }
    }

    fn part(&self, key: &CellKey) -> &Mutex<CellMap> {
        let hash = usize::try_from(self.hasher.hash_one(key)).unwrap_or_default();
        &self.cells[hash % self.cells.len()]
    }

    /// Replaces the watched rosters and wakes their watchers. Called by the controller only.
    pub fn watch(&self, watched: Vec<WatchedRelease>) {
        self.watch_beside(watched, Vec::new());
    }

    /// Like [`Fleet::watch`]; also sets the detached rosters that are only to be resolved.
    pub fn watch_beside(&self, watched: Vec<WatchedRelease>, lookups: Vec<WatchedRelease>) {
        self.watched.store(Arc::new(watched));
        self.lookups.store(Arc::new(lookups));
        self.changes.send_modify(|count| *count += 1);
    }

    /// The watched rosters.
    pub fn watched(&self) -> Arc<Vec<WatchedRelease>> {
        self.watched.load_full()
    }

    /// Detached rosters to be resolved.
    pub fn lookups(&self) -> Arc<Vec<WatchedRelease>> {
        self.lookups.load_full()
    }

    /// Replaces the watches of Services. Called by the discovery only.
    pub fn set_service_watches(&self, watches: Vec<Arc<ServiceWatch>>) {
        self.service_watches.store(Arc::new(watches));
    }

    /// Watches of the Services of a cluster whose pods are endpoints, by name.
    pub fn service_watches(&self) -> Arc<Vec<Arc<ServiceWatch>>> {
        self.service_watches.load_full()
    }

    /// Subscribes to changes of [`Fleet::watched`] and [`Fleet::lookups`].
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

// Safe to ignore poisoning: a panic under the lock leaves the map intact.
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
    fn only_the_routes_that_are_named_are_counted_by_halves() {
        let [chat, tools] = ["chat", "tools"].map(|name| RouteName::new(name).unwrap());
        let fleet = Fleet::new(1).with_halves_on(std::slice::from_ref(&chat));
        let (blue, version) = (ReleaseName::new("blue").unwrap(), Version::default());
        assert!(fleet.halves(&tools, &blue, &version).is_none());
        let halves = fleet.halves(&chat, &blue, &version).unwrap();
        let again = fleet.halves(&chat, &blue, &version).unwrap();
        assert!(Arc::ptr_eq(&halves, &again));
        drop((halves, again));
        fleet.retain_cells(|_| false);
        assert!(fleet.all_halves().is_empty());
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
            // Taken on this thread: it would deadlock if the walk held a lock.
            assert!(Arc::ptr_eq(&fleet.cells(&route, &blue, &version), &cells));
            seen.push(release.clone());
        });
        assert_eq!(seen, [blue], "what nothing was recorded in is left out");
    }
}
