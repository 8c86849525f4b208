//! The admin API over real sockets: its operations and its refusals.

mod batch;
mod dashboard;
mod guards;
mod options;
mod refusals;
mod repeats;
mod shared_reads;
mod status;
mod work;

use serde_json::{Value, json};
use switchback::fleet::Health;

use crate::support::TestAdmin;

#[test]
fn a_change_is_answered_with_a_receipt() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    let receipt = admin.done(
        "PUT",
        "/v1/routes/chat/split",
        &json!({ "weights": { "blue": 95, "green": 5 }, "message": "begin" }),
    );
    assert_eq!(receipt["parent"], before);
    assert_eq!(receipt["changed"], true);
    assert_eq!(receipt["durable"], true);
    assert_eq!(receipt["message"], "begin");
    assert!(receipt["converged_at"].is_string());
    assert_eq!(receipt["digest"].as_str().unwrap().len(), 64);
    let paths: Vec<_> = receipt["diff"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].clone())
        .collect();
    assert_eq!(paths, ["routes.chat.split.blue", "routes.chat.split.green"]);
}

#[test]
fn every_verb_of_a_split_does_what_it_says() {
    let admin = TestAdmin::start();
    admin.done(
        "PUT",
        "/v1/routes/chat/split",
        &json!({ "weights": { "blue": 95, "green": 5 } }),
    );
    for (method, verb, body, split) in [
        (
            "PATCH",
            "split",
            json!({ "weights": { "green": 10 } }),
            json!({ "blue": 95, "green": 10 }),
        ),
        (
            "POST",
            "switch",
            json!({ "to": "green" }),
            json!({ "blue": 0, "green": 105 }),
        ),
        (
            "PATCH",
            "split",
            json!({ "weights": { "blue": 5 } }),
            json!({ "blue": 5, "green": 105 }),
        ),
        (
            "POST",
            "abort",
            Value::Null,
            json!({ "blue": 0, "green": 110 }),
        ),
        (
            "PUT",
            "split",
            json!({ "weights": { "blue": 1, "green": 1 } }),
            json!({ "blue": 1, "green": 1 }),
        ),
        (
            "PATCH",
            "split",
            json!({ "percent": { "green": 5 } }),
            json!({ "blue": 95, "green": 5 }),
        ),
        (
            "POST",
            "promote",
            Value::Null,
            json!({ "blue": 100, "green": 0 }),
        ),
        (
            "PUT",
            "split",
            json!({ "weights": { "blue": 1 } }),
            json!({ "blue": 1 }),
        ),
    ] {
        let receipt = admin.done(method, &format!("/v1/routes/chat/{verb}"), &body);
        assert_eq!(receipt["revision"], admin.revision());
        assert_eq!(admin.split("chat"), split, "{method} {verb}");
    }
}

#[test]
fn the_split_that_is_there_already_makes_no_revision() {
    let admin = TestAdmin::start();
    let body = json!({ "weights": { "blue": 100, "green": 0 } });
    let before = admin.revision();
    let again = admin.done("PUT", "/v1/routes/chat/split", &body);
    assert_eq!(again["changed"], false);
    assert_eq!(
        (&again["revision"], admin.revision()),
        (&json!(before), before)
    );
}

#[test]
fn a_split_that_is_set_drops_nothing_by_accident_and_a_patch_says_something() {
    let admin = TestAdmin::start();
    let path = "/v1/routes/chat/split";
    for (method, body, status) in [
        ("PUT", json!({ "weights": { "green": 1 } }), 409),
        ("PATCH", json!({ "weights": {} }), 422),
        ("PATCH", json!({}), 422),
        (
            "PATCH",
            json!({ "weights": { "green": 1 }, "percent": { "green": 1 } }),
            422,
        ),
        ("PATCH", json!({ "percent": { "green": 100.5 } }), 422),
        ("PATCH", json!({ "percent": { "blue": 5 } }), 409),
        (
            "PUT",
            json!({ "weights": { "green": 1 }, "drop": true }),
            200,
        ),
    ] {
        let (answered, problem) = admin.json(method, path, &body);
        assert_eq!(answered, status, "{method} {body} {problem}");
    }
}

