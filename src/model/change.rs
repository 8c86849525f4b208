//! What can be asked of a table, and the pure function that does it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{
    EndpointUrl, Hashed, Problem, ReleaseDocument, ReleaseName, Rosters, RouteName, RouteSpec,
    TableDocument, TableState,
};

/// Weights per release.
pub type Weights = BTreeMap<ReleaseName, u32>;

/// One change to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The route's stable release gets everything.
    Abort {
        /// The route.
        route: RouteName,
    },
    /// Some weights of a route change; the others stay.
    PatchSplit {
        /// The route.
        route: RouteName,
        /// The weights that change.
        #[schema(schema_with = super::schema::some_weights)]
        weights: Weights,
    },
    /// The route's canary gets everything and becomes stable.
    Promote {
        /// The route.
        route: RouteName,
        /// The release to promote; needed only where more than one could be meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<ReleaseName>,
    },
    /// A release is added or replaced.
    PutRelease {
        /// Its name.
        release: ReleaseName,
        /// What it is to be.
        document: Box<ReleaseDocument>,
    },
    /// A route is added (at the end) or replaced (in its place).
    PutRoute {
        /// What it is to be.
        route: Box<RouteSpec>,
    },
    /// A release is removed.
    RemoveRelease {
        /// Its name.
        release: ReleaseName,
    },
    /// A route is removed.
    RemoveRoute {
        /// Its name.
        route: RouteName,
    },
    /// The whole table is replaced.
    Replace {
        /// What it is to be.
        table: TableDocument,
    },
    /// Endpoints of a release are replaced, and nothing else.
    SetEndpoints {
        /// The release.
        release: ReleaseName,
        /// Its endpoints.
        endpoints: Vec<EndpointUrl>,
    },
    /// All weights of a route are replaced.
    SetSplit {
        /// The route.
        route: RouteName,
        /// All its weights.
        #[schema(schema_with = super::schema::weights)]
        weights: Weights,
    },
    /// One release of a route gets everything; the others stay in the split at 0.
    Switch {
        /// The route.
        route: RouteName,
        /// The release.
        to: ReleaseName,
    },
}

/// What a change touched, so that only that is compiled, and so that a later change can tell a conflict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Routes whose decision is another one now.
    pub routes: BTreeSet<RouteName>,
    /// Releases whose decision or roster is another one now.
    pub releases: BTreeSet<ReleaseName>,
    /// Whether routes came, went, moved or match differently, so that the index is made anew.
    pub structure: bool,
}

/// A change that was applied.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What the table is to be.
    pub state: TableState,
    /// What the change touched.
    pub touched: Touched,
}

impl Applied {
    /// Whether only endpoints changed: a fact, which is recorded but not undone.
    pub fn is_fact(&self, before: &TableState) -> bool {
        self.state.spec.digest() == before.spec.digest() && self.state.rosters != before.rosters
    }

    /// Whether nothing changed at all.
    pub fn is_same(&self, before: &TableState) -> bool {
        self.state.spec.digest() == before.spec.digest() && self.state.rosters == before.rosters
    }
}

/// Why a change cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The names are right, but what is asked cannot be.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// A release is still part of a split, so it cannot go.
    #[error("release `{release}` is in the split of {}", list(.routes))]
    ReleaseInUse {
        /// The release.
        release: ReleaseName,
        /// The routes that name it.
        routes: Vec<RouteName>,
    },
    /// No release has that name.
    #[error("no release is called `{name}`")]
    UnknownRelease {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<ReleaseName>,
    },
    /// No route has that name.
    #[error("no route is called `{name}`")]
    UnknownRoute {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<RouteName>,
    },
}

