//! Validation of routes.

use std::time::Duration;

use super::{
    route_check::{Check, MOST_MATCHES},
    validate_agents, validate_answers, validate_conditions, validate_drill, validate_feedback,
    validate_guards, validate_headers, validate_mirror, validate_retries, validate_route_flags,
    validate_session,
};
use crate::message::normal_path;
use crate::model::{MAX_WEIGHT, Problem, ReleaseName, RouteSpec, StripPrefix, TableSpec, closest};

/// Maximum number of releases in one split: enough for any trial, and records of splits stay small.
const MOST_RELEASES: usize = 64;
/// Maximum number of additional hosts of a route.
const MOST_HOSTS: usize = 64;

pub(super) fn problems(route: &RouteSpec, table: &TableSpec, problems: &mut Vec<Problem>) {
    let mut check = Check::new(route, problems);
    check.hosts(route);
    check.paths(route);
    check.headers(route);
    validate_conditions::problems(route, &mut check);
    check.upgrades(route);
    check.split(route, table);
    validate_answers::problems(route, &mut check);
    validate_headers::problems(route, &mut check);
    validate_session::problems(route, &mut check);
    validate_feedback::problems(route, &mut check);
    validate_agents::problems(route, &mut check);
    check.timeouts(route);
    validate_retries::problems(&route.retries, &mut check);
    validate_drill::problems(route, &mut check);
    validate_route_flags::problems(route, table.flags(), &mut check);
    validate_mirror::problems(route, table, &mut check);
    validate_guards::problems(route, &mut check);
}

impl Check<'_> {
    fn hosts(&mut self, route: &RouteSpec) {
        if let Some(host) = &route.host {
            self.host("host", host);
        }
        if route.hosts.len() > MOST_HOSTS {
            let count = route.hosts.len();
            self.problem(
                "hosts",
                format!("{count} hosts; the maximum is {MOST_HOSTS}"),
                "",
            );
        }
        for (place, host) in route.hosts.iter().enumerate() {
            let key = format!("hosts.{place}");
            let before = route.host.iter().chain(&route.hosts[..place]);
            if before.into_iter().any(|other| other == host) {
                self.problem(&key, format!("`{host}` is listed twice"), "");
            } else {
                self.host(&key, host);
            }
        }
    }

    pub(super) fn host(&mut self, key: &str, host: &str) {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let plain = |b: u8| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b':')
        };
        let is_host = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(plain)
            && !name.starts_with('.')
            && !name.ends_with('.');
        if !is_host {
            let hint = host_hint(host);
            self.problem(key, format!("`{host}` is not a host"), &hint);
        } else if name.contains(':') && name.parse::<std::net::Ipv6Addr>().is_err() {
            self.problem(
                key,
                format!("`{host}` has a port"),
                "a route matches the host on any port; leave it out",
            );
        }
    }

    fn paths(&mut self, route: &RouteSpec) {
        if route.path.is_some() && route.path_prefix.is_some() {
            self.problem(
                "path",
                "it has both `path` and `path_prefix`",
                "keep one of them",
            );
        }
        for (key, path) in [("path", &route.path), ("path_prefix", &route.path_prefix)] {
            if let Some(path) = path {
                self.path(key, path);
            }
        }
        match (&route.strip_prefix, &route.path_prefix) {
            (Some(StripPrefix::Whole(true)), None) => {
                self.problem(
                    "strip_prefix",
                    "there is no `path_prefix` to strip",
                    "give the route a `path_prefix`",
                );
            }
            (Some(StripPrefix::Prefix(strip)), prefix) => {
                self.strip_prefix(strip, prefix.as_deref().unwrap_or("/"));
            }
            _ => {}
        }
    }

    pub(super) fn path(&mut self, key: &str, path: &str) {
        let odd =
            |b: u8| !b.is_ascii_graphic() || matches!(b, b'?' | b'#' | b'\\' | b'"' | b'<' | b'>');
        if !path.starts_with('/') || path.bytes().any(odd) {
            self.problem(
                key,
                format!("`{path}` is not a path"),
                "begin with `/`, without a query, spaces or characters that need an escape",
            );
            return;
        }
        // A request whose path is not in normal form is rejected if that form selects another route.
        match normal_path(path.as_bytes()) {
            Ok(normal) if *normal == *path.as_bytes() => {}
            Ok(normal) => {
                let normal = String::from_utf8_lossy(&normal);
                let hint = format!("write `{normal}`: requests are compared as they come");
                self.problem(key, format!("`{path}` is not in its normal form"), &hint);
            }
            Err(_) => self.problem(
                key,
                format!("`{path}` has a `%` without two hexadecimal digits after it"),
                "write `%25` for a `%` itself",
            ),
        }
    }

    fn strip_prefix(&mut self, strip: &str, prefix: &str) {
        let strip = strip.strip_suffix('/').unwrap_or(strip);
        let rest = prefix.strip_prefix(strip);
        if strip.is_empty() || !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let message =
                format!("`{strip}` is not the beginning of the route's path prefix `{prefix}`");
            self.problem(
                "strip_prefix",
                message,
                "only a prefix that all requests of the route share can be stripped",
            );
        }
    }

    fn headers(&mut self, route: &RouteSpec) {
        if route.headers.len() > MOST_MATCHES {
            self.problem(
                "headers",
                format!(
                    "{} header matches; the maximum is {MOST_MATCHES}",
                    route.headers.len()
                ),
                "",
            );
        }
        for (name, value) in &route.headers {
            self.header_name(&format!("headers.{name}"), name);
            if value.bytes().any(|b| b.is_ascii_control()) || value.trim() != value {
                self.problem(
                    &format!("headers.{name}"),
                    "the value cannot occur in a header field",
                    "remove control characters and outer spaces",
                );
            }
        }
        if let Some(name) = &route.expose_release {
            self.header_name("expose_release", name);
            if [
                "connection",
                "content-length",
                "transfer-encoding",
                "upgrade",
                "te",
                "trailer",
                "keep-alive",
                "set-cookie",
            ]
            .contains(&name.as_str())
            {
                self.problem(
                    "expose_release",
                    format!("`{name}` is reserved"),
                    "choose a name such as `x-release`",
                );
            }
        }
    }

    fn upgrades(&mut self, route: &RouteSpec) {
        if route.upgrades.len() > MOST_MATCHES {
            self.problem(
                "upgrades",
                format!("more than {MOST_MATCHES} protocols"),
                "list only those that the endpoints speak",
            );
        }
        for (place, name) in route.upgrades.iter().enumerate() {
            if let Some((message, hint)) = upgrade_error(name) {
                self.problem(&format!("upgrades.{place}"), message, hint);
            }
        }
    }

    fn split(&mut self, route: &RouteSpec, table: &TableSpec) {
        let known = || table.releases().keys().map(ReleaseName::as_str);
        for (name, weight) in &route.split {
            let key = format!("split.{name}");
            if table.release(name).is_none() {
                let hint = closest(name.as_str(), known()).unwrap_or_else(|| list(known()));
                self.problem(&key, format!("no release is called `{name}`"), &hint);
            }
            if *weight > MAX_WEIGHT {
                self.problem(
                    &key,
                    format!("the weight {weight} is more than {MAX_WEIGHT}"),
                    "weights are relative: 95 and 5 do",
                );
            }
        }
        if route.split.is_empty() {
            if !route.answers_itself() {
                let hint = "write `split = { blue = 1 }`, or `redirect` or `respond`";
                self.problem("split", "the route has no split", hint);
            }
        } else if route.split.values().all(|weight| *weight == 0) {
            self.problem(
                "split",
                "no release has a weight",
                "give at least one release a weight above 0",
            );
        }
        if route.split.len() > MOST_RELEASES {
            self.problem(
                "split",
                format!(
                    "{} releases; the maximum is {MOST_RELEASES}",
                    route.split.len()
                ),
                "",
            );
        }
        if let Some(stable) = route
            .stable
            .as_ref()
            .filter(|stable| table.release(stable).is_none())
        {
            let hint = closest(stable.as_str(), known()).unwrap_or_else(|| list(known()));
            self.problem("stable", format!("no release is called `{stable}`"), &hint);
        }
    }

    fn timeouts(&mut self, route: &RouteSpec) {
        let limits = &route.timeouts;
        let all = [
            ("connect", limits.connect),
            ("silence", limits.silence),
            ("websocket_idle", limits.websocket_idle),
            ("request", limits.request),
            ("first_byte", limits.first_byte),
            ("try", limits.per_try),
        ];
        for (key, span) in all {
            if span.is_some_and(|span| span.0 < Duration::from_millis(1)) {
                self.problem(
                    &format!("timeouts.{key}"),
                    "it is too short",
                    "leave it out for the default",
                );
            }
        }
    }
}

