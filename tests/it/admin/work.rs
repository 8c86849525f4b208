//! The endpoint for the work in flight, and the subcommand that waits for its end.

use serde_json::Value;

use crate::support::{
    TestAdmin,
    cli::{run_failing, run_ok},
};

#[test]
fn a_wait_that_makes_no_sense_is_refused_with_a_hint() {
    let admin = TestAdmin::start();
    for (query, hint) in [
        ("timeout=1s", "add `wait=drained`"),
        ("wait=drained&timeout=2m", "wait again"),
    ] {
        let path = format!("/v1/releases/blue/work?{query}");
        let (status, problem) = admin.json("GET", &path, &Value::Null);
        assert_eq!((status, &problem["hint"]), (400, &hint.into()), "{query}");
    }
    for query in ["wait=soon", "drained", "version=a%20b"] {
        let path = format!("/v1/releases/blue/work?{query}");
        assert_eq!(admin.json("GET", &path, &Value::Null).0, 400, "{query}");
    }
    let (status, problem) = admin.json("GET", "/v1/releases/gren/work", &Value::Null);
    assert_eq!(
        (status, &problem["hint"]),
        (404, &"did you mean `green`?".into())
    );
}

#[test]
fn a_drain_says_what_is_in_flight_and_its_exit_status_what_came_of_it() {
    let admin = TestAdmin::start();
    assert_eq!(run_ok(&admin, &["drain", "blue"]), "blue 1.0.0  active\n");
    assert_eq!(
        run_ok(&admin, &["drain", "green", "--wait"]),
        "green 2.0.0  drained\n"
    );
    let (exit, error) = run_failing(&admin, &["drain", "blue", "--wait"]);
    assert_eq!(exit, Some(65));
    assert!(
        error.contains("`blue` still gets requests, from `chat`"),
        "{error}"
    );
    let (exit, error) = run_failing(&admin, &["drain", "gren"]);
    assert_eq!(exit, Some(65));
    assert!(error.contains("did you mean `green`?"), "{error}");
    // A request that never ends.
    let green = &admin.controller.live().compiled().releases()["green"].clone();
    let held = green
        .roster()
        .pick(&switchback::fleet::Pick::random(0, 0, 0))
        .unwrap();
    let (exit, error) = run_failing(&admin, &["drain", "green", "--wait", "--timeout", "100ms"]);
    assert_eq!(exit, Some(75));
    assert!(
        error.contains("`green` is not drained after 100ms"),
        "{error}"
    );
    drop(held);
    let json = run_ok(&admin, &["drain", "green", "--wait", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap()["state"],
        "drained"
    );
}
