//! Flags for applications: OFREP as providers use it, over real sockets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Response, Served, write};

const FLAGS: &str = r#"
[releases.blue]
endpoints = ["http://127.0.0.1:1"]
[[routes]]
name = "chat"
split = { blue = 1 }
[flags.planner]
type = "boolean"
variants = { on = true, off = false }
default = "off"
rules = [
  { when = [{ attribute = "plan", in = ["pro"] }], split = { on = 1 } },
  { when = [{ attribute = "release", equals = "green" }], split = { on = 50, off = 50 } },
]
[flags.rate]
type = "number"
variants = { low = 1, high = 2.5 }
default = "low"
"#;

fn start(settings: &str) -> Served {
    Served::start(&format!(
        "[ofrep]\naddress = \"127.0.0.1:0\"\n{settings}\n{FLAGS}"
    ))
}

/// Sends a request with these further fields.
fn ask(served: &Served, method: &str, path: &str, fields: &str, body: &str) -> Response {
    let address = served.running.ofrep().unwrap();
    let mut client = Client::connect(address);
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    client.response()
}

fn post(served: &Served, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/ofrep/v1/evaluate/flags{path}");
    let response = ask(served, "POST", &path, "", &body.to_string());
    let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    (response.status, body)
}

fn of(context: &Value) -> Value {
    json!({ "context": context })
}

#[test]
fn one_flag_is_evaluated_with_all_that_providers_ask_for() {
    let served = start("");
    let (status, found) = post(
        &served,
        "/planner",
        &of(&json!({ "targetingKey": "u", "plan": "pro" })),
    );
    let expected = json!({ "key": "planner", "value": true, "reason": "TARGETING_MATCH", "variant": "on", "metadata": {} });
    assert_eq!((status, found), (200, expected));
    let (_, found) = post(&served, "/planner", &json!({}));
    assert_eq!(
        (&found["value"], &found["reason"]),
        (&json!(false), &json!("DEFAULT"))
    );
    let (_, found) = post(
        &served,
        "/planner",
        &of(&json!({ "targetingKey": "user-7", "release": "green" })),
    );
    assert_eq!(found["reason"], "SPLIT");
    // A float has its point in the text: one of the clients refuses `1`.
    let response = ask(&served, "POST", "/ofrep/v1/evaluate/flags/rate", "", "{}");
    assert!(
        response.text().contains("\"value\":1.0,"),
        "{}",
        response.text()
    );
}

#[test]
fn every_error_of_the_protocol_is_told_with_its_details() {
    let served = start("");
    let cases = [
        ("/gone", json!({}), 404, "FLAG_NOT_FOUND"),
        (
            "/planner",
            of(&json!({ "release": "green" })),
            400,
            "TARGETING_KEY_MISSING",
        ),
        ("/planner", of(&json!([])), 400, "INVALID_CONTEXT"),
        (
            "/planner",
            of(&json!({ "targetingKey": 5 })),
            400,
            "INVALID_CONTEXT",
        ),
        ("/planner", json!([]), 400, "PARSE_ERROR"),
        (
            "/planner",
            of(&json!({ "x": "y".repeat(70_000) })),
            400,
            "INVALID_CONTEXT",
        ),
    ];
    for (path, body, status, code) in cases {
        let (found, error) = post(&served, path, &body);
        assert_eq!(
            (found, &error["errorCode"]),
            (status, &json!(code)),
            "{error}"
        );
        assert!(
            error["errorDetails"].is_string() && error["key"] == path[1..],
            "{error}"
        );
    }
    // An error of a bulk evaluation has no body.
    assert_eq!(post(&served, "", &json!([])), (400, Value::Null));
    let (status, all) = post(&served, "", &of(&json!({ "release": "green" })));
    assert_eq!(
        (status, &all["flags"][0]["errorCode"]),
        (200, &json!("TARGETING_KEY_MISSING"))
    );
    assert_eq!(all["flags"][1]["variant"], "low");
    assert_eq!(
        ask(&served, "GET", "/ofrep/v1/configuration", "", "").status,
        404
    );
}