/// Hint for a text that is not a valid host.
fn host_hint(host: &str) -> String {
    if host == "*" {
        return "leave it out to match any host".to_owned();
    }
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest);
    let bare = bare.split(['/', ':']).next().unwrap_or(bare);
    let lower = bare.trim_end_matches('.').to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    if lower != host && !lower.is_empty() && lower.trim_start_matches("*.").bytes().all(plain) {
        return format!("write `{lower}`");
    }
    "write an exact host such as `agents.example.com` or a suffix such as `*.example.com`"
        .to_owned()
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).take(20).collect();
    match names.as_slice() {
        [] => "there are no releases".to_owned(),
        [only] => format!("there is only {only}"),
        more => format!("there are {}", more.join(", ")),
    }
}

/// Error and hint for an invalid upgrade protocol. Bytes after an upgrade are not inspected, so it must not be HTTP
/// again, with requests that are not validated.
fn upgrade_error(name: &str) -> Option<(String, &'static str)> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(token);
    let lower = name.to_ascii_lowercase();
    if name.len() > 64 || !name.split('/').all(is_token) {
        let message = format!("`{name}` is not a protocol name");
        return Some((
            message,
            "write it as in `Upgrade`, such as `tcp` or `SPDY/3.1`",
        ));
    }
    if lower == "websocket" {
        let message = "a WebSocket is always allowed".to_owned();
        return Some((message, "leave it out; this key is for other protocols"));
    }
    if ["h2", "http", "tls"]
        .iter()
        .any(|front| lower.starts_with(front))
    {
        let message = format!("requests inside `{name}` would bypass the proxy");
        return Some((message, "leave it out; HTTP/2 and TLS need no upgrade here"));
    }
    None
}
