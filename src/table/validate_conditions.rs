//! Validation of the methods and of the parameters that a route matches.

use super::route_check::{Check, MOST_MATCHES};
use crate::model::RouteSpec;

/// Longest method.
const LONGEST_METHOD: usize = 32;
/// Longest name and longest value of a parameter.
const LONGEST_PARAMETER: usize = 256;

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    let counts = [
        ("methods", route.methods.len()),
        ("query", route.query.len()),
    ];
    for (key, count) in counts {
        if count > MOST_MATCHES {
            let message = format!("{count} of them; the maximum is {MOST_MATCHES}");
            check.problem(key, message, "");
        }
    }
    for method in &route.methods {
        check.method(method);
    }
    for (name, value) in &route.query {
        check.parameter(name, value);
    }
}

impl Check<'_> {
    fn method(&mut self, method: &str) {
        let is_token = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        if method == "CONNECT" {
            let hint = "a WebSocket is matched as `GET`, over HTTP/2 too";
            self.problem("methods", "`CONNECT` is never forwarded", hint);
        } else if method.is_empty()
            || method.len() > LONGEST_METHOD
            || !method.bytes().all(is_token)
        {
            let message = format!("`{}` is no method", method.escape_debug());
            self.problem("methods", message, "write it in capitals, such as `POST`");
        }
    }

    fn parameter(&mut self, name: &str, value: &str) {
        let at = format!("query.{name}");
        if name.is_empty() || name.len() > LONGEST_PARAMETER || value.len() > LONGEST_PARAMETER {
            let message =
                format!("a name has from 1 to {LONGEST_PARAMETER} bytes, a value as many at most");
            self.problem(&at, message, "");
        } else if name.contains('%') || value.contains('%') {
            let hint = "write it without escapes, as it is meant: `a b`, not `a%20b`";
            self.problem(&at, "it has a `%`", hint);
        }
    }
}
