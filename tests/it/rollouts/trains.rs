//! Trains: rollouts of several routes, which get their steps together and go back together.

use super::*;

/// A path on which green always fails.
const BAD: &str = "/tools/bad";

impl Bench {
    /// Starts a rollout of green on `chat` and `tools`, and returns its path.
    pub(super) fn begin_train(&self, plan: &str) -> String {
        let body = format!(r#"{{"routes":["chat","tools"],"to":"green","plan":{plan}}}"#);
        let (status, rollout) = self.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 201, "{rollout}");
        format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap())
    }

    fn splits(&self) -> [Value; 2] {
        ["chat", "tools"].map(|route| self.split(route))
    }

    pub(super) fn live(&self) -> u64 {
        let (_, page) = self.ask("GET", "/v1/revisions?limit=1", "");
        page["revisions"][0]["revision"].as_u64().unwrap()
    }
}

/// Percents that green has on both routes of a train.
fn weights(rollout: &Value) -> [&Value; 2] {
    [0, 1].map(|place| &rollout["routes"][place]["weight"])
}

#[test]
fn a_good_train_gets_everything_and_one_rollback_undoes_all_of_it() {
    let bench = Bench::start();
    let (before, live) = (bench.splits(), bench.live());
    let path = bench.begin_train("\"quick\"");
    assert_eq!(bench.live(), live + 1, "one revision for both");
    let load = bench.load_of(&["/", "/tools"]);
    let baking = bench.reaches(&path, "baking");
    assert_eq!(weights(&baking), [&json!(95); 2], "{baking:#}");
    let ended = bench.reaches(&path, "succeeded");
    drop(load);
    assert_eq!(weights(&ended), [&json!(100); 2], "{ended:#}");
    assert_eq!(bench.split("tools")["blue"], 0);
    assert_eq!(bench.live(), live + 3);
    let (status, receipt) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!((status, bench.splits()), (200, before), "{receipt}");
    assert_eq!(receipt["undid"].as_array().unwrap().len(), 3, "{receipt}");
}

#[test]
fn one_bad_route_takes_the_whole_train_back_in_one_revision() {
    let bench = Bench::start();
    let before = bench.splits();
    let path = bench.begin_train(LONG);
    let live = bench.live();
    let load = bench.load_of(&["/", BAD]);
    let ended = bench.reaches(&path, "rolled_back");
    drop(load);
    assert_eq!((bench.splits(), bench.live()), (before, live + 1));
    let verdict = &ended["verdict"];
    assert_eq!(
        (&verdict["route"], &verdict["overall"]),
        (&json!("tools"), &json!("worse")),
        "{ended:#}"
    );
    // Both judges together raise no more false alarms than one.
    assert_eq!(verdict["bound"], 200.0);
    let chat = &ended["routes"][0]["verdict"];
    assert_ne!(chat["overall"], "worse", "{ended:#}");
    let (_, list) = bench.ask("GET", "/v1/quarantine", "");
    assert_eq!(list["releases"].as_array().unwrap().len(), 1, "{list}");
    let reason = list["releases"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("`chat`, `tools`: tools: worse"), "{reason}");
    let id = ended["verification"]["id"].as_str().unwrap();
    let (_, verification) = bench.ask("GET", &format!("/v1/verifications/{id}"), "");
    assert_eq!(
        verification["routes"].as_array().unwrap().len(),
        2,
        "{verification:#}"
    );
}

#[test]
fn a_change_of_one_route_by_others_ends_the_train_and_nothing_moves() {
    let bench = Bench::start();
    let path = bench.begin_train(LONG);
    let change = r#"{"percent":{"green":30}}"#;
    let (status, _) = bench.ask("PATCH", "/v1/routes/tools/split", change);
    assert_eq!(status, 200);
    let ended = bench.reaches(&path, "superseded");
    let log = ended["log"].as_array().unwrap();
    let last = log[log.len() - 1]["what"].as_str().unwrap();
    assert!(
        last.contains("route `tools` was changed by others"),
        "{last}"
    );
    assert_eq!(
        bench.splits(),
        [
            json!({ "blue": 95, "green": 5 }),
            json!({ "blue": 70, "green": 30 })
        ]
    );
    let (status, refusal) = bench.ask("POST", &format!("{path}/rollback"), "");
    assert_eq!(status, 409, "{refusal}");
    assert!(
        refusal["detail"].as_str().unwrap().contains("`tools`"),
        "{refusal}"
    );
}

