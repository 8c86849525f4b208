//! Feature flags: over the API, on the command line, and in the history.

use serde_json::{Value, json};
use switchback::{
    control::{ControlError, Expected, RollbackTo},
    model::{Cause, Change, Revision},
};

use crate::{
    controller_fixture::{ControllerFixture, change, folder, history_path},
    support::{
        TestAdmin,
        cli::{file, run_failing, run_ok},
    },
};

fn boolean(rules: &Value) -> Value {
    json!({ "type": "boolean", "variants": { "on": true, "off": false }, "default": "off", "rules": rules })
}

fn half() -> Value {
    boolean(&json!([{ "split": { "on": 50, "off": 50 } }]))
}

/// The users, of a hundred, that have the variant `on`.
fn users(admin: &TestAdmin) -> Vec<usize> {
    let is_on = |user: &usize| {
        let found = admin.get(&format!("/v1/flags/planner/evaluate?key=user-{user}"));
        found["variant"] == "on"
    };
    (0..100).filter(is_on).collect()
}

#[test]
fn a_flag_is_added_patched_switched_and_rolled_back() {
    let admin = TestAdmin::start();
    let receipt = admin.done("PUT", "/v1/flags/planner", &half());
    assert_eq!(receipt["diff"][0]["path"], "flags.planner");
    let before = users(&admin);
    let rules = json!({ "rules": [{ "split": { "on": 75, "off": 25 } }], "owner": "search" });
    admin.done("PATCH", "/v1/flags/planner", &rules);
    let grown = users(&admin);
    assert!(before.iter().all(|user| grown.contains(user)) && grown.len() > before.len());
    admin.done(
        "POST",
        "/v1/flags/planner/off",
        &json!({ "message": "errors" }),
    );
    let found = admin.get("/v1/flags/planner/evaluate?key=user-1");
    assert_eq!(
        (&found["reason"], &found["value"]),
        (&json!("DISABLED"), &json!(false))
    );
    admin.done("POST", "/v1/flags/planner/rollback", &json!({}));
    assert_eq!(
        users(&admin),
        grown,
        "the way back restores every assignment"
    );
    admin.done("POST", "/v1/flags/planner/rollback", &json!({}));
    assert_eq!(users(&admin), before);
    let flag = admin.get("/v1/flags/planner");
    assert_eq!((&flag["state"], flag.get("owner")), (&json!("on"), None));
    let (status, nothing) = admin.json("POST", "/v1/flags/planner/rollback", &json!({}));
    assert_eq!(
        (status, &nothing["type"]),
        (409, &json!("urn:switchback:problem:nothing-to-undo"))
    );
    admin.done("DELETE", "/v1/flags/planner", &Value::Null);
    let (status, problem) = admin.json("GET", "/v1/flags/planner", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (404, &json!("urn:switchback:problem:unknown-flag"))
    );
    assert_eq!(admin.get("/v1/flags")["flags"], json!({}));
}

