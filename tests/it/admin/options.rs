//! Conditions and options of changes that are easily mistaken for something else.

use serde_json::{Value, json};

use crate::support::TestAdmin;

#[test]
fn a_patch_that_names_no_release_is_refused() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    let (status, problem) = admin.json("PATCH", "/v1/routes/chat/split", &json!({ "weights": {} }));
    assert_eq!((status, admin.revision()), (422, before), "{problem}");
}

#[test]
fn a_star_holds_only_for_what_exists() {
    let admin = TestAdmin::start();
    let star = [("if-match", "*")];
    let red = json!({ "endpoints": ["http://127.0.0.1:3"] });
    let route = json!({ "path": "/edge", "split": { "blue": 1 } });
    for (path, body) in [("/v1/releases/red", &red), ("/v1/routes/edge", &route)] {
        assert_eq!(admin.json_with("PUT", path, &star, body).0, 412, "{path}");
        assert_eq!(admin.json("PUT", path, body).0, 200, "{path}");
        assert_eq!(admin.json_with("PUT", path, &star, body).0, 200, "{path}");
    }
    let (status, _) = admin.json_with("PUT", "/v1/table", &star, &admin.get("/v1/table"));
    assert_eq!(status, 428, "a whole table names a revision");
}

#[test]
fn changes_of_one_group_are_undone_by_one_rollback() {
    let admin = TestAdmin::start();
    let before = (admin.split("chat"), admin.get("/v1/routes"));
    let weights = |green: u64| json!({ "weights": { "blue": 100 - green, "green": green } });
    for green in [5, 50] {
        admin.done(
            "PUT",
            "/v1/routes/chat/split?group=deploy-7",
            &weights(green),
        );
    }
    let page = admin.get("/v1/revisions?limit=1");
    assert_eq!(page["revisions"][0]["author"]["group"], "deploy-7");
    let receipt = admin.done("POST", "/v1/rollback?force=true", &Value::Null);
    assert_eq!(receipt["undid"].as_array().unwrap().len(), 2, "{receipt}");
    assert_eq!(admin.split("chat"), before.0);
    let (status, _) = admin.json("PUT", "/v1/routes/chat/split?group=", &weights(5));
    assert_eq!(status, 422);
}

#[test]
fn a_release_in_a_split_with_weight_0_goes_by_force() {
    let admin = TestAdmin::start();
    let (status, problem) = admin.json("DELETE", "/v1/releases/green", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:switchback:problem:release-wanted"))
    );
    admin.done("DELETE", "/v1/releases/green?force=true", &Value::Null);
    assert_eq!(admin.split("chat"), json!({ "blue": 100 }));
    let (status, problem) = admin.json("DELETE", "/v1/releases/blue?force=true", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:switchback:problem:release-in-use"))
    );
}

#[test]
fn a_version_that_was_replaced_is_not_shown_as_live() {
    let admin = TestAdmin::start();
    let mut blue = admin.get("/v1/releases/blue");
    blue["version"] = json!("9.0.0");
    admin.done("PUT", "/v1/releases/blue", &blue);
    let status = admin.get("/v1/status");
    let live = status["releases"].as_array().unwrap().iter();
    let live: Vec<_> = live
        .filter(|release| release["name"] == "blue" && release["role"] == "live")
        .map(|release| release["version"].clone())
        .collect();
    assert_eq!(live, [json!("9.0.0")], "{status}");
}
