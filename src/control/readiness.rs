//! Whether what a rollback would go to could answer: each release that would get requests has an endpoint that is not
//! unhealthy.

use std::collections::BTreeSet;

use super::{ControlError, Controller, prepare::seed};
use crate::{
    model::{Hashed, ReleaseName, Revision, RouteSpec, TableSpec},
    table::{Compiled, Level, RoutingTable, Target},
};

impl Controller {
    /// Refuses to go back to a level that could not answer.
    pub(super) fn ready(&self, live: &RoutingTable, level: &Level) -> Result<(), ControlError> {
        self.ready_state(live, &level.spec, level.compiled.as_deref())
    }

    pub(super) fn ready_state(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
    ) -> Result<(), ControlError> {
        let releases = self.not_ready(live, spec, compiled);
        if releases.is_empty() {
            return Ok(());
        }
        Err(ControlError::NotReady {
            releases,
            nearest: self.nearest_ready(live),
        })
    }

    /// The releases that would get requests on routes that would change, and that have no endpoint for them.
    pub(super) fn not_ready(
        &self,
        live: &RoutingTable,
        spec: &TableSpec,
        compiled: Option<&Compiled>,
    ) -> Vec<ReleaseName> {
        let wanted = wanted(live, spec);
        let not_ready = |name: &&ReleaseName| !self.is_ready(live, spec, compiled, name);
        wanted.iter().filter(not_ready).cloned().collect()
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
            .map(|known| std::sync::Arc::clone(known.roster()));
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
        level.is_some_and(|level| self.ready(&live, &level).is_ok())
    }

    /// The nearest level below the live revision that could answer.
    pub(super) fn nearest_ready(&self, live: &RoutingTable) -> Option<Revision> {
        /// How far it is looked for.
        const FURTHEST: usize = 50;
        let near = self.cell.nearest_levels(FURTHEST);
        near.iter()
            .filter(|level| level.spec.digest() != live.digest())
            .find(|level| {
                self.not_ready(live, &level.spec, level.compiled.as_deref())
                    .is_empty()
            })
            .map(|level| level.revision)
    }
}

/// The releases with a weight on routes that differ from what is live.
fn wanted(live: &RoutingTable, spec: &TableSpec) -> BTreeSet<ReleaseName> {
    let now = live.compiled().spec();
    let changed = now
        .routes()
        .differences(spec.routes(), Hashed::is_same)
        .filter_map(|place| spec.routes().get(place))
        .filter(|route| {
            now.route(&route.name)
                .is_none_or(|old| old.hash() != route.hash())
        });
    let mut wanted: BTreeSet<ReleaseName> = changed.flat_map(|route| weighed(route)).collect();
    if !std::ptr::eq(now.releases(), spec.releases()) {
        let changed = |name: &ReleaseName| {
            now.release(name).map(|release| release.hash())
                != spec.release(name).map(|release| release.hash())
        };
        let again = spec
            .routes()
            .iter()
            .flat_map(|route| weighed(route))
            .filter(changed);
        wanted.extend(again);
    }
    wanted
}

fn weighed(route: &RouteSpec) -> impl Iterator<Item = ReleaseName> {
    let weighed = route.split.iter().filter(|(_, weight)| **weight > 0);
    weighed.map(|(name, _)| name.clone())
}
