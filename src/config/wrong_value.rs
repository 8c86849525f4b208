//! Invalid values and the values that were meant.

use toml::de::DeValue;

use super::{
    advice::{Advice, pattern, say},
    spans::PathStep,
    wrong_secret,
};
use crate::model::EndpointUrl;

/// Advice for an invalid value.
pub(super) fn of_value(steps: &[PathStep], value: &DeValue<'_>, wants_switch: bool) -> Advice {
    let place = pattern(steps);
    let key = match steps.last() {
        Some(PathStep::Key(key)) => key.as_str(),
        _ => "",
    };
    if let Some(advice) = wrong_secret::of_secret(&place) {
        return advice;
    }
    match place.as_str() {
        "listeners.*.address" | "admin.address" | "observe.address" | "feedback.address" => {
            address(value)
        }
        "routes.*.split.*" => weight(key, value),
        "releases.*.protocol" => protocol(value),
        _ if wants_switch && place != "listeners.*.proxy_protocol" => switch(key, value),
        place if place.contains("timeouts.") => time(value),
        place => shape(place, key, value),
    }
}

fn text<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_str()
}

/// A number as it was written.
fn number<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    match value {
        DeValue::Integer(integer) => Some(integer.as_str()),
        DeValue::Float(float) => Some(float.as_str()),
        _ => None,
    }
}

fn address(value: &DeValue<'_>) -> Advice {
    let Some(given) = text(value).or_else(|| number(value)) else {
        return say(
            "it is not an address with a port",
            "write `\"127.0.0.1:8080\"`",
        );
    };
    if is_port(given) {
        return say(
            format!("`{given}` is a port without an address"),
            format!(
                "write `\"127.0.0.1:{given}\"`, or `\"0.0.0.0:{given}\"` for all addresses of this machine"
            ),
        );
    }
    if let Some((scheme, rest)) = given.split_once("://") {
        let rest = rest.trim_end_matches('/');
        return say(
            format!("`{given}` is a URL, and a listener needs an address"),
            format!("leave `{scheme}://` out: `\"{rest}\"`"),
        );
    }
    if given.parse::<std::net::IpAddr>().is_ok() {
        let host = if given.contains(':') {
            format!("[{given}]")
        } else {
            given.to_owned()
        };
        return say(
            format!("`{given}` has no port"),
            format!("write `\"{host}:8080\"`"),
        );
    }
    host_and_port(given)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn host_and_port(given: &str) -> Advice {
    match given.rsplit_once(':') {
        Some(("" | "*", port)) if is_port(port) => say(
            format!("`{given}` has no address before the port"),
            format!(
                "write `\"0.0.0.0:{port}\"` for all addresses of this machine, or `\"127.0.0.1:{port}\"` for itself alone"
            ),
        ),
        Some((host, port)) if is_port(port) && port.parse::<u16>().is_err() => say(
            format!("`{port}` is not a port"),
            format!("ports go from 1 to 65535: `\"{host}:8080\"`"),
        ),
        Some(("localhost", port)) if is_port(port) => say(
            format!("`{given}` is a host name, and a listener needs an address"),
            format!("write `\"127.0.0.1:{port}\"`"),
        ),
        Some((host, port))
            if is_port(port)
                && host.bytes().any(|b| b.is_ascii_alphabetic())
                && !host.contains(':') =>
        {
            say(
                format!("`{given}` is a host name, and a listener needs an address"),
                format!("write the address of `{host}`, such as `\"10.0.0.1:{port}\"`"),
            )
        }
        _ => say(
            format!("`{given}` is not an address with a port"),
            "such as `\"127.0.0.1:8080\"` or `\"[::]:8080\"`",
        ),
    }
}

fn weight(release: &str, value: &DeValue<'_>) -> Advice {
    let message = |given: &str| format!("a weight is a whole number, not `{given}`");
    let relative = "weights are relative to one another";
    if let Some(given) = text(value) {
        let digits = given.trim().trim_end_matches('%').trim();
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return say(
                message(given),
                format!("write `{release} = {digits}`, without quotes: {relative}"),
            );
        }
        return say(message(given), format!("write `{release} = 1`: {relative}"));
    }
    match number(value) {
        Some(given) if given.starts_with('-') => say(
            format!("a weight is 0 or more, not `{given}`"),
            format!("write `{release} = 0` for none: {relative}"),
        ),
        Some(given) => say(
            message(given),
            format!("write `95` and `5` instead of `0.95` and `0.05`: {relative}"),
        ),
        None => say(
            "a weight is a whole number",
            format!("write `{release} = 1`: {relative}"),
        ),
    }
}

