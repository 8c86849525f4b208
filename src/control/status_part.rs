//! The part of the routes and releases that a status shows: everything, or what was asked for of a large table.

use std::collections::{BTreeSet, HashSet};

use super::{revision_log::RevisionLog, route_index::RouteIndex};
use crate::{
    api::{ReleaseRole, ReleaseStatus, RouteFacts, RouteStatus, Totals},
    model::{Revision, RouteName, RouteSpec, TableSpec},
};

/// The part of the routes and releases that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusPart {
    /// All of them.
    Whole,
    /// Every release and no route: for a caller that has the routes of the revision already.
    WithoutRoutes,
    /// Everything of a small table. Of a large one what is worth a look: routes that are split or not ready, and
    /// releases that are not ready, that drain, or that such a route sends requests to.
    Brief,
    /// One route, and the releases in its split.
    Route(RouteName),
    /// Routes in the order of the table, and the releases in their splits.
    Page {
        /// The route that the page begins behind.
        after: Option<RouteName>,
        /// The largest number of routes.
        limit: usize,
    },
}

/// The routes and releases that a status shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) totals: Totals,
    pub(super) routes: Vec<RouteStatus>,
    pub(super) next: Option<RouteName>,
    pub(super) releases: Vec<ReleaseStatus>,
}

impl StatusPart {
    /// The largest number of routes, of releases and of differences in a brief status.
    pub const BRIEF: usize = 50;

    /// Selects the routes and releases of this part.
    pub(super) fn select(
        &self,
        spec: &TableSpec,
        index: &RouteIndex,
        log: &RevisionLog,
        releases: Vec<ReleaseStatus>,
    ) -> Shown {
        let is_unready = |release: &&ReleaseStatus| {
            !release.ready && matches!(release.role, ReleaseRole::Live | ReleaseRole::Standby)
        };
        let unready = releases.iter().filter(is_unready);
        let unready_routes = index.weighing(unready.clone().map(|release| &release.name));
        let totals = Totals {
            routes: spec.routes().len(),
            flags: spec.flags().len(),
            split_routes: index.split.len(),
            unready_routes: unready_routes.len(),
            releases: releases.len(),
            unready_releases: unready.count(),
        };
        let positions = self.positions(spec, index, &unready_routes);
        let routes: Vec<&RouteSpec> = positions
            .iter()
            .filter_map(|position| spec.routes().get(*position))
            .map(|route| &***route)
            .collect();
        let more = positions
            .last()
            .is_some_and(|last| last + 1 < totals.routes);
        let is_page = matches!(self, Self::Page { .. });
        let next = routes.last().filter(|_| is_page && more);
        Shown {
            totals,
            next: next.map(|route| route.name.clone()),
            releases: chosen(self, &routes, releases),
            routes: route_statuses(log, &routes),
        }
    }

    /// The positions of the routes in the table.
    fn positions(
        &self,
        spec: &TableSpec,
        index: &RouteIndex,
        unready: &BTreeSet<usize>,
    ) -> Vec<usize> {
        let all = spec.routes().len();
        match self {
            Self::Brief if all > Self::BRIEF => worth_a_look(unready, &index.split),
            Self::Whole | Self::Brief => (0..all).collect(),
            Self::WithoutRoutes => Vec::new(),
            Self::Route(name) => spec.place(name).into_iter().collect(),
            Self::Page { after, limit } => page(spec, after.as_ref(), *limit),
        }
    }
}

/// The revisions that last changed these routes, where they are known. The index is locked for a moment.
pub(super) fn routes_changed<'a>(
    log: &RevisionLog,
    routes: impl Iterator<Item = &'a RouteName>,
) -> Vec<Option<Revision>> {
    let index = log.index();
    routes.map(|route| index.route_changed(route)).collect()
}

// The index is asked for a few at a time: a rollback never waits until a long status is written.
fn route_statuses(log: &RevisionLog, routes: &[&RouteSpec]) -> Vec<RouteStatus> {
    const AT_ONCE: usize = 128;
    let mut shown = Vec::with_capacity(routes.len());
    for routes in routes.chunks(AT_ONCE) {
        let changed = routes_changed(log, routes.iter().map(|route| &route.name));
        let routes = routes.iter().zip(changed);
        shown.extend(routes.map(|(route, changed_by)| {
            let drill = None;
            RouteStatus::of(route, &RouteFacts { changed_by, drill })
        }));
    }
    shown
}

/// Routes that are not ready before routes that are split, as many as fit; in the order of the table.
fn worth_a_look(unready: &BTreeSet<usize>, split: &BTreeSet<usize>) -> Vec<usize> {
    let all = unready.iter().chain(split.difference(unready));
    let mut positions: Vec<usize> = all.take(StatusPart::BRIEF).copied().collect();
    positions.sort_unstable();
    positions
}

fn page(spec: &TableSpec, after: Option<&RouteName>, limit: usize) -> Vec<usize> {
    let all = spec.routes().len();
    let first = match after {
        None => 0,
        Some(name) => spec.place(name).map_or(all, |position| position + 1),
    };
    (first..all.min(first.saturating_add(limit))).collect()
}

/// The releases of a part, in the order that they have.
fn chosen(
    part: &StatusPart,
    routes: &[&RouteSpec],
    releases: Vec<ReleaseStatus>,
) -> Vec<ReleaseStatus> {
    let is_of_table = |release: &ReleaseStatus| {
        matches!(
            release.role,
            ReleaseRole::Candidate | ReleaseRole::Live | ReleaseRole::Standby
        )
    };
    match part {
        StatusPart::Whole | StatusPart::WithoutRoutes => releases,
        StatusPart::Brief if releases.len() <= StatusPart::BRIEF => releases,
        StatusPart::Brief => {
            let weighed: HashSet<_> = routes.iter().flat_map(|route| route.weighed()).collect();
            let rank = |release: &ReleaseStatus| match release.role {
                ReleaseRole::Live | ReleaseRole::Standby if !release.ready => Some(0),
                ReleaseRole::Candidate | ReleaseRole::Draining => Some(1),
                ReleaseRole::Live if weighed.contains(&release.name) => Some(2),
                ReleaseRole::Live | ReleaseRole::Standby | ReleaseRole::Warm => None,
            };
            let ranked = releases.iter().enumerate();
            let ranked = ranked.filter_map(|(position, release)| Some((rank(release)?, position)));
            let mut ranked: Vec<_> = ranked.collect();
            ranked.sort_unstable();
            ranked.truncate(StatusPart::BRIEF);
            let kept: HashSet<_> = ranked.into_iter().map(|(_, position)| position).collect();
            let all = releases.into_iter().enumerate();
            all.filter(|(position, _)| kept.contains(position))
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
