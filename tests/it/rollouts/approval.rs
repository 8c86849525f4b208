//! Approvals: what one would do is shown while it is waited for.

use super::*;

#[test]
fn a_rollout_that_waits_for_an_approval_says_what_it_would_do() {
    let bench = Bench::start();
    let base = bench.ask("GET", "/v1/status", "").1["revision"].clone();
    let plan =
        r#"{"steps":[{"weight":20,"approval":true},{"weight":50,"hold":"10m"},{"weight":100}]}"#;
    let path = bench.begin(plan);
    let (_, begun) = bench.ask("GET", &path, "");
    assert!(begun.get("next").is_none(), "{begun:#}");
    let load = bench.load();
    let paused = bench.reaches(&path, "paused");
    drop(load);
    assert_eq!(paused["paused_for"], "approval", "{paused:#}");
    let next = &paused["next"];
    assert_eq!(next["moves"][0]["moves"][0]["share"], 0.3, "{paused:#}");
    assert_eq!(
        next["way_back"]["to"], base,
        "the whole rollout: {paused:#}"
    );
    assert!(next["words"].as_array().unwrap().len() >= 2, "{paused:#}");
    let (code, approved) = bench.ask("POST", &format!("{path}/approve"), "");
    assert_eq!((code, &approved["weight"]), (200, &json!(50)), "{approved}");
    assert!(approved.get("next").is_none(), "{approved:#}");
    assert_eq!(bench.split("chat"), json!({ "blue": 50, "green": 50 }));
}
