//! The contract of "drained": an old fleet that is stopped then loses nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::harness::Whole;
use super::work::GET;
use crate::support::{Client, Origin, wait_until};

/// Rounds in each of which a new fleet takes over and the old one is stopped.
const ROUNDS: u64 = 200;

/// Sends requests that may be executed once only, one after the other until the end; each must be answered.
fn load(proxy: &Whole, ended: &AtomicBool, answered: &AtomicU64) {
    let mut client = proxy.client();
    while !ended.load(Ordering::Relaxed) {
        let response = client.post("/", b"once");
        assert_eq!(response.status, 200, "{}", response.head);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Puts a fleet in place of the other release, gives it everything, and waits until the old one is drained.
fn take_over(proxy: &Whole, round: u64, fleet: &Origin) {
    let (new, old) = if round.is_multiple_of(2) {
        ("blue", "green")
    } else {
        ("green", "blue")
    };
    let body = json!({ "version": round.to_string(), "endpoints": [fleet.url()] });
    proxy.done("PUT", &format!("/v1/releases/{new}"), &body);
    let receipt = proxy.switch(new);
    assert!(receipt["converged_at"].is_string(), "{receipt}");
    let work = format!("/v1/releases/{old}/work?wait=drained");
    assert_eq!(proxy.done("GET", &work, &Value::Null)["state"], "drained");
}

#[test]
fn an_old_fleet_that_is_stopped_once_it_has_drained_loses_nothing() {
    let first = Origin::replying("ok");
    let proxy = Whole::start("");
    let body = json!({ "version": "0", "endpoints": [first.url()] });
    proxy.done("PUT", "/v1/releases/green", &body);
    proxy.switch("green");
    let (ended, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    // The last fleet stays until the last response has come.
    let (mut old, mut executed) = (first, 0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load(&proxy, &ended, &answered));
        }
        for round in 2..ROUNDS + 2 {
            let new = Origin::replying("ok");
            take_over(&proxy, round, &new);
            let drained = std::mem::replace(&mut old, new);
            executed += drained.requests().len();
            // It stops listening, and closes its connections.
            drop(drained);
        }
        ended.store(true, Ordering::Relaxed);
    });
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered > ROUNDS, "there was load");
    executed += old.requests().len();
    assert_eq!(executed as u64, answered, "each is executed once");
    // None was saved by another attempt either.
    let mut failed = proxy.counters("switchback_failed_attempts_total");
    failed.retain(|count| !count.ends_with(" 0"));
    assert_eq!(failed, [""; 0]);
}

#[test]
fn a_receipt_waits_until_what_left_has_drained_or_its_time_is_over() {
    let proxy = Whole::start("");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    let switch = |to: &str, query: &str| {
        proxy.done(
            "POST",
            &format!("/v1/routes/chat/switch?{query}"),
            &json!({ "to": to }),
        )
    };
    let receipt = switch("green", "wait=drained&timeout=50ms");
    assert_eq!(receipt["drained"], false);
    assert_eq!(receipt["in_flight_on_previous"], 1);
    assert!(receipt["converged_at"].is_string());
    switch("blue", "wait=converged");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| switch("green", "wait=drained&timeout=60s"));
        answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(waiting.join().unwrap()["drained"], true);
    });
    assert_eq!(client.response().text(), "ok");
    let receipt = proxy.done("POST", "/v1/rollback?wait=drained", &json!({}));
    assert_eq!(receipt["drained"], true, "nothing was in flight");
    for (path, body) in [
        ("/v1/rollback?wait=5s", json!({})),
        ("/v1/rollback?timeout=5s", json!({})),
        ("/v1/rollback?wait=fleet", json!({})),
        (
            "/v1/routes/chat/switch?dry_run&wait=drained",
            json!({ "to": "green" }),
        ),
    ] {
        let (status, problem) = proxy.admin("POST", path, &body);
        assert_eq!(status, 422, "{path}: {problem}");
        assert!(problem["hint"].is_string(), "{path}: {problem}");
    }
}