#[test]
fn a_batch_changes_a_split_and_a_flag_and_one_rollback_undoes_both() {
    let admin = TestAdmin::start();
    admin.done("PUT", "/v1/flags/planner", &half());
    let (split, flag) = (admin.split("chat"), admin.get("/v1/flags/planner"));
    let changes = json!({ "changes": [
        { "route": "chat", "split": { "green": 5 } },
        { "flag": "planner", "patch": { "state": "off" } },
        { "flag": "model", "put": { "type": "string", "variants": { "a": "x" }, "default": "a" } },
    ] });
    let receipt = admin.done("POST", "/v1/changes", &changes);
    assert_eq!(receipt["revision"], admin.revision());
    assert_eq!(admin.get("/v1/flags/planner")["state"], "off");
    admin.done("POST", "/v1/rollback", &json!({}));
    assert_eq!(
        (admin.split("chat"), admin.get("/v1/flags/planner")),
        (split, flag)
    );
    let wrong = json!({ "changes": [
        { "flag": "planer", "state": "on" },
        { "flag": "planner", "patch": { "default": "of" } },
    ] });
    let (status, problem) = admin.json("POST", "/v1/changes", &wrong);
    assert_eq!(status, 409, "{problem}");
    let paths: Vec<_> = problem["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].clone())
        .collect();
    assert_eq!(paths, ["changes[0]", "changes[1].default"]);
    assert_eq!(problem["problems"][0]["hint"], "did you mean `planner`?");
}

#[test]
fn a_flag_that_was_changed_since_is_not_overwritten_and_another_one_does_not_matter() {
    let admin = TestAdmin::start();
    admin.done("PUT", "/v1/flags/planner", &half());
    let base = format!("\"{}\"", admin.revision());
    admin.done("PUT", "/v1/flags/other", &half());
    let fields = [("If-Match", base.as_str())];
    let off = |path: &str| admin.json_with("POST", path, &fields, &json!({}));
    assert_eq!(off("/v1/flags/planner/off").0, 200);
    let (status, problem) = off("/v1/flags/planner/on");
    assert_eq!(status, 412, "{problem}");
    assert_eq!(problem["since"].as_array().unwrap().len(), 1);
}

#[test]
fn bad_flags_are_refused_with_the_place_of_each_mistake() {
    let admin = TestAdmin::start();
    let mut flag = half();
    flag["default"] = json!("of");
    let (status, problem) = admin.json("PUT", "/v1/flags/planner", &flag);
    assert_eq!(
        (status, &problem["problems"][0]["path"]),
        (409, &json!("flags.planner.default"))
    );
    for wrong in [
        json!({ "type": "boolean" }),
        json!([]),
        json!({ "colour": 1 }),
    ] {
        let (status, problem) = admin.json("PUT", "/v1/flags/planner", &wrong);
        assert_eq!(status, 422, "{problem}");
    }
    admin.done("PUT", "/v1/flags/planner", &half());
    let (status, problem) = admin.json("GET", "/v1/flags/planner/evaluate", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("urn:switchback:problem:key-missing"))
    );
    let (status, problem) = admin.json("PATCH", "/v1/flags/planner", &json!({ "colour": "blue" }));
    assert_eq!(
        (status, &problem["problems"][0]["path"]),
        (409, &json!("flags.planner"))
    );
    // Nothing of it is live.
    assert_eq!(admin.get("/v1/flags/planner")["default"], "off");
}

#[test]
fn the_status_names_flags_that_are_stale() {
    let admin = TestAdmin::start();
    let mut flag = half();
    flag["expires"] = json!("2020-01-31");
    flag["owner"] = json!("search");
    admin.done("PUT", "/v1/flags/planner", &flag);
    admin.done("PUT", "/v1/flags/other", &half());
    let status = admin.get("/v1/status");
    let stale = json!([{ "flag": "planner", "expired": "2020-01-31", "owner": "search" }]);
    assert_eq!(
        (&status["stale_flags"], &status["totals"]["flags"]),
        (&stale, &json!(2))
    );
    let shown = run_ok(&admin, &["status"]);
    assert!(
        shown.contains("stale flag: planner, expired on 2020-01-31 (search)"),
        "{shown}"
    );
}

