//! The endpoint for the work in flight, and the subcommand that waits for its end.

use std::thread;

use serde_json::Value;
use switchback::fleet::{InFlight, Pick};

use crate::support::{
    TestAdmin,
    cli::{run_failing, run_ok},
};

/// A request that never ends, on green.
fn held_by_green(admin: &TestAdmin) -> InFlight {
    let live = admin.controller.live();
    let green = &live.compiled().releases()["green"];
    green.roster().pick(&Pick::random(0, 0, 0)).unwrap()
}

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
    let problem = admin
        .json("POST", "/v1/rollback?wait=drain", &Value::Null)
        .1;
    let expected = "wait: `drain` is neither `converged`, nor `drained`, nor `fleet`, nor a time such as `30s`";
    assert_eq!(problem["detail"], expected);
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
    assert_eq!(
        run_ok(&admin, &["drain", "blue"]),
        "blue 1.0.0  active\ngets requests from `chat`\n"
    );
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
    let held = held_by_green(&admin);
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

#[test]
fn a_drain_waits_itself_where_too_many_others_wait() {
    let admin = TestAdmin::start();
    let held = held_by_green(&admin);
    let path = "/v1/releases/green/work?wait=drained&timeout=60s";
    let (answer, answers) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..33 {
            let (admin, answer) = (&admin, answer.clone());
            scope.spawn(move || answer.send(admin.json("GET", path, &Value::Null).0));
        }
        assert_eq!(answers.recv(), Ok(503), "the others wait");
        let command = ["drain", "green", "--wait", "--timeout", "100ms"];
        let (exit, error) = run_failing(&admin, &command);
        assert_eq!(exit, Some(75));
        let expected = "`green` is not drained after 100ms: 1 request in flight";
        assert!(error.contains(expected), "{error}");
        drop(held);
        assert!(answers.iter().take(32).all(|status| status == 200));
    });
}

#[test]
fn a_drain_may_wait_for_longer_than_the_clock_reaches() {
    let admin = TestAdmin::start();
    let endless = format!("{}s", u64::MAX);
    let drained = run_ok(&admin, &["drain", "green", "--wait", "--timeout", &endless]);
    assert_eq!(drained, "green 2.0.0  drained\n");
}
