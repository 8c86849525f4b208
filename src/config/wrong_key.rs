//! Wrong keys: names from other products, in another table, or missing.

use super::{
    advice::{Advice, pattern},
    spans::PathStep,
};

/// Keys of other products: the table, the words, the intended key, and the hint.
const KEYS: &[(&str, &[&str], &str, &str)] = &[
    (
        "",
        &[
            "backends",
            "upstreams",
            "clusters",
            "services",
            "targets",
            "backend",
            "upstream",
            "pools",
        ],
        "releases",
        "an upstream is called a release: write `[releases.blue]`",
    ),
    (
        "",
        &[
            "server",
            "servers",
            "listen",
            "frontends",
            "frontend",
            "entrypoints",
            "port",
        ],
        "listeners",
        "write `[[listeners]]` with `address = \"127.0.0.1:8080\"`",
    ),
    (
        "",
        &["rules", "locations", "location", "virtual_hosts"],
        "routes",
        "write `[[routes]]` with `name`, `path_prefix` and `split`",
    ),
    (
        "",
        &["logging", "loglevel", "log_level"],
        "log",
        "write `log = { level = \"info\" }`",
    ),
    (
        "listeners.*",
        &["host", "port", "listen", "bind", "ip", "addr"],
        "address",
        "host and port are one key: `address = \"127.0.0.1:8080\"`",
    ),
    (
        "listeners.*",
        &["http2", "h2", "protocol", "protocols"],
        "",
        "leave it out: each listener speaks HTTP/1.1 and HTTP/2",
    ),
    (
        "listeners.*",
        &["ssl", "cert", "certificate", "certificates", "key"],
        "tls",
        "write `tls = { certificates = [{ cert = \"agents.pem\", key = \"agents.key\" }] }`",
    ),
    (
        "listeners.*.tls",
        &["cert", "key", "certificate", "cert_file", "key_file"],
        "certificates",
        "write `certificates = [{ cert = \"agents.pem\", key = \"agents.key\" }]`",
    ),
    (
        "admin",
        &["host", "port", "listen", "bind", "addr"],
        "address",
        "host and port are one key: `address = \"127.0.0.1:9900\"`",
    ),
    (
        "observe",
        &["host", "port", "listen", "bind", "addr"],
        "address",
        "host and port are one key: `address = \"0.0.0.0:9901\"`",
    ),
    (
        "feedback",
        &["host", "port", "listen", "bind", "addr"],
        "address",
        "host and port are one key: `address = \"0.0.0.0:9902\"`",
    ),
    (
        "ofrep",
        &["host", "port", "listen", "bind", "addr"],
        "address",
        "host and port are one key: `address = \"127.0.0.1:9902\"`",
    ),
    (
        "admin",
        &["token", "password", "secret", "auth"],
        "tokens",
        "give the source of a token: `tokens = [{ role = \"operator\", file = \"/run/secrets/switchback\" }]`",
    ),
    (
        "releases.*",
        &[
            "url",
            "urls",
            "servers",
            "server",
            "backends",
            "upstreams",
            "hosts",
            "host",
            "targets",
            "address",
            "addresses",
        ],
        "endpoints",
        "write `endpoints = [\"http://10.0.0.11:9000\"]`",
    ),
    (
        "releases.*",
        &["health_check", "healthcheck", "check", "checks", "probe"],
        "health",
        "write `health = { path = \"/healthz\" }`",
    ),
    (
        "releases.*",
        &["weight", "weights"],
        "",
        "weights belong in the `split` of a route: `split = { blue = 95, green = 5 }`",
    ),
    (
        "releases.*",
        &["name"],
        "",
        "a release is named by its table: `[releases.blue]`",
    ),
    (
        "releases.*.health",
        &["url", "uri", "endpoint"],
        "path",
        "write `path = \"/healthz\"`; `host` and `port` are separate keys",
    ),
    (
        "releases.*.health",
        &["every", "period", "frequency"],
        "interval",
        "did you mean `interval`?",
    ),
    (
        "releases.*.health",
        &["code", "codes", "status_code", "expected_status", "expect"],
        "status",
        "write `status = \"200-299\"`",
    ),
    (
        "releases.*.health",
        &["retries", "threshold", "failures", "unhealthy_threshold"],
        "fall",
        "`fall` counts failures in a row, `rise` successes",
    ),
    (
        "routes.*",
        &["prefix", "path-prefix", "pathprefix", "paths"],
        "path_prefix",
        "did you mean `path_prefix`?",
    ),
    (
        "routes.*",
        &[
            "weights", "weight", "release", "releases", "backend", "backends", "upstream",
            "service", "to", "target",
        ],
        "split",
        "write `split = { blue = 1 }`",
    ),
    (
        "routes.*",
        &["domain", "domains", "hostname", "hostnames", "server_name"],
        "host",
        "did you mean `host`, or `hosts` for several?",
    ),
    (
        "routes.*",
        &["sticky", "session", "session_affinity", "stickiness"],
        "affinity",
        "write `affinity = [{ cookie = \"sid\" }]`",
    ),
    (
        "routes.*",
        &["timeout"],
        "timeouts",
        "write `timeouts = { request = \"30s\" }`",
    ),
    (
        "routes.*",
        &["rewrite", "strip"],
        "strip_prefix",
        "to remove a prefix from the path, write `strip_prefix = \"/v1\"`",
    ),
    (
        "log",
        &["path", "file", "output"],
        "",
        "the log goes to standard error; only the access log has a `path`",
    ),
    (
        "access_log",
        &["file", "output"],
        "path",
        "did you mean `path`?",
    ),
];

/// Advice for an unknown key.
pub(super) fn of_key(steps: &[PathStep], top_level: impl Fn(&str) -> bool) -> Advice {
    let Some((PathStep::Key(wrong), parent)) = steps.split_last() else {
        return Advice::default();
    };
    let parent = pattern(parent);
    let row = KEYS
        .iter()
        .find(|(table, words, ..)| *table == parent && words.contains(&wrong.as_str()));
    if let Some((_, _, meant, hint)) = row {
        return Advice {
            hint: Some((*hint).to_owned()),
            meant: (!meant.is_empty()).then(|| (*meant).to_owned()),
            ..Advice::default()
        };
    }
    let belongs_above = !parent.is_empty() && top_level(wrong);
    Advice {
        hint: belongs_above.then(|| {
            format!("`{wrong}` belongs at the top of the file, before the first `[table]`")
        }),
        ..Advice::default()
    }
}

/// Hint for a missing key.
pub(super) fn of_missing(key: &str) -> Option<&'static str> {
    Some(match key {
        "address" => "write `address = \"127.0.0.1:8080\"`",
        "certificates" => {
            "write `certificates = [{ cert = \"agents.pem\", key = \"agents.key\" }]`"
        }
        "endpoints" => "write `endpoints = [\"http://10.0.0.11:9000\"]`",
        "name" => "write `name = \"chat\"`: it identifies the route in changes, metrics and logs",
        "path" => "write `path = \"/healthz\"`",
        "role" => "write `role = \"operator\"` or `role = \"read_only\"`",
        "split" => "write `split = { blue = 1 }`",
        _ => return None,
    })
}