#[test]
fn a_rollback_needs_nothing_but_curl() {
    let admin = TestAdmin::start();
    let first = admin.get("/v1/table");
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let output = std::process::Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "10",
            "-X",
            "POST",
            &format!("{}/v1/rollback", admin.url()),
        ])
        .output()
        .unwrap();
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(receipt["cause"]["kind"], "rollback");
    assert_eq!(receipt["undid"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/v1/table"), first);
}

#[test]
fn rolling_back_twice_is_two_revisions_back_and_ends_at_the_bottom() {
    let admin = TestAdmin::start();
    let splits: Vec<Value> = (1..4)
        .map(|green| {
            let weights = json!({ "blue": 10, "green": green });
            admin.done(
                "PUT",
                "/v1/routes/chat/split",
                &json!({ "weights": weights }),
            );
            weights
        })
        .collect();
    admin.done("POST", "/v1/rollback", &json!({}));
    assert_eq!(admin.split("chat"), splits[1]);
    admin.done(
        "POST",
        "/v1/rollback",
        &json!({ "step": true, "message": "further" }),
    );
    assert_eq!(admin.split("chat"), splits[0]);
    let last = admin.get("/v1/revisions")["revisions"][0].clone();
    assert_eq!(last["author"]["message"], "further");
    while admin
        .json("POST", "/v1/rollback?force=true", &Value::Null)
        .0
        == 200
    {}
    let (status, problem) = admin.json("POST", "/v1/rollback", &Value::Null);
    assert_eq!(status, 409);
    assert_eq!(problem["type"], "urn:switchback:problem:nothing-to-undo");
}

#[test]
fn a_rollback_goes_to_any_revision_that_is_kept() {
    let admin = TestAdmin::start();
    let first = admin.revision();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    admin.done(
        "PATCH",
        "/v1/routes/chat/split",
        &json!({ "weights": { "blue": 7 } }),
    );
    let receipt = admin.done("POST", "/v1/rollback", &json!({ "to": first }));
    assert_eq!(receipt["undid"].as_array().unwrap().len(), 2);
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
    let (status, problem) = admin.json("POST", "/v1/rollback", &json!({ "to": 999_999 }));
    assert_eq!(
        (status, &problem["type"]),
        (404, &json!("urn:switchback:problem:unknown-revision"))
    );
    let (status, _) = admin.json("POST", "/v1/rollback", &json!({ "to": 1, "step": true }));
    assert_eq!(status, 422);
}

#[test]
fn one_route_is_rolled_back_alone() {
    let admin = TestAdmin::start();
    admin.done(
        "PUT",
        "/v1/routes/code",
        &json!({ "path_prefix": "/code", "split": { "blue": 1 } }),
    );
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    admin.done("POST", "/v1/routes/code/switch", &json!({ "to": "green" }));
    let receipt = admin.done("POST", "/v1/routes/chat/rollback", &Value::Null);
    assert_eq!(receipt["cause"]["kind"], "rollback_route");
    assert_eq!(admin.split("chat")["green"], 0);
    assert_eq!(admin.split("code")["blue"], 0);
}

#[test]
fn a_rollback_to_an_unhealthy_release_names_the_nearest_that_is_ready_unless_forced() {
    let admin = TestAdmin::start();
    let first = admin.revision();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    admin.done(
        "PUT",
        "/v1/routes/chat/split",
        &json!({ "weights": { "blue": 5, "green": 0 } }),
    );
    let watched = admin.fleet.watched();
    let green = watched
        .iter()
        .find(|watched| watched.roster.release().as_str() == "green")
        .unwrap();
    for endpoint in green.roster.endpoints().iter() {
        endpoint.set_health(Health::Unhealthy);
    }
    let (status, problem) = admin.json("POST", "/v1/rollback", &Value::Null);
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["type"], "urn:switchback:problem:not-ready");
    assert_eq!(problem["not_ready"], json!(["green"]));
    assert_eq!(problem["nearest_ready"], first);
    let status = admin.get("/v1/status");
    assert_eq!(status["rollback"]["ready"], false);
    admin.done("POST", "/v1/rollback?force=true", &Value::Null);
    assert_eq!(admin.split("chat")["blue"], 0);
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let admin = TestAdmin::start();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let (before, table) = (admin.revision(), admin.get("/v1/table"));
    for (method, path, body) in [
        ("POST", "/v1/rollback", Value::Null),
        ("POST", "/v1/routes/chat/rollback", Value::Null),
        ("POST", "/v1/routes/chat/switch", json!({ "to": "blue" })),
        (
            "PATCH",
            "/v1/routes/chat/split",
            json!({ "weights": { "blue": 1 } }),
        ),
        (
            "PUT",
            "/v1/routes/other",
            json!({ "path": "/x", "split": { "blue": 1 } }),
        ),
        ("DELETE", "/v1/routes/chat", Value::Null),
        (
            "PUT",
            "/v1/releases/red",
            json!({ "endpoints": ["http://127.0.0.1:3"] }),
        ),
    ] {
        let dry_run = admin.done(method, &format!("{path}?dry_run=true"), &body);
        assert_eq!(dry_run["changed"], true, "{method} {path}");
        assert!(
            dry_run.get("parent").is_none(),
            "{method} {path}: {dry_run}"
        );
        assert!(
            !dry_run["diff"].as_array().unwrap().is_empty(),
            "{method} {path}"
        );
    }
    assert_eq!((admin.revision(), admin.get("/v1/table")), (before, table));
}

