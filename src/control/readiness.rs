//! Readiness: a release is ready if it could respond to the requests that a change would send to it.
//!
//! Only releases whose share grows are looked at: a share that shrinks needs no health. A release without checks is ready
//! if it has an endpoint. One with checks needs an endpoint that is healthy, so a change that gives more to it waits for
//! its first check. On the way back, a rollback or an abort, a release that was never checked counts as ready: a way back
//! waits for nothing, and goes to what was live.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ControlError,
    candidates::{Candidates, checks_alike},
    proposal::Proposal,
    recompile::set_static_endpoints,
};
use crate::{
    fleet::{Fleet, Health, Roster},
    model::{
        EndpointSpec, EndpointUrl, Growth, ReleaseName, Revision, RouteSpec, TableSpec, TableState,
        Version, rescues,
    },
    table::{Compiled, LiveTable, RollbackTarget, RoutingTable, UndoEntry},
};

/// Releases that get more by a change, and their readiness.
pub(super) type Growing = BTreeMap<ReleaseName, Readiness>;

/// The readiness of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It could respond.
    Ready,
    /// It has checks, and not one of its endpoints is known to be healthy yet, though one may be.
    Unknown,
    /// It could not respond.
    NotReady,
}

/// The state of the look-ups for the endpoints that a change brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolved {
    /// All were made: a name without an address has none.
    All,
    /// They are still to be made: the endpoints are unknown.
    NotYet,
}

/// Checks the readiness of releases beside a live table.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadinessCheck<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) live: &'a RoutingTable,
}

impl ReadinessCheck<'_> {
    /// Refuses a change that gives more to a release that is not ready, or not known to be.
    pub(super) fn check_growth(
        self,
        proposal: &Proposal,
        candidates: &Candidates<'_>,
    ) -> Result<(), ControlError> {
        let mut growth = self.growing(&proposal.state, candidates, Resolved::All);
        if proposal.is_way_back() {
            growth.retain(|_, readiness| *readiness == Readiness::NotReady);
        }
        refuse_unready(growth)
    }

    /// The releases that a change gives more to.
    pub(super) fn growing(
        self,
        state: &TableState,
        candidates: &Candidates<'_>,
        resolved: Resolved,
    ) -> Growing {
        let before = self.live.state();
        let growth = Growth::between(&before.spec, &state.spec);
        let names = growth.into_iter().flat_map(|growth| growth.releases);
        let readiness = |name: ReleaseName| {
            let candidate = candidates.roster(&name);
            let readiness = self.readiness(&before, state, &name, candidate, resolved);
            (name, readiness)
        };
        names.map(readiness).collect()
    }

    /// If a release has checks, they alone say that it is ready.
    fn readiness(
        self,
        before: &TableState,
        state: &TableState,
        name: &ReleaseName,
        candidate: Option<&Arc<Roster>>,
        resolved: Resolved,
    ) -> Readiness {
        let Some(spec) = state.spec.release(name) else {
            return Readiness::NotReady;
        };
        let own = self.fleet.roster(name, &spec.version);
        if spec.health.is_some() {
            let watched = self.fleet.watched();
            let now = watched.iter().find(|one| Arc::ptr_eq(&one.roster, &own));
            // The checks of a roster that is not watched any more may be long out of date.
            let counts = now.is_some_and(|now| checks_alike(&now.spec, spec));
            return checked_readiness(state.endpoints(name), counts.then_some(&own), candidate);
        }
        if is_ready_unchecked(&own, before, state, name, resolved) {
            Readiness::Ready
        } else {
            Readiness::NotReady
        }
    }

    /// Refuses to go back to a state with releases that are not ready.
    pub(super) fn check_return(
        self,
        table: &LiveTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
    ) -> Result<(), ControlError> {
        let names = self.unready_return(spec, compiled);
        if names.is_empty() {
            return Ok(());
        }
        Err(ControlError::NotReady {
            releases: names.into_iter().collect(),
            unknown: Vec::new(),
            nearest: self.nearest_ready(table),
        })
    }

    /// The releases that a rollback gives more to and that are not ready. On a route of which nothing live is ready, any
    /// ready release may come back, with others beside it that are not.
    pub(super) fn unready_return(
        self,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
    ) -> BTreeSet<ReleaseName> {
        let now = self.live.compiled();
        let ready_then = |name: &ReleaseName| self.is_ready(spec, compiled, name);
        let ready_now = |name: &ReleaseName| {
            let release = now.releases().get(name);
            release.is_some_and(|release| release.roster().is_ready())
        };
        let rescued = |growth: &Growth| {
            let route = |spec: &TableSpec| spec.route(&growth.route).cloned();
            let (now, then) = (route(now.spec()), route(spec));
            let specs: [Option<&RouteSpec>; 2] = [
                now.as_deref().map(std::ops::Deref::deref),
                then.as_deref().map(std::ops::Deref::deref),
            ];
            rescues(specs[0], specs[1], ready_now, ready_then)
        };
        let mut growth = Growth::between(now.spec(), spec);
        growth.retain(|growth| !rescued(growth));
        Growth::unready(&growth, ready_then)
    }

    pub(super) fn is_ready(
        self,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
        name: &ReleaseName,
    ) -> bool {
        let Some(release) = spec.release(name) else {
            return false;
        };
        let tables = [Some(&**self.live.compiled()), compiled];
        let roster = tables
            .into_iter()
            .flatten()
            .filter_map(|table| table.releases().get(name))
            .find(|known| *known.version() == release.version)
            .map(|known| Arc::clone(known.roster()));
        let roster = roster.unwrap_or_else(|| self.fleet.roster(name, &release.version));
        if !roster.resolved() {
            let rosters = self.live.state().rosters;
            let urls = rosters.get(&(name.clone(), release.version.clone()));
            urls.inspect(|urls| {
                set_static_endpoints(&roster, urls);
            });
        }
        roster.is_ready()
    }

    fn is_level_ready(self, level: &UndoEntry) -> bool {
        self.unready_return(&level.spec, level.compiled.as_deref())
            .is_empty()
    }

    /// The nearest level below the live revision that is ready.
    pub(super) fn nearest_ready(self, table: &LiveTable) -> Option<Revision> {
        /// Number of levels that are looked at.
        const FURTHEST: usize = 50;
        let near = table.nearest_levels(FURTHEST);
        near.iter()
            .filter(|level| level.spec.digest() != self.live.digest())
            .find(|level| self.is_level_ready(level))
            .map(|level| level.revision)
    }
}

