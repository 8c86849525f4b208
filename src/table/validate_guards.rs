//! Validation of the guards of a route: rate limit, credentials, cross-origin rules, pause; and of its compression.

use std::{collections::BTreeMap, time::Duration};

use super::{
    compression::{MediaRange, is_never},
    route_check::Check,
    validate_session,
};
use crate::model::{
    AffinitySource, CompressSpec, CorsSpec, GuardSpec, HumanDuration, PauseSpec, RateLimitSpec,
    RouteSpec, SecretDigest,
};

/// Largest burst of a rate limit.
const MOST_AT_ONCE: u32 = 1_000_000;
/// Fewest and most keys of a rate limit.
const KEYS: [u32; 2] = [1_024, 1_048_576];
/// Most entries of a list of credentials, origins, methods or fields.
const MOST: usize = 64;
/// Bounds of the longest wait on a paused route.
const MAX_WAIT: [HumanDuration; 2] = [HumanDuration::seconds(1), HumanDuration::seconds(600)];
/// Most requests that may wait there.
const MOST_WAITING: u32 = 10_000;
/// Largest `min_size` of compression.
const LARGEST_MIN_SIZE: usize = 999 << 20;
/// Longest name of a user or an owner.
const LONGEST_NAME: usize = 64;

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    if let Some(limit) = &route.rate_limit {
        rate_limit(limit, check);
    }
    if let Some(guard) = &route.guard {
        access(guard, check);
    }
    if let Some(cors) = &route.cors {
        cross_origin(cors, check);
    }
    if let Some(compress) = &route.compress {
        compression(compress, check);
    }
    if let Some(pause) = &route.pause {
        waits(pause, check);
    }
}

fn waits(pause: &PauseSpec, check: &mut Check<'_>) {
    let [least, most] = MAX_WAIT;
    if !(least..=most).contains(&pause.max_wait) {
        let message = format!("`{}` is not 1s to 10m", pause.max_wait);
        check.problem(
            "pause.max_wait",
            message,
            "clients give up long before that",
        );
    }
    if pause.max_waiting > MOST_WAITING {
        let message = format!("{} is more than {MOST_WAITING}", pause.max_waiting);
        check.problem("pause.max_waiting", message, "");
    }
}

fn compression(compress: &CompressSpec, check: &mut Check<'_>) {
    if compress.types.is_empty() {
        let hint = "leave it out to compress text, JSON, XML and the like";
        check.problem("compress.types", "it has no media type", hint);
    }
    if compress.types.len() > MOST {
        let message = format!("{} are more than {MOST}", compress.types.len());
        check.problem("compress.types", message, "");
    }
    for (place, text) in compress.types.iter().enumerate() {
        let key = format!("compress.types.{place}");
        if MediaRange::parse(text).is_none() {
            let hint = "write `application/json`, `text/*` or `application/*+json`, in lower case and without parameters";
            check.problem(&key, format!("`{text}` is not a media type"), hint);
        } else if is_never(text.as_bytes()) {
            let hint =
                "streams of events are sent as they come, and gRPC compresses its messages itself";
            check.problem(&key, format!("`{text}` is never compressed"), hint);
        }
    }
    if !(1..=LARGEST_MIN_SIZE).contains(&compress.min_size.0) {
        let message = format!("`{}` is not 1B to 999MiB", compress.min_size);
        check.problem("compress.min_size", message, "");
    }
    if !(1..=9).contains(&compress.level) {
        let message = format!("{} is not 1 to 9", compress.level);
        check.problem("compress.level", message, "1 is the fastest");
    }
}

fn rate_limit(limit: &RateLimitSpec, check: &mut Check<'_>) {
    if let Some(burst) = limit.burst
        && !(1..=MOST_AT_ONCE).contains(&burst)
    {
        let message = format!("{burst} is not 1 to {MOST_AT_ONCE}");
        check.problem("rate_limit.burst", message, "1 lets none come early");
    }
    let [fewest, most] = KEYS;
    if !(fewest..=most).contains(&limit.max_keys) {
        let message = format!("{} is not {fewest} to {most}", limit.max_keys);
        check.problem("rate_limit.max_keys", message, "");
    }
    if limit.key.is_empty() {
        let hint = "leave it out to limit each client by its address";
        check.problem("rate_limit.key", "it has no source", hint);
    }
    validate_session::sources("rate_limit.key", &limit.key, check);
    for (place, source) in limit.key.iter().enumerate() {
        if matches!(source, AffinitySource::GeneratedCookie(_)) {
            let key = format!("rate_limit.key.{place}");
            let message = "who sends no cookie gets another one each time";
            let hint = "write `{ cookie = \"…\" }`, and `\"client_address\"` behind it";
            check.problem(&key, message, hint);
        }
    }
}

