//! Whether what a change would send more requests to could answer them.
//!
//! Only releases whose share grows are asked: of one that shrinks less is wanted, however it is. A release without checks
//! can answer if it has an endpoint. One with checks needs an endpoint that is healthy, so a change that gives more to it
//! waits for its first check. On the way back, a rollback or an abort, what was never checked is taken as fit: it waits for
//! nothing, and goes to what was live.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ControlError, Controller,
    consent::{Candidates, checks_alike},
    publish::Proposal,
    warmup::set_static_endpoints,
};
use crate::{
    fleet::{Health, Roster},
    model::{
        EndpointUrl, Growth, ReleaseName, Revision, RouteSpec, TableSpec, TableState, Version,
        rescues,
    },
    table::{Compiled, RollbackTarget, RoutingTable, UndoEntry},
};

impl Controller {
    /// Refuses a change that gives more to a release that could not answer, or of which it is not known.
    pub(super) fn check_growth(
        &self,
        live: &RoutingTable,
        proposal: &Proposal,
        candidates: &Candidates<'_>,
    ) -> Result<(), ControlError> {
        let mut growth = self.growing(live, &proposal.state, candidates, Resolved::All);
        if proposal.is_way_back() {
            growth.retain(|_, readiness| *readiness == Readiness::NotReady);
        }
        not_ready(growth, None)
    }

    /// The releases that a change gives more to.
    pub(super) fn growing(
        &self,
        live: &RoutingTable,
        state: &TableState,
        candidates: &Candidates<'_>,
        resolved: Resolved,
    ) -> Growing {
        let before = live.state();
        let growth = Growth::between(&before.spec, &state.spec);
        let names = growth.into_iter().flat_map(|growth| growth.releases);
        let readiness = |name: ReleaseName| {
            let candidate = candidates.roster(&name);
            let readiness = self.readiness(&before, state, &name, candidate, resolved);
            (name, readiness)
        };
        names.map(readiness).collect()
    }

    /// Where a release has checks, they alone say that it can answer.
    fn readiness(
        &self,
        before: &TableState,
        state: &TableState,
        name: &ReleaseName,
        candidate: Option<&Arc<Roster>>,
        resolved: Resolved,
    ) -> Readiness {
        let Some(spec) = state.spec.release(name) else {
            return Readiness::NotReady;
        };
        if spec.health.is_some() {
            let own = self.fleet.roster(name, &spec.version);
            let watched = self.fleet.watched();
            let now = watched.iter().find(|one| Arc::ptr_eq(&one.roster, &own));
            // What nobody looks at any more may have been found out long ago.
            let counts = now.is_some_and(|now| checks_alike(&now.spec, spec));
            return checked_readiness(state.endpoints(name), counts.then_some(&own), candidate);
        }
        if self.can_answer(before, state, name, resolved) {
            Readiness::Ready
        } else {
            Readiness::NotReady
        }
    }

    fn roster_of(&self, state: &TableState, name: &ReleaseName) -> Option<Arc<Roster>> {
        let release = state.spec.release(name)?;
        Some(self.fleet.roster(name, &release.version))
    }

    fn can_answer(
        &self,
        before: &TableState,
        state: &TableState,
        name: &ReleaseName,
        resolved: Resolved,
    ) -> bool {
        let Some(roster) = self.roster_of(state, name) else {
            return false;
        };
        let urls = state.endpoints(name);
        let told = if version(before, name) == version(state, name) {
            before.endpoints(name)
        } else {
            // A roster of a version that was live before knows what it had then, and not what the change brings; one that
            // nothing held since knows nothing.
            let key = (name.clone(), roster.version().clone());
            let earlier = before.rosters.get(&key).filter(|_| roster.resolved());
            match (earlier, resolved) {
                (Some(earlier), _) => earlier,
                (None, Resolved::All) => urls,
                (None, Resolved::NotYet) => &[],
            }
        };
        could_answer(&roster, urls, told)
    }

    /// Refuses to go back to a state that could not answer.
    pub(super) fn check_return(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
    ) -> Result<(), ControlError> {
        let names = self.unready_return(live, spec, compiled);
        if names.is_empty() {
            return Ok(());
        }
        Err(ControlError::NotReady {
            releases: names.into_iter().collect(),
            unknown: Vec::new(),
            nearest: self.nearest_ready(live),
        })
    }

