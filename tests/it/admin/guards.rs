//! Access to the admin API: tokens, host names, browsers; and the content of the observe listener.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::{
    conformance::child::Switchback,
    support::{Client, TestAdmin},
};

pub(super) const OPERATOR: &str = "operator-0123456789abcdef";
pub(super) const READER: &str = "reader-0123456789abcdef";

pub(super) fn with_tokens() -> (TestAdmin, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        writeln!(std::fs::File::create(&path).unwrap(), "{token}").unwrap();
        path.display().to_string()
    };
    let (operator, reader) = (file("alice", OPERATOR), file("dashboard", READER));
    let admin = TestAdmin::with(&format!(
        "tokens = [{{ role = \"operator\", file = {operator:?} }}, {{ role = \"read_only\", file = {reader:?} }}]"
    ));
    (admin, folder)
}

#[test]
fn a_token_decides_what_may_be_done_and_who_did_it() {
    let (admin, _folder) = with_tokens();
    let bearer = |token: &str| format!("Bearer {token}");
    let status = |method: &str, path: &str, authorization: Option<&str>| {
        let field = authorization.map(|value| ("authorization", value));
        let fields: Vec<_> = field.into_iter().collect();
        admin.request(method, path, &fields, "").status
    };
    let (operator, reader) = (bearer(OPERATOR), bearer(READER));
    for path in [
        "/v1/status",
        "/v1/table",
        "/metrics",
        "/openapi.json",
        "/nothing",
    ] {
        assert_eq!(status("GET", path, None), 401, "{path}");
        assert_eq!(
            status("GET", path, Some("Bearer wrong-0123456789abcdef")),
            401,
            "{path}"
        );
        assert_ne!(status("GET", path, Some(&reader)), 401, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_ne!(status("GET", path, None), 401, "{path}");
    }
    assert_eq!(status("POST", "/v1/routes/chat/abort", Some(&reader)), 403);
    assert_eq!(
        status("POST", "/v1/rollback?dry_run=true", Some(&reader)),
        403
    );
    let fields = [
        ("authorization", operator.as_str()),
        ("content-type", "application/json"),
    ];
    let done = admin.request(
        "POST",
        "/v1/routes/chat/switch",
        &fields,
        r#"{"to":"green"}"#,
    );
    assert_eq!(done.status, 200);
    let page = admin.request("GET", "/v1/revisions", &fields[..1], "");
    let page: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(page["revisions"][0]["author"]["name"], "alice");
    let refused = admin.request("GET", "/v1/status", &[], "");
    assert_eq!(
        refused.value("www-authenticate"),
        Some("Bearer realm=\"switchback\"")
    );
}

/// Many idle connections.
fn crowd(address: SocketAddr) -> Vec<TcpStream> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let limits = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, limits).unwrap();
    let connect = |_| TcpStream::connect(address).unwrap();
    (0..600).map(connect).collect()
}

#[test]
fn many_silent_connections_keep_no_client_out() {
    let (admin, _folder) = with_tokens();
    let bearer = format!("Bearer {OPERATOR}");
    let fields = [("authorization", bearer.as_str())];
    let mut operator = Client::connect(admin.address);
    let head = format!(
        "GET /v1/status HTTP/1.1\r\nhost: {}\r\nauthorization: {bearer}\r\n\r\n",
        admin.address
    );
    assert_eq!(operator.send(&head).response().status, 200);
    let _silent = (crowd(admin.address), crowd(admin.observe));
    assert_eq!(admin.request("GET", "/livez", &[], "").status, 200);
    let rolled_back = admin.request("POST", "/v1/rollback", &fields, "");
    assert_eq!(rolled_back.status, 409, "there is nothing to go back to");
    let probe = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", admin.observe);
    let mut kubelet = Client::connect(admin.observe);
    assert_eq!(kubelet.send(&probe).response().status, 200);
    // A connection that has authenticated is not evicted.
    assert_eq!(operator.send(&head).response().status, 200);
}