fn access(guard: &GuardSpec, check: &mut Check<'_>) {
    if guard.basic.is_empty() && guard.bearer.is_empty() {
        let hint = "add `basic` or `bearer`, or remove the guard";
        check.problem("guard", "it has no credentials", hint);
    }
    credentials("guard.basic", &guard.basic, check);
    credentials("guard.bearer", &guard.bearer, check);
}

fn credentials(key: &str, all: &BTreeMap<String, SecretDigest>, check: &mut Check<'_>) {
    if all.len() > MOST {
        let message = format!("{} are more than {MOST}", all.len());
        check.problem(key, message, "");
    }
    let empty = SecretDigest::of(b"");
    for (name, digest) in all {
        let key = format!("{key}.{name}");
        let is_name = |c: char| !c.is_control() && c != ':';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_name) {
            let hint = "1 to 64 bytes without a colon";
            check.problem(&key, format!("{name:?} is not a name"), hint);
        }
        if *digest == empty {
            let hint = "make a secret with `openssl rand -hex 32`";
            check.problem(&key, "it is the digest of nothing", hint);
        }
    }
}

fn cross_origin(cors: &CorsSpec, check: &mut Check<'_>) {
    let is_for_all = cors.origins.iter().any(|origin| origin == "*");
    if cors.origins.is_empty() {
        let hint = "list origins such as `https://app.example.com`, or remove `cors`";
        check.problem("cors.origins", "it has no origin", hint);
    }
    if is_for_all && cors.credentials {
        let message = "no browser takes `*` for a request with credentials";
        check.problem("cors.credentials", message, "list the origins");
    }
    if is_for_all && cors.origins.len() > 1 {
        let message = "with `*` no other origin has an effect";
        check.problem("cors.origins", message, "remove `*` or the others");
    }
    for (place, origin) in cors.origins.iter().enumerate() {
        if origin != "*" && !is_origin(origin) {
            let key = format!("cors.origins.{place}");
            let hint = "write it as browsers do: `https://app.example.com`, in lower case, without a path and without the port that the scheme has anyway";
            check.problem(&key, format!("`{origin}` is not an origin"), hint);
        } else if is_of_everyone(origin) {
            let key = format!("cors.origins.{place}");
            let hint = "name a domain of yours: `https://*.example.com`, or write `*`";
            check.problem(&key, format!("anybody may have a name in `{origin}`"), hint);
        } else if cors.origins[..place].contains(origin) {
            let key = format!("cors.origins.{place}");
            check.problem(&key, format!("`{origin}` is listed twice"), "");
        }
    }
    for (place, method) in cors.methods.iter().enumerate() {
        let is_method = |b: u8| b.is_ascii_uppercase() || b == b'-';
        if method.is_empty() || method.len() > 32 || !method.bytes().all(is_method) {
            let key = format!("cors.methods.{place}");
            check.problem(&key, format!("`{method}` is not a method"), "write `PUT`");
        }
    }
    for (key, names) in [("headers", &cors.headers), ("expose", &cors.expose)] {
        for (place, name) in names.iter().enumerate() {
            check.header_name(&format!("cors.{key}.{place}"), name);
        }
    }
    let lists = [
        ("origins", &cors.origins),
        ("methods", &cors.methods),
        ("headers", &cors.headers),
        ("expose", &cors.expose),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| list.len() > MOST) {
        let message = format!("{} are more than {MOST}", list.len());
        check.problem(&format!("cors.{key}"), message, "");
    }
    if cors.max_age.0 > Duration::from_secs(86_400) {
        let message = format!("`{}` is more than a day", cors.max_age);
        check.problem(
            "cors.max_age",
            message,
            "no browser remembers it for longer",
        );
    }
}

/// True if a text is an origin as browsers write it, or one with `*.` before its name.
fn is_origin(text: &str) -> bool {
    let mut schemes = ["https://", "http://"].into_iter();
    let Some((scheme, authority)) =
        schemes.find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?)))
    else {
        return false;
    };
    let authority = authority.strip_prefix("*.").unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.bytes().all(plain),
    };
    let usual = if scheme == "https://" { "443" } else { "80" };
    let is_port =
        |port: &str| port != usual && !port.starts_with('0') && port.parse::<u16>().is_ok();
    is_host && port.is_none_or(is_port)
}