fn list(names: &[RouteName]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Change {
    /// Applies the change. Pure: the same state and change always make the same state.
    ///
    /// What the result *means* is judged by the compiler of the table; here only what keeps the change from being
    /// understood is an error.
    ///
    /// # Errors
    /// When a route or release does not exist, is still in use, or it cannot be told which release is meant.
    pub fn apply_to(&self, state: &TableState) -> Result<Applied, ChangeError> {
        match self {
            Self::Abort { route } => abort(state, route),
            Self::PatchSplit { route, weights } => patch_split(state, route, weights),
            Self::Promote { route, to } => promote(state, route, to.as_ref()),
            Self::PutRelease { release, document } => Ok(put_release(state, release, document)),
            Self::PutRoute { route } => Ok(put_route(state, route)),
            Self::RemoveRelease { release } => remove_release(state, release),
            Self::RemoveRoute { route } => remove_route(state, route),
            Self::Replace { table } => Ok(replace(state, table)),
            Self::SetEndpoints { release, endpoints } => set_endpoints(state, release, endpoints),
            Self::SetSplit { route, weights } => {
                with_split(state, find(state, route)?, weights.clone(), None)
            }
            Self::Switch { route, to } => switch(state, route, to),
        }
    }

    /// The route that the change is about, if it is about one.
    pub fn route(&self) -> Option<&RouteName> {
        match self {
            Self::Abort { route }
            | Self::PatchSplit { route, .. }
            | Self::Promote { route, .. }
            | Self::RemoveRoute { route }
            | Self::SetSplit { route, .. }
            | Self::Switch { route, .. } => Some(route),
            Self::PutRoute { route } => Some(&route.name),
            Self::PutRelease { .. }
            | Self::RemoveRelease { .. }
            | Self::Replace { .. }
            | Self::SetEndpoints { .. } => None,
        }
    }

    /// The release that the change is about, if it is about one.
    pub fn release(&self) -> Option<&ReleaseName> {
        match self {
            Self::PutRelease { release, .. }
            | Self::RemoveRelease { release }
            | Self::SetEndpoints { release, .. } => Some(release),
            Self::Abort { .. }
            | Self::PatchSplit { .. }
            | Self::Promote { .. }
            | Self::PutRoute { .. }
            | Self::RemoveRoute { .. }
            | Self::Replace { .. }
            | Self::SetSplit { .. }
            | Self::Switch { .. } => None,
        }
    }
}

fn find<'a>(
    state: &'a TableState,
    name: &RouteName,
) -> Result<&'a Arc<Hashed<RouteSpec>>, ChangeError> {
    state
        .spec
        .route(name)
        .ok_or_else(|| ChangeError::UnknownRoute {
            name: name.to_string(),
            known: state
                .spec
                .routes()
                .iter()
                .map(|route| route.name.clone())
                .collect(),
        })
}

fn known_release(state: &TableState, name: &ReleaseName) -> Result<(), ChangeError> {
    if state.spec.releases().contains_key(name) {
        return Ok(());
    }
    let known = state.spec.releases().keys().cloned().collect();
    Err(ChangeError::UnknownRelease {
        name: name.to_string(),
        known,
    })
}

/// The same table with another split on one route, and perhaps another stable release.
fn with_split(
    state: &TableState,
    route: &Arc<Hashed<RouteSpec>>,
    weights: Weights,
    stable: Option<ReleaseName>,
) -> Result<Applied, ChangeError> {
    weights
        .keys()
        .try_for_each(|name| known_release(state, name))?;
    let mut spec: RouteSpec = (***route).clone();
    spec.split = weights;
    spec.stable = stable.or(spec.stable);
    let before = spec.last_whole.take();
    spec.keep_whole(before.as_ref());
    let touched = Touched {
        routes: BTreeSet::from([spec.name.clone()]),
        ..Touched::default()
    };
    let spec = state
        .spec
        .with_route(Arc::new(Hashed::new(spec)))
        .expect("the route was found in this table");
    Ok(Applied {
        state: TableState {
            spec,
            rosters: Arc::clone(&state.rosters),
        },
        touched,
    })
}

fn patch_split(
    state: &TableState,
    route: &RouteName,
    weights: &Weights,
) -> Result<Applied, ChangeError> {
    let route = find(state, route)?;
    let mut all = route.split.clone();
    all.extend(weights.iter().map(|(name, weight)| (name.clone(), *weight)));
    with_split(state, route, all, None)
}

