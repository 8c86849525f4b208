//! Which routes and releases a status shows: everything, or what somebody asked for of a large table.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError},
};

use super::Controller;
use crate::{
    api::{ReleaseStatus, Role, RouteStatus, Totals},
    model::{ReleaseName, Revision, RouteName, RouteSpec, TableSpec},
    table::RoutingTable,
};

/// What of the routes and releases is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusPart {
    /// All of them.
    Whole,
    /// Every release and no route: for whoever has the routes of the revision already.
    WithoutRoutes,
    /// Everything of a small table. Of a large one what is worth a look: routes that are split or not ready, and
    /// releases that are not ready, that drain, or that such a route sends requests to.
    Brief,
    /// One route, and the releases in its split.
    Route(RouteName),
    /// Routes in the order of the table, and the releases in their splits.
    Page {
        /// They begin behind this one.
        after: Option<RouteName>,
        /// How many at most.
        limit: usize,
    },
}

/// What a status shows of the routes and releases.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) totals: Totals,
    pub(super) routes: Vec<RouteStatus>,
    pub(super) next: Option<RouteName>,
    pub(super) releases: Vec<ReleaseStatus>,
}

/// What is asked of all routes of a revision, found out once for it. Places are those of the table.
#[derive(Debug)]
pub(super) struct RouteIndex {
    revision: Revision,
    split: BTreeSet<usize>,
    weighing: HashMap<ReleaseName, Vec<usize>>,
}

// === impl StatusPart ===

impl StatusPart {
    /// How many routes, releases and differences a brief status has at most.
    pub const BRIEF: usize = 50;
}

// === impl RouteIndex ===

impl RouteIndex {
    fn of(spec: &TableSpec, revision: Revision) -> Self {
        let mut index = Self {
            revision,
            split: BTreeSet::new(),
            weighing: HashMap::new(),
        };
        for (place, route) in spec.routes().iter().enumerate() {
            if route.weighed().count() > 1 {
                index.split.insert(place);
            }
            for release in route.weighed() {
                match index.weighing.get_mut(release) {
                    Some(places) => places.push(place),
                    None => drop(index.weighing.insert(release.clone(), vec![place])),
                }
            }
        }
        index
    }

    /// The routes that give a weight to one of these releases.
    fn weighing<'a>(&self, releases: impl Iterator<Item = &'a ReleaseName>) -> BTreeSet<usize> {
        let places = releases.filter_map(|release| self.weighing.get(release));
        places.flatten().copied().collect()
    }
}

// === impl Controller ===

impl Controller {
    /// The revisions that last changed these routes, where they are known. The books are held for a moment.
    pub fn routes_changed<'a>(
        &self,
        routes: impl Iterator<Item = &'a RouteName>,
    ) -> Vec<Option<Revision>> {
        let index = self.revision_index();
        routes.map(|route| index.route_changed(route)).collect()
    }

    fn route_index(&self, live: &RoutingTable) -> Arc<RouteIndex> {
        // Held to copy a pointer, not while routes are walked.
        let memo = || {
            self.route_index
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let known = memo().clone();
        if let Some(known) = known.filter(|known| known.revision == live.revision()) {
            return known;
        }
        let index = Arc::new(RouteIndex::of(live.compiled().spec(), live.revision()));
        *memo() = Some(Arc::clone(&index));
        index
    }

    /// Chooses what is shown.
    pub(super) fn shown(
        &self,
        live: &RoutingTable,
        part: &StatusPart,
        releases: Vec<ReleaseStatus>,
    ) -> Shown {
        let spec = live.compiled().spec();
        let index = self.route_index(live);
        let is_unready = |release: &&ReleaseStatus| {
            !release.ready && matches!(release.role, Role::Live | Role::Standby)
        };
        let unready = releases.iter().filter(is_unready);
        let unready_routes = index.weighing(unready.clone().map(|release| &release.name));
        let totals = Totals {
            routes: spec.routes().len(),
            split_routes: index.split.len(),
            unready_routes: unready_routes.len(),
            releases: releases.len(),
            unready_releases: unready.count(),
        };
        let is_large = totals.routes > StatusPart::BRIEF;
        let places: Vec<usize> = match part {
            StatusPart::Brief if is_large => worth_a_look(&unready_routes, &index.split),
            StatusPart::Whole | StatusPart::Brief => (0..totals.routes).collect(),
            StatusPart::WithoutRoutes => Vec::new(),
            StatusPart::Route(name) => spec.place(name).into_iter().collect(),
            StatusPart::Page { after, limit } => page(spec, after.as_ref(), *limit),
        };
        let routes: Vec<&RouteSpec> = places
            .iter()
            .filter_map(|place| spec.routes().get(*place))
            .map(|route| &***route)
            .collect();
        let more = places.last().is_some_and(|last| last + 1 < totals.routes);
        let is_page = matches!(part, StatusPart::Page { .. });
        let next = routes.last().filter(|_| is_page && more);
        Shown {
            totals,
            next: next.map(|route| route.name.clone()),
            releases: chosen(part, &routes, releases),
            routes: self.routes_shown(&routes),
        }
    }

    // The books are asked for a few at a time: a rollback never waits until a long status is written.
    fn routes_shown(&self, routes: &[&RouteSpec]) -> Vec<RouteStatus> {
        const AT_ONCE: usize = 128;
        let mut shown = Vec::with_capacity(routes.len());
        for routes in routes.chunks(AT_ONCE) {
            let changed = self.routes_changed(routes.iter().map(|route| &route.name));
            let routes = routes.iter().zip(changed);
            shown.extend(routes.map(|(route, changed)| RouteStatus::of(route, changed)));
        }
        shown
    }
}

