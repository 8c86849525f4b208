//! Data guards: releases that declare that the way back from them is not safe for their data.

use std::{fs::File, io::Write as _, path::Path};

use serde_json::{Value, json};

use crate::support::{
    Origin, Served, TestAdmin,
    cli::{file, run_failing, run_ok},
};

/// Gives green a declaration about the way back.
fn declare(admin: &TestAdmin, rollback: &Value) {
    let release =
        json!({ "version": "2.0.0", "endpoints": ["http://127.0.0.1:2"], "rollback": rollback });
    admin.done("PUT", "/v1/releases/green", &release);
}

fn schema_12() -> Value {
    json!({ "allowed": false, "reason": "schema 12" })
}

fn is_refused((code, problem): &(u16, Value), reason: &str) -> bool {
    let kind = problem["type"].as_str().unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_default();
    *code == 409 && kind.ends_with("rollback-not-allowed") && detail.contains(reason)
}

fn add_red(admin: &TestAdmin) {
    let release = json!({ "version": "3", "endpoints": ["http://127.0.0.1:3"] });
    admin.done("PUT", "/v1/releases/red", &release);
}

#[test]
fn what_its_operator_declares_unsafe_is_not_left_without_force() {
    let admin = TestAdmin::start();
    declare(&admin, &schema_12());
    let before = admin.revision();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let live = admin.revision();
    let percent = json!({ "percent": { "blue": 100, "green": 0 } });
    for (method, path, body) in [
        ("POST", "/v1/rollback", Value::Null),
        ("POST", "/v1/rollback", json!({ "to": before })),
        ("POST", "/v1/rollback?dry_run=true", Value::Null),
        ("POST", "/v1/routes/chat/rollback", Value::Null),
        ("POST", "/v1/routes/chat/switch", json!({ "to": "blue" })),
        (
            "POST",
            "/v1/routes/chat/switch?dry_run=true",
            json!({ "to": "blue" }),
        ),
        ("PATCH", "/v1/routes/chat/split", percent),
        (
            "POST",
            "/v1/rollouts",
            json!({ "route": "chat", "to": "blue" }),
        ),
        (
            "POST",
            "/v1/changes",
            json!({ "changes": [{ "route": "chat", "switch": "blue" }] }),
        ),
    ] {
        let refusal = admin.json(method, path, &body);
        assert!(
            is_refused(&refusal, "schema 12"),
            "{method} {path}: {refusal:?}"
        );
    }
    assert_eq!(admin.revision(), live);
    let guard = &admin.get("/v1/status")["rollback"]["guards"][0];
    assert_eq!(
        (&guard["release"], &guard["to"]),
        (&json!("green"), &json!(["blue"]))
    );
    let dry_run = admin.done("POST", "/v1/rollback?dry_run=true&force=true", &Value::Null);
    assert_eq!(dry_run["guards"][0]["reason"], "schema 12", "{dry_run:#}");
    let receipt = admin.done("POST", "/v1/rollback?force=true", &Value::Null);
    assert_eq!(receipt["changed"], true);
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
    // Nothing is left to be crossed.
    add_red(&admin);
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "red" }));
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "blue" }));
}

#[test]
fn a_newer_release_is_the_way_forward_and_an_earlier_one_is_not() {
    let admin = TestAdmin::start();
    declare(&admin, &schema_12());
    let before = admin.revision();
    let half = json!({ "percent": { "green": 50 } });
    admin.done("PATCH", "/v1/routes/chat/split", &half);
    let refusal = admin.json("POST", "/v1/routes/chat/abort", &Value::Null);
    assert!(is_refused(&refusal, "schema 12"), "{refusal:?}");
    // A part of it beside the earlier one is not the way back.
    admin.done(
        "PATCH",
        "/v1/routes/chat/split",
        &json!({ "percent": { "green": 25 } }),
    );
    add_red(&admin);
    let whole = json!({ "weights": { "red": 1, "blue": 0, "green": 0 } });
    admin.done("PUT", "/v1/routes/chat/split", &whole);
    let refusal = admin.json("POST", "/v1/rollback", &json!({ "to": before }));
    assert!(
        is_refused(&refusal, "`green` in version `2.0.0`"),
        "{refusal:?}"
    );
    admin.done("POST", "/v1/rollback", &Value::Null);
    assert_eq!(admin.split("chat"), json!({ "blue": 75, "green": 25 }));
}

#[test]
fn an_edited_file_does_not_cross_a_guard() {
    let admin = TestAdmin::start();
    declare(&admin, &schema_12());
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let mut table = admin.get("/v1/table");
    table["routes"][0]["split"] = json!({ "blue": 1, "green": 0 });
    let edited = json!({ "releases": table["releases"], "routes": table["routes"] });
    for path in ["/v1/import?wins=file&dry_run=true", "/v1/import?wins=file"] {
        let refusal = admin.json("POST", path, &edited);
        assert!(is_refused(&refusal, "schema 12"), "{path}: {refusal:?}");
    }
    admin.done("POST", "/v1/import?wins=file&force=true", &edited);
    assert_eq!(admin.split("chat")["green"], 0);
}

