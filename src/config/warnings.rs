//! Warnings: valid settings that will hardly have the intended effect.

use super::Config;
use crate::model::{Problem, Protocol, ReleaseName, ReleaseSpec, RouteSpec};

impl Config {
    /// Warnings. None of them prevents the use of a configuration.
    pub fn warnings(&self) -> Vec<Problem> {
        let of_releases = self.releases.iter();
        let of_releases = of_releases.filter_map(|(name, release)| queue(name, &release.spec));
        let of_routes = self.routes.iter().flat_map(|route| self.warnings_of(route));
        let of_process = self.shutdown.warnings();
        of_process.chain(of_releases).chain(of_routes).collect()
    }

    /// Warnings about one route: a fallback that leads nowhere, connection upgrades on a release that speaks HTTP/2.
    fn warnings_of(&self, route: &RouteSpec) -> Vec<Problem> {
        let mut found = Vec::new();
        found.extend(fallback_warning(route));
        found.extend(mirror_warning(route));
        let is_http2 = |name: &&_| {
            let release = self.releases.get(*name);
            release.is_some_and(|release| release.spec.protocol == Protocol::Http2)
        };
        for name in route.split.keys().filter(is_http2) {
            if route.timeouts.websocket_idle.is_some() {
                let at = format!("routes.{}.timeouts.websocket_idle", route.name);
                let message = format!(
                    "WebSockets to `{name}`, which speaks h2, get 501 from endpoints that do not announce extended CONNECT \
                     (RFC 8441)"
                );
                let hint = "enable it at the endpoints, or let them speak `http/1.1`";
                found.push(Problem::new(at, message).hint(hint));
            }
            if !route.upgrades.is_empty() {
                let at = format!("routes.{}.upgrades", route.name);
                let message = format!("upgrades at `{name}`, which speaks h2, get 501");
                let hint = "let its endpoints speak `http/1.1`, or leave `upgrades` out";
                found.push(Problem::new(at, message).hint(hint));
            }
        }
        found
    }
}

/// Warning about a queue in which nothing ever waits.
fn queue(name: &ReleaseName, release: &ReleaseSpec) -> Option<Problem> {
    let limits = &release.limits;
    let (is_limited, has_queue) = (
        limits
            .in_flight_per_endpoint
            .or(limits.concurrency)
            .is_some(),
        limits.queue.is_some_and(|queue| queue > 0),
    );
    if is_limited || !has_queue {
        return None;
    }
    let at = format!("releases.{name}.limits.queue");
    let message = "nothing waits in the queue of a release without a limit";
    Some(Problem::new(at, message).hint("add `in_flight_per_endpoint` or `concurrency`"))
}

/// Warning about a mirror that serves all requests itself, of which it gets no copies.
fn mirror_warning(route: &RouteSpec) -> Option<Problem> {
    let mirror = route.mirror.as_ref()?;
    let release = route.whole().filter(|whole| **whole == mirror.release)?;
    let at = format!("routes.{}.mirror.release", route.name);
    let message =
        format!("`{release}` serves every request of the route, so nothing is copied to it");
    Some(Problem::new(at, message).hint("mirror to another release, or give one a weight"))
}

/// Warning about a fallback to a stable release that there is not.
fn fallback_warning(route: &RouteSpec) -> Option<Problem> {
    route.fallback?;
    if route.stable_release().or(route.whole()).is_some() {
        return None;
    }
    let at = format!("routes.{}.fallback", route.name);
    let message = "the route has no stable release until one has had all the weight";
    Some(Problem::new(at, message).hint("name it with `stable`"))
}
