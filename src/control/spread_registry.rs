//! Rollbacks and aborts that are under way in parts.
//!
//! In memory alone: each part is a revision that says what it is a part of, so that the records show after a restart
//! what is still to be given back.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::{
    Consent,
    spread::{SpreadReturn, are_same_shares},
};
use crate::{
    api::{GoingBack, ReturnCommand, Timestamp},
    model::{
        Author, Cause, Change, Hashed, ReleaseName, Revision, RevisionRecord, RouteName, RouteSpec,
        TableSpec, Version, Weights,
    },
};

/// Most routes whose weights go back in parts; those of others come with the last one.
pub(super) const MOST_ROUTES: usize = 1_000;

/// All rollbacks and aborts that are under way in parts: one rollback, and an abort of a route, at most.
#[derive(Debug, Default)]
pub(super) struct SpreadRegistry {
    runs: Mutex<Vec<SpreadRun>>,
    ids: AtomicU64,
    was_begun: AtomicBool,
    /// Wakes the loop when one begins, or is to be looked at again.
    pub(super) begun: Notify,
    /// Wakes who waits for an end.
    ended: Notify,
}

/// A rollback or an abort that is under way in parts.
#[derive(Debug, Clone)]
pub(super) struct SpreadRun {
    /// Its number, once it is registered.
    pub(super) id: u64,
    pub(super) end: SpreadEnd,
    pub(super) routes: Vec<SpreadRoute>,
    pub(super) spread: SpreadReturn,
    /// The author of all parts. Only the first one has the key of the request.
    pub(super) by: Author,
    /// The permissions of all parts. The data guards were looked at before the first.
    pub(super) consent: Consent,
    /// The live revision when it was ordered.
    pub(super) base: Revision,
    pub(super) since: Timestamp,
    /// Reason for which it could not go on.
    pub(super) waiting_for: Option<String>,
}

/// The destination of a way back in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpreadEnd {
    /// The decisions of a revision: a rollback.
    Revision(Revision),
    /// The stable release of the route: an abort.
    Stable,
}

/// A route whose weights go back in parts.
#[derive(Debug, Clone)]
pub(super) struct SpreadRoute {
    pub(super) name: RouteName,
    /// The split that it goes back to, of the releases that are live.
    pub(super) to: Weights,
    /// The named stable release that it goes back to.
    pub(super) stable: Option<ReleaseName>,
    /// The releases with a weight, before or after.
    releases: Vec<(ReleaseName, Version)>,
}

// === impl SpreadRegistry ===

impl SpreadRegistry {
    /// True when it is asked for the first time: what a restart has interrupted is not in it yet.
    pub(super) fn is_new(&self) -> bool {
        !self.was_begun.swap(true, Ordering::Relaxed)
    }

    // Safe to ignore poisoning: what panics under this lock leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Vec<SpreadRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are under way.
    pub(super) fn all(&self) -> Vec<SpreadRun> {
        self.lock().clone()
    }

    /// Adds one. It takes the place of an earlier one to the same end, which others have superseded.
    pub(super) fn add(&self, mut run: SpreadRun) {
        run.id = self.ids.fetch_add(1, Ordering::Relaxed);
        run.by.idempotency_key = None;
        let mut runs = self.lock();
        runs.retain(|other| !other.is_like(&run));
        runs.push(run);
        drop(runs);
        self.begun.notify_one();
    }

    /// Takes over the progress of one that is still there.
    pub(super) fn put(&self, run: SpreadRun) {
        let mut runs = self.lock();
        if let Some(place) = runs.iter_mut().find(|other| other.id == run.id) {
            let is_hurried = place.spread.is_hurried();
            *place = run;
            if is_hurried {
                place.spread.hurry();
            }
        }
    }

    pub(super) fn remove(&self, id: u64) {
        self.lock().retain(|run| run.id != id);
        self.ended.notify_waiters();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Lets the loop look again at those that are under way: what is live has changed.
    pub(super) fn look_again(&self) {
        if !self.is_empty() {
            self.begun.notify_one();
        }
    }

    /// Lets all that is left of these be given at once.
    pub(super) fn hurry(&self, ids: &[u64]) {
        let mut runs = self.lock();
        let chosen = runs.iter_mut().filter(|run| ids.contains(&run.id));
        chosen.for_each(|run| run.spread.hurry());
        drop(runs);
        self.look_again();
    }

    /// Completes when none of these is under way.
    pub(super) async fn ended(&self, ids: &[u64]) {
        loop {
            let ended = self.ended.notified();
            if !self.lock().iter().any(|run| ids.contains(&run.id)) {
                return;
            }
            ended.await;
        }
    }
}

// === impl SpreadRun ===

impl SpreadRun {
    /// True for the other rollback, or the other abort of the same route.
    fn is_like(&self, other: &Self) -> bool {
        match (self.end, other.end) {
            (SpreadEnd::Revision(_), SpreadEnd::Revision(_)) => true,
            (SpreadEnd::Stable, SpreadEnd::Stable) => other.has(self.routes.first()),
            _ => false,
        }
    }

    fn has(&self, route: Option<&SpreadRoute>) -> bool {
        route.is_some_and(|route| self.is_about(&route.name))
    }