#[test]
fn hostile_keys_and_contexts_get_errors_of_the_protocol() {
    let served = start("");
    let path = |key: &str| format!("/ofrep/v1/evaluate/flags/{key}");
    let told = |key: &str, body: &str| {
        let response = ask(&served, "POST", &path(key), "", body);
        let error: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = error["errorCode"].as_str().unwrap_or("none").to_owned();
        assert!(
            code == "none" || error["errorDetails"].is_string(),
            "{error}"
        );
        (response.status, code)
    };
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let context = |value: &str| format!("{{\"context\":{{\"x\":{value}}}}}");
    for (body, code) in [
        (context(&deep(20_000)), "PARSE_ERROR"),
        (context("1e999"), "PARSE_ERROR"),
        (context("\"\\ud800\""), "PARSE_ERROR"),
        (context("\u{1}"), "PARSE_ERROR"),
        ("{\"context\":7}".to_owned(), "INVALID_CONTEXT"),
        ("\u{feff}{}".to_owned(), "PARSE_ERROR"),
    ] {
        assert_eq!(told("planner", &body), (400, code.to_owned()), "{body:.60}");
    }
    // Attributes of any type are attributes: no rule holds for them.
    for value in [&deep(100), "{\"plan\":\"pro\"}", "null", "true", "-1.5e-9"] {
        assert_eq!(told("planner", &context(value)), (200, "none".to_owned()));
    }
    for key in [
        "..%2f..%2fv1%2ftable",
        "%00",
        "planner%0d%0ax:y",
        &"k".repeat(4_000),
    ] {
        assert_eq!(
            told(key, "{}"),
            (404, "FLAG_NOT_FOUND".to_owned()),
            "{key:.40}"
        );
    }
    assert_eq!(told("%ff", "{}"), (400, "GENERAL".to_owned()));
    // A tag that no event can have had: evaluated, after the wait that any unknown tag has.
    let tag = format!("?flagConfigEtag={}", "%22x".repeat(900));
    assert_eq!(
        ask(
            &served,
            "POST",
            &path("").replace("flags/", &format!("flags{tag}")),
            "",
            "{}"
        )
        .status,
        200
    );
}

#[test]
fn a_tag_holds_for_one_context_until_a_flag_changes_and_again_after_the_rollback() {
    let served = start("");
    let bulk = |user: &str, tag: &str| {
        let body = of(&json!({ "targetingKey": user })).to_string();
        let fields = format!("If-None-Match: {tag}\r\n");
        ask(&served, "POST", "/ofrep/v1/evaluate/flags", &fields, &body)
    };
    let first = bulk("a", "none");
    let tag = first.value("etag").unwrap().to_owned();
    let again = bulk("a", &tag);
    assert_eq!(
        (again.status, again.value("etag"), again.body.len()),
        (304, Some(tag.as_str()), 0)
    );
    assert_eq!(
        bulk("a", tag.trim_matches('"')).status,
        304,
        "without quotes, too"
    );
    assert_eq!(bulk("b", &tag).status, 200, "another user has other flags");
    let (status, _) = served.admin("POST", "/v1/flags/planner/off", &json!({}));
    assert_eq!(status, 200);
    let off = bulk("a", &tag);
    assert_eq!(off.status, 200);
    let body: Value = serde_json::from_slice(&off.body).unwrap();
    assert_eq!(body["flags"][0]["reason"], "DISABLED");
    served.admin("POST", "/v1/rollback", &json!({}));
    assert_eq!(
        bulk("a", &tag).status,
        304,
        "what was before is what it was"
    );
    let served = served.restart();
    let body = of(&json!({ "targetingKey": "a" })).to_string();
    let after = ask(
        &served,
        "POST",
        "/ofrep/v1/evaluate/flags",
        &format!("If-None-Match: {tag}\r\n"),
        &body,
    );
    assert_eq!(after.status, 304, "over a restart, too");
}