#[test]
fn a_plan_warns_before_the_release_has_had_requests() {
    let admin = TestAdmin::start();
    declare(&admin, &schema_12());
    let planned = run_ok(&admin, &["plan", "rollout", "chat", "green"]);
    let warning = "once it has had requests, `green` in version `2.0.0` does not allow the way back to `blue` on `chat`: schema 12";
    assert!(planned.contains(warning), "{planned}");
    run_ok(&admin, &["switch", "chat", "green"]);
    let status = run_ok(&admin, &["status"]);
    assert!(
        status.contains("does not allow the way back to `blue`"),
        "{status}"
    );
    let (code, error) = run_failing(&admin, &["rollback"]);
    assert_eq!(code, Some(65), "{error}");
    assert!(
        error.contains("schema 12") && error.contains("`--force`"),
        "{error}"
    );
    run_ok(&admin, &["rollback", "--force"]);
}

#[test]
fn another_version_of_the_same_release_is_another_release() {
    let admin = TestAdmin::start();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let newer =
        json!({ "version": "2.1.0", "endpoints": ["http://127.0.0.1:2"], "rollback": schema_12() });
    admin.done("PUT", "/v1/releases/green", &newer);
    let refusal = admin.json("POST", "/v1/rollback", &Value::Null);
    assert!(
        is_refused(&refusal, "`green` in version `2.1.0`"),
        "{refusal:?}"
    );
    // What it declares now counts.
    let allowed = json!({ "version": "2.1.0", "endpoints": ["http://127.0.0.1:2"] });
    admin.done("PUT", "/v1/releases/green", &allowed);
    admin.done("POST", "/v1/rollback", &json!({ "step": true }));
    let refusal = admin.json("POST", "/v1/rollback", &Value::Null);
    assert!(is_refused(&refusal, "schema 12"), "{refusal:?}");
}

/// A proxy whose green asks a check: what a file says.
fn checked(folder: &Path, hook: &str) -> (Served, [Origin; 2]) {
    let origins = [Origin::replying("blue"), Origin::replying("green")];
    let [blue, green] = origins.each_ref().map(Origin::url);
    let answer = folder.join("answer");
    let hook = hook.replace("FILE", &answer.display().to_string());
    let served = Served::start(&format!(
        "[hooks.schema]\n{hook}\n\
         [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\nrollback = {{ check = \"schema\" }}\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n"
    ));
    (served, origins)
}

fn say(folder: &Path, text: &str) {
    let mut answer = File::create(folder.join("answer")).unwrap();
    answer.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_check_decides_about_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (served, _origins) = checked(folder, "command = [\"/bin/cat\", \"FILE\"]");
    let switch = json!({ "to": "green" });
    let back = |query: &str| served.admin("POST", &format!("/v1/rollback{query}"), &Value::Null);
    served.done("POST", "/v1/routes/chat/switch", &switch);
    let dry_run = back("?dry_run=true").1;
    assert_eq!(dry_run["guards"][0]["check"], "schema", "{dry_run:#}");
    say(
        folder,
        r#"{"decision":"wait","reason":"the backfill runs"}"#,
    );
    let refusal = back("");
    assert!(is_refused(&refusal, "the backfill runs"), "{refusal:?}");
    say(folder, "no decision");
    assert!(is_refused(&back(""), "the answer is no decision"));
    say(folder, r#"{"decision":"continue"}"#);
    assert_eq!(back("").0, 200);
    // A switch asks as well, and an abort.
    served.done("POST", "/v1/routes/chat/switch", &switch);
    say(folder, r#"{"decision":"wait"}"#);
    let refusal = served.admin("POST", "/v1/routes/chat/switch", &json!({ "to": "blue" }));
    assert!(is_refused(&refusal, "it gave no reason"), "{refusal:?}");
    assert_eq!(back("?force=true").0, 200, "force asks no one");
    let calls = served.counters("switchback_hook_calls_total");
    let said = |what: &str| {
        calls
            .iter()
            .any(|line| line.starts_with(&format!("schema {what}")))
    };
    assert!(
        said("wait 2") && said("continue 1") && said("silent"),
        "{calls:?}"
    );
}

#[test]
fn a_check_that_hangs_refuses_after_its_timeout_and_force_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let hook = "command = [\"/bin/sleep\", \"600\"]\ntimeout = \"100ms\"";
    let (served, _origins) = checked(folder.path(), hook);
    served.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let refusal = served.admin("POST", "/v1/rollback", &Value::Null);
    assert!(
        is_refused(&refusal, "the check `schema` does, and it does not"),
        "{refusal:?}"
    );
    served.done("POST", "/v1/rollback?force=true", &Value::Null);
}

#[test]
fn a_guard_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (served, _origins) = checked(folder, "command = [\"/bin/cat\", \"FILE\"]");
    served.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let served = served.restart();
    say(folder, r#"{"decision":"wait","reason":"not yet"}"#);
    let refusal = served.admin("POST", "/v1/rollback", &Value::Null);
    assert!(is_refused(&refusal, "not yet"), "{refusal:?}");
}

#[test]
fn a_check_that_is_no_hook_is_a_problem_of_the_file() {
    let admin = TestAdmin::start();
    let config = file(
        &admin,
        "bad.toml",
        "[releases.blue]\nendpoints = [\"http://127.0.0.1:1\"]\nrollback = { check = \"schema\" }\n\
         [[routes]]\nname = \"chat\"\nsplit = { blue = 1 }\n",
    );
    let (code, problems) = run_failing(&admin, &["check", &config]);
    assert_eq!(code, Some(78), "{problems}");
    assert!(
        problems.contains("releases.blue.rollback.check"),
        "{problems}"
    );
    assert!(problems.contains("there is no hook `schema`"), "{problems}");
}
