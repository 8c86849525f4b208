//! Application of each change to a table: pure functions from the old state to the new one.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Applied, Change, ChangeError, ChangeSet, flags,
    pause::set_pause,
    routes::{find, put_route, with_routes},
};
use crate::model::{
    EndpointSpec, Hashed, MAX_WEIGHT, Problem, ReleaseDocument, ReleaseName, Rosters, RouteName,
    RouteSpec, TableDocument, TableState, Version, Weights, percent,
};

/// Applies the change.
pub(super) fn apply(change: &Change, state: &TableState) -> Result<Applied, ChangeError> {
    match change {
        Change::Abort { route } => abort(state, route),
        Change::Batch { changes } => in_order(changes, state),
        Change::PatchFlag { flag, patch } => flags::patch_flag(state, flag, patch),
        Change::PatchSplit { route, weights } => patch_split(state, route, weights),
        Change::Promote { route, to } => promote(state, route, to.as_ref()),
        Change::PutFlag { flag, spec } => Ok(flags::put_flag(state, flag, spec)),
        Change::PutRelease { release, document } => Ok(put_release(state, release, document)),
        Change::PutRoute { route } => Ok(put_route(state, route)),
        Change::RemoveFlag { flag } => flags::remove_flag(state, flag),
        Change::RemoveRelease { release } => remove_release(state, release),
        Change::RemoveRoute { route } => remove_route(state, route),
        Change::Replace { table } => Ok(replace(state, table)),
        Change::SetEndpoints { release, endpoints } => set_endpoints(state, release, endpoints),
        Change::SetFlagState { flag, state: to } => flags::set_flag_state(state, flag, *to),
        Change::SetPause { route, pause } => set_pause(state, route, pause.as_ref()),
        Change::SetPercents { route, percents } => {
            let route = find(state, route)?;
            let weights = percent::weights((&route.name, &route.split), percents)
                .map_err(ChangeError::Invalid)?;
            with_split(state, route, weights, None)
        }
        Change::SetSplit { route, weights } => {
            with_split(state, find(state, route)?, weights.clone(), None)
        }
        Change::Switch { route, to } => switch(state, route, to),
    }
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

/// Replaces the split of one route, and possibly its stable release.
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
    // A release that left the split is no longer stable, and not again when it comes back.
    spec.stable = stable
        .or(spec.stable)
        .filter(|stable| spec.split.contains_key(stable));
    let before = spec.last_whole.take();
    spec.keep_whole(before.as_ref());
    let touched = ChangeSet {
        routes: BTreeSet::from([spec.name.clone()]),
        ..ChangeSet::default()
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

/// Gives all weight to one release; the sum of the weights stays, so that shares before and after are comparable.
fn everything_to(route: &RouteSpec, to: &ReleaseName) -> Weights {
    let total: u64 = route.split.values().map(|weight| u64::from(*weight)).sum();
    let whole = u32::try_from(total)
        .unwrap_or(MAX_WEIGHT)
        .clamp(1, MAX_WEIGHT);
    let mut weights: Weights = route.split.keys().map(|name| (name.clone(), 0)).collect();
    weights.insert(to.clone(), whole);
    weights
}

fn switch(state: &TableState, route: &RouteName, to: &ReleaseName) -> Result<Applied, ChangeError> {
    let route = find(state, route)?;
    known_release(state, to)?;
    with_split(state, route, everything_to(route, to), moved(route, to))
}

/// The stable release after all weight moved to one release: a named one moves along, so that a later abort does not
/// go back behind this change.
fn moved(route: &RouteSpec, to: &ReleaseName) -> Option<ReleaseName> {
    route.stable.is_some().then(|| to.clone())
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
    with_split(state, route, everything_to(route, &to), moved(route, &to))
}

/// The only release with a weight that is not stable.
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
            "set one with `stable` on the route, or give one release all the weight with a switch";
        return Err(ChangeError::Invalid(vec![problem.hint(hint)]));
    };
    known_release(state, &stable)?;
    with_split(state, route, everything_to(route, &stable), None)
}

fn remove_route(state: &TableState, name: &RouteName) -> Result<Applied, ChangeError> {
    find(state, name)?;
    let routes = state
        .spec
        .routes()
        .iter()
        .filter(|route| route.name != *name)
        .cloned();
    let spec = with_routes(&state.spec, routes);
    let touched = ChangeSet {
        routes: BTreeSet::from([name.clone()]),
        structure: true,
        ..ChangeSet::default()
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
    let touched = ChangeSet {
        releases: BTreeSet::from([name.clone()]),
        ..ChangeSet::default()
    };
    Applied {
        state: TableState { spec, rosters },
        touched,
    }
}

fn set_endpoints(
    state: &TableState,
    name: &ReleaseName,
    endpoints: &[EndpointSpec],
) -> Result<Applied, ChangeError> {
    known_release(state, name)?;
    let version = state
        .spec
        .release(name)
        .map(|spec| spec.version.clone())
        .unwrap_or_default();
    let rosters = with_roster(state, name, &version, endpoints);
    let touched = ChangeSet {
        releases: BTreeSet::from([name.clone()]),
        ..ChangeSet::default()
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
    version: &Version,
    endpoints: &[EndpointSpec],
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
        .filter(|route| route.split.get(name).is_some_and(|weight| *weight > 0))
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
    let touched = ChangeSet {
        releases: BTreeSet::from([name.clone()]),
        ..ChangeSet::default()
    };
    let mut applied = Applied {
        state: TableState {
            spec: state.spec.with_releases(releases),
            rosters: Arc::clone(&state.rosters),
        },
        touched,
    };
    let names = |route: &&Arc<Hashed<RouteSpec>>| {
        route.split.contains_key(name) || route.stable.as_ref() == Some(name)
    };
    for route in state.spec.routes().iter().filter(names) {
        let mut weights = route.split.clone();
        weights.remove(name);
        applied = also(applied, |state| with_split(state, route, weights, None))?;
    }
    Ok(applied)
}

/// Applies all changes up to the first that cannot be applied.
fn in_order(changes: &[Change], state: &TableState) -> Result<Applied, ChangeError> {
    let nothing = Applied {
        state: state.clone(),
        touched: ChangeSet::default(),
    };
    let mut changes = changes.iter();
    changes.try_fold(nothing, |before, change| {
        also(before, |state| apply(change, state))
    })
}

/// Applies one change after another.
fn also(
    first: Applied,
    then: impl FnOnce(&TableState) -> Result<Applied, ChangeError>,
) -> Result<Applied, ChangeError> {
    let second = then(&first.state)?;
    Ok(joined(first, second))
}

/// The result of a change and of one that was applied to its result.
pub(super) fn joined(first: Applied, mut second: Applied) -> Applied {
    second.touched.routes.extend(first.touched.routes);
    second.touched.releases.extend(first.touched.releases);
    second.touched.flags.extend(first.touched.flags);
    second.touched.structure |= first.touched.structure;
    second
}

fn replace(state: &TableState, table: &TableDocument) -> Applied {
    let new = table.clone().into_state(state);
    let touched = ChangeSet::between(state, &new);
    Applied {
        state: new,
        touched,
    }
}
