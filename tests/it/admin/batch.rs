//! Several changes in one request: one revision, one rollback, and all problems at once.

use serde_json::{Value, json};

use crate::support::{
    TestAdmin,
    cli::{file, run_failing, run_ok},
};

/// An API with a second route, `tools`.
fn with_tools() -> TestAdmin {
    let admin = TestAdmin::start();
    admin.done(
        "PUT",
        "/v1/routes/tools",
        &json!({ "path_prefix": "/tools", "split": { "blue": 1, "green": 0 } }),
    );
    admin
}

fn paths(problem: &Value) -> Vec<&str> {
    let problems = problem["problems"].as_array().unwrap();
    let paths = problems.iter().map(|one| one["path"].as_str().unwrap());
    paths.collect()
}

#[test]
fn several_changes_are_one_revision_and_one_rollback() {
    let admin = with_tools();
    let before = (admin.revision(), admin.split("chat"), admin.split("tools"));
    let batch = json!({
        "changes": [
            { "release": "red", "set": { "version": "3", "endpoints": ["http://127.0.0.1:3"] } },
            { "route": "chat", "split": { "green": 25 } },
            { "route": "tools", "switch": "red" },
        ],
        "message": "release day",
    });
    let dry_run = admin.done("POST", "/v1/changes?dry_run", &batch);
    assert_eq!(
        (&dry_run["changed"], admin.revision()),
        (&json!(true), before.0)
    );
    let receipt = admin.done("POST", "/v1/changes?force=true", &batch);
    assert_eq!(receipt["parent"], before.0);
    assert_eq!(receipt["message"], "release day");
    assert_eq!(admin.split("chat"), json!({ "blue": 75, "green": 25 }));
    assert_eq!(
        admin.split("tools"),
        json!({ "blue": 0, "green": 0, "red": 1 })
    );
    let detail = admin.get(&format!("/v1/revisions/{}", admin.revision()));
    assert_eq!(detail["change"]["changes"][2]["kind"], "switch", "{detail}");
    let back = admin.done("POST", "/v1/rollback?force=true", &Value::Null);
    assert_eq!(back["undid"].as_array().unwrap().len(), 1);
    assert_eq!(
        (admin.split("chat"), admin.split("tools")),
        (before.1, before.2)
    );
    assert!(admin.get("/v1/releases")["releases"].get("red").is_none());
}

#[test]
fn all_problems_of_a_batch_are_listed_with_their_places_and_nothing_changes() {
    let admin = with_tools();
    let before = admin.revision();
    let batch = json!({ "changes": [
        { "route": "chat", "weights": { "blue": 0, "green": 0 } },
        { "route": "tool", "switch": "green" },
        { "route": "tools", "split": { "blue": 70, "green": 70 } },
        { "release": "red", "remove": true },
        { "route": "tools", "switch": "green" },
        { "release": "green", "remove": true },
    ] });
    let (status, problem) = admin.json("POST", "/v1/changes", &batch);
    assert_eq!((status, admin.revision()), (409, before), "{problem}");
    let mut found = paths(&problem);
    found.sort_unstable();
    // The last change would take a release out of two splits.
    found.dedup();
    assert_eq!(
        found,
        [
            "changes[0].split",
            "changes[1]",
            "changes[2].split",
            "changes[3]",
            "changes[4]",
            "changes[5]"
        ],
        "{problem}"
    );
    let (status, problem) = admin.json(
        "POST",
        "/v1/changes",
        &json!({ "changes": [{ "route": "chat", "weights": { "green": 1 } }] }),
    );
    assert_eq!((status, paths(&problem)), (409, vec!["changes[0]"]));
}