#[test]
fn the_command_line_sets_rolls_out_and_evaluates_a_flag() {
    let admin = TestAdmin::start();
    run_ok(
        &admin,
        &[
            "flag",
            "set",
            "planner",
            "--owner",
            "search",
            "--expires",
            "2099-01-31",
        ],
    );
    run_ok(&admin, &["flag", "rollout", "planner", "on=25"]);
    assert_eq!(
        admin.get("/v1/flags/planner")["rules"],
        json!([{ "split": { "on": 1, "off": 3 } }])
    );
    let few = users(&admin);
    run_ok(&admin, &["flag", "rollout", "planner", "on=50"]);
    let more = users(&admin);
    assert!(few.iter().all(|user| more.contains(user)) && more.len() > few.len());
    let listed = run_ok(&admin, &["flag", "list"]);
    assert!(
        listed.contains("planner") && listed.contains("2099-01-31"),
        "{listed}"
    );
    let off = run_ok(&admin, &["flag", "off", "planner", "-m", "errors"]);
    assert!(off.contains("flags.planner.state"), "{off}");
    let found = run_ok(
        &admin,
        &[
            "flag", "evaluate", "planner", "--key", "user-1", "--attr", "plan=pro",
        ],
    );
    assert!(
        found.starts_with("off = false   DISABLED, revision "),
        "{found}"
    );
    let back = run_ok(&admin, &["flag", "rollback", "planner"]);
    assert!(back.contains("flag planner = revision"), "{back}");
    assert_eq!(users(&admin), more);
    assert!(run_ok(&admin, &["history"]).contains("rollback of flag planner to"));
    let text = run_ok(&admin, &["flag", "show", "planner"]);
    run_ok(&admin, &["flag", "remove", "planner"]);
    let path = file(&admin, "planner.toml", &text);
    run_ok(&admin, &["flag", "set", "planner", "--file", &path]);
    assert_eq!(users(&admin), more);
    let (code, error) = run_failing(&admin, &["flag", "evaluate", "planner"]);
    assert!(code == Some(65) && error.contains("add `--key`"), "{error}");
    let (code, error) = run_failing(&admin, &["flag", "on", "planer"]);
    assert!(
        code == Some(65) && error.contains("did you mean `planner`?"),
        "{error}"
    );
}

fn put(name: &str, default: &str) -> Change {
    let flag = json!({ "type": "number", "variants": { "on": 0.1, "off": 1 }, "default": default });
    change(&json!({ "kind": "put_flag", "flag": name, "spec": flag }).to_string())
}

fn default_of(fixture: &ControllerFixture, name: &str) -> Option<String> {
    let state = fixture.controller.live().state();
    let flag = state.spec.flag(&name.parse().unwrap());
    flag.map(|flag| flag.default.to_string())
}

#[tokio::test]
async fn flags_are_in_the_history_and_one_goes_back_alone_after_a_restart_too() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.apply(put("a", "on")).await;
    fixture.apply(put("b", "on")).await;
    fixture.apply(put("a", "off")).await;
    fixture.split("chat", 30).await;
    fixture.apply(put("b", "off")).await;
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    let of = |name: &str| RollbackTo::Flag(name.parse().unwrap());
    let back = fixture.rollback_to(of("a")).await.unwrap();
    let flag = "a".parse().unwrap();
    assert_eq!(
        back.cause,
        Cause::RollbackFlag {
            flag,
            to: Revision(3)
        }
    );
    assert_eq!(back.undid, [Revision(4)]);
    let seen = |fixture: &ControllerFixture| {
        let [a, b] = ["a", "b"].map(|name| default_of(fixture, name).unwrap());
        (a, b, fixture.weights())
    };
    let expected = ("on".to_owned(), "off".to_owned(), (30, 0));
    assert_eq!(seen(&fixture), expected);
    drop(fixture);
    let fixture = ControllerFixture::open(&history_path(&folder));
    assert_eq!(
        seen(&fixture),
        expected,
        "the rollback of a flag is durable"
    );
    fixture.rollback_to(of("b")).await.unwrap();
    assert_eq!(default_of(&fixture, "b").as_deref(), Some("on"));
    // Another flag and a route that went back alone are no steps of this one.
    let route = RollbackTo::Route("chat".parse().unwrap());
    fixture.rollback_to(route).await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
    let nothing = fixture.rollback_to(of("a")).await;
    assert!(
        matches!(nothing, Err(ControlError::NothingToUndo)),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn a_rollback_of_everything_takes_the_flags_along() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.apply(put("a", "on")).await;
    fixture.apply(put("a", "off")).await;
    fixture.rollback().await.unwrap();
    assert_eq!(default_of(&fixture, "a").as_deref(), Some("on"));
    fixture.rollback().await.unwrap();
    assert_eq!(default_of(&fixture, "a"), None);
    let gone = fixture
        .rollback_to(RollbackTo::Flag("a".parse().unwrap()))
        .await;
    assert!(matches!(gone, Err(ControlError::Change(_))), "{gone:?}");
    let dry = fixture
        .controller
        .dry_run(&put("a", "on"), Expected::Any, false)
        .unwrap();
    assert_eq!(dry.diff.0[0].path, "flags.a");
}