/// True if a rollback to the previous revision is possible, and its releases are ready.
pub(super) fn is_rollback_ready(table: &LiveTable, fleet: &Fleet) -> bool {
    rollback_readiness(table, fleet) == Some(true)
}

/// True if the releases of the previous revision are ready; none if there is no such revision.
pub(super) fn rollback_readiness(table: &LiveTable, fleet: &Fleet) -> Option<bool> {
    let live = table.load();
    let level = table.level(RollbackTarget::Previous)?;
    let check = ReadinessCheck { fleet, live: &live };
    Some(check.is_level_ready(&level))
}

/// True if a release without checks has an endpoint that could respond.
fn is_ready_unchecked(
    roster: &Roster,
    before: &TableState,
    state: &TableState,
    name: &ReleaseName,
    resolved: Resolved,
) -> bool {
    let urls = state.endpoints(name);
    let known = if version(before, name) == version(state, name) {
        before.endpoints(name)
    } else {
        // A roster of a version that was live before has the endpoints of then, not those that the change brings; one that
        // was dropped since has none.
        let key = (name.clone(), roster.version().clone());
        let earlier = before.rosters.get(&key).filter(|_| roster.resolved());
        match (earlier, resolved) {
            (Some(earlier), _) => earlier,
            (None, Resolved::All) => urls,
            (None, Resolved::NotYet) => &[],
        }
    };
    could_respond(roster, urls, known)
}

fn version<'a>(state: &'a TableState, name: &ReleaseName) -> Option<&'a Version> {
    state.spec.release(name).map(|spec| &spec.version)
}

/// True if one of these endpoints could respond. The roster has addresses for the endpoints that it was given (`known`);
/// the others count as able to.
fn could_respond(roster: &Roster, urls: &[EndpointSpec], known: &[EndpointSpec]) -> bool {
    let endpoints = roster.endpoints();
    let is_known = |url: &EndpointUrl| known.iter().any(|one| one.url() == url);
    let fit = |one: &EndpointSpec| {
        let url = one.url();
        let mut resolved = endpoints
            .iter()
            .filter(|endpoint| endpoint.url() == url)
            .peekable();
        if resolved.peek().is_none() {
            return !is_known(url);
        }
        resolved.any(|endpoint| endpoint.health() != Health::Unhealthy)
    };
    urls.iter().any(fit)
}

/// The readiness of a release by its checks. An endpoint that is not resolved yet is unknown.
fn checked_readiness(
    urls: &[EndpointSpec],
    own: Option<&Arc<Roster>>,
    candidate: Option<&Arc<Roster>>,
) -> Readiness {
    let urls: Vec<_> = urls.iter().map(EndpointSpec::url).collect();
    let mut missing = urls.clone();
    let mut unknown = false;
    for roster in own.into_iter().chain(candidate) {
        for endpoint in roster.endpoints().iter() {
            if !urls.contains(&endpoint.url()) {
                continue;
            }
            missing.retain(|url| *url != endpoint.url());
            match endpoint.health() {
                Health::Healthy => return Readiness::Ready,
                Health::Unknown => unknown = true,
                Health::Unhealthy => {}
            }
        }
    }
    let looked_up = candidate.is_some_and(|candidate| candidate.resolved());
    if unknown || !(missing.is_empty() || looked_up) {
        Readiness::Unknown
    } else {
        Readiness::NotReady
    }
}

/// Refuses releases that are not ready, or not known to be.
pub(super) fn refuse_unready(growing: Growing) -> Result<(), ControlError> {
    let is = |wanted: Readiness| {
        move |(_, readiness): &(&ReleaseName, &Readiness)| **readiness == wanted
    };
    let unknown = growing.iter().filter(is(Readiness::Unknown));
    let unknown: Vec<_> = unknown.map(|(name, _)| name.clone()).collect();
    let mut releases = growing
        .into_iter()
        .filter(|(_, one)| *one != Readiness::Ready)
        .peekable();
    if releases.peek().is_none() {
        return Ok(());
    }
    Err(ControlError::NotReady {
        releases: releases.map(|(name, _)| name).collect(),
        unknown,
        nearest: None,
    })
}
