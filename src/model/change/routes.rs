//! A route of a table: found, added, replaced.

use std::{collections::BTreeSet, sync::Arc};

use super::{Applied, ChangeError, ChangeSet};
use crate::model::{Hashed, RouteName, RouteSpec, TableSpec, TableState};

/// The route of that name.
pub(super) fn find<'a>(
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

/// Adds a route at the end, or replaces it at its position.
pub(super) fn put_route(state: &TableState, route: &RouteSpec) -> Applied {
    let mut route = route.clone();
    let old = state.spec.route(&route.name);
    route.keep_whole(old.and_then(|old| old.last_whole.as_ref()));
    let structure = old.is_none_or(|old| !old.matches_like(&route));
    let touched = ChangeSet {
        routes: BTreeSet::from([route.name.clone()]),
        structure,
        ..ChangeSet::default()
    };
    let route = Arc::new(Hashed::new(route));
    let spec = state
        .spec
        .with_route(Arc::clone(&route))
        .unwrap_or_else(|| {
            let routes = state.spec.routes().iter().cloned().chain([route]);
            with_routes(&state.spec, routes)
        });
    Applied {
        state: TableState {
            spec,
            rosters: Arc::clone(&state.rosters),
        },
        touched,
    }
}

/// The same table with other routes.
pub(super) fn with_routes(
    spec: &TableSpec,
    routes: impl IntoIterator<Item = Arc<Hashed<RouteSpec>>>,
) -> TableSpec {
    TableSpec::new(spec.releases().clone(), routes).with_flags(spec.flags().clone())
}