/// The next line of a stream that begins so, and the time that it took.
fn next(client: &mut Client, begin: &str) -> (String, Duration) {
    let start = Instant::now();
    loop {
        let line = client.read_line();
        if line.starts_with(begin) {
            return (line, start.elapsed());
        }
    }
}

/// An open event stream.
fn events(served: &Served) -> Client {
    let address = served.running.ofrep().unwrap();
    let mut client = Client::connect(address);
    client.send(format!(
        "GET /ofrep/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n"
    ));
    let (line, _) = next(&mut client, "content-type");
    assert!(line.contains("text/event-stream"), "{line}");
    client
}

/// The data of the next event.
fn refetch(client: &mut Client) -> Value {
    let (line, _) = next(client, "data:");
    serde_json::from_str(line["data:".len()..].trim()).unwrap()
}

#[test]
fn the_event_stream_says_when_to_evaluate_again() {
    let served = start("");
    let (_, all) = post(&served, "", &json!({}));
    let stream = &all["eventStreams"][0];
    assert_eq!(
        (&stream["type"], &stream["endpoint"]["requestUri"]),
        (&json!("sse"), &json!("/ofrep/v1/events"))
    );
    let mut client = events(&served);
    let first = refetch(&mut client);
    assert_eq!(first["type"], "refetchEvaluation", "at the start");
    // A change of a split is none of a flag.
    served.admin(
        "PUT",
        "/v1/releases/green",
        &json!({ "endpoints": ["http://127.0.0.1:2"] }),
    );
    let (status, receipt) = served.admin("POST", "/v1/flags/planner/off", &json!({}));
    assert_eq!(status, 200, "{receipt}");
    let (id, took) = next(&mut client, "id:");
    assert_eq!(id.trim_end(), format!("id: {}", receipt["revision"]));
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert_ne!(refetch(&mut client)["etag"], first["etag"]);
    served.admin("POST", "/v1/flags/planner/rollback", &json!({}));
    assert_eq!(refetch(&mut client), first, "the same flags as before");
}

/// A bulk evaluation that an event with this tag has triggered, of a client that has the flags of another tag.
fn send_refetch(served: &Served, named: &str, has: &str) -> Client {
    let address = served.running.ofrep().unwrap();
    let mut client = Client::connect(address);
    let named = named.replace('"', "%22");
    client.send(format!(
        "POST /ofrep/v1/evaluate/flags?flagConfigEtag={named} HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: {has}\r\nContent-Length: 2\r\n\r\n{{}}"
    ));
    client
}

#[test]
fn an_evaluation_after_an_event_waits_for_its_flags_and_is_no_304_without_them() {
    let [ahead, behind] = [start(""), start("")];
    let mut stream = events(&ahead);
    let before = refetch(&mut stream)["etag"].as_str().unwrap().to_owned();
    let has = ask(&behind, "POST", "/ofrep/v1/evaluate/flags", "", "{}");
    let has = has.value("etag").unwrap();
    assert_eq!(send_refetch(&behind, &before, has).response().status, 304);
    ahead.admin("POST", "/v1/flags/planner/off", &json!({}));
    let named = refetch(&mut stream)["etag"].as_str().unwrap().to_owned();
    assert_ne!(named, before);

    // The other instance does not get it in time: it says what it has.
    let start = Instant::now();
    let late = send_refetch(&behind, &named, has).response();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!((late.status, late.value("etag")), (200, Some(has)));

    let mut waits = send_refetch(&behind, &named, has);
    behind.admin("POST", "/v1/flags/planner/off", &json!({}));
    let arrived = waits.response();
    assert_eq!(arrived.status, 200);
    let body: Value = serde_json::from_slice(&arrived.body).unwrap();
    assert_eq!(body["flags"][0]["reason"], "DISABLED");

    // What the event had is over: no wait, and no 304 either.
    ahead.admin("POST", "/v1/rollback", &json!({}));
    let over = send_refetch(&ahead, &named, has).response();
    assert_eq!((over.status, over.value("etag")), (200, Some(has)));
}