/// Everything to one release: the sum of the weights stays, so that a share can be read off before and after.
fn everything_to(route: &RouteSpec, to: &ReleaseName) -> Weights {
    let total: u64 = route.split.values().map(|weight| u64::from(*weight)).sum();
    let whole = u32::try_from(total)
        .unwrap_or(super::MAX_WEIGHT)
        .clamp(1, super::MAX_WEIGHT);
    let mut weights: Weights = route.split.keys().map(|name| (name.clone(), 0)).collect();
    weights.insert(to.clone(), whole);
    weights
}

fn switch(state: &TableState, route: &RouteName, to: &ReleaseName) -> Result<Applied, ChangeError> {
    let route = find(state, route)?;
    known_release(state, to)?;
    with_split(state, route, everything_to(route, to), None)
}

fn promote(
    state: &TableState,
    route: &RouteName,
    to: Option<&ReleaseName>,
) -> Result<Applied, ChangeError> {
    let route = find(state, route)?;
    let to = match to {
        Some(to) => to.clone(),
        None => the_canary(route)?,
    };
    known_release(state, &to)?;
    let stable = route.stable.is_some().then(|| to.clone());
    with_split(state, route, everything_to(route, &to), stable)
}

/// The one release with a weight that is not stable.
fn the_canary(route: &RouteSpec) -> Result<ReleaseName, ChangeError> {
    let stable = route.stable_release();
    let canaries: Vec<_> = route
        .split
        .iter()
        .filter(|(name, weight)| **weight > 0 && Some(*name) != stable)
        .collect();
    match canaries.as_slice() {
        [(name, _)] => Ok((*name).clone()),
        [] => Err(ask_which(
            route,
            "there is no canary: no release but the stable one has a weight",
        )),
        _ => Err(ask_which(
            route,
            "more than one release could be the canary",
        )),
    }
}

fn ask_which(route: &RouteSpec, message: &str) -> ChangeError {
    let names: Vec<_> = route.split.keys().map(|name| format!("`{name}`")).collect();
    let hint = format!(
        "name the release to promote with `to`: {}",
        names.join(" or ")
    );
    ChangeError::Invalid(vec![
        Problem::new(format!("routes.{}.split", route.name), message).hint(hint),
    ])
}

fn abort(state: &TableState, route: &RouteName) -> Result<Applied, ChangeError> {
    let route = find(state, route)?;
    let Some(stable) = route.stable_release().cloned() else {
        let problem = Problem::new(
            format!("routes.{}.stable", route.name),
            "it is not known which release is stable",
        );
        let hint =
            "name one with `stable` on the route, or give one release all the weight with a switch";
        return Err(ChangeError::Invalid(vec![problem.hint(hint)]));
    };
    known_release(state, &stable)?;
    with_split(state, route, everything_to(route, &stable), None)
}

fn put_route(state: &TableState, route: &RouteSpec) -> Applied {
    let mut route = route.clone();
    let old = state.spec.route(&route.name);
    route.keep_whole(old.and_then(|old| old.last_whole.as_ref()));
    let structure = old.is_none_or(|old| !old.matches_like(&route));
    let touched = Touched {
        routes: BTreeSet::from([route.name.clone()]),
        structure,
        ..Touched::default()
    };
    let route = Arc::new(Hashed::new(route));
    let spec = state
        .spec
        .with_route(Arc::clone(&route))
        .unwrap_or_else(|| {
            let routes = state.spec.routes().iter().cloned().chain([route]);
            super::TableSpec::new(state.spec.releases().clone(), routes)
        });
    Applied {
        state: TableState {
            spec,
            rosters: Arc::clone(&state.rosters),
        },
        touched,
    }
}

fn remove_route(state: &TableState, name: &RouteName) -> Result<Applied, ChangeError> {
    find(state, name)?;
    let routes = state
        .spec
        .routes()
        .iter()
        .filter(|route| route.name != *name)
        .cloned();
    let spec = super::TableSpec::new(state.spec.releases().clone(), routes);
    let touched = Touched {
        routes: BTreeSet::from([name.clone()]),
        structure: true,
        ..Touched::default()
    };
    Ok(Applied {
        state: TableState {
            spec,
            rosters: Arc::clone(&state.rosters),
        },
        touched,
    })
}