    /// True if it is about a route.
    pub(super) fn is_about(&self, route: &RouteName) -> bool {
        self.routes.iter().any(|one| one.name == *route)
    }

    /// True if a release has a weight on its routes, before or after.
    pub(super) fn has_release(&self, name: &ReleaseName) -> bool {
        let mut releases = self.routes.iter().flat_map(|route| &route.releases);
        releases.any(|(release, _)| release == name)
    }

    /// True if it is an abort of a route.
    pub(super) fn is_abort_of(&self, route: &RouteName) -> bool {
        self.end == SpreadEnd::Stable && self.is_about(route)
    }

    /// The cause of a part.
    pub(super) const fn cause(&self, part: u32) -> Cause {
        let to = match self.end {
            SpreadEnd::Revision(to) => Some(to),
            SpreadEnd::Stable => None,
        };
        let parts = self.spread.parts();
        Cause::ReturnPart { to, part, parts }
    }

    /// True for the record of a part of it after which others are to come.
    pub(super) fn is_part(&self, record: &RevisionRecord) -> bool {
        match (&record.cause, self.end) {
            (cause, _) if !cause.is_amid_return() => false,
            (Cause::ReturnPart { to, .. }, SpreadEnd::Revision(end)) => *to == Some(end),
            (Cause::ReturnPart { to, .. }, SpreadEnd::Stable) => {
                to.is_none() && record.author.group == self.by.group
            }
            _ => false,
        }
    }

    /// The change that gives the weights of a part.
    pub(super) fn change(&self, part: u32) -> Option<Change> {
        let routes = self.routes.iter().enumerate();
        let splits = routes.map(|(index, route)| {
            Some(Change::SetSplit {
                weights: self.spread.split(index, &route.to, part)?,
                route: route.name.clone(),
            })
        });
        Some(Change::joined(splits.collect::<Option<Vec<_>>>()?))
    }

    /// The change that gives its routes alone the splits that they go back to.
    pub(super) fn change_of_routes(&self, live: &TableSpec) -> Change {
        let before = |route: &SpreadRoute| {
            let mut spec: RouteSpec = (***live.route(&route.name)?).clone();
            spec.split.clone_from(&route.to);
            spec.stable.clone_from(&route.stable);
            let route = Box::new(spec);
            Some(Change::PutRoute { route })
        };
        Change::joined(self.routes.iter().filter_map(before).collect())
    }

    /// A release of it, if it has another version now, or was removed.
    pub(super) fn changed_release(&self, live: &TableSpec) -> Option<&ReleaseName> {
        let mut releases = self.routes.iter().flat_map(|route| &route.releases);
        let is_other = |(name, version): &&(ReleaseName, Version)| {
            live.release(name)
                .is_none_or(|spec| spec.version != *version)
        };
        releases.find(is_other).map(|(name, _)| name)
    }

    /// The progress, for the status.
    pub(super) fn show(&self) -> GoingBack {
        let (command, to) = match self.end {
            SpreadEnd::Revision(to) => (ReturnCommand::Rollback, Some(to)),
            SpreadEnd::Stable => (ReturnCommand::Abort, None),
        };
        let routes = self.routes.iter().map(|route| route.name.clone());
        GoingBack {
            command,
            to,
            routes: routes.collect(),
            parts: self.spread.show(),
            by: self.by.name.clone(),
            since: self.since,
            waiting_for: self.waiting_for.clone(),
        }
    }
}

// === impl SpreadRoute ===

impl SpreadRoute {
    /// The routes whose weights can go in parts from one table to another, with their splits now: all releases that get
    /// a weight are live in the same version.
    pub(super) fn between(now: &TableSpec, then: &TableSpec) -> Vec<(Self, Weights)> {
        let moved = |route: &std::sync::Arc<Hashed<RouteSpec>>| {
            let earlier = then.route(&route.name)?;
            if Hashed::is_same(route, earlier) || are_same_shares(&route.split, &earlier.split) {
                return None;
            }
            let is_live = |name: &ReleaseName| {
                let (now, then) = (now.release(name)?, then.release(name)?);
                (now.version == then.version).then_some(())
            };
            earlier.weighed().try_for_each(is_live)?;
            Some((Self::of(now, route, earlier), route.split.clone()))
        };
        let routes = now.routes().iter().filter_map(moved);
        routes.take(MOST_ROUTES).collect()
    }

    fn of(now: &TableSpec, route: &RouteSpec, earlier: &RouteSpec) -> Self {
        let is_live = |name: &ReleaseName| now.release(name).is_some();
        let to = earlier.split.iter().filter(|(name, _)| is_live(name));
        let to: Weights = to.map(|(name, weight)| (name.clone(), *weight)).collect();
        let stable = earlier.stable.clone();
        let weighed = route.weighed().chain(earlier.weighed());
        let version = |name: &ReleaseName| Some((name.clone(), now.release(name)?.version.clone()));
        Self {
            name: route.name.clone(),
            stable: stable.filter(|name| to.contains_key(name)),
            releases: weighed.filter_map(version).collect(),
            to,
        }
    }
}
