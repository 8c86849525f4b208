//! Validation of the changes of header fields.

use super::{header_rules::is_same, header_template::HeaderTemplate, route_check::Check};
use crate::{
    message::is_flag_field,
    model::{HeaderChangesSpec, PinSource, RouteSpec},
};

/// Most changes of one direction.
const MOST_CHANGES: usize = 32;
/// Longest value, before its variables have values.
const LONGEST_VALUE: usize = 1_024;

/// Fields that belong to the framing or to a connection, in both directions.
const OF_THE_MESSAGE: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields of requests that the proxy writes, or that decide how it reads them.
const OF_REQUESTS: &[&str] = &[
    "baggage",
    "expect",
    "forwarded",
    "grpc-timeout",
    "max-forwards",
    "traceparent",
    "tracestate",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];
/// Fields of responses that the proxy writes, or that say how a body is coded or a call ended.
const OF_RESPONSES: &[&str] = &[
    "allow",
    "content-encoding",
    "content-range",
    "date",
    "grpc-encoding",
    "grpc-message",
    "grpc-status",
    "location",
    "proxy-authenticate",
    "retry-after",
    "x-request-id",
    "x-should-retry",
];

/// Start of the names of our own fields, in both directions.
const OWN: &str = "x-switchback-";

/// Direction of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    check.changes(route, &route.request_headers, Direction::Request);
    check.changes(route, &route.response_headers, Direction::Response);
    if route.split.is_empty() && route.answers_itself() && !route.request_headers.is_empty() {
        let message = "the route has no split, so no endpoint gets its requests";
        let hint = "leave it out; `response_headers` are in its own responses";
        check.problem("request_headers", message, hint);
    }
}

impl Direction {
    const fn key(self) -> &'static str {
        match self {
            Self::Request => "request_headers",
            Self::Response => "response_headers",
        }
    }

    const fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Request => OF_REQUESTS,
            Self::Response => OF_RESPONSES,
        }
    }
}

impl Check<'_> {
    fn changes(&mut self, route: &RouteSpec, spec: &HeaderChangesSpec, direction: Direction) {
        let key = direction.key();
        let count = spec.set.len() + spec.add.len() + spec.remove.len();
        if count > MOST_CHANGES {
            let message = format!("{count} fields; the maximum is {MOST_CHANGES}");
            self.problem(key, message, "");
            return;
        }
        for (verb, fields) in [("set", &spec.set), ("add", &spec.add)] {
            for (name, value) in fields {
                let at = format!("{key}.{verb}.{name}");
                self.changed_name(&at, name, (route, direction));
                self.value(&at, value, direction);
            }
        }
        for (place, name) in spec.remove.iter().enumerate() {
            let at = format!("{key}.remove.{place}");
            self.changed_name(&at, name, (route, direction));
            let is_set = spec.set.contains_key(name) || spec.add.contains_key(name);
            if is_set || spec.remove[..place].contains(name) {
                let message = format!("`{name}` is named twice");
                self.problem(&at, message, "`set` removes what was there as well");
            }
        }
        for name in spec.add.keys().filter(|name| spec.set.contains_key(*name)) {
            let message = format!("`{name}` is in `set` as well");
            self.problem(&format!("{key}.add.{name}"), message, "keep one of them");
        }
        self.whole_fields(spec, direction);
    }

    /// Reports fields whose parts others write, so that they can be removed, or added, and no more.
    fn whole_fields(&mut self, spec: &HeaderChangesSpec, direction: Direction) {
        let (name, verbs, hint) = match direction {
            Direction::Request => ("cookie", &["set", "add"][..], "it can be removed"),
            Direction::Response => ("set-cookie", &["set"][..], "it can be added or removed"),
        };
        for verb in verbs {
            let fields = if *verb == "set" { &spec.set } else { &spec.add };
            if fields.contains_key(name) {
                let at = format!("{}.{verb}.{name}", direction.key());
                self.problem(&at, format!("`{name}` is a list of many"), hint);
            }
        }
    }

    fn changed_name(&mut self, at: &str, name: &str, (route, direction): (&RouteSpec, Direction)) {
        self.header_name(at, name);
        let has = |names: &[&str]| names.iter().any(|own| is_same(own, name.as_bytes()));
        let is_pin = |pin: &PinSource| matches!(pin, PinSource::Header(own) if is_same(own, name.as_bytes()));
        let is_marked = is_own(name) || is_flag_field(name.as_bytes());
        if name.contains('*') {
            let message = format!("`{name}` stands for no other names");
            self.problem(at, message, "write each name");
        } else if has(OF_THE_MESSAGE) || name.starts_with(':') {
            let message = format!("`{name}` belongs to the message or its connection");
            self.problem(at, message, "switchback writes it itself");
        } else if is_marked || has(direction.reserved()) {
            let message = format!("`{name}` has a meaning of its own to switchback");
            self.problem(at, message, "choose another name");
        } else if route.effective_pins().iter().any(is_pin) {
            let message = format!("`{name}` carries the ids of sessions (`pins`)");
            self.problem(at, message, "choose another name");
        } else if direction == Direction::Response
            && route.cors.is_some()
            && name.to_ascii_lowercase().starts_with("access-control-")
        {
            let message = format!("`{name}` is written by the route's `cors`");
            self.problem(at, message, "say it there");
        } else if direction == Direction::Response
            && route
                .exposed_field()
                .is_some_and(|own| is_same(own, name.as_bytes()))
        {
            let message = format!("`{name}` names the release (`expose_release`)");
            self.problem(at, message, "choose another name");
        }
    }

    fn value(&mut self, at: &str, value: &str, direction: Direction) {
        let is_text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if !value.bytes().all(is_text) || value.trim() != value {
            let hint = "remove control characters, outer spaces and what is not ASCII";
            self.problem(at, "the value cannot occur in a header field", hint);
            return;
        }
        if value.len() > LONGEST_VALUE {
            let message = format!("{} bytes; the maximum is {LONGEST_VALUE}", value.len());
            self.problem(at, message, "");
        }
        match HeaderTemplate::parse(value) {
            Err(error) => self.problem(at, error.to_string(), &error.hint()),
            Ok(template) => {
                let mut of_request = template.variables().filter(|one| one.is_of_request());
                if let (Direction::Response, Some(variable)) = (direction, of_request.next()) {
                    let message = format!("`{{{}}}` has no value in a response", variable.name());
                    self.problem(at, message, "use it in `request_headers`");
                }
            }
        }
    }
}

