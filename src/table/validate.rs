//! Validation of a table before it becomes live. Reports all problems, not only the first.
//!
//! Only the changed parts are checked, with one exception: if a release was removed, every split is searched for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    route_check::Check, validate_balance, validate_flag, validate_health, validate_route,
    validate_route_flags, validate_way_back,
};
use crate::model::{
    ChangeSet, EndpointSpec, Hashed, Problem, ReleaseName, ReleaseSpec, RouteSpec, Scheme,
    TableState,
};

/// Maximum number of endpoints of a release.
const MOST_ENDPOINTS: usize = 1_024;

pub(super) fn problems(state: &TableState, touched: &ChangeSet, everything: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, spec) in state.spec.releases() {
        if everything || touched.releases.contains(name) {
            release(name, spec, state.endpoints(name), &mut problems);
        }
    }
    let gone = touched
        .releases
        .iter()
        .any(|name| state.spec.release(name).is_none());
    if everything || gone || touched.structure {
        state
            .spec
            .routes()
            .iter()
            .for_each(|route| validate_route::problems(route, &state.spec, &mut problems));
    } else {
        let routes = touched
            .routes
            .iter()
            .filter_map(|name| state.spec.route(name));
        routes.for_each(|route| validate_route::problems(route, &state.spec, &mut problems));
    }
    if everything || touched.structure {
        duplicates(state, &mut problems);
    }
    validate_flag::problems(state.spec.flags(), touched, everything, &mut problems);
    if !(everything || gone || touched.structure) {
        flags_of_routes(state, touched, &mut problems);
    }
    problems
}

/// Problems of routes that have not changed themselves, but hand over a flag that has.
fn flags_of_routes(state: &TableState, touched: &ChangeSet, problems: &mut Vec<Problem>) {
    if touched.flags.is_empty() {
        return;
    }
    let hands_over = |route: &&Arc<Hashed<RouteSpec>>| {
        route.flags.iter().any(|flag| touched.flags.contains(flag))
            && !touched.routes.contains(&route.name)
    };
    for route in state.spec.routes().iter().filter(hands_over) {
        let mut check = Check::new(route, problems);
        validate_route_flags::problems(route, state.spec.flags(), &mut check);
    }
}

fn release(
    name: &ReleaseName,
    spec: &ReleaseSpec,
    endpoints: &[EndpointSpec],
    problems: &mut Vec<Problem>,
) {
    let at = |key: &str| format!("releases.{name}.{key}");
    if endpoints.is_empty() {
        problems.push(
            Problem::new(at("endpoints"), "a release needs at least one endpoint")
                .hint("such as `http://10.0.0.11:9000`"),
        );
    }
    if endpoints.len() > MOST_ENDPOINTS {
        problems.push(Problem::new(
            at("endpoints"),
            format!(
                "{} endpoints; the maximum is {MOST_ENDPOINTS}",
                endpoints.len()
            ),
        ));
    }
    let mut seen = HashSet::new();
    if !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.weight() == 0) {
        problems.push(
            Problem::new(at("endpoints"), "no endpoint has a weight above 0").hint(
                "take the release out of the splits instead, or leave one endpoint its weight",
            ),
        );
    }
    for (place, url) in endpoints.iter().map(EndpointSpec::url).enumerate() {
        if !seen.insert(url) {
            problems.push(Problem::new(
                format!("{}.{place}", at("endpoints")),
                format!("`{url}` is listed twice"),
            ));
        }
    }
    if let Some(check) = &spec.health {
        validate_health::problems(&at("health"), check, spec.protocol, problems);
    }
    if let Some(tls) = &spec.tls {
        if tls.cert.is_some() != tls.key.is_some() {
            problems.push(Problem::new(
                at("tls"),
                "a client certificate needs both `cert` and `key`",
            ));
        }
        if endpoints
            .iter()
            .all(|one| one.url().scheme() == Scheme::Http)
        {
            problems.push(
                Problem::new(at("tls"), "no endpoint uses TLS")
                    .hint("write `https://` in its endpoints"),
            );
        }
    }
    if let Some(rollback) = &spec.rollback {
        validate_way_back::problems(&at("rollback"), rollback, problems);
    }
    validate_balance::problems(&at, spec, problems);
}

type Match<'a> = (Option<&'a str>, bool, &'a str, ConditionsOf<'a>);

/// Methods, header fields and parameters of the query that a route matches.
type ConditionsOf<'a> = (
    &'a BTreeSet<String>,
    &'a BTreeMap<String, String>,
    &'a BTreeMap<String, String>,
);

/// Matches of a route, one for each of its hosts.
fn matches_of(route: &RouteSpec) -> impl Iterator<Item = Match<'_>> {
    let (exact, path) = match route.path_match() {
        crate::model::PathMatch::Exact(path) => (true, path),
        crate::model::PathMatch::Prefix(prefix) => {
            (false, prefix.strip_suffix('/').unwrap_or(prefix))
        }
    };
    let any = route.all_hosts().next().is_none().then_some(None);
    let hosts = route.all_hosts().map(Some).chain(any);
    let conditions = (&route.methods, &route.headers, &route.query);
    hosts.map(move |host| (host, exact, path, conditions))
}

/// Finds two routes with one name, or with exactly the same matches.
fn duplicates(state: &TableState, problems: &mut Vec<Problem>) {
    let mut names = HashSet::new();
    let mut matches: HashMap<Match<'_>, &RouteSpec> = HashMap::new();
    for route in state.spec.routes().iter() {
        let at = format!("routes.{}", route.name);
        if !names.insert(&route.name) {
            problems.push(
                Problem::new(&at, format!("two routes are named `{}`", route.name))
                    .hint("route names are unique"),
            );
            continue;
        }
        // A duplicate host within one route is reported with that route.
        let first = matches_of(route).find_map(|one| matches.insert(one, route));
        if let Some(first) = first.filter(|first| first.name != route.name) {
            let message = format!("it matches the same requests as route `{}`", first.name);
            problems.push(
                Problem::new(at, message).hint(
                    "change its host, path, methods, headers or query, or remove one of them",
                ),
            );
        }
    }
}