fn protocol(value: &DeValue<'_>) -> Advice {
    let Some(given) = text(value) else {
        return Advice::default();
    };
    let hint = match given.to_ascii_lowercase().as_str() {
        "http2" | "http/2" | "http/2.0" | "h2c" | "2" => "did you mean `h2`?",
        "grpc" => "gRPC needs `h2`",
        "http" | "http1" | "http1.1" | "http/1" | "http/1.1" | "1.1" | "h1" => {
            "did you mean `http/1.1`?"
        }
        "https" | "tls" => "leave it out, and begin the endpoints with `https://`",
        "ws" | "wss" | "websocket" => {
            "leave it out: a WebSocket goes over `http/1.1`, or over `h2` if the endpoint offers it"
        }
        _ => return Advice::default(),
    };
    Advice {
        hint: Some(hint.to_owned()),
        ..Advice::default()
    }
}

fn switch(key: &str, value: &DeValue<'_>) -> Advice {
    let hint = match text(value).map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "yes" | "on" | "1") => format!("write `{key} = true`, without quotes"),
        Some("false" | "no" | "off" | "0") => format!("write `{key} = false`, without quotes"),
        _ => format!("write `{key} = true` or `{key} = false`"),
    };
    say("a boolean is `true` or `false`", hint)
}

fn time(value: &DeValue<'_>) -> Advice {
    let is_none = |word: &str| ["off", "none", "never", "infinite", "unlimited"].contains(&word);
    let hint = "leave it out for the default";
    Advice {
        hint: text(value).is_some_and(is_none).then(|| hint.to_owned()),
        ..Advice::default()
    }
}

/// Advice for a value of the wrong type.
fn shape(place: &str, key: &str, value: &DeValue<'_>) -> Advice {
    let advice = in_table(place, value)
        .or_else(|| in_sessions(place, value))
        .or_else(|| in_release(place, value));
    if let Some(advice) = advice {
        return advice;
    }
    let inner = match place {
        "access_log" | "history" => "path",
        "admin" | "observe" | "feedback" => "address",
        "log" => "level",
        _ => "",
    };
    match (place, text(value)) {
        (_, Some(given)) if !inner.is_empty() => say(
            format!("`{place}` is a table"),
            format!("write `{place} = {{ {inner} = \"{given}\" }}`"),
        ),
        ("access_log.format", None) if value.as_bool() == Some(false) => {
            say("the format is a string", "write `format = \"off\"`")
        }
        (
            "trusted_proxies"
            | "admin.hosts"
            | "routes.*.hosts"
            | "listeners.*.proxy_protocol_from",
            Some(given),
        ) => say(
            format!("`{key}` is a list"),
            format!("write `{key} = [\"{given}\"]`"),
        ),
        (_, Some(given)) if key == "percent" || key == "sample" => say(
            format!("`{key}` is a number"),
            format!(
                "write it without quotes: `{key} = {}`",
                given.trim_end_matches('%').trim_end()
            ),
        ),
        ("workers", Some(_)) => say(
            "the number of workers is a whole number",
            "leave it out for one per core",
        ),
        _ => Advice::default(),
    }
}

fn in_table(place: &str, value: &DeValue<'_>) -> Option<Advice> {
    Some(match (place, value) {
        ("listeners", DeValue::Table(_)) => say(
            "`[listeners]` is one table, and `listeners` is a list of tables",
            "write `[[listeners]]`, with two brackets",
        ),
        ("listeners.*", DeValue::String(given)) => say(
            "a listener is a table",
            format!("write `[[listeners]]`, and below it `address = \"{given}\"`"),
        ),
        ("listeners.*.tls", DeValue::Boolean(_) | DeValue::String(_)) => say(
            "`tls` is a table that names the certificates",
            "write `tls = { certificates = [{ cert = \"agents.pem\", key = \"agents.key\" }] }`",
        ),
        ("listeners.*.proxy_protocol", DeValue::String(_) | DeValue::Integer(_)) => say(
            "`proxy_protocol` is a boolean",
            "write `proxy_protocol = true` for versions 1 and 2",
        ),
        ("routes", DeValue::Table(table)) => {
            let is_one = ["name", "split", "path", "path_prefix", "host"];
            let is_one = is_one.iter().any(|key| table.contains_key(*key));
            let name = table.keys().next().map_or("chat", |name| name.get_ref());
            say(
                "`routes` is a list, since their order matters",
                if is_one {
                    "write `[[routes]]`, with two brackets".to_owned()
                } else {
                    format!("write `[[routes]]`, and below it `name = \"{name}\"`")
                },
            )
        }
        ("routes.*.split", DeValue::String(given)) => say(
            "a split is a table of weights",
            format!("write `split = {{ {given} = 1 }}`"),
        ),
        ("routes.*.split", DeValue::Array(_)) => say(
            "a split is a table of weights",
            "write `split = { blue = 95, green = 5 }`",
        ),
        ("routes.*.host", DeValue::Array(_)) => {
            say("`host` is one host", "write `hosts = [...]` for several")
        }
        ("routes.*.mirror.*", DeValue::Table(_)) => say(
            "`[[routes.mirror]]` is a list, and a route has one mirror",
            "write `[routes.mirror]`, with one bracket on each side",
        ),
        ("routes.*.headers", DeValue::Array(_) | DeValue::String(_)) => say(
            "`headers` is a table of names and values",
            "write `headers = { x-beta = \"yes\" }`",
        ),
        _ => return None,
    })
}

