//! Compiler from decisions to a table: the only way to create one.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Flags, Guards, Leave, Mirror, Release, Route, RouteFlags, Split, SplitEntry,
    header_rules::HeaderRulesPair, index::Index, validate,
};
use crate::{
    fleet::Fleet,
    model::{
        ChangeSet, ChunkedMap, Digest, Hashed, MirrorSpec, Problem, ReleaseName, ReleaseSpec,
        RequestView, RouteName, RouteSpec, TableSpec, TableState,
    },
};

/// Compiled decisions. Whatever a change did not touch is shared with the previous table.
#[derive(Debug)]
pub struct Compiled {
    spec: TableSpec,
    releases: Arc<BTreeMap<ReleaseName, Arc<Release>>>,
    routes: ChunkedMap<Arc<Route>>,
    index: Arc<Index>,
    flags: Flags,
}

/// A table that could become live. Created only by [`compile`].
#[derive(Debug)]
pub struct Draft {
    pub(super) compiled: Arc<Compiled>,
    pub(super) state: TableState,
    pub(super) leave: Leave,
}

impl Draft {
    /// Sets the way in which releases leave their routes by it.
    #[must_use]
    pub fn leaving(self, leave: Leave) -> Self {
        Self { leave, ..self }
    }

    /// Digest of its decisions.
    pub fn digest(&self) -> Digest {
        self.state.spec.digest()
    }

    /// The decisions, compiled.
    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// Decisions and rosters.
    pub fn state(&self) -> &TableState {
        &self.state
    }
}

/// Validates and compiles the changed parts; the rest is shared with the previous table.
///
/// Rosters are facts of the fleet: compiling looks them up, or creates empty ones, and changes none.
///
/// # Errors
/// All problems at once, each with its position and, if there is one, a hint.
pub fn compile(
    state: TableState,
    touched: &ChangeSet,
    previous: Option<&Compiled>,
    fleet: &Fleet,
) -> Result<Draft, Vec<Problem>> {
    let problems = validate::problems(&state, touched, previous.is_none());
    if !problems.is_empty() {
        return Err(problems);
    }
    let spec = state.spec.clone();
    let releases = compile_releases(&spec, touched, previous, fleet);
    let flags = Flags::compile(
        spec.flags(),
        touched,
        previous.map(|previous| &previous.flags),
    )?;
    let parts = Parts {
        releases: &releases,
        flags: &flags,
        fleet,
    };
    let routes = compile_routes(&spec, touched, previous, &parts)?;
    let index = match previous {
        Some(previous) if !touched.structure => Arc::clone(&previous.index),
        _ => Arc::new(Index::new(spec.routes().iter().map(|route| &***route))),
    };
    Ok(Draft {
        compiled: Arc::new(Compiled {
            spec,
            releases,
            routes,
            index,
            flags,
        }),
        state,
        leave: Leave::SPLIT,
    })
}

/// Compiled parts that routes are compiled from.
struct Parts<'p> {
    releases: &'p Releases,
    flags: &'p Flags,
    fleet: &'p Fleet,
}

type Releases = Arc<BTreeMap<ReleaseName, Arc<Release>>>;

fn compile_releases(
    spec: &TableSpec,
    touched: &ChangeSet,
    previous: Option<&Compiled>,
    fleet: &Fleet,
) -> Releases {
    if let Some(previous) = previous
        && touched.releases.is_empty()
    {
        return Arc::clone(&previous.releases);
    }
    let release = |(name, spec): (&ReleaseName, &Arc<Hashed<ReleaseSpec>>)| {
        let old = previous
            .and_then(|previous| previous.releases.get(name))
            .filter(|old| old.spec().hash() == spec.hash());
        let make = || {
            Arc::new(Release::new(
                name.clone(),
                Arc::clone(spec),
                fleet.roster(name, &spec.version),
            ))
        };
        (name.clone(), old.cloned().unwrap_or_else(make))
    };
    Arc::new(spec.releases().iter().map(release).collect())
}