#[test]
fn a_whole_table_names_the_revision_that_it_is_based_on() {
    let admin = TestAdmin::start();
    let read = admin.request("GET", "/v1/table", &[], "");
    let tag = read.value("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", admin.revision()));
    let mut table: Value = serde_json::from_slice(&read.body).unwrap();
    table["routes"][0]["split"] = json!({ "green": 1 });
    for fields in [&[][..], &[("if-match", "*")]] {
        let (status, problem) = admin.json_with("PUT", "/v1/table", fields, &table);
        assert_eq!(
            (status, &problem["status"]),
            (428, &json!(428)),
            "{fields:?}"
        );
    }
    let (status, receipt) = admin.json_with("PUT", "/v1/table", &[("if-match", &tag)], &table);
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(admin.get("/v1/table"), table);
    let (status, problem) = admin.json_with("PUT", "/v1/table", &[("if-match", &tag)], &table);
    assert_eq!((status, &problem["revision"]), (412, &receipt["revision"]));
    assert_eq!(problem["since"][0]["revision"], receipt["revision"]);
}

#[test]
fn a_partial_change_conflicts_only_with_its_own_route() {
    let admin = TestAdmin::start();
    admin.done(
        "PUT",
        "/v1/routes/code",
        &json!({ "path_prefix": "/code", "split": { "blue": 1 } }),
    );
    let seen = format!("\"{}\"", admin.revision());
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let fields = [("if-match", seen.as_str())];
    let to = json!({ "to": "green" });
    let (status, _) = admin.json_with("POST", "/v1/routes/code/switch", &fields, &to);
    assert_eq!(status, 200);
    let (status, problem) = admin.json_with("POST", "/v1/routes/chat/abort", &fields, &Value::Null);
    assert_eq!(status, 412, "{problem}");
    assert_eq!(admin.split("chat")["green"], 100);
}