#[test]
fn a_request_that_was_not_authorized_is_counted_and_logged_without_its_token() {
    let config = "admin.tokens = [{ role = \"operator\", env = \"PATH\" }]\n\
        [releases.one]\nendpoints = [\"http://127.0.0.1:1\"]\n\
        [[routes]]\nname = \"all\"\npath_prefix = \"/\"\nsplit = { one = 1 }\n";
    let switchback = Switchback::start(&[""], config);
    let admin = switchback.admin();
    for field in [
        "",
        "authorization: Basic x\r\n",
        "authorization: Bearer c0nf1dent1al\r\n",
    ] {
        let head = format!("GET /v1/status HTTP/1.1\r\nhost: {admin}\r\n{field}\r\n");
        let status = Client::connect(admin).send(head).response().status;
        assert_eq!(status, 401);
    }
    let token = std::env::var("PATH").unwrap();
    let head =
        format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n\r\n");
    let metrics = Client::connect(admin).send(head).response().text();
    let log = switchback.log();
    for reason in ["missing", "malformed", "unknown"] {
        let counted = format!("switchback_admin_auth_failures_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&counted), "{counted}: {metrics}");
        assert!(log.contains(&format!("reason=\"{reason}\"")), "{log}");
    }
    assert!(log.contains("peer=\"127.0.0.1\""), "{log}");
    assert!(!log.contains("c0nf1dent1al"), "{log}");
}

#[test]
fn an_answer_before_the_body_was_read_says_that_the_connection_ends() {
    let (admin, _folder) = with_tokens();
    let post = |fields: &str, body: &str| {
        let head = format!(
            "POST /v1/routes/chat/abort HTTP/1.1\r\nhost: {}\r\n{fields}content-length: 9\r\n\r\n{body}",
            admin.address
        );
        Client::connect(admin.address).send(head).response()
    };
    let refused = post("", "");
    assert_eq!(refused.status, 401);
    assert_eq!(refused.value("connection"), Some("close"));
    let read = post(
        &format!("authorization: Bearer {OPERATOR}\r\ncontent-type: application/json\r\n"),
        "{\"a\": 1 }",
    );
    assert_eq!(read.status, 422);
    assert_eq!(read.value("connection"), None);
}

#[test]
fn an_answer_reaches_a_client_that_has_not_sent_everything() {
    let (admin, _folder) = with_tokens();
    let head = format!(
        "PUT /v1/table HTTP/1.1\r\nhost: {}\r\ncontent-length: 900000\r\n\r\n",
        admin.address
    );
    let mut client = Client::connect(admin.address);
    client.send(head);
    // Unread bytes that arrive after the response would reset the connection.
    for _ in 0..9 {
        client.send("x".repeat(100_000));
    }
    assert_eq!(client.response().status, 401);
}

#[test]
fn a_token_is_not_taken_twice_over() {
    let (admin, _folder) = with_tokens();
    let bearer = format!("Bearer {OPERATOR}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("authorization", bearer.as_str()),
    ];
    assert_eq!(admin.request("GET", "/v1/status", &fields, "").status, 401);
}

#[test]
fn no_web_page_gets_in() {
    let admin = TestAdmin::with("hosts = [\"switch.internal\"]");
    let own = format!("http://{}", admin.address);
    let split = |fields: &[(&str, &str)]| {
        admin
            .request("POST", "/v1/routes/chat/abort", fields, "")
            .status
    };
    assert_eq!(split(&[("host", "switch.internal")]), 200);
    assert_eq!(split(&[("origin", &own)]), 200);
    for (fields, status) in [
        (&[("host", "rebound.example")][..], 421),
        (&[("host", "localhost.example:9900")], 421),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("content-type", "text/plain")], 415),
        (&[("content-type", "multipart/form-data; boundary=x")], 415),
    ] {
        assert_eq!(split(fields), status, "{fields:?}");
    }
    for path in ["/livez", "/metrics", "/nothing"] {
        let fields = [("host", "rebound.example")];
        assert_eq!(
            admin.request("GET", path, &fields, "").status,
            421,
            "{path}"
        );
    }
}

#[test]
fn a_request_without_a_host_or_with_two_is_refused() {
    let admin = TestAdmin::start();
    for head in [
        "GET /v1/status HTTP/1.1\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
        "GET http://evil.example/v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let response = Client::connect(admin.address).send(head).response();
        assert_eq!(response.status, 400, "{head}");
    }
    let head = "GET http://evil.example/v1/status HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(
        Client::connect(admin.address).send(head).response().status,
        421
    );
}

#[test]
fn the_observing_listener_shows_three_things_and_nothing_else() {
    let admin = TestAdmin::start();
    let get = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: pod-7.example\r\n\r\n");
        Client::connect(admin.observe).send(head).response()
    };
    let metrics = get("/metrics");
    assert_eq!(
        (metrics.status, metrics.text().as_str()),
        (200, "switchback_up 1\n")
    );
    assert!(
        metrics
            .value("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert_eq!(get("/livez").status, 200);
    assert_eq!(get("/readyz").status, 503);
    admin.readiness.set_ready();
    assert_eq!(get("/readyz").status, 200);
    admin.readiness.set_draining();
    assert_eq!(get("/readyz").status, 503);
    assert_eq!(get("/livez").status, 200);
    for path in ["/v1/status", "/v1/table", "/openapi.json", "/"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    for (method, path) in [
        ("POST", "/metrics"),
        ("POST", "/v1/rollback"),
        ("PUT", "/readyz"),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let status = Client::connect(admin.observe).send(head).response().status;
        assert!(matches!(status, 404 | 405), "{method} {path}: {status}");
    }
}

#[test]
fn the_api_describes_itself() {
    let admin = TestAdmin::start();
    let document = admin.get("/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/rollback"]["post"].is_object());
}

#[test]
fn a_way_back_takes_no_time_to_wait() {
    let admin = TestAdmin::start();
    for path in [
        "/v1/rollback",
        "/v1/routes/chat/rollback",
        "/v1/routes/chat/abort",
    ] {
        let (status, problem) = admin.json("POST", &format!("{path}?wait=1s"), &Value::Null);
        assert_eq!(status, 422, "{path}: {problem}");
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.starts_with("leave `wait` out"), "{path}: {problem}");
    }
}

#[test]
fn the_description_offers_only_what_is_taken() {
    let document = TestAdmin::start().get("/openapi.json");
    let wait = |path: &str| {
        let parameters = document["paths"][path]["post"]["parameters"].as_array();
        let mut parameters = parameters.expect("parameters").iter();
        let wait = parameters.find(|parameter| parameter["name"] == "wait");
        wait.expect("wait")["schema"]["pattern"].clone()
    };
    let takes_time = |path: &str| wait(path).as_str().unwrap().contains("60s");
    assert!(takes_time("/v1/routes/{route}/switch"));
    for back in [
        "/v1/rollback",
        "/v1/routes/{route}/rollback",
        "/v1/routes/{route}/abort",
    ] {
        assert!(!takes_time(back), "{back}");
        assert_eq!(wait(back), "^(converged|drained|fleet)$");
    }
    let schemas = &document["components"]["schemas"];
    let either = schemas["SplitPatchRequest"]["oneOf"].as_array();
    assert_eq!(either.map(Vec::len), Some(2));
    let port = &schemas["HealthSpec"]["properties"]["port"];
    assert_eq!(
        (&port["minimum"], &port["maximum"]),
        (&1.into(), &65_535.into())
    );
}
