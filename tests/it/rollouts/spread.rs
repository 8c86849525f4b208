//! Ways back that are spread over a time.

use super::*;

/// A plan whose first step gives half of the requests, and is never left by itself.
const HALF: &str = r#"{"steps":[{"weight":50,"hold":"10m"},{"weight":100}]}"#;

impl Bench {
    /// Percents, in hundredths, that green has of a route.
    pub(super) fn hundredths(&self, route: &str) -> u64 {
        let split = self.split(route);
        let part = |release: &str| split[release].as_u64().unwrap_or(0);
        part("green") * 10_000 / (part("blue") + part("green"))
    }

    /// The revisions from one on, the latest first.
    pub(super) fn revisions_since(&self, first: u64) -> Vec<Value> {
        let (_, page) = self.ask("GET", "/v1/revisions?limit=100", "");
        let revisions = page["revisions"].as_array().unwrap().iter();
        let is_since = |one: &&Value| one["revision"].as_u64().unwrap() > first;
        revisions.filter(is_since).cloned().collect()
    }

    fn goes_back(&self, path: &str, over: &str) -> Value {
        let (status, rollout) = self.ask("POST", &format!("{path}/rollback?over={over}"), "");
        assert_eq!(
            (status, &rollout["state"]),
            (200, &json!("running")),
            "{rollout:#}"
        );
        rollout
    }
}

#[test]
fn a_way_back_over_a_time_is_gone_in_parts_of_one_group_and_nothing_leads_forth_again() {
    let bench = Bench::start();
    let (before, base) = (bench.split("chat"), bench.live());
    let path = bench.begin(HALF);
    let rollout = bench.goes_back(&path, "4s");
    let parts = &rollout["going_back"];
    assert_eq!(
        [&parts["over"], &parts["part"], &parts["parts"]],
        [&json!("4s"), &json!(1), &json!(5)],
        "{rollout:#}"
    );
    assert!(parts["ends_at"].is_string(), "{rollout:#}");
    assert_eq!(bench.split("chat"), json!({"blue": 6_000, "green": 4_000}));
    let (_, status) = bench.ask("GET", "/v1/status", "");
    assert_eq!(
        status["rollouts"][0]["going_back"]["parts"], 5,
        "{status:#}"
    );
    let mut shares = vec![bench.hundredths("chat")];
    let end = Instant::now() + Duration::from_secs(60);
    while bench.split("chat") != before {
        assert!(Instant::now() < end);
        shares.push(bench.hundredths("chat"));
    }
    assert!(shares.is_sorted_by(|one, next| one >= next), "{shares:?}");
    let ended = bench.reaches(&path, "rolled_back");
    assert!(ended.get("going_back").is_none(), "{ended:#}");
    let revisions = bench.revisions_since(base);
    assert!((4..=6).contains(&revisions.len()), "{revisions:#?}");
    let group = &ended["group"];
    assert!(
        revisions[1..]
            .iter()
            .all(|one| one["author"]["group"] == *group),
        "{revisions:#?}"
    );
    assert_eq!(revisions[0]["cause"]["kind"], "rollback", "{revisions:#?}");
    assert_eq!(revisions[0]["cause"]["to"], base, "{revisions:#?}");
    let (_, list) = bench.ask("GET", "/v1/quarantine", "");
    assert_eq!(list["releases"][0]["release"], "green", "{list}");
    bench.ask("POST", "/v1/rollback", "");
    assert_eq!(bench.hundredths("chat"), 0);
}

#[test]
fn the_same_command_without_a_time_gives_back_the_rest_at_once() {
    let bench = Bench::start();
    let (before, base) = (bench.split("chat"), bench.live());
    let path = bench.begin(HALF);
    bench.goes_back(&path, "1h");
    let (status, refusal) = bench.ask("POST", &format!("{path}/abort?over=5s"), "");
    assert_eq!(status, 409, "it goes back already: {refusal}");
    let (status, ended) = bench.ask("POST", &format!("{path}/rollback"), "");
    assert_eq!(
        (status, &ended["state"]),
        (200, &json!("rolled_back")),
        "{ended:#}"
    );
    assert_eq!(bench.split("chat"), before);
    assert_eq!(
        bench.revisions_since(base).len(),
        3,
        "step, part and way back"
    );
}

