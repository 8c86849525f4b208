//! Whether what a change would send more requests to could answer them.
//!
//! Only releases whose share grows are asked: of one that shrinks less is wanted, however it is. A release can answer if
//! it has an endpoint that is not known to be unhealthy; what was never checked is taken as fit.

use std::{collections::BTreeSet, sync::Arc};

use super::{ControlError, Controller, prepare::seed};
use crate::{
    fleet::{Health, Roster},
    model::{
        EndpointUrl, Growth, ReleaseName, Revision, RouteSpec, TableSpec, TableState, Version,
        rescues,
    },
    table::{Compiled, Level, RoutingTable, Target},
};

impl Controller {
    /// Refuses a change that gives more to a release that could not answer.
    pub(super) fn check_growth(
        &self,
        live: &RoutingTable,
        state: &TableState,
    ) -> Result<(), ControlError> {
        let names = self.unready_growth(live, state, Resolved::All);
        refuse(names, None)
    }

    /// The releases that a change gives more to and that could not answer.
    pub(super) fn unready_growth(
        &self,
        live: &RoutingTable,
        state: &TableState,
        resolved: Resolved,
    ) -> BTreeSet<ReleaseName> {
        let before = live.state();
        let growth = Growth::between(&before.spec, &state.spec);
        Growth::unready(&growth, |name| {
            self.can_answer(&before, state, name, resolved)
        })
    }

    /// Of the releases that a change gives more to, those that no check has found healthy yet. Where a release has no
    /// checks, it is enough that it could answer.
    pub(super) fn unproven_growth(
        &self,
        live: &RoutingTable,
        state: &TableState,
    ) -> BTreeSet<ReleaseName> {
        let before = live.state();
        let growth = Growth::between(&before.spec, &state.spec);
        Growth::unready(&growth, |name| {
            self.can_answer(&before, state, name, Resolved::All)
                && self.is_proven(&before, state, name)
        })
    }

    fn is_proven(&self, before: &TableState, state: &TableState, name: &ReleaseName) -> bool {
        let spec = state.spec.release(name);
        if spec.is_none_or(|spec| spec.health.is_none()) {
            return true;
        }
        let Some(roster) = self.roster_of(state, name) else {
            return false;
        };
        let urls = state.endpoints(name);
        let endpoints = roster.endpoints();
        let mut here = endpoints
            .iter()
            .filter(|endpoint| urls.contains(endpoint.url()))
            .peekable();
        // Endpoints that only the change itself brings to a release that is live are checked once they are live.
        let later = here.peek().is_none() && version(before, name) == version(state, name);
        later || here.any(|endpoint| endpoint.health() == Health::Healthy)
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
        refuse(names, self.nearest_ready(live))
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
                seed(&roster, urls);
            });
        }
        roster.is_ready()
    }

    /// Whether a bare rollback has somewhere to go that could answer.
    pub(super) fn rollback_ready(&self) -> bool {
        let live = self.cell.load();
        let level = self.cell.level(Target::Previous);
        level.is_some_and(|level| self.is_level_ready(&live, &level))
    }

    fn is_level_ready(&self, live: &RoutingTable, level: &Level) -> bool {
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

fn refuse(names: BTreeSet<ReleaseName>, nearest: Option<Revision>) -> Result<(), ControlError> {
    if names.is_empty() {
        return Ok(());
    }
    Err(ControlError::NotReady {
        releases: names.into_iter().collect(),
        nearest,
    })
}
