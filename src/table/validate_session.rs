//! Validation of what a route says about sessions.

use super::route_check::{Check, MOST_MATCHES};
use crate::model::{AffinitySource, RouteSpec};

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    let count = route.affinity.len();
    if count > MOST_MATCHES {
        let message = format!("{count} sources; the maximum is {MOST_MATCHES}");
        check.problem("affinity", message, "");
    }
    for (place, source) in route.affinity.iter().enumerate() {
        let key = format!("affinity.{place}");
        match source {
            AffinitySource::Bearer | AffinitySource::ClientAddress => {}
            AffinitySource::Cookie(name) => cookie_name(check, &key, name),
            AffinitySource::GeneratedCookie(name) => {
                cookie_name(check, &key, name);
                if place + 1 < count {
                    let message = "no source after a generated cookie is ever tried";
                    check.problem(&key, message, "put it last");
                }
            }
            AffinitySource::Header(name) => check.header_name(&key, name),
            AffinitySource::McpParam(name) => token(check, &key, name, "name of a parameter"),
            AffinitySource::Query(name) => query_name(check, &key, name),
        }
    }
}

fn cookie_name(check: &mut Check<'_>, key: &str, name: &str) {
    token(check, key, name, "cookie name");
}

fn token(check: &mut Check<'_>, key: &str, name: &str, what: &str) {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(token) {
        check.problem(key, format!("`{name}` is not a {what}"), "");
    }
}

fn query_name(check: &mut Check<'_>, key: &str, name: &str) {
    let plain = |b: u8| b.is_ascii_graphic() && !b"&=#+\"<>".contains(&b);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(plain) {
        check.problem(
            key,
            format!("`{name}` is not the name of a query parameter"),
            "write it as it is in the URL, such as `session` or `thread%20id`",
        );
    }
}