/// True if a name, in any spelling, is one of those that switchback alone gives to fields.
fn is_own(name: &str) -> bool {
    name.get(..OWN.len())
        .is_some_and(|start| is_same(OWN, start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Problem;

    fn found(keys: &Value) -> Vec<String> {
        let mut route = json!({ "name": "r", "split": { "blue": 1 } });
        let more = keys.as_object().unwrap().clone();
        route.as_object_mut().unwrap().extend(more);
        let route: RouteSpec = serde_json::from_value(route).unwrap();
        let mut found = Vec::new();
        problems(&route, &mut Check::new(&route, &mut found));
        let short = |problem: &Problem| problem.path.trim_start_matches("routes.r.").to_owned();
        found.iter().map(short).collect()
    }

    #[test]
    fn sound_changes_have_no_problems() {
        let keys = json!({
            "request_headers": {
                "set": { "authorization": "Bearer x", "x-by": "{route}/{host} {client_address}" },
                "add": { "x-tag": "{{}}" },
                "remove": ["cookie", "x-internal"],
            },
            "response_headers": {
                "set": { "strict-transport-security": "max-age=60", "content-type": "text/plain" },
                "add": { "set-cookie": "a=b", "x-by": "{release} {version} {revision} {request_id}" },
                "remove": ["server", "set-cookie-x"],
            },
        });
        assert_eq!(found(&keys), Vec::<String>::new());
    }

    #[test]
    fn what_switchback_writes_itself_cannot_be_changed() {
        for name in [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
            "te",
            "keep-alive",
            "sec-websocket-key",
            "x-switchback-release",
            "x-switchback-stamp",
            "x-flag-a",
            "x-forwarded-for",
            "x-request-id",
            "traceparent",
            "via",
            "content_length",
            "x_flag_a",
            "x_forwarded_for",
            ":path",
        ] {
            let verbs = [
                (json!({ "set": { name: "v" } }), format!("set.{name}")),
                (json!({ "add": { name: "v" } }), format!("add.{name}")),
                (json!({ "remove": [name] }), "remove.0".to_owned()),
            ];
            for (spec, place) in verbs {
                let places = found(&json!({ "request_headers": spec }));
                assert!(
                    places.contains(&format!("request_headers.{place}")),
                    "{name}: {places:?}"
                );
            }
        }
        for name in [
            "date",
            "x-switchback-reason",
            "x_switchback_reason",
            "x-switchback-a-name-of-our-own-that-is-as-long-as-this-one",
            "retry-after",
            "grpc-status",
            "content-encoding",
            "location",
        ] {
            let places = found(&json!({ "response_headers": { "set": { name: "v" } } }));
            assert_eq!(places, [format!("response_headers.set.{name}")]);
        }
    }

    #[test]
    fn what_only_a_request_has_is_in_no_response() {
        for variable in ["{host}", "{client_address}"] {
            let keys = |direction: &str| json!({ direction: { "set": { "x-a": variable } } });
            assert_eq!(found(&keys("request_headers")), Vec::<String>::new());
            let places = found(&keys("response_headers"));
            assert_eq!(places, ["response_headers.set.x-a"], "{variable}");
        }
    }

    #[test]
    fn fields_for_pages_of_other_origins_are_written_in_one_place() {
        let mut keys = json!({
            "response_headers": { "set": { "Access-Control-Allow-Origin": "*" } },
        });
        let own = found(&keys);
        keys["cors"] = json!({ "origins": ["https://a.test"] });
        let at = "response_headers.set.Access-Control-Allow-Origin";
        assert!(found(&keys).len() > own.len() && found(&keys).iter().any(|place| place == at));
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn values_and_combinations_that_are_wrong_have_their_place() {
        let long = "x".repeat(LONGEST_VALUE + 1);
        let many: Vec<_> = (0..=MOST_CHANGES)
            .map(|number| format!("x-{number}"))
            .collect();
        for (keys, places) in [
            (
                json!({ "request_headers": { "set": { "x": "a\r\nb: c" } } }),
                &["request_headers.set.x"][..],
            ),
            (
                json!({ "request_headers": { "set": { "x": " a" } } }),
                &["request_headers.set.x"],
            ),
            (
                json!({ "request_headers": { "set": { "x": "é" } } }),
                &["request_headers.set.x"],
            ),
            (
                json!({ "request_headers": { "add": { "x": "{rout}" } } }),
                &["request_headers.add.x"],
            ),
            (
                json!({ "request_headers": { "set": { "x": long } } }),
                &["request_headers.set.x"],
            ),
            (
                json!({ "request_headers": { "remove": ["*"] } }),
                &["request_headers.remove.0"],
            ),
            (
                json!({ "response_headers": { "remove": ["x-internal-*"] } }),
                &["response_headers.remove.0"],
            ),
            (
                json!({ "request_headers": { "set": { "X": "a" } } }),
                &["request_headers.set.X"],
            ),
            (
                json!({ "request_headers": { "remove": many } }),
                &["request_headers"],
            ),
            (
                json!({ "request_headers": { "set": { "cookie": "a=b" } } }),
                &["request_headers.set.cookie"],
            ),
            (
                json!({ "request_headers": { "set": { "x": "a" }, "remove": ["x"] } }),
                &["request_headers.remove.0"],
            ),
            (
                json!({ "request_headers": { "set": { "x": "a" }, "add": { "x": "b" } } }),
                &["request_headers.add.x"],
            ),
            (
                json!({ "response_headers": { "set": { "set-cookie": "a=b" } } }),
                &["response_headers.set.set-cookie"],
            ),
            (
                json!({ "response_headers": { "set": { "x": "{host}" } } }),
                &["response_headers.set.x"],
            ),
            (
                json!({ "pins": [{ "header": "x-sid" }], "response_headers": { "remove": ["x-sid"] } }),
                &["response_headers.remove.0"],
            ),
            (
                json!({ "expose_release": "x-r", "response_headers": { "set": { "x-r": "a" } } }),
                &["response_headers.set.x-r"],
            ),
            (
                json!({ "split": {}, "respond": {}, "request_headers": { "set": { "x": "a" } } }),
                &["request_headers"],
            ),
        ] {
            assert_eq!(found(&keys), places, "{keys}");
        }
    }
}