    /// The releases that a rollback gives more to and that could not answer. Where nothing that is live on a route can
    /// answer, whatever could may come back, with others beside it that cannot.
    pub(super) fn unready_return(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
    ) -> BTreeSet<ReleaseName> {
        let now = live.compiled();
        let ready_then = |name: &ReleaseName| self.is_ready(live, spec, compiled, name);
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

    fn is_ready(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
        name: &ReleaseName,
    ) -> bool {
        let Some(release) = spec.release(name) else {
            return false;
        };
        let tables = [Some(&**live.compiled()), compiled];
        let roster = tables
            .into_iter()
            .flatten()
            .filter_map(|table| table.releases().get(name))
            .find(|known| *known.version() == release.version)
            .map(|known| Arc::clone(known.roster()));
        let roster = roster.unwrap_or_else(|| self.fleet.roster(name, &release.version));
        if !roster.resolved() {
            let rosters = live.state().rosters;
            let urls = rosters.get(&(name.clone(), release.version.clone()));
            urls.inspect(|urls| {
                set_static_endpoints(&roster, urls);
            });
        }
        roster.is_ready()
    }

    /// Whether a bare rollback has somewhere to go that could answer.
    pub(super) fn rollback_ready(&self) -> bool {
        let live = self.cell.load();
        let level = self.cell.level(RollbackTarget::Previous);
        level.is_some_and(|level| self.is_level_ready(&live, &level))
    }

    fn is_level_ready(&self, live: &RoutingTable, level: &UndoEntry) -> bool {
        self.unready_return(live, &level.spec, level.compiled.as_deref())
            .is_empty()
    }

    /// The nearest level below the live revision that could answer.
    pub(super) fn nearest_ready(&self, live: &RoutingTable) -> Option<Revision> {
        /// How far it is looked for.
        const FURTHEST: usize = 50;
        let near = self.cell.nearest_levels(FURTHEST);
        near.iter()
            .filter(|level| level.spec.digest() != live.digest())
            .find(|level| self.is_level_ready(live, level))
            .map(|level| level.revision)
    }
}

/// Releases that get more by a change, and whether they could answer.
pub(super) type Growing = BTreeMap<ReleaseName, Readiness>;

/// Whether a release could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It could.
    Ready,
    /// It has checks, and not one of its endpoints is known to be healthy yet, though one may be.
    Unknown,
    /// It could not.
    NotReady,
}

/// Whether the endpoints of a release that a change brings were looked up already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolved {
    /// They were: a name without an address has none.
    All,
    /// They will be: nothing is known of them.
    NotYet,
}

fn version<'a>(state: &'a TableState, name: &ReleaseName) -> Option<&'a Version> {
    state.spec.release(name).map(|spec| &spec.version)
}

/// Whether one of these endpoints could answer. Of those that the roster was told of (`told`) it knows the addresses; of
/// the others nothing is known.
fn could_answer(roster: &Roster, urls: &[EndpointUrl], told: &[EndpointUrl]) -> bool {
    let endpoints = roster.endpoints();
    let fit = |url: &EndpointUrl| {
        let mut known = endpoints
            .iter()
            .filter(|endpoint| endpoint.url() == url)
            .peekable();
        if known.peek().is_none() {
            return !told.contains(url);
        }
        known.any(|endpoint| endpoint.health() != Health::Unhealthy)
    };
    urls.iter().any(fit)
}

/// What the checks of a release say. What is not looked up yet is not known either.
fn checked_readiness(
    urls: &[EndpointUrl],
    own: Option<&Arc<Roster>>,
    candidate: Option<&Arc<Roster>>,
) -> Readiness {
    let mut missing: Vec<_> = urls.iter().collect();
    let mut unknown = false;
    for roster in own.into_iter().chain(candidate) {
        for endpoint in roster.endpoints().iter() {
            if !urls.contains(endpoint.url()) {
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

/// The refusal of what cannot answer, or is not known to.
pub(super) fn not_ready(growing: Growing, nearest: Option<Revision>) -> Result<(), ControlError> {
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
        nearest,
    })
}
