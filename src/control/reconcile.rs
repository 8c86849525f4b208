//! Who has to be looked after: releases that are live, those that a rollback would bring back, and those on which
//! something is still in flight.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    ControlError, Controller, controller::now_ms, drain_deadline::DrainTimers,
    upcoming::UpcomingReleases, warmup::set_static_endpoints,
};
use crate::{
    fleet::{CellKey, Role, WatchedRelease},
    model::{ReleaseName, Rosters, TableState, Version},
    table::{Compiled, RoutingTable, UndoEntry},
};

/// How long a release is looked after once all that is in flight on it was told to end.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// How long the statistics of a release that left are still shown.
const STATISTICS_STAY: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether something has drained or cooled down.
const EVERY: Duration = Duration::from_secs(1);

type Key = (ReleaseName, Version);

/// What tending remembers from one time to the next.
#[derive(Debug, Default)]
pub(super) struct WatchState {
    // What was looked at last time: when it is the same and nothing drains, there is nothing to do.
    seen: Option<(Arc<Rosters>, Vec<Arc<Compiled>>)>,
    // Releases of a change that is not live yet.
    coming: UpcomingReleases,
    recall: DrainTimers,
    leaving: HashMap<Key, Instant>,
    left: HashMap<Key, Instant>,
}

impl Controller {
    /// Looks after warm and draining releases for as long as it is polled. Cancelling it loses nothing.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.run_after_swap();
            self.reconcile();
            self.forget_statistics();
            self.observe();
            self.observe_drift();
            self.retry_answers().await;
        }
    }

    fn watch_state(&self) -> MutexGuard<'_, WatchState> {
        self.watch_state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which rosters are needed from now on. Called after every swap and every second.
    pub(super) fn reconcile(&self) {
        // Held throughout, so that of two callers the later one has the last word.
        let mut watch_state = self.watch_state();
        self.warm_up();
        let live = self.cell.load();
        let rosters = live.state().rosters;
        let warm = self.warm_levels();
        let mut tables: Vec<_> = warm
            .iter()
            .filter_map(|level| level.compiled.clone())
            .collect();
        tables.push(Arc::clone(live.compiled()));
        if !watch_state.has_changed(&rosters, &tables) {
            return;
        }
        let mut wanted = BTreeMap::new();
        for (place, table) in tables.iter().enumerate() {
            let role = if place + 1 == tables.len() {
                Role::Live
            } else {
                Role::Warm
            };
            enter(&mut wanted, table, &rosters, role);
        }
        let apart = enter_candidates(&mut wanted, &watch_state.coming);
        watch_state.seen = Some((rosters, tables));
        let before = self.fleet.watched();
        let (now, drain) = (Instant::now(), self.settings.drain);
        watch_state.keep_draining(&before, &mut wanted, now, drain + AFTERWARDS);
        let old: HashMap<_, _> = before
            .iter()
            .map(|old| (Arc::as_ptr(&old.roster), &old.urls))
            .collect();
        let mut watched: Vec<WatchedRelease> = wanted.into_values().collect();
        if watch_state.recall.look(&watched, now, drain) {
            self.cell.recall();
        }
        watched.extend(apart);
        for watched in &watched {
            let same = old.get(&Arc::as_ptr(&watched.roster)) == Some(&&watched.urls);
            if !(same && watched.roster.resolved()) {
                set_static_endpoints(&watched.roster, &watched.urls);
            }
        }
        let names: Vec<_> = watch_state.coming.names().cloned().collect();
        if !same(&before, &watched) || !same(&self.fleet.lookups(), &names) {
            self.fleet.watch_beside(watched, names);
        }
    }

    /// Changes what is looked after for changes that are not live yet.
    pub(super) fn change_expected<T>(&self, change: impl FnOnce(&mut UpcomingReleases) -> T) -> T {
        let mut watch_state = self.watch_state();
        let changed = change(&mut watch_state.coming);
        watch_state.seen = None;
        drop(watch_state);
        self.reconcile();
        changed
    }

    fn is_warm(&self, distance: usize, level: &UndoEntry, now_ms: u64) -> bool {
        let age = Duration::from_millis(now_ms.saturating_sub(level.superseded_at_ms));
        distance < self.settings.warm_revisions && age < self.settings.warm_for
    }

    /// The levels that are kept warm, the nearest first.
    pub(super) fn warm_levels(&self) -> Vec<UndoEntry> {
        let now = now_ms();
        let near = self.cell.nearest_levels(self.settings.warm_revisions);
        let near = near.into_iter().enumerate();
        near.filter(|(distance, level)| self.is_warm(*distance, level, now))
            .map(|(_, level)| level)
            .collect()
    }

    /// The releases of the levels that are kept warm.
    pub(super) fn warm_keys(&self) -> HashSet<Key> {
        let levels = self.warm_levels();
        let releases = levels.iter().flat_map(|level| level.spec.releases());
        releases
            .map(|(name, spec)| (name.clone(), spec.version.clone()))
            .collect()
    }

    /// Compiles what should be warm, and lets go what should not.
    fn warm_up(&self) {
        let now = now_ms();
        self.cell
            .mark_cold(|distance, level| self.is_warm(distance, level, now));
        let live = self.cell.load();
        for level in self.warm_levels() {
            if let Err(error) = self.ensure_compiled(&live, &level) {
                tracing::warn!(%error, revision = %level.revision, "an earlier revision cannot be kept warm");
            }
        }
    }

    /// Refuses to let go of a release that a rollback would need, or on which something is in flight.
    pub(super) fn check_removable(
        &self,
        live: &TableState,
        release: &ReleaseName,
    ) -> Result<(), ControlError> {
        let wanted = |reason: String| {
            Err(ControlError::ReleaseWanted {
                release: release.clone(),
                reason,
            })
        };
        let idle = live
            .spec
            .routes()
            .iter()
            .find(|route| route.split.contains_key(release));
        if let Some(route) = idle {
            return wanted(format!(
                "it is in the split of `{}`, with weight 0",
                route.name
            ));
        }
        let weighs = |level: &UndoEntry| {
            let mut routes = level.spec.routes().iter();
            routes.any(|route| route.split.get(release).is_some_and(|weight| *weight > 0))
        };
        if let Some(level) = self.warm_levels().iter().find(|level| weighs(level)) {
            return wanted(format!(
                "a rollback to revision {} would bring it back",
                level.revision
            ));
        }
        let version = live.spec.release(release).map(|spec| spec.version.clone());
        let in_flight = self
            .fleet
            .roster(release, &version.unwrap_or_default())
            .in_flight();
        if in_flight > 0 {
            return wanted(format!("{in_flight} requests are in flight on it"));
        }
        Ok(())
    }

    fn forget_statistics(&self) {
        let now = Instant::now();
        let mut watch_state = self.watch_state();
        watch_state
            .left
            .retain(|_, since| now.duration_since(*since) < STATISTICS_STAY);
        let mut wanted: HashSet<Key> = watch_state.left.keys().cloned().collect();
        let watched = self.fleet.watched();
        drop(watch_state);
        wanted.extend(watched.iter().map(|watched| {
            let roster = &watched.roster;
            (roster.release().clone(), roster.version().clone())
        }));
        let keep =
            |(_, release, version): &CellKey| wanted.contains(&(release.clone(), version.clone()));
        self.fleet.retain_cells(keep);
    }
}

