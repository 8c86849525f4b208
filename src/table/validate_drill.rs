//! Validation of the synthetic requests of a route.

use std::time::Duration;

use super::route_check::{Check, MOST_MATCHES};
use crate::{
    message::normal_path,
    model::{DrillRequestSpec, HumanDuration, MOST_DRILL_REQUESTS, PathMatch, RouteSpec},
};

/// Largest body of a request: it is part of the history.
const LARGEST_BODY: usize = 16 * 1024;
/// Longest path and query.
const LONGEST_PATH: usize = 2_000;
/// Longest timeout of a request.
const LONGEST: HumanDuration = HumanDuration::seconds(60);
/// Fields that the proxy, or the connection, sets.
const RESERVED: [&str; 6] = [
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    let count = route.drill.len();
    if count > MOST_DRILL_REQUESTS {
        let message = format!("{count} requests; the maximum is {MOST_DRILL_REQUESTS}");
        check.problem("drill", message, "");
    }
    for (place, request) in route.drill.iter().enumerate() {
        let at = format!("drill.{place}");
        target(route, request, &at, check);
        fields(request, &at, check);
        rest(request, &at, check);
    }
}

fn target(route: &RouteSpec, request: &DrillRequestSpec, at: &str, check: &mut Check<'_>) {
    let token = |b: u8| b.is_ascii_uppercase();
    let method = &request.method;
    if method.is_empty() || method.len() > 16 || !method.bytes().all(token) || method == "CONNECT" {
        let message = format!("`{method}` is not a method of a request");
        check.problem(&format!("{at}.method"), message, "such as `GET` or `POST`");
    }
    let text = &request.path;
    let path = text.split_once('?').map_or(&**text, |(path, _)| path);
    let odd = |b: u8| !b.is_ascii_graphic() || b == b'#';
    let at = format!("{at}.path");
    let normal = normal_path(path.as_bytes());
    let is_plain = text.starts_with('/') && text.len() <= LONGEST_PATH && !text.bytes().any(odd);
    if !is_plain || normal.is_err() {
        let message = format!("`{text}` is not a path");
        check.problem(&at, message, "such as `/chat?probe=1`");
    } else if !normal.is_ok_and(|normal| matches(route.path_match(), &normal)) {
        let message = format!("the route does not match `{path}`");
        check.problem(&at, message, "use a path that the route matches");
    }
}

/// True if a route matches the path, at a segment boundary.
fn matches(route: PathMatch<'_>, path: &[u8]) -> bool {
    match route {
        PathMatch::Exact(exact) => path == exact.as_bytes(),
        PathMatch::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.trim_end_matches('/').as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        }
    }
}

fn fields(request: &DrillRequestSpec, at: &str, check: &mut Check<'_>) {
    let count = request.headers.len();
    if count > 2 * MOST_MATCHES {
        let message = format!("{count} header fields; the maximum is {}", 2 * MOST_MATCHES);
        check.problem(&format!("{at}.headers"), message, "");
    }
    for (name, value) in &request.headers {
        let at = format!("{at}.headers.{name}");
        check.header_name(&at, name);
        if RESERVED.contains(&name.as_str()) || name.starts_with("x-switchback-") {
            check.problem(&at, format!("`{name}` is reserved"), "remove it");
        }
        if value.bytes().any(|b| b.is_ascii_control()) || value.trim() != value {
            let hint = "remove control characters and outer spaces";
            check.problem(&at, "the value cannot occur in a header field", hint);
        }
    }
}

fn rest(request: &DrillRequestSpec, at: &str, check: &mut Check<'_>) {
    let length = request.body.as_ref().map_or(0, String::len);
    if length > LARGEST_BODY {
        let message = format!("a body of {length} bytes; the maximum is {LARGEST_BODY}");
        check.problem(&format!("{at}.body"), message, "");
    }
    let timeout = request.timeout;
    if timeout < HumanDuration(Duration::from_millis(10)) || timeout > LONGEST {
        let message = format!("`{timeout}` is not 10ms to 60s");
        check.problem(&format!("{at}.timeout"), message, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(route: &str, request: &str) -> Vec<String> {
        let json = format!(r#"{{"name":"chat","split":{{"blue":1}}{route},"drill":[{request}]}}"#);
        let route: RouteSpec = serde_json::from_str(&json).unwrap();
        let mut found = Vec::new();
        problems(&route, &mut Check::new(&route, &mut found));
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn every_mistake_in_a_synthetic_request_has_its_place() {
        let at = |key: &str| vec![format!("routes.chat.drill.0{key}")];
        for (request, key) in [
            (r#"{"path":"chat"}"#, ".path"),
            (r#"{"path":"/a%2"}"#, ".path"),
            (r#"{"path":"/","method":"get"}"#, ".method"),
            (r#"{"path":"/","headers":{"Big":"1"}}"#, ".headers.Big"),
            (
                r#"{"path":"/","headers":{"upgrade":"x"}}"#,
                ".headers.upgrade",
            ),
            (r#"{"path":"/","headers":{"x":"a\nb"}}"#, ".headers.x"),
            (r#"{"path":"/","timeout":"2m"}"#, ".timeout"),
        ] {
            assert_eq!(paths("", request), at(key), "{request}");
        }
        assert!(paths("", r#"{"path":"/x?y","method":"POST","body":"{}"}"#).is_empty());
    }

    #[test]
    fn a_synthetic_request_is_one_that_the_route_matches() {
        let prefix = r#","path_prefix":"/chat""#;
        for (route, path, is_fine) in [
            (prefix, "/chat", true),
            (prefix, "/chat/x", true),
            (prefix, "/chats", false),
            (prefix, "/chat/../x", false),
            (r#","path_prefix":"/chat/""#, "/chat/x", true),
            (r#","path":"/chat""#, "/chat/x", false),
            (r#","path":"/chat""#, "/chat?x", true),
        ] {
            let found = paths(route, &format!(r#"{{"path":"{path}"}}"#));
            assert_eq!(found.is_empty(), is_fine, "{route} {path}");
        }
    }
}