/// True if an origin stands for all names of a top-level domain. Some of these are nobody's (RFC 6761, and what is in use
/// within companies).
fn is_of_everyone(origin: &str) -> bool {
    let Some((_, below)) = origin.split_once("*.") else {
        return false;
    };
    let name = below.split(':').next().unwrap_or_default();
    !name.contains('.') && !["internal", "local", "localhost", "test"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Weights;

    fn found(key: &str, value: serde_json::Value) -> Vec<String> {
        let mut route = RouteSpec::plain("all".parse().unwrap(), Weights::new());
        match key {
            "rate_limit" => route.rate_limit = Some(serde_json::from_value(value).unwrap()),
            "compress" => route.compress = Some(serde_json::from_value(value).unwrap()),
            "pause" => route.pause = Some(serde_json::from_value(value).unwrap()),
            "guard" => route.guard = Some(serde_json::from_value(value).unwrap()),
            _ => route.cors = Some(serde_json::from_value(value).unwrap()),
        }
        let mut found = Vec::new();
        problems(&route, &mut Check::new(&route, &mut found));
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn every_mistake_in_a_rate_limit_has_its_place() {
        use serde_json::json;
        assert!(found("rate_limit", json!({ "rate": "1/s" })).is_empty());
        for (key, value) in [
            ("burst", json!(0)),
            ("burst", json!(1_000_001)),
            ("max_keys", json!(1)),
            ("max_keys", json!(2_000_000)),
            ("key", json!([])),
            ("key.0", json!([{ "header": "X" }])),
            ("key.1", json!(["bearer", { "generated_cookie": "c" }])),
        ] {
            let mut limit = json!({ "rate": "1/s" });
            limit[key.split('.').next().unwrap()] = value;
            assert_eq!(
                found("rate_limit", limit),
                [format!("routes.all.rate_limit.{key}")]
            );
        }
    }

    #[test]
    fn every_mistake_in_a_pause_has_its_place() {
        use serde_json::json;
        assert!(found("pause", json!({})).is_empty());
        assert!(found("pause", json!({ "max_wait": "10m", "max_waiting": 0 })).is_empty());
        for (key, value) in [
            ("max_wait", json!("999ms")),
            ("max_wait", json!("11m")),
            ("max_waiting", json!(10_001)),
        ] {
            let problems = found("pause", json!({ key: value }));
            assert_eq!(problems, [format!("routes.all.pause.{key}")]);
        }
    }

    #[test]
    fn every_mistake_in_a_compression_has_its_place() {
        use serde_json::json;
        assert!(found("compress", json!({})).is_empty());
        let types = ["a/b", "text/*", "application/*+json"];
        let sound = json!({ "types": types, "min_size": "1B", "level": 9 });
        assert!(found("compress", sound).is_empty());
        for (key, value) in [
            ("types", json!([])),
            ("types", json!(vec!["a/b"; 65])),
            ("types.0", json!(["text"])),
            ("types.0", json!(["Text/Html"])),
            ("types.1", json!(["a/b", "text/event-stream"])),
            ("types.0", json!(["application/grpc+proto"])),
            ("types.0", json!(["*/*"])),
            ("min_size", json!("0B")),
            ("min_size", json!("1GiB")),
            ("level", json!(0)),
            ("level", json!(10)),
        ] {
            let mut compress = json!({});
            compress[key.split('.').next().unwrap()] = value;
            assert_eq!(
                found("compress", compress),
                [format!("routes.all.compress.{key}")]
            );
        }
    }

    #[test]
    fn every_mistake_in_a_guard_has_its_place() {
        use serde_json::json;
        let digest = SecretDigest::of(b"x").to_string();
        assert!(found("guard", json!({ "basic": { "ada": digest } })).is_empty());
        assert_eq!(found("guard", json!({})), ["routes.all.guard"]);
        for name in ["a:b", "", "a\n"] {
            let problems = found("guard", json!({ "basic": { name: digest } }));
            assert_eq!(problems, [format!("routes.all.guard.basic.{name}")]);
        }
        let empty = SecretDigest::of(b"").to_string();
        let problems = found("guard", json!({ "bearer": { "ci": empty } }));
        assert_eq!(problems, ["routes.all.guard.bearer.ci"]);
    }

    #[test]
    fn every_mistake_in_cross_origin_rules_has_its_place() {
        use serde_json::json;
        let origins = [
            "https://a.test",
            "http://*.b.test:81",
            "http://*.localhost:3000",
            "http://[::1]:8080",
        ];
        assert!(found("cors", json!({ "origins": origins })).is_empty());
        for origin in [
            "a.test",
            "https://a.test/",
            "https://A.test",
            "https://a.test:443",
            "http://a.test:080",
            "https://*",
            "https://a.*.test",
            "ftp://a.test",
            "https://*.com",
            "https://*.dev:8443",
            "null",
            "",
        ] {
            let problems = found("cors", json!({ "origins": [origin] }));
            assert_eq!(problems, ["routes.all.cors.origins.0"], "{origin}");
        }
        let twice = json!({ "origins": ["https://a.test", "https://a.test"] });
        assert_eq!(found("cors", twice), ["routes.all.cors.origins.1"]);
        for (key, value) in [
            ("credentials", json!(true)),
            ("methods.0", json!(["get"])),
            ("headers.0", json!(["X Y"])),
            ("expose.0", json!([""])),
            ("max_age", json!("2days")),
        ] {
            let mut cors = json!({ "origins": ["*"] });
            cors[key.split('.').next().unwrap()] = value;
            assert_eq!(found("cors", cors), [format!("routes.all.cors.{key}")]);
        }
    }
}
