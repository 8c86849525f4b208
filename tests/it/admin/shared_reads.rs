//! Reads whose answers are shared by readers that allow some age.

use serde_json::{Value, json};

use crate::support::{Response, TestAdmin};

const FIGURES: &str = "/v1/kpis?window=60s&points=60";

fn has_age(response: &Response) -> bool {
    response.head.to_ascii_lowercase().contains("\r\nage: ")
}

/// The body of a read that allows an age of five seconds.
fn allowing(admin: &TestAdmin, path: &str) -> Vec<u8> {
    let response = admin.request("GET", path, &[("cache-control", "max-age=5")], "");
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(has_age(&response), "{path}");
    response.body
}

/// Two bodies that were read while nothing happened.
fn both(admin: &TestAdmin, read: impl Fn(&TestAdmin) -> Vec<u8>) -> [Vec<u8>; 2] {
    loop {
        let before = admin.controller.events().count();
        let bodies = [read(admin), read(admin)];
        if admin.controller.events().count() == before {
            return bodies;
        }
    }
}

#[test]
fn readers_that_allow_an_age_share_an_answer() {
    let admin = TestAdmin::start();
    let [first, second] = both(&admin, |admin| allowing(admin, FIGURES));
    assert_eq!(first, second);
    let [first, second] = both(&admin, |admin| admin.request("GET", FIGURES, &[], "").body);
    assert_ne!(first, second, "each has the time at which it was asked");
}

#[test]
fn what_has_happened_since_is_in_a_shared_answer() {
    let admin = TestAdmin::start();
    for green in 1..=5 {
        let revision = |path| {
            let body: Value = serde_json::from_slice(&allowing(&admin, path)).unwrap();
            body["revision"].clone()
        };
        assert_eq!(revision("/v1/status"), admin.revision());
        assert_eq!(revision(FIGURES), admin.revision());
        let weights = json!({ "weights": { "blue": 9, "green": green } });
        admin.done("PUT", "/v1/routes/chat/split", &weights);
    }
}

#[test]
fn an_error_and_a_change_are_nobody_elses() {
    let admin = TestAdmin::start();
    let fields = [("cache-control", "max-age=5")];
    for path in ["/v1/kpis?window=0s", "/v1/revisions"] {
        let response = admin.request("GET", path, &fields, "");
        assert!(!has_age(&response), "{path}");
    }
}