fn in_sessions(place: &str, value: &DeValue<'_>) -> Option<Advice> {
    Some(match (place, value) {
        ("routes.*.affinity" | "routes.*.affinity.*", DeValue::String(given)) => say(
            "an affinity source is `\"bearer\"`, `\"client_address\"` or a table such as `{ header = \"x-session\" }`",
            format!("write `affinity = [{{ header = \"{given}\" }}]`, or `cookie` or `query`"),
        ),
        ("routes.*.affinity.*", DeValue::Table(table)) if table.len() != 1 => say(
            "an affinity source is exactly one of `header`, `cookie`, `generated_cookie`, `query` and `mcp_param`",
            "put each in braces of its own: `affinity = [{ header = \"x-session\" }, { cookie = \"sid\" }]`",
        ),
        ("routes.*.affinity", DeValue::Table(_)) => say(
            "`affinity` is a list, tried in order",
            "put brackets around it: `affinity = [{ cookie = \"sid\" }]`",
        ),
        ("routes.*.pins" | "routes.*.pins.*", DeValue::String(given)) => say(
            "a pin is a table that names a header field or a cookie",
            format!("write `pins = [{{ header = \"{given}\" }}]`, or `cookie`"),
        ),
        ("routes.*.pins", DeValue::Table(_)) => say(
            "`pins` is a list",
            "put brackets around it: `pins = [{ header = \"mcp-session-id\" }]`",
        ),
        ("routes.*.pin_lost", DeValue::Integer(given)) => say(
            "`pin_lost` is a string",
            format!("put it in quotes: `pin_lost = \"{}\"`", given.as_str()),
        ),
        _ => return None,
    })
}

fn in_release(place: &str, value: &DeValue<'_>) -> Option<Advice> {
    Some(match (place, value) {
        ("releases.*.version", _) => {
            let given = number(value)?;
            say(
                "a version is a string",
                format!("put it in quotes: `version = \"{given}\"`"),
            )
        }
        ("releases.*.health", DeValue::String(given)) if given.starts_with('/') => say(
            "a health check is a table",
            format!("write `health = {{ path = \"{given}\" }}`"),
        ),
        ("releases.*.health", DeValue::String(_) | DeValue::Boolean(_)) => say(
            "a health check is a table",
            "write `health = { path = \"/healthz\" }`",
        ),
        ("releases.*.health.status", DeValue::Array(_)) => say(
            "the accepted statuses are one range",
            "write `status = \"200-299\"`",
        ),
        ("releases.*.health.status", DeValue::String(given)) if given.ends_with("xx") => say(
            format!("`{given}` is not a range of statuses"),
            format!(
                "write `status = \"{0}00-{0}99\"`",
                given.trim_end_matches('x')
            ),
        ),
        ("releases.*.endpoints", DeValue::String(given)) => say(
            "`endpoints` is a list",
            format!("write `endpoints = [\"{given}\"]`"),
        ),
        ("releases.*.endpoints.*", DeValue::String(given)) => {
            let Some((scheme, rest)) = given.split_once("://") else {
                let at = format!("http://{given}");
                at.parse::<EndpointUrl>().ok()?;
                return Some(say(
                    format!("`{given}` is not an endpoint: it has no scheme"),
                    format!("write `\"{at}\"`, or `https://`"),
                ));
            };
            let hint = match scheme {
                "ws" => format!("WebSocket goes over HTTP: `\"http://{rest}\"`"),
                "wss" => format!("WebSocket goes over HTTP: `\"https://{rest}\"`"),
                "grpc" | "h2" | "h2c" => {
                    format!("write `\"http://{rest}\"`, and `protocol = \"h2\"`")
                }
                _ => return None,
            };
            say(format!("`{given}` is not an endpoint"), hint)
        }
        _ => return None,
    })
}
