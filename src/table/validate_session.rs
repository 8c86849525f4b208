//! Validation of what a route says about sessions.

use super::route_check::{Check, MOST_MATCHES};
use crate::model::{AffinitySource, PinLost, PinSource, RouteSpec};

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    sources("affinity", &route.affinity, check);
    pins(route, check);
}

/// Checks the sources of a key, which are at `at`.
pub(super) fn sources(at: &str, sources: &[AffinitySource], check: &mut Check<'_>) {
    let count = sources.len();
    if count > MOST_MATCHES {
        let message = format!("{count} sources; the maximum is {MOST_MATCHES}");
        check.problem(at, message, "");
    }
    for (place, source) in sources.iter().enumerate() {
        let key = format!("{at}.{place}");
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

/// Fields that carry no session id, or whose value other rules depend on.
const NOT_PINS: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn pins(route: &RouteSpec, check: &mut Check<'_>) {
    let count = route.pins.len();
    if count > MOST_MATCHES {
        let message = format!("{count} pins; the maximum is {MOST_MATCHES}");
        check.problem("pins", message, "");
    }
    for (place, pin) in route.pins.iter().enumerate() {
        let key = format!("pins.{place}");
        match pin {
            PinSource::Header(name) => {
                check.header_name(&key, name);
                if NOT_PINS.contains(&name.as_str()) || name.starts_with("x-forwarded-") {
                    let hint = "name the field of the session's id, such as `mcp-session-id`; cookies are `{ cookie = \"sid\" }`";
                    check.problem(&key, format!("`{name}` carries no session id"), hint);
                }
            }
            PinSource::Cookie(name) => cookie_name(check, &key, name),
        }
        if route.pins[..place].contains(pin) {
            check.problem(&key, "it is listed twice", "");
        }
    }
    if !route.has_pins() && route.pin_lost != PinLost::Another {
        check.problem(
            "pin_lost",
            "it has no effect without `pins`",
            "add `pins = [{ header = \"mcp-session-id\" }]`, or remove it",
        );
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