#[test]
fn a_repeated_request_is_recognised_by_its_key() {
    let admin = TestAdmin::start();
    let key = [("idempotency-key", "deploy-1")];
    let green = json!({ "to": "green" });
    let (_, first) = admin.json_with("POST", "/v1/routes/chat/switch", &key, &green);
    let (status, second) = admin.json_with("POST", "/v1/routes/chat/switch", &key, &green);
    assert_eq!((status, &second["revision"]), (200, &first["revision"]));
    assert_eq!(second["diff"], first["diff"]);
    let (status, problem) = admin.json_with(
        "POST",
        "/v1/routes/chat/switch",
        &key,
        &json!({ "to": "blue" }),
    );
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("urn:switchback:problem:key-reused"))
    );
    let key = [("idempotency-key", "undo-1")];
    let (_, first) = admin.json_with("POST", "/v1/rollback", &key, &Value::Null);
    let (status, second) = admin.json_with("POST", "/v1/rollback", &key, &Value::Null);
    assert_eq!((status, &second["revision"]), (200, &first["revision"]));
    assert_eq!(admin.revision(), first["revision"].as_u64().unwrap());
}

#[test]
fn routes_and_releases_come_and_go() {
    let admin = TestAdmin::start();
    let red = json!({ "version": "3", "endpoints": ["http://127.0.0.1:3"] });
    admin.done("PUT", "/v1/releases/red", &red);
    let read = admin.get("/v1/releases/red");
    assert_eq!(read["endpoints"], red["endpoints"]);
    // A document that was read can be sent back, and changes nothing.
    assert_eq!(
        admin.done("PUT", "/v1/releases/red", &read)["changed"],
        false
    );
    assert_eq!(
        admin.get("/v1/releases")["releases"]
            .as_object()
            .unwrap()
            .len(),
        3
    );

    let route = json!({ "host": "agents.example.com", "split": { "red": 1 } });
    admin.done("PUT", "/v1/routes/edge", &route);
    let read = admin.get("/v1/routes/edge");
    assert_eq!(
        (&read["name"], &read["host"]),
        (&json!("edge"), &route["host"])
    );
    assert_eq!(
        admin.done("PUT", "/v1/routes/edge", &read)["changed"],
        false
    );
    let (status, _) = admin.json("PUT", "/v1/routes/other", &read);
    assert_eq!(status, 422, "the body calls the route `edge`");
    assert_eq!(
        admin.get("/v1/routes")["routes"].as_array().unwrap().len(),
        2
    );

    let (status, problem) = admin.json("DELETE", "/v1/releases/red?force=true", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:switchback:problem:release-in-use"))
    );
    admin.done("DELETE", "/v1/routes/edge", &Value::Null);
    let (status, problem) = admin.json("DELETE", "/v1/releases/red", &Value::Null);
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:switchback:problem:release-wanted")),
        "it is warm"
    );
    admin.done("DELETE", "/v1/releases/red?force=true", &Value::Null);
    let (status, _) = admin.json("GET", "/v1/releases/red", &Value::Null);
    assert_eq!(status, 404);
}

#[test]
fn the_history_is_paged_and_compared() {
    let admin = TestAdmin::start();
    let first = admin.revision();
    admin.done(
        "POST",
        "/v1/routes/chat/switch?message=why%20not",
        &json!({ "to": "green" }),
    );
    let second = admin.revision();
    admin.done("POST", "/v1/rollback", &Value::Null);
    let page = admin.get("/v1/revisions?limit=2");
    let numbers: Vec<_> = page["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["revision"].clone())
        .collect();
    assert_eq!(numbers, [json!(admin.revision()), json!(second)]);
    let next = admin.get(&format!("/v1/revisions?before={}", page["next"]));
    assert_eq!(next["revisions"][0]["revision"], first);
    let detail = admin.get(&format!("/v1/revisions/{second}"));
    assert_eq!(detail["author"]["message"], "why not");
    assert_eq!(detail["author"]["name"], "local");
    assert_eq!(
        detail["table"]["routes"][0]["split"],
        json!({ "blue": 0, "green": 100 })
    );
    let diff = admin.get(&format!("/v1/revisions/{first}/diff/{second}"));
    assert_eq!(diff["diff"][1]["path"], "routes.chat.split.green");
    assert_eq!(
        (&diff["diff"][1]["before"], &diff["diff"][1]["after"]),
        (&json!(0), &json!(100))
    );
}

#[test]
fn an_edited_file_is_taken_over_without_undoing_what_changed_live() {
    let admin = TestAdmin::start();
    let file = admin.get("/v1/table");
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let mut edited = file;
    let route = json!({ "name": "code", "path_prefix": "/code", "split": { "blue": 1 } });
    edited["routes"].as_array_mut().unwrap().push(route);
    let report = admin.done("POST", "/v1/import", &edited);
    assert_eq!(report["applied"], json!(["routes.code"]));
    assert_eq!(report["kept"], json!(["routes.chat"]));
    assert_eq!(admin.split("chat")["green"], 100);

    edited["routes"][0]["split"] = json!({ "blue": 50, "green": 50 });
    let before = admin.revision();
    let (status, problem) = admin.json("POST", "/v1/import", &edited);
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["conflicts"][0]["path"], "routes.chat");
    assert_eq!(admin.revision(), before);
    admin.done("POST", "/v1/import?wins=file&message=agreed", &edited);
    assert_eq!(admin.split("chat"), json!({ "blue": 50, "green": 50 }));
    let (status, _) = admin.json("POST", "/v1/import?wins=nobody", &edited);
    assert_eq!(status, 400);
}