#[test]
fn what_is_no_change_is_refused_with_its_place() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    for (items, path) in [
        (json!([]), "changes"),
        (json!([{ "route": "chat" }]), "changes[0]"),
        (
            json!([{ "route": "chat", "switch": "green", "abort": true }]),
            "changes[0]",
        ),
        (
            json!([{ "route": "chat", "abort": true }, { "switch": "green" }]),
            "changes[1]",
        ),
    ] {
        let (status, problem) = admin.json("POST", "/v1/changes", &json!({ "changes": items }));
        assert_eq!((status, paths(&problem)), (422, vec![path]), "{problem}");
    }
    for items in [
        json!([{ "route": "chat", "switched": "green" }]),
        json!([{ "route": "chat", "promote": false }]),
        json!([{ "route": "chat", "switch": "green", "split": null }]),
    ] {
        let (status, _) = admin.json("POST", "/v1/changes", &json!({ "changes": items }));
        assert_eq!((status, admin.revision()), (422, before), "{items}");
    }
}

#[test]
fn a_batch_is_refused_if_one_of_its_subjects_has_changed_since() {
    let admin = with_tools();
    let seen = format!("\"{}\"", admin.revision());
    let chat = |percent| json!({ "changes": [{ "route": "chat", "split": { "green": percent } }] });
    admin.done("POST", "/v1/changes?force=true", &chat(5));
    let tools = json!({ "changes": [{ "route": "tools", "split": { "green": 5 } }] });
    let both = json!({ "changes": [
        { "route": "tools", "split": { "green": 6 } }, { "route": "chat", "split": { "green": 6 } },
    ] });
    let path = "/v1/changes?force=true";
    let condition = [("if-match", seen.as_str())];
    assert_eq!(admin.json_with("POST", path, &condition, &both).0, 412);
    assert_eq!(admin.json_with("POST", path, &condition, &tools).0, 200);
}

#[test]
fn a_repeated_batch_gets_the_first_receipt() {
    let admin = with_tools();
    let key = [("idempotency-key", "batch-1")];
    let batch = json!({ "changes": [{ "route": "tools", "split": { "green": 5 } }] });
    let path = "/v1/changes?force=true";
    let (_, first) = admin.json_with("POST", path, &key, &batch);
    admin.done("POST", "/v1/rollback?force=true", &Value::Null);
    let (status, again) = admin.json_with("POST", path, &key, &batch);
    assert_eq!((status, again), (200, first));
}

#[test]
fn the_command_line_makes_several_changes_at_once() {
    let admin = with_tools();
    let before = admin.revision();
    let inline = [
        "change",
        "--split",
        "chat:green=25,blue=75",
        "--switch",
        "tools=green",
    ];
    let shown = run_ok(&admin, &[&inline[..], &["--force", "--dry-run"]].concat());
    assert!(shown.contains("tools"), "{shown}");
    assert_eq!(admin.revision(), before);
    run_ok(&admin, &[&inline[..], &["--force", "-m", "both"]].concat());
    assert_eq!(admin.split("chat"), json!({ "blue": 75, "green": 25 }));
    assert_eq!(admin.split("tools"), json!({ "blue": 0, "green": 1 }));
    let items =
        r#"{"changes": [{"release": "red", "set": {"endpoints": ["http://127.0.0.1:3"]}}]}"#;
    let path = file(&admin, "changes.json", items);
    run_ok(
        &admin,
        &["change", "--file", &path, "--abort", "chat", "--force"],
    );
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
    assert!(admin.get("/v1/releases")["releases"].get("red").is_some());
    let (code, error) = run_failing(
        &admin,
        &["change", "--switch", "tools=gren", "--switch", "x=blue"],
    );
    assert_eq!(code, Some(65));
    assert!(
        error.contains("changes[0]") && error.contains("changes[1]"),
        "{error}"
    );
    assert_eq!(run_failing(&admin, &["change"]).0, Some(64));
    let path = file(&admin, "wrong.json", r#"{"changes": [{"rout": "chat"}]}"#);
    let (code, error) = run_failing(&admin, &["change", "--file", &path]);
    assert_eq!(code, Some(78));
    assert!(error.contains("changes[0]"), "{error}");
}