#[test]
fn a_bare_rollback_undoes_the_whole_group_of_a_way_back_in_parts() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin(HALF);
    bench.goes_back(&path, "1h");
    let (status, receipt) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!((status, bench.split("chat")), (200, before), "{receipt}");
    assert_eq!(receipt["undid"].as_array().unwrap().len(), 2, "{receipt}");
    bench.reaches(&path, "superseded");
}

#[test]
fn a_change_by_others_ends_a_way_back_in_parts() {
    let bench = Bench::start();
    let path = bench.begin(HALF);
    bench.goes_back(&path, "2s");
    let change = r#"{"percent":{"green":33}}"#;
    assert_eq!(bench.ask("PATCH", "/v1/routes/chat/split", change).0, 200);
    let ended = bench.reaches(&path, "superseded");
    assert!(ended.get("going_back").is_none(), "{ended:#}");
    assert_eq!(bench.hundredths("chat"), 3_300);
}

#[test]
fn what_goes_back_in_parts_is_back_at_once_after_a_restart() {
    let mut bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin(HALF);
    bench.goes_back(&path, "1h");
    bench.restart();
    let ended = bench.reaches(&path, "rolled_back");
    assert!(ended.get("going_back").is_none(), "{ended:#}");
    assert_eq!(bench.split("chat"), before);
}

#[test]
fn a_change_of_another_route_stays_and_the_rest_goes_back_in_one_revision() {
    let bench = Bench::start();
    let path = bench.begin(HALF);
    bench.goes_back(&path, "2s");
    let change = r#"{"percent":{"green":7}}"#;
    assert_eq!(bench.ask("PATCH", "/v1/routes/keyed/split", change).0, 200);
    let live = bench.live();
    let ended = bench.reaches(&path, "rolled_back");
    assert_eq!(bench.hundredths("chat"), 0, "{ended:#}");
    assert_eq!(bench.hundredths("keyed"), 700);
    // A part may have come before that change, or after it; what takes all back is one revision.
    assert!(bench.revisions_since(live).len() <= 2, "{ended:#}");
}

#[test]
fn the_routes_of_a_train_get_each_part_together() {
    let bench = Bench::start();
    let before = ["chat", "tools"].map(|route| bench.split(route));
    let path = bench.begin_train(HALF);
    bench.goes_back(&path, "2s");
    assert_eq!(
        ["chat", "tools"].map(|route| bench.hundredths(route)),
        [3_333; 2]
    );
    bench.reaches(&path, "rolled_back");
    assert_eq!(["chat", "tools"].map(|route| bench.split(route)), before);
}

#[test]
fn a_time_that_is_none_is_refused_and_nothing_changes() {
    let bench = Bench::start();
    let path = bench.begin(HALF);
    let live = bench.live();
    for (command, over) in [
        ("rollback", "0s"),
        ("rollback", "61m"),
        ("abort", "soon"),
        ("pause", "30s"),
    ] {
        let (status, refusal) = bench.ask("POST", &format!("{path}/{command}?over={over}"), "");
        assert!([400, 422].contains(&status), "{command} {over}: {refusal}");
    }
    let (_, rollout) = bench.ask("GET", &path, "");
    assert_eq!((bench.live(), &rollout["state"]), (live, &json!("running")));
}

#[test]
fn the_command_line_spreads_a_way_back_and_shows_it() {
    let bench = Bench::start();
    bench.begin(HALF);
    let cli = |arguments: &[&str]| bench.cli(arguments);
    let shown = cli(&["rollout", "abort", "chat", "--over", "1h", "-m", "slowly"]);
    assert!(shown.contains("goes back over 1h, part 1 of 10"), "{shown}");
    assert!(shown.contains("abort over 1h: slowly"), "{shown}");
    let status = cli(&["status"]);
    assert!(
        status.contains(", goes back over 1h, part 1 of 10"),
        "{status}"
    );
    assert!(cli(&["rollout", "abort", "chat"]).contains("aborted"));
    assert_eq!(bench.hundredths("chat"), 0);
}