/// Routes that are not ready before routes that are split, as many as fit; in the order of the table.
fn worth_a_look(unready: &BTreeSet<usize>, split: &BTreeSet<usize>) -> Vec<usize> {
    let all = unready.iter().chain(split.difference(unready));
    let mut places: Vec<usize> = all.take(StatusPart::BRIEF).copied().collect();
    places.sort_unstable();
    places
}

fn page(spec: &TableSpec, after: Option<&RouteName>, limit: usize) -> Vec<usize> {
    let all = spec.routes().len();
    let first = match after {
        None => 0,
        Some(name) => spec.place(name).map_or(all, |place| place + 1),
    };
    (first..all.min(first.saturating_add(limit))).collect()
}

/// The releases that belong to what is asked for, in the order that they have.
fn chosen(
    part: &StatusPart,
    routes: &[&RouteSpec],
    releases: Vec<ReleaseStatus>,
) -> Vec<ReleaseStatus> {
    let is_of_table = |release: &ReleaseStatus| {
        matches!(release.role, Role::Candidate | Role::Live | Role::Standby)
    };
    match part {
        StatusPart::Whole | StatusPart::WithoutRoutes => releases,
        StatusPart::Brief if releases.len() <= StatusPart::BRIEF => releases,
        StatusPart::Brief => {
            let weighed: HashSet<_> = routes.iter().flat_map(|route| route.weighed()).collect();
            let rank = |release: &ReleaseStatus| match release.role {
                Role::Live | Role::Standby if !release.ready => Some(0),
                Role::Candidate | Role::Draining => Some(1),
                Role::Live if weighed.contains(&release.name) => Some(2),
                Role::Live | Role::Standby | Role::Warm => None,
            };
            let ranked = releases.iter().enumerate();
            let ranked = ranked.filter_map(|(place, release)| Some((rank(release)?, place)));
            let mut ranked: Vec<_> = ranked.collect();
            ranked.sort_unstable();
            ranked.truncate(StatusPart::BRIEF);
            let kept: HashSet<_> = ranked.into_iter().map(|(_, place)| place).collect();
            let all = releases.into_iter().enumerate();
            all.filter(|(place, _)| kept.contains(place))
                .map(|(_, release)| release)
                .collect()
        }
        StatusPart::Route(_) | StatusPart::Page { .. } => {
            let named: HashSet<_> = routes.iter().flat_map(|route| route.split.keys()).collect();
            let all = releases.into_iter();
            all.filter(|release| is_of_table(release) && named.contains(&release.name))
                .collect()
        }
    }
}