#[test]
fn a_release_with_work_in_flight_is_removed_by_force_alone() {
    // Without warm revisions nothing else needs it.
    let proxy = Whole::with("[rollback]\nwarm_revisions = 0\n", "");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    let body = json!({ "weights": { "green": 1 }, "drop": true });
    proxy.done("PUT", "/v1/routes/chat/split", &body);
    let remove =
        |query: &str| proxy.admin("DELETE", &format!("/v1/releases/blue{query}"), &Value::Null);
    let (status, problem) = remove("");
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .ends_with("release-wanted"),
        "{problem}"
    );
    assert_eq!(remove("?force=true").0, 200);
    assert_eq!(
        proxy.work("blue")["state"],
        "draining",
        "it is known until its work ends"
    );
    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_release_whose_work_has_ended_is_removed_without_force() {
    let proxy = Whole::with("[rollback]\nwarm_revisions = 0\n", "");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    let body = json!({ "weights": { "green": 1 }, "drop": true });
    proxy.done("PUT", "/v1/routes/chat/split", &body);
    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    let work = "/v1/releases/blue/work?wait=drained";
    assert_eq!(proxy.done("GET", work, &Value::Null)["state"], "drained");
    proxy.done("DELETE", "/v1/releases/blue", &Value::Null);
}

#[test]
fn sessions_that_their_policy_keeps_hold_a_release() {
    let policies = [
        ("pins = [{ header = \"sid\" }]", "keep", "draining"),
        ("agent_protocol = \"mcp\"", "keep", "draining"),
        ("agent_protocol = \"a2a\"", "keep", "draining"),
        ("agent_protocol = \"a2a\"", "move", "drained"),
        ("pins = [{ header = \"sid\" }]", "keep for 50ms", "drained"),
        ("pins = [{ header = \"sid\" }]", "move", "drained"),
    ];
    for (pins, policy, state) in policies {
        let proxy = Whole::start(&format!(
            "{pins}\n[routes.in_flight.switch]\nsession = {policy:?}\n"
        ));
        proxy.switch("green");
        let path = "/v1/releases/blue/work?wait=drained&timeout=300ms";
        let (_, work) = proxy.admin("GET", path, &Value::Null);
        assert_eq!(work["state"], state, "{pins} {policy}: {work}");
        let sessions = json!(["chat"]);
        let kept = (state == "draining").then_some(&sessions);
        assert_eq!(work.get("sessions"), kept, "{pins} {policy}");
    }
}

#[test]
fn sessions_of_a_version_that_was_replaced_do_not_hold_it() {
    let proxy = Whole::start("pins = [{ header = \"sid\" }]");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    proxy.switch("green");
    let body = json!({ "version": "2", "endpoints": [proxy.green.origin.url()] });
    proxy.done("PUT", "/v1/releases/blue", &body);
    thread::scope(|scope| {
        let path = "/v1/releases/blue/work?version=1&wait=drained&timeout=60s";
        let waiting = scope.spawn(|| proxy.done("GET", path, &Value::Null));
        answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(waiting.join().unwrap()["state"], "drained");
    });
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_release_that_others_fall_back_to_is_not_drained() {
    let proxy = Whole::start("fallback = \"stable\"");
    let body = json!({ "weights": { "blue": 0, "green": 1 } });
    proxy.done("PUT", "/v1/routes/chat/split", &body);
    let work = proxy.work("blue");
    assert_eq!(
        (&work["state"], &work["routes"]),
        (&"active".into(), &json!(["chat"]))
    );
}

#[test]
fn a_change_that_changed_nothing_says_nothing_of_what_drained() {
    let proxy = Whole::start("");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    proxy.switch("green");
    let path = "/v1/routes/chat/switch?wait=drained&timeout=60s";
    let receipt = proxy.done("POST", path, &json!({ "to": "green" }));
    assert_eq!(receipt["changed"], false);
    assert_eq!(receipt.get("drained"), None, "{receipt}");
    assert!(receipt["converged_at"].is_string(), "{receipt}");
    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_repeat_of_a_change_does_not_wait_for_the_wait_of_the_first() {
    let proxy = Whole::start("");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    let address = proxy.running.admin();
    let body = r#"{"to":"green"}"#;
    let switch = || {
        let mut client = Client::connect(address);
        client.send(format!(
            "POST /v1/routes/chat/switch?wait=drained&timeout=60s HTTP/1.1\r\nhost: {address}\r\n\
             content-type: application/json\r\nidempotency-key: once\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        client
    };
    let mut first = switch();
    wait_until("the switch", || proxy.work("blue")["state"] == "draining");
    let repeat = switch().response();
    assert_eq!(repeat.value("idempotency-replayed"), Some("true"));
    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    let waited: Value = serde_json::from_slice(&first.response().body).unwrap();
    assert_eq!(waited["drained"], true);
}
