//! The reconciler: brings what the fleet watches in line with the live table, the warm levels of the undo stack, the
//! releases that drain and those of changes that are not live yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    drain_deadline::DrainTimers,
    draining::Draining,
    recompile::set_static_endpoints,
    settings::Settings,
    statistics_retention::StatisticsRetention,
    upcoming::{Upcoming, UpcomingReleases},
    warm_levels::WarmLevels,
    watch_set::{WatchSet, is_same, key_of},
};
use crate::{
    fleet::{CellKey, Fleet, WatchedRelease},
    model::{CutCause, LeaveCause, Revision, Rosters},
    table::{Compiled, CutOrder, LiveTable},
};

/// Time that a release is watched after all that is in flight on it was aborted.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// Keeps the fleet's watch list in line with what is needed.
#[derive(Debug)]
pub(super) struct Reconciler {
    table: Arc<LiveTable>,
    fleet: Arc<Fleet>,
    warm: WarmLevels,
    drain: Duration,
    // Held throughout a pass, so that of two callers the later one has the last word.
    state: Mutex<WatchState>,
}

/// The state that one pass leaves to the next.
#[derive(Debug, Default)]
struct WatchState {
    // The input of the last pass: if it is the same and nothing drains, there is nothing to do.
    seen: Option<Tables>,
    upcoming: UpcomingReleases,
    timers: DrainTimers,
    draining: Draining,
    statistics: StatisticsRetention,
}

/// The tables whose releases are watched, the live one last, with the endpoints of now.
#[derive(Debug)]
struct Tables {
    revision: Revision,
    rosters: Arc<Rosters>,
    compiled: Vec<Arc<Compiled>>,
}

/// Keeps the releases of a change watched until it is dropped.
#[derive(Debug)]
pub(super) struct UpcomingGuard<'a> {
    reconciler: &'a Reconciler,
    change: u64,
}

// === impl Reconciler ===

impl Reconciler {
    pub(super) fn new(settings: &Settings, table: Arc<LiveTable>, fleet: Arc<Fleet>) -> Self {
        Self {
            table,
            fleet,
            warm: WarmLevels::new(settings),
            drain: settings.drain,
            state: Mutex::default(),
        }
    }

    // Safe to ignore poisoning: a pass that panics has seen nothing, so that the next one does the work.
    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn warm(&self) -> WarmLevels {
        self.warm
    }

    /// Makes one pass. Called after every swap and every second.
    pub(super) fn reconcile(&self) {
        let mut state = self.state();
        self.warm.refresh(&self.table, &self.fleet);
        let tables = self.tables();
        if !state.has_changed(&tables) {
            return;
        }
        let before = self.fleet.watched();
        let (now, drain) = (Instant::now(), self.drain);
        let mut wanted = WatchSet::of_tables(&tables.compiled, &tables.rosters);
        let beside = wanted.add_candidates(state.upcoming.rosters());
        let left = state
            .draining
            .update(&before, &mut wanted, now, drain + AFTERWARDS);
        state.statistics.update(&wanted, left, now);
        let mut watched = wanted.into_releases();
        for roster in state.timers.overdue(&watched, now, drain) {
            self.table.work().cut(CutOrder {
                roster: Some(roster),
                route: None,
                class: None,
                before: tables.revision,
                part: u32::MAX,
                cause: CutCause::Left(LeaveCause::Remove),
            });
        }
        watched.extend(beside);
        set_endpoints(&before, &watched);
        let names: Vec<_> = state.upcoming.names().cloned().collect();
        if !is_same(&before, &watched) || !is_same(&self.fleet.lookups(), &names) {
            self.fleet.watch_beside(watched, names);
        }
        state.seen = Some(tables);
    }

    fn tables(&self) -> Tables {
        let live = self.table.load();
        let warm = self.warm.list(&self.table).into_iter();
        let warm = warm.filter_map(|level| level.compiled);
        Tables {
            revision: live.revision(),
            rosters: live.state().rosters,
            compiled: warm.chain([Arc::clone(live.compiled())]).collect(),
        }
    }

    /// Has the releases of a change watched before it is live, until the guard is dropped.
    pub(super) fn watch_upcoming(&self, upcoming: Upcoming) -> UpcomingGuard<'_> {
        UpcomingGuard {
            change: self.change_upcoming(|all| all.add(upcoming)),
            reconciler: self,
        }
    }

    fn change_upcoming<T>(&self, change: impl FnOnce(&mut UpcomingReleases) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state.upcoming);
        state.seen = None;
        drop(state);
        self.reconcile();
        changed
    }

    /// Drops the statistics of releases that left long ago.
    pub(super) fn drop_statistics(&self) {
        let mut state = self.state();
        let mut wanted = state.statistics.kept(Instant::now());
        let watched = self.fleet.watched();
        drop(state);
        wanted.extend(watched.iter().map(key_of));
        let keep =
            |(_, release, version): &CellKey| wanted.contains(&(release.clone(), version.clone()));
        self.fleet.retain_cells(keep);
    }
}

/// Sets the endpoints of releases that are new, or have other endpoints, where these are addresses.
fn set_endpoints(before: &[WatchedRelease], watched: &[WatchedRelease]) {
    let before = before
        .iter()
        .map(|old| (Arc::as_ptr(&old.roster), &old.urls));
    let before: HashMap<_, _> = before.collect();
    for watched in watched {
        let is_same = before.get(&Arc::as_ptr(&watched.roster)) == Some(&&watched.urls);
        if !(is_same && watched.roster.resolved()) {
            set_static_endpoints(&watched.roster, &watched.urls);
        }
    }
}

// === impl WatchState ===

impl WatchState {
    /// True if the set of watched releases may have changed.
    fn has_changed(&self, tables: &Tables) -> bool {
        let has_changed = |seen: &Tables| seen.differs_from(tables);
        !self.draining.is_empty()
            || self.timers.is_armed()
            || self.seen.as_ref().is_none_or(has_changed)
    }
}

// === impl Tables ===

impl Tables {
    fn differs_from(&self, other: &Self) -> bool {
        let is_same =
            |(a, b): (&Arc<Compiled>, &Arc<Compiled>)| std::ptr::eq(a.releases(), b.releases());
        !Arc::ptr_eq(&self.rosters, &other.rosters)
            || self.compiled.len() != other.compiled.len()
            || !self.compiled.iter().zip(&other.compiled).all(is_same)
    }
}

// === impl UpcomingGuard ===

impl Drop for UpcomingGuard<'_> {
    fn drop(&mut self) {
        self.reconciler
            .change_upcoming(|all| all.remove(self.change));
    }
}
