//! Gates: what decides, what is silent, what watches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use super::fixture::{Bench, HookServer, body, logs};
use crate::support::reply;

#[test]
fn a_gate_that_hangs_pauses_and_never_promotes_and_holds_no_way_back() {
    let server = HookServer::hanging();
    let url = server.url();
    let bench = Bench::start(&format!(
        "[hooks.short]\nurl = {url:?}\ntimeout = \"100ms\"\nretries = 1\n\
         [hooks.endless]\nurl = {url:?}\ntimeout = \"1h\"\n"
    ));
    let plan = |gate: &str| {
        format!(r#"{{"steps":[{{"weight":5,"hold":"0s","gate":"{gate}"}},{{"weight":100}}]}}"#)
    };
    let path = bench.begin(&plan("short"));
    bench.under_load(|| {
        let paused = bench.reaches(&path, "paused");
        assert_eq!(
            (&paused["paused_for"], &paused["weight"]),
            (&json!("gate"), &json!(5))
        );
        assert_eq!(paused["gate"]["decision"], "silent");
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "asked, and once more");
        assert_eq!(
            requests[0].value("webhook-id"),
            requests[1].value("webhook-id")
        );
        assert_eq!(bench.command(&path, "resume")["state"], "running");
        bench.reaches(&path, "paused");
        bench.command(&path, "rollback");

        bench.ask("DELETE", "/v1/quarantine/green", "");
        let body = format!(
            r#"{{"route":"chat","to":"green","plan":{},"force":true}}"#,
            plan("endless")
        );
        let (status, rollout) = bench.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 201, "{rollout}");
        let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
        server.gets(5);
        let begun = Instant::now();
        assert_eq!(bench.command(&path, "rollback")["state"], "rolled_back");
        assert!(begun.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn a_gate_that_says_wait_is_asked_again() {
    let server = HookServer::answering(|number| {
        let decision = if number < 2 { "wait" } else { "continue" };
        let body = json!({ "decision": decision, "reason": format!("round {number}") });
        reply(200, "", &body.to_string())
    });
    let bench = Bench::with("checks", &server, "interval = \"1s\"");
    let plan = r#"{"steps":[{"weight":50,"hold":"1s","gate":"checks"},{"weight":100}]}"#;
    let path = bench.begin(plan);
    let done = bench.under_load(|| bench.reaches(&path, "succeeded"));
    assert_eq!(done["gate"]["decision"], "continue");
    assert_eq!(done["gate"]["reason"], "round 2");
    assert!(
        logs(&done, "wait: round 0") && logs(&done, "continue: round 2"),
        "{done:#}"
    );
    let questions = server.requests();
    assert_eq!(questions.len(), 3);
    let question = body(&questions[0]);
    assert_eq!(question["type"], "rollout.gate");
    assert_eq!(question["data"]["event"], "before_promotion");
    assert_eq!(
        question["data"]["gate"],
        json!({ "name": "checks", "ready": true })
    );
    assert_eq!(
        question["data"]["next"],
        json!({ "step": null, "weight": 100 })
    );
    let ids: std::collections::BTreeSet<_> = questions
        .iter()
        .map(|request| request.value("webhook-id"))
        .collect();
    assert_eq!(ids.len(), 3, "each answered question is another one");
}

#[test]
fn a_gate_of_the_plan_is_asked_before_the_first_weight_and_before_the_last() {
    let server = HookServer::saying(r#"{"decision":"continue"}"#);
    let bench = Bench::with("checks", &server, "");
    let plan =
        r#"{"steps":[{"weight":50,"hold":"1s"},{"weight":100}],"bake":"1s","gate":"checks"}"#;
    let body_of = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
    let (status, rollout) = bench.ask("POST", "/v1/rollouts", &body_of);
    assert_eq!(
        (status, &rollout["state"]),
        (201, &json!("planned")),
        "{rollout}"
    );
    assert_eq!(rollout["weight"], 0);
    let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    bench.under_load(|| bench.reaches(&path, "succeeded"));
    let asked: Vec<_> = server
        .requests()
        .iter()
        .map(|request| body(request)["data"]["event"].clone())
        .collect();
    assert_eq!(asked, ["before_start", "before_step", "before_promotion"]);
}

#[test]
fn an_answer_that_is_no_decision_pauses() {
    for answer in [
        "ok",
        "<html>continue</html>",
        r#"{"decision":"promote"}"#,
        r#"{"continue":true}"#,
    ] {
        let server = HookServer::saying(answer);
        let bench = Bench::with("checks", &server, "retries = 0");
        let path =
            bench.begin(r#"{"steps":[{"weight":5,"hold":"0s"},{"weight":100}],"gate":"checks"}"#);
        let paused = bench.reaches(&path, "paused");
        assert_eq!(
            (&paused["paused_for"], &paused["weight"]),
            (&json!("gate"), &json!(0)),
            "{answer}"
        );
        assert!(logs(&paused, "no decision"), "{paused:#}");
        assert_eq!(
            bench.command(&path, "skip")["weight"],
            5,
            "an operator may pass it"
        );
    }
}

#[test]
fn a_gate_that_watches_takes_the_release_back_in_the_middle_of_a_step() {
    let is_bad = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&is_bad);
    let server = HookServer::answering(move |_| {
        let decision = if says.load(Ordering::Relaxed) {
            "rollback"
        } else {
            "continue"
        };
        let body = json!({ "decision": decision, "reason": "answers are wrong" });
        reply(200, "", &body.to_string())
    });
    let bench = Bench::with("watcher", &server, "watch = true\ninterval = \"1s\"");
    let path =
        bench.begin(r#"{"steps":[{"weight":5,"hold":"10m","gate":"watcher"},{"weight":100}]}"#);
    let questions = server.gets(2);
    assert_eq!(body(&questions[0])["data"]["gate"]["ready"], false);
    assert_eq!(
        bench.ask("GET", &path, "").1["weight"],
        5,
        "what watches does not hurry"
    );
    bench.command(&path, "pause");
    is_bad.store(true, Ordering::Relaxed);
    let done = bench.reaches(&path, "rolled_back");
    assert!(logs(&done, "rollback: answers are wrong"), "{done:#}");
    let (_, route) = bench.ask("GET", "/v1/routes/chat", "");
    assert_eq!(route["split"], json!({ "blue": 100, "green": 0 }));
}

#[test]
fn a_plan_names_only_gates_that_can_decide() {
    let bench = Bench::start("[hooks.team]\nurl = \"http://127.0.0.1:1/\"\nformat = \"slack\"\n");
    for (gate, why) in [("nothing", "there is no hook `nothing`"), ("team", "Slack")] {
        let plan = format!(r#"{{"steps":[{{"weight":5,"gate":"{gate}"}},{{"weight":100}}]}}"#);
        let body = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
        let (status, problem) = bench.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 422, "{problem}");
        assert_eq!(
            problem["problems"][0]["path"], "plan.steps.0.gate",
            "{problem}"
        );
        assert!(
            problem["problems"][0]["message"]
                .as_str()
                .unwrap()
                .contains(why),
            "{problem}"
        );
    }
}