#[test]
fn an_application_reads_flags_with_its_token_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    write(&file, "a-token-of-the-application\n");
    let served = start(&format!(
        "[[ofrep.tokens]]\nfile = {:?}\n",
        file.display().to_string()
    ));
    let path = "/ofrep/v1/evaluate/flags";
    let with = |fields: &str| ask(&served, "POST", path, fields, "{}");
    for fields in [
        "",
        "Authorization: Bearer wrong-token-of-nobody\r\n",
        "X-API-Key: x\r\n",
    ] {
        let refused = with(fields);
        assert_eq!((refused.status, refused.body.len()), (401, 0), "{fields}");
    }
    assert_eq!(
        with("X-API-Key: a-token-of-the-application\r\n").status,
        200
    );
    let all = with("Authorization: Bearer a-token-of-the-application\r\n");
    let all: Value = serde_json::from_slice(&all.body).unwrap();
    let events = all["eventStreams"][0]["endpoint"]["requestUri"]
        .as_str()
        .unwrap();
    assert!(events.contains("?capability=sb1."), "{events}");
    // A browser's `EventSource` has the address and nothing else; it holds over a restart.
    let served = served.restart();
    let open = |path: &str| {
        let address = served.running.ofrep().unwrap();
        let mut client = Client::connect(address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        client.response_head()
    };
    assert!(open(events).starts_with("HTTP/1.1 200"));
    assert!(open("/ofrep/v1/events").starts_with("HTTP/1.1 401"));
    assert!(open(&events[..events.len() - 1]).starts_with("HTTP/1.1 401"));
    assert_eq!(
        ask(
            &served,
            "GET",
            "/v1/table",
            "X-API-Key: a-token-of-the-application\r\n",
            ""
        )
        .status,
        404
    );
}

#[test]
fn a_page_of_an_allowed_origin_reads_flags_and_their_tag() {
    let served = start("origins = [\"https://app.example.com\"]");
    let path = "/ofrep/v1/evaluate/flags";
    let preflight = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: POST\r\n";
    let allowed = ask(&served, "OPTIONS", path, preflight, "");
    assert_eq!(allowed.status, 204);
    let headers = allowed.value("access-control-allow-headers").unwrap();
    for name in [
        "authorization",
        "content-type",
        "if-none-match",
        "x-api-key",
    ] {
        assert!(headers.contains(name), "{headers}");
    }
    let read = ask(
        &served,
        "POST",
        path,
        "Origin: https://app.example.com\r\n",
        "{}",
    );
    assert_eq!(
        read.value("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(
        read.value("access-control-expose-headers"),
        Some("etag, retry-after")
    );
    let other = ask(
        &served,
        "POST",
        path,
        "Origin: https://evil.example\r\n",
        "{}",
    );
    assert_eq!(other.value("access-control-allow-origin"), None);
    let preflight = preflight.replace("app.example.com", "evil.example");
    assert_eq!(ask(&served, "OPTIONS", path, &preflight, "").status, 403);
}

#[test]
fn one_evaluation_too_many_is_429_and_a_bulk_one_never() {
    let served = start("rate = 5");
    let statuses: Vec<_> = (0..20)
        .map(|_| ask(&served, "POST", "/ofrep/v1/evaluate/flags/rate", "", "{}"))
        .collect();
    let refused: Vec<_> = statuses
        .iter()
        .filter(|response| response.status == 429)
        .collect();
    assert!(!refused.is_empty() && statuses[0].status == 200);
    assert_eq!(refused[0].value("retry-after"), Some("1"));
    assert_eq!(post(&served, "", &json!({})).0, 200);
}