impl WatchState {
    /// Whether somebody may have to be looked after who was not, or the other way round.
    fn has_changed(&self, rosters: &Arc<Rosters>, tables: &[Arc<Compiled>]) -> bool {
        let Some((before, seen)) = &self.seen else {
            return true;
        };
        let same =
            |(a, b): (&Arc<Compiled>, &Arc<Compiled>)| std::ptr::eq(a.releases(), b.releases());
        !self.leaving.is_empty()
            || self.recall.is_due()
            || !Arc::ptr_eq(before, rosters)
            || seen.len() != tables.len()
            || !seen.iter().zip(tables).all(same)
    }

    /// What was watched and is not wanted any more drains while something is in flight on it.
    fn keep_draining(
        &mut self,
        before: &[WatchedRelease],
        wanted: &mut BTreeMap<Key, WatchedRelease>,
        now: Instant,
        longest: Duration,
    ) {
        self.leaving.retain(|key, _| !wanted.contains_key(key));
        for old in before {
            let key = (old.roster.release().clone(), old.roster.version().clone());
            if wanted.contains_key(&key) {
                self.left.remove(&key);
                continue;
            }
            let since = *self.leaving.entry(key.clone()).or_insert(now);
            if old.roster.in_flight() > 0 && now.duration_since(since) < longest {
                wanted.insert(
                    key,
                    WatchedRelease {
                        role: Role::Draining,
                        ..old.clone()
                    },
                );
            } else {
                self.leaving.remove(&key);
                self.left.insert(key, now);
            }
        }
    }
}

fn enter(
    wanted: &mut BTreeMap<Key, WatchedRelease>,
    table: &Compiled,
    rosters: &Rosters,
    role: Role,
) {
    for (name, release) in table.releases() {
        let key = (name.clone(), release.version().clone());
        let urls = rosters.get(&key).cloned().unwrap_or_else(|| Arc::new([]));
        let watched = WatchedRelease {
            roster: Arc::clone(release.roster()),
            spec: Arc::clone(release.spec()),
            urls,
            role,
        };
        wanted.insert(key, watched);
    }
}

/// Enters what changes wait for. Rosters apart from those of the same releases that are wanted already are answered.
fn enter_candidates(
    wanted: &mut BTreeMap<Key, WatchedRelease>,
    coming: &UpcomingReleases,
) -> Vec<WatchedRelease> {
    let mut apart = Vec::new();
    for candidate in coming.rosters() {
        let roster = &candidate.roster;
        let key = (roster.release().clone(), roster.version().clone());
        match wanted.entry(key) {
            Entry::Vacant(place) => {
                place.insert(candidate.clone());
            }
            Entry::Occupied(other) if Arc::ptr_eq(&other.get().roster, roster) => {}
            Entry::Occupied(_) => apart.push(candidate.clone()),
        }
    }
    apart
}

fn same(before: &[WatchedRelease], after: &[WatchedRelease]) -> bool {
    let same = |(a, b): (&WatchedRelease, &WatchedRelease)| {
        Arc::ptr_eq(&a.roster, &b.roster)
            && a.spec.hash() == b.spec.hash()
            && a.urls == b.urls
            && a.role == b.role
    };
    before.len() == after.len() && before.iter().zip(after).all(same)
}

/// The live table's releases by name, for those who show them.
pub(super) fn live_keys(live: &RoutingTable) -> HashSet<Key> {
    let releases = live.compiled().releases().iter();
    releases
        .map(|(name, release)| (name.clone(), release.version().clone()))
        .collect()
}