#[test]
fn a_train_goes_back_in_one_revision_where_another_route_was_changed_since() {
    let bench = Bench::start();
    let path = bench.begin_train(LONG);
    let change = r#"{"percent":{"green":5}}"#;
    assert_eq!(bench.ask("PATCH", "/v1/routes/keyed/split", change).0, 200);
    let live = bench.live();
    let (status, rollout) = bench.ask("POST", &format!("{path}/abort"), "");
    assert_eq!(
        (status, &rollout["state"]),
        (200, &json!("aborted")),
        "{rollout}"
    );
    let back = json!({ "blue": 100, "green": 0 });
    assert_eq!(bench.splits(), [back.clone(), back]);
    assert_eq!(bench.live(), live + 1);
    assert_eq!(bench.split("keyed"), json!({ "blue": 95, "green": 5 }));
}

#[test]
fn a_restart_amid_a_train_goes_on_there_with_every_route() {
    let mut bench = Bench::start();
    let before = bench.splits();
    let path = bench.begin_train(LONG);
    bench.restart();
    let rollout = bench.reaches(&path, "running");
    assert_eq!(weights(&rollout), [&json!(5); 2], "{rollout:#}");
    let (_, status) = bench.ask("GET", "/v1/status?route=tools", "");
    assert_eq!(
        status["rollouts"][0]["routes"][1]["route"], "tools",
        "{status:#}"
    );
    let load = bench.load_of(&["/", BAD]);
    let ended = bench.reaches(&path, "rolled_back");
    drop(load);
    assert_eq!(ended["verdict"]["route"], "tools");
    assert_eq!(bench.splits(), before);
}

#[test]
fn a_route_without_requests_holds_the_whole_train_up_and_is_named() {
    let bench = Bench::start();
    let path = bench.begin_train(SHORT);
    let load = bench.load_of(&["/"]);
    let paused = bench.reaches(&path, "paused");
    assert_eq!(
        (&paused["paused_for"], &paused["paused_by"]),
        (&json!("no_traffic"), &json!(["tools"])),
        "{paused:#}"
    );
    let log = paused["log"].as_array().unwrap();
    let last = log[log.len() - 1]["what"].as_str().unwrap();
    assert!(last.starts_with("paused (no_traffic, `tools`)"), "{last}");
    drop(load);
    let load = bench.load_of(&["/", "/tools"]);
    bench.reaches(&path, "succeeded");
    drop(load);
}

#[test]
fn a_train_that_cannot_begin_is_refused_and_the_route_is_named() {
    let bench = Bench::start();
    let live = bench.live();
    let start = |routes: Value| {
        let body = json!({ "routes": routes, "to": "green" }).to_string();
        let (status, refusal) = bench.ask("POST", "/v1/rollouts", &body);
        (
            status,
            refusal["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let refused = |routes: Value, status: u16, words: &str| {
        let (found, detail) = start(routes);
        assert_eq!(found, status, "{detail}");
        assert!(detail.contains(words), "{detail}");
        assert_eq!(bench.live(), live, "nothing has changed");
    };
    refused(json!(["chat", "nothing"]), 404, "route `nothing`");
    refused(
        json!(["chat", { "route": "tools", "to": "blue" }]),
        409,
        "route `tools`",
    );
    bench.ask(
        "PUT",
        "/v1/quarantine/green",
        r#"{"reason":"wrong answers"}"#,
    );
    refused(
        json!(["chat", "tools"]),
        409,
        "route `chat`: release `green`",
    );
    bench.ask("DELETE", "/v1/quarantine/green", "");
    let path = bench.begin(LONG);
    let (status, detail) = start(json!(["tools", "chat"]));
    assert_eq!(
        (status, detail.contains("route `chat`")),
        (409, true),
        "{detail}"
    );
    bench.ask("POST", &format!("{path}/abort"), "");
    let (status, refusal) = bench.ask("POST", "/v1/rollouts", r#"{"routes":[],"to":"green"}"#);
    assert_eq!(status, 422, "{refusal}");
}

#[test]
fn the_command_line_starts_and_shows_a_train() {
    let bench = Bench::start();
    let cli = |arguments: &[&str]| bench.cli(arguments);
    let shown = cli(&[
        "rollout",
        "start",
        "chat=green",
        "tools=green",
        "--plan",
        "quick",
    ]);
    assert!(
        shown.contains("chat: blue → green, tools: blue → green  running, step 1 of 2, 50%"),
        "{shown}"
    );
    assert!(cli(&["rollout", "list"]).contains("chat, tools"));
    assert!(cli(&["status"]).contains("of chat, tools to green: "));
    assert!(cli(&["rollout", "abort", "tools"]).contains("aborted"));
}