fn compile_routes(
    spec: &TableSpec,
    touched: &ChangeSet,
    previous: Option<&Compiled>,
    parts: &Parts<'_>,
) -> Result<ChunkedMap<Arc<Route>>, Vec<Problem>> {
    let compile = |route: &Arc<Hashed<RouteSpec>>| compile_route(route, parts);
    let Some(previous) = previous else {
        return spec.routes().iter().map(compile).collect();
    };
    let stale = |route: &Route| {
        let split = route.split().entries().iter().map(SplitEntry::release);
        let mirror = route.mirror().map(|mirror| mirror.release());
        !split
            .chain(mirror)
            .all(|release| is_current(release, parts.releases))
    };
    let has_other_flags = |route: &Route| {
        let flags = route.flags();
        flags.is_some_and(|flags| !flags.is_current(parts.flags))
    };
    if touched.structure || spec.routes().len() != previous.routes.len() {
        let reuse = |route: &Arc<Hashed<RouteSpec>>| {
            let old = previous.named(&route.name).filter(|old| {
                Arc::ptr_eq(old.spec(), route) && !stale(old) && !has_other_flags(old)
            });
            old.map_or_else(|| compile(route), |old| Ok(Arc::clone(old)))
        };
        return spec.routes().iter().map(reuse).collect();
    }
    let mut places: Vec<usize> = touched
        .routes
        .iter()
        .filter_map(|name| spec.place(name))
        .collect();
    if !touched.releases.is_empty() {
        let routes = previous.routes.iter().enumerate();
        let by_release = routes.filter(|(_, route)| stale(route));
        places.extend(by_release.map(|(place, _)| place));
    }
    if !touched.flags.is_empty() {
        let routes = previous.routes.iter().enumerate();
        let by_flag = routes.filter(|(_, route)| has_other_flags(route));
        places.extend(by_flag.map(|(place, _)| place));
    }
    let replace = |routes: ChunkedMap<Arc<Route>>, place: usize| {
        let Some(route) = spec.routes().get(place) else {
            return Ok(routes);
        };
        compile(route).map(|route| routes.set(place, route))
    };
    places
        .into_iter()
        .try_fold(previous.routes.clone(), replace)
}

fn is_current(held: &Arc<Release>, releases: &Releases) -> bool {
    releases
        .get(held.name())
        .is_some_and(|release| Arc::ptr_eq(release, held))
}

fn compile_route(
    route: &Arc<Hashed<RouteSpec>>,
    parts: &Parts<'_>,
) -> Result<Arc<Route>, Vec<Problem>> {
    let entry = |(name, weight): (&ReleaseName, &u32)| {
        let release = parts.releases.get(name)?;
        let cells = parts.fleet.cells(&route.name, name, release.version());
        let halves = parts.fleet.halves(&route.name, name, release.version());
        Some(SplitEntry::new(Arc::clone(release), *weight, cells).with_halves(halves))
    };
    let entries: Option<Vec<_>> = route.split.iter().map(entry).collect();
    let split = if route.split.is_empty() && route.answers_itself() {
        Some(Split::none())
    } else {
        entries.and_then(Split::new)
    };
    // Validated input cannot fail here; a gap in the validation is reported as an error instead of a panic.
    let unsound = |key: &str, message: &str| {
        vec![Problem::new(
            format!("routes.{}.{key}", route.name),
            message,
        )]
    };
    let split = split.ok_or_else(|| {
        unsound(
            "split",
            "the split names an unknown release or has no weight",
        )
    })?;
    let flags = RouteFlags::new(route, &split, parts.flags, parts.fleet)
        .map_err(|()| unsound("flags", "the route names an unknown flag"))?;
    let mirror = match &route.mirror {
        None => None,
        Some(spec) => {
            let mirror = compile_mirror(&route.name, spec, parts);
            let unknown = || unsound("mirror.release", "the mirror is an unknown release");
            Some(mirror.ok_or_else(unknown)?)
        }
    };
    let headers = HeaderRulesPair::new(route)
        .map_err(|error| unsound("request_headers", &error.to_string()))?;
    Ok(Arc::new(Route::new(
        Arc::clone(route),
        split,
        (flags, mirror),
        Guards::new(route, parts.fleet),
        headers,
    )))
}

/// The mirror of a route; `None` if its release is unknown.
fn compile_mirror(route: &RouteName, spec: &MirrorSpec, parts: &Parts<'_>) -> Option<Arc<Mirror>> {
    let release = parts.releases.get(&spec.release)?;
    let counters = parts.fleet.mirror(route, &spec.release, release.version());
    let mirror = Mirror::new(route, spec, Arc::clone(release), counters);
    Some(Arc::new(mirror))
}

impl Compiled {
    pub(super) fn empty() -> Arc<Self> {
        let (spec, routes) = (TableSpec::default(), ChunkedMap::default());
        Arc::new(Self {
            spec,
            releases: Arc::default(),
            routes,
            index: Arc::default(),
            flags: Flags::default(),
        })
    }

    /// The decisions it was compiled from.
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// All releases by name.
    pub fn releases(&self) -> &BTreeMap<ReleaseName, Arc<Release>> {
        &self.releases
    }

    /// All routes in order.
    pub fn routes(&self) -> &ChunkedMap<Arc<Route>> {
        &self.routes
    }

    /// All flags by name.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Finds a route by name.
    pub fn named(&self, name: &RouteName) -> Option<&Arc<Route>> {
        self.routes.get(self.spec.place(name)?)
    }

    /// Methods with which a request would match a route; empty if none would.
    pub fn methods_of(&self, request: &impl RequestView, path: &[u8]) -> Vec<&str> {
        self.index.methods_of(request, path)
    }

    /// Finds the route of a request by `path`, which may be another form of the request's path.
    #[inline]
    pub fn route(&self, request: &impl RequestView, path: &[u8]) -> Option<&Arc<Route>> {
        self.routes.get(self.index.find(request, path)?)
    }
}

#[cfg(test)]
mod tests;