#[test]
fn the_status_has_what_a_dashboard_needs() {
    let admin = TestAdmin::start();
    admin.done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    let status = admin.get("/v1/status");
    assert_eq!(status["revision"], admin.revision());
    assert_eq!(status["routes"][0]["split"][1]["share"], 1.0);
    assert_eq!(status["releases"][0]["name"], "blue");
    assert_eq!(status["rollback"]["available"], true);
    assert_eq!(status["durability"]["durable"], true);
    assert_eq!(status["drift"]["drifted"], true);
}

#[test]
fn an_import_is_a_change_like_any_other() {
    let admin = TestAdmin::start();
    let table = |green: u64| {
        let mut table = admin.get("/v1/table");
        table["routes"][0]["split"] = json!({ "blue": 100, "green": green });
        table
    };
    let (before, edited) = (admin.revision(), table(7));
    let dry_run = admin.done("POST", "/v1/import?dry_run=true", &edited);
    assert_eq!(dry_run["applied"], json!(["routes.chat"]));
    assert_eq!(dry_run["dry_run"]["changed"], true);
    assert_eq!(admin.revision(), before, "it was only asked");
    let stale = [("if-match", "\"999\"")];
    let (status, _) = admin.json_with("POST", "/v1/import", &stale, &edited);
    assert_eq!((status, admin.revision()), (412, before));
    let key = [("idempotency-key", "file-1")];
    let (_, first) = admin.json_with("POST", "/v1/import", &key, &edited);
    let (status, again) = admin.json_with("POST", "/v1/import", &key, &edited);
    assert_eq!(status, 200);
    assert_eq!(again["receipt"]["revision"], first["receipt"]["revision"]);
    let (status, problem) = admin.json_with("POST", "/v1/import", &key, &table(8));
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("urn:switchback:problem:key-reused"))
    );
    assert_eq!(admin.split("chat")["green"], 7);
}

#[test]
fn an_endpoint_that_was_removed_is_shown_as_draining_until_its_last_request_ends() {
    let admin = TestAdmin::start();
    let watched = admin.fleet.watched();
    let is_blue =
        |watched: &&switchback::fleet::WatchedRelease| watched.roster.release().as_str() == "blue";
    let roster = &watched.iter().find(is_blue).unwrap().roster;
    let endpoints = || {
        let status = admin.get("/v1/status");
        let releases = status["releases"].as_array().unwrap().clone();
        let blue = releases
            .into_iter()
            .find(|release| release["name"] == "blue");
        blue.unwrap()["endpoints"].as_array().unwrap().clone()
    };
    let in_flight = roster
        .pick(&switchback::fleet::Pick::random(0, 0, 0))
        .unwrap();
    let address = in_flight.endpoint().address().to_string();
    roster.set(&[]);
    let shown = endpoints();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(
        (&shown[0]["address"], &shown[0]["draining"]),
        (&address.into(), &true.into())
    );
    drop(in_flight);
    assert!(endpoints().is_empty());
}
