//! The work in flight on a release, and the wait for its end.

use std::thread;

use serde_json::Value;

use super::harness::Whole;
use crate::support::{UPGRADE, UPGRADED, wait_until};

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
pub(super) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn work_is_counted_by_class_and_revision_until_its_last_byte() {
    let proxy = Whole::start("");
    assert_eq!(proxy.work("blue")["state"], "active");
    assert_eq!(proxy.work("blue")["routes"], serde_json::json!(["chat"]));
    assert_eq!(proxy.work("green")["state"], "drained");
    let (mut unary, mut stream, mut socket) = (proxy.client(), proxy.client(), proxy.client());
    unary.send(GET);
    let mut answer = proxy.blue.next();
    stream.send(GET);
    let mut events = proxy.blue.next();
    events.send(EVENTS).chunk("data: 1\n\n");
    stream.response_head();
    socket.send(UPGRADE);
    let mut tunnel = proxy.blue.next();
    tunnel.send(UPGRADED);
    assert_eq!(socket.response().status, 101);
    assert_eq!(proxy.classes("blue"), [1, 1, 1, 0]);
    let first = proxy.work("blue")["revision"].as_u64();

    proxy.switch("green");
    let work = proxy.work("blue");
    assert_eq!(work["state"], "draining");
    assert_eq!(work["in_flight"], 3);
    let revisions = work["revisions"].as_array().unwrap();
    assert_eq!(revisions.len(), 1);
    assert_eq!(
        (
            revisions[0]["revision"].as_u64(),
            revisions[0]["count"].as_u64()
        ),
        (first, Some(3))
    );
    assert!(
        work["classes"][1]["oldest_seconds"].as_f64().is_some(),
        "{work}"
    );

    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(unary.response().text(), "ok");
    wait_until("the answer", || proxy.classes("blue") == [0, 1, 1, 0]);
    events.send("0\r\n\r\n");
    while stream.read_line() != "0\r\n" {}
    wait_until("the end of the stream", || {
        proxy.classes("blue") == [0, 0, 1, 0]
    });
    drop((tunnel, socket));
    wait_until("the end of the tunnel", || {
        proxy.work("blue")["state"] == "drained"
    });
    assert_eq!(proxy.classes("blue"), [0, 0, 0, 0]);
}

#[test]
fn a_wait_ends_with_the_last_request_or_with_its_time() {
    let proxy = Whole::start("");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    proxy.switch("green");
    let path = |timeout| format!("/v1/releases/blue/work?wait=drained&timeout={timeout}");
    let (status, work) = proxy.admin("GET", &path("50ms"), &Value::Null);
    assert_eq!((status, &work["state"]), (504, &"draining".into()));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| proxy.admin("GET", &path("60s"), &Value::Null));
        answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let (status, work) = waiting.join().unwrap();
        assert_eq!((status, &work["state"]), (200, &"drained".into()));
    });
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_version_that_was_replaced_has_work_of_its_own() {
    let proxy = Whole::start("");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    let url = proxy.green.origin.url();
    let release = serde_json::json!({ "version": "2", "endpoints": [url] });
    proxy.done("PUT", "/v1/releases/blue", &release);
    let work = proxy.work("blue");
    assert_eq!(
        (&work["version"], &work["in_flight"]),
        (&"2".into(), &0.into())
    );
    assert_eq!(work["other_versions"], serde_json::json!(["1"]));
    let old = proxy.done("GET", "/v1/releases/blue/work?version=1", &Value::Null);
    assert_eq!(
        (&old["version"], &old["state"]),
        (&"1".into(), &"draining".into())
    );
    let (status, problem) = proxy.admin("GET", "/v1/releases/blue/work?version=7", &Value::Null);
    assert_eq!(status, 404);
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .ends_with("unknown-version"),
        "{problem}"
    );
    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
}
