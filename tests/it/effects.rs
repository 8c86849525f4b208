//! Effects of revisions from end to end.

use serde_json::{Value, json};

use crate::{
    kpis::{cli, get, requests, served},
    support::{cli::stdout, wait_until},
};

#[test]
fn a_switch_away_from_a_bad_release_has_helped() {
    let (served, _origins) = served();
    // The import of the file is a revision too, and what came before it is not compared.
    wait_until("some seconds are over", || {
        get(&served, "/v1/kpis")["window_seconds"].as_u64() >= Some(3)
    });
    requests(&served, 400);
    let body = json!({ "to": "blue", "message": "green is bad" });
    let receipt = served.done("POST", "/v1/routes/chat/switch", &body);
    let path = format!("/v1/revisions/{}/effect", receipt["revision"]);
    wait_until("the revision is seen", || {
        get(&served, &path)["state"] != "not_known"
    });
    requests(&served, 400);
    // The second of the revision is in neither time, and some of these may be in it.
    wait_until("the time after has requests", || {
        served.client().get("/");
        get(&served, &path)["routes"][0]["after"]["kpis"]["requests"]
            .as_u64()
            .is_some_and(|count| count > 200)
    });
    let effect = get(&served, &path);
    assert_eq!(
        (&effect["state"], &effect["cause"]),
        (&json!("measuring"), &json!("publish"))
    );
    check_route(&effect["routes"][0]);
    let words = effect["words"].as_str().unwrap();
    assert!(
        words.starts_with("improved: chat fails 0.0 % (0 of "),
        "{words}"
    );
    assert!(words.contains(" percentage points less; p95 "), "{words}");
    let shown = stdout(&cli(&served, &["effect"]));
    assert!(
        shown.contains("still measuring") && shown.contains("improved: "),
        "{shown}"
    );
    let row = |start: &str| shown.lines().any(|line| line.starts_with(start));
    assert!(row("chat   green (2)  after"), "{shown}");
    let back = served.done("POST", "/v1/rollback", &Value::Null);
    let path = format!("/v1/revisions/{}/effect", back["revision"]);
    wait_until("the rollback is seen", || {
        get(&served, &path)["state"] != "not_known"
    });
    let effect = get(&served, &path);
    assert_eq!(
        effect["routes"][0]["before"]["bounded_by"],
        receipt["revision"]
    );
    assert_eq!(effect["verification"]["id"], back["revision"].to_string());
}

fn check_route(route: &Value) {
    assert_eq!(
        (&route["route"], &route["finding"]),
        (&json!("chat"), &json!("improved"))
    );
    let difference = route["failure_share"]["difference"].as_f64().unwrap();
    assert!(difference < -0.15, "{route:#}");
    let green = &route["releases"][1];
    assert_eq!(
        (&green["release"], &green["share_before"]),
        (&json!("green"), &json!(0.5))
    );
    assert_eq!(
        (&green["share_after"], &green["after"]["requests"]),
        (&json!(0.0), &json!(0))
    );
}

#[test]
fn what_is_not_known_says_why() {
    let (served, _origins) = served();
    let (status, unknown) = served.admin("GET", "/v1/revisions/999/effect", &Value::Null);
    assert_eq!(status, 404, "{unknown}");
    let served = served.restart();
    let effect = get(&served, "/v1/revisions/1/effect");
    assert_eq!(effect["state"], "not_known");
    assert_eq!(
        effect["words"],
        "it was live before this switchback was started"
    );
}