fn put_release(state: &TableState, name: &ReleaseName, document: &ReleaseDocument) -> Applied {
    let ReleaseDocument { spec, endpoints } = document;
    let rosters = with_roster(state, name, &spec.version, endpoints);
    let same = state.spec.release(name).is_some_and(|old| ***old == *spec);
    let spec = if same {
        state.spec.clone()
    } else {
        let mut releases = state.spec.releases().clone();
        releases.insert(name.clone(), Arc::new(Hashed::new(spec.clone())));
        state.spec.with_releases(releases)
    };
    let touched = Touched {
        releases: BTreeSet::from([name.clone()]),
        ..Touched::default()
    };
    Applied {
        state: TableState { spec, rosters },
        touched,
    }
}

fn set_endpoints(
    state: &TableState,
    name: &ReleaseName,
    endpoints: &[EndpointUrl],
) -> Result<Applied, ChangeError> {
    known_release(state, name)?;
    let version = state
        .spec
        .release(name)
        .map(|spec| spec.version.clone())
        .unwrap_or_default();
    let rosters = with_roster(state, name, &version, endpoints);
    let touched = Touched {
        releases: BTreeSet::from([name.clone()]),
        ..Touched::default()
    };
    Ok(Applied {
        state: TableState {
            spec: state.spec.clone(),
            rosters,
        },
        touched,
    })
}

fn with_roster(
    state: &TableState,
    name: &ReleaseName,
    version: &super::Version,
    endpoints: &[EndpointUrl],
) -> Arc<Rosters> {
    let key = (name.clone(), version.clone());
    if state
        .rosters
        .get(&key)
        .is_some_and(|old| **old == *endpoints)
    {
        return Arc::clone(&state.rosters);
    }
    let mut rosters = (*state.rosters).clone();
    rosters.insert(key, endpoints.into());
    Arc::new(rosters)
}

fn remove_release(state: &TableState, name: &ReleaseName) -> Result<Applied, ChangeError> {
    known_release(state, name)?;
    let users: Vec<_> = state
        .spec
        .routes()
        .iter()
        .filter(|route| route.split.contains_key(name))
        .map(|route| route.name.clone())
        .collect();
    if !users.is_empty() {
        return Err(ChangeError::ReleaseInUse {
            release: name.clone(),
            routes: users,
        });
    }
    let mut releases = state.spec.releases().clone();
    releases.remove(name);
    let touched = Touched {
        releases: BTreeSet::from([name.clone()]),
        ..Touched::default()
    };
    let spec = state.spec.with_releases(releases);
    Ok(Applied {
        state: TableState {
            spec,
            rosters: Arc::clone(&state.rosters),
        },
        touched,
    })
}

fn replace(state: &TableState, table: &TableDocument) -> Applied {
    let new = table.clone().into_state(state);
    let touched = Touched::between(state, &new);
    Applied {
        state: new,
        touched,
    }
}

impl Touched {
    /// What differs between two states.
    pub fn between(before: &TableState, after: &TableState) -> Self {
        let (old, new) = (before.spec.routes(), after.spec.routes());
        let mut touched = Self::default();
        for place in old.differences(new, |a, b| a.hash() == b.hash()) {
            let pair = (old.get(place), new.get(place));
            touched.structure |=
                !matches!(pair, (Some(a), Some(b)) if a.name == b.name && a.matches_like(b));
            touched.routes.extend(
                [pair.0, pair.1]
                    .into_iter()
                    .flatten()
                    .map(|route| route.name.clone()),
            );
        }
        let names = before
            .spec
            .releases()
            .keys()
            .chain(after.spec.releases().keys());
        let hash = |state: &TableState, name: &ReleaseName| {
            state.spec.release(name).map(|spec| spec.hash())
        };
        let differs = |name: &&ReleaseName| {
            hash(before, name) != hash(after, name)
                || before.endpoints(name) != after.endpoints(name)
        };
        touched.releases = names.filter(differs).cloned().collect();
        touched
    }
}
