//! Bare rollbacks and aborts that are spread over a time.

use std::io;

use switchback::{
    control::{Expected, RollbackTo, Settings},
    model::Cause,
};

use super::{killed::Killed, *};
use crate::controller_fixture::{ControllerFixture, author, folder, history_path};

const SWITCH: &str = r#"{"to":"green"}"#;
const HALF: &str = r#"{"percent":{"green":50}}"#;

impl Bench {
    fn change(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, receipt) = self.ask(method, path, body);
        assert_eq!(status, 200, "{receipt:#}");
        receipt
    }

    fn switch(&self, route: &str) {
        self.change("POST", &format!("/v1/routes/{route}/switch"), SWITCH);
    }

    fn goes(&self, path: &str, over: &str) -> Value {
        let receipt = self.change("POST", &format!("{path}?over={over}"), "");
        assert_eq!(receipt["going_back"]["part"], 1, "{receipt:#}");
        assert_eq!(receipt["cause"]["kind"], "return_part", "{receipt:#}");
        receipt
    }

    fn going_back(&self) -> Value {
        self.ask("GET", "/v1/status", "").1["going_back"].clone()
    }

    /// Waits until nothing is under way in parts.
    fn is_over(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.going_back() != json!([]) {
            assert!(Instant::now() < end, "{:#}", self.going_back());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until green has nothing of a route.
    fn is_back(&self, route: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.hundredths(route) > 0 {
            assert!(Instant::now() < end, "{route}: {}", self.split(route));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_rollback_over_a_time_is_gone_in_parts_and_nothing_leads_forth_again() {
    let bench = Bench::start();
    let (before, base) = (bench.split("chat"), bench.live());
    bench.switch("chat");
    let switched = bench.live();
    let receipt = bench.goes("/v1/rollback", "4s");
    let parts = &receipt["going_back"];
    assert_eq!((&parts["over"], &parts["parts"]), (&json!("4s"), &json!(5)));
    assert!(parts["ends_at"].as_str().unwrap() > receipt["applied_at"].as_str().unwrap());
    assert_eq!(receipt["undid"], json!([switched]), "{receipt:#}");
    assert_eq!(
        receipt["cause"],
        json!({"kind": "return_part", "to": base, "part": 1, "parts": 5})
    );
    let mut shares = vec![8_000];
    let end = Instant::now() + Duration::from_secs(60);
    while bench.split("chat") != before {
        assert!(Instant::now() < end);
        shares.push(bench.hundredths("chat"));
    }
    assert_eq!(shares[0], 8_000);
    assert!(shares.is_sorted_by(|one, next| one >= next), "{shares:?}");
    assert!(shares.iter().any(|share| (1..8_000).contains(share)));
    bench.is_over();
    let revisions = bench.revisions_since(switched);
    assert!((3..=5).contains(&revisions.len()), "{revisions:#?}");
    assert_eq!(
        revisions[0]["cause"],
        json!({"kind": "rollback", "to": base})
    );
    let is_part = |one: &Value| one["cause"]["kind"] == "return_part";
    assert!(revisions[1..].iter().all(is_part), "{revisions:#?}");
    let (_, list) = bench.ask("GET", "/v1/quarantine", "");
    assert_eq!(list["releases"][0]["release"], "green", "{list}");
    let (status, refusal) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!(status, 409, "the first table is live: {refusal}");
    assert_eq!(bench.split("chat"), before);
}

#[test]
fn a_rollback_without_a_time_gives_back_the_rest_at_once() {
    let bench = Bench::start();
    let before = bench.split("chat");
    bench.switch("chat");
    bench.goes("/v1/rollback", "1h");
    let going = bench.going_back();
    assert_eq!(going[0]["command"], "rollback", "{going:#}");
    assert_eq!(going[0]["routes"], json!(["chat"]), "{going:#}");
    assert_eq!(going[0]["parts"]["parts"], 10, "{going:#}");
    let live = bench.live();
    let (status, refusal) = bench.ask("POST", "/v1/rollback?over=5s", "");
    assert_eq!(status, 409, "it goes back already: {refusal}");
    assert!(
        refusal["type"].as_str().unwrap().ends_with("goes-back"),
        "{refusal}"
    );
    assert_eq!(bench.live(), live);
    let receipt = bench.change("POST", "/v1/rollback", "");
    assert_eq!(
        (receipt["undid"].clone(), bench.split("chat")),
        (json!([live]), before)
    );
    assert_eq!(bench.going_back(), json!([]));
}

#[test]
fn a_rollback_goes_before_the_whole_group_and_what_is_no_weight_comes_with_the_last_part() {
    let bench = Bench::start();
    let before = ["chat", "tools"].map(|route| bench.split(route));
    let path = "/v1/routes/chat/switch?group=deploy";
    bench.change("POST", path, SWITCH);
    bench.change("PATCH", "/v1/routes/tools/split?group=deploy", HALF);
    let flag = r#"{"type":"boolean","default":"off","variants":{"on":true,"off":false}}"#;
    let (status, _) = bench.ask("PUT", "/v1/flags/new?group=deploy", flag);
    assert_eq!(status, 200);
    bench.goes("/v1/rollback", "1h");
    assert_eq!(
        ["chat", "tools"].map(|route| bench.hundredths(route)),
        [9_000, 4_500]
    );
    assert_eq!(bench.ask("GET", "/v1/flags/new", "").0, 200);
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(["chat", "tools"].map(|route| bench.split(route)), before);
    assert_eq!(bench.ask("GET", "/v1/flags/new", "").0, 404);
}

#[test]
fn a_rollback_to_a_revision_goes_in_parts_past_what_lies_between() {
    let bench = Bench::start();
    let routes = ["chat", "tools"];
    let shares = || routes.map(|route| bench.hundredths(route));
    let before = routes.map(|route| bench.split(route));
    let base = bench.live();
    bench.change("PATCH", "/v1/routes/tools/split", HALF);
    bench.switch("chat");
    let undone = [bench.live(), bench.live() - 1];
    let body = format!(r#"{{"to":{base}}}"#);
    let dry_run = bench.change("POST", "/v1/rollback?over=1h&dry_run", &body);
    assert_eq!(dry_run["changed"], true, "{dry_run:#}");
    let receipt = bench.change("POST", "/v1/rollback?over=1h", &body);
    assert_eq!(
        receipt["cause"],
        json!({"kind": "return_part", "to": base, "part": 1, "parts": 10})
    );
    assert_eq!(receipt["undid"], json!(undone), "{receipt:#}");
    assert_eq!(shares(), [9_000, 4_500]);
    let (status, refusal) = bench.ask("POST", "/v1/rollback?over=1h", &body);
    assert_eq!(status, 409, "it goes back already: {refusal}");
    // The same without a time gives back the rest, and nothing leads forth again.
    bench.change("POST", "/v1/rollback", &body);
    assert_eq!(routes.map(|route| bench.split(route)), before);
    assert_eq!(bench.going_back(), json!([]));
    let (status, refusal) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!(status, 409, "the first table is live: {refusal}");
    // What was taken back is not on the stack any more.
    for (to, kind) in [(undone[0], "not-on-stack"), (9_999, "unknown-revision")] {
        for query in ["over=30s", "over=30s&dry_run"] {
            let (path, to) = (format!("/v1/rollback?{query}"), format!(r#"{{"to":{to}}}"#));
            let (_, refusal) = bench.ask("POST", &path, &to);
            assert!(
                refusal["type"].as_str().unwrap().ends_with(kind),
                "{refusal}"
            );
        }
    }
    assert_eq!(routes.map(|route| bench.split(route)), before);
}

#[test]
fn the_parts_to_a_revision_end_there_by_themselves_and_after_a_restart() {
    let mut bench = Bench::start();
    let base = bench.live();
    let admin = format!("http://{}", bench.running().admin());
    for (over, restarts) in [("1s", false), ("1h", true)] {
        bench.change("PATCH", "/v1/routes/tools/split", HALF);
        bench.switch("chat");
        let to = base.to_string();
        let arguments = ["rollback", "--to", &to, "--over", over];
        if restarts {
            let body = format!(r#"{{"to":{base}}}"#);
            bench.change("POST", &format!("/v1/rollback?over={over}&force"), &body);
            bench.restart();
        } else {
            let output = program(&arguments, &[("SWITCHBACK_ADMIN", &admin)]);
            assert!(output.status.success(), "{output:?}");
        }
        bench.is_back("chat");
        bench.is_back("tools");
        bench.is_over();
    }
}

#[test]
fn where_no_weights_differ_all_is_back_at_once_and_the_receipt_says_so() {
    let bench = Bench::start();
    let flag = r#"{"type":"boolean","default":"off","variants":{"on":true,"off":false}}"#;
    bench.change("PUT", "/v1/flags/new", flag);
    let receipt = bench.change("POST", "/v1/rollback?over=30s", "");
    assert_eq!(receipt["cause"]["kind"], "rollback", "{receipt:#}");
    assert!(receipt.get("going_back").is_none(), "{receipt:#}");
    assert!(
        receipt["hint"].as_str().unwrap().contains("at once"),
        "{receipt:#}"
    );
    assert_eq!(bench.ask("GET", "/v1/flags/new", "").0, 404);
}

#[test]
fn a_change_of_the_route_by_others_supersedes_what_is_left() {
    let bench = Bench::start();
    bench.switch("chat");
    bench.goes("/v1/rollback", "2s");
    bench.change(
        "PATCH",
        "/v1/routes/chat/split",
        r#"{"percent":{"green":33}}"#,
    );
    assert_eq!(bench.going_back(), json!([]));
    let live = bench.live();
    // One that begins later is over later: the first one would have given its last part before.
    bench.change("PATCH", "/v1/routes/tools/split", HALF);
    bench.goes("/v1/rollback", "3s");
    bench.is_over();
    assert_eq!(bench.hundredths("chat"), 3_300);
    assert_eq!(bench.hundredths("tools"), 0);
    assert!(bench.live() > live);
}

#[test]
fn before_a_change_of_another_route_all_goes_back_and_a_rollback_of_it_leads_nowhere_else() {
    let bench = Bench::start();
    let keyed = bench.hundredths("keyed");
    let change = || {
        bench.change(
            "PATCH",
            "/v1/routes/keyed/split",
            r#"{"percent":{"green":7}}"#,
        )
    };
    bench.switch("chat");
    bench.goes("/v1/rollback", "1h");
    change();
    let shares = || (bench.hundredths("chat"), bench.hundredths("keyed"));
    assert_eq!((shares(), bench.going_back()), ((0, 700), json!([])));
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(shares(), (0, keyed));
    let (status, refusal) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!(status, 409, "the first table is live: {refusal}");

    bench.change("PATCH", "/v1/routes/chat/split", HALF);
    bench.goes("/v1/routes/chat/abort", "1h");
    change();
    assert_eq!((shares(), bench.going_back()), ((0, 700), json!([])));
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(shares(), (0, keyed));
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(shares(), (5_000, keyed), "the parts and the rest are one");
}

#[test]
fn a_change_that_is_refused_lets_the_parts_go_on() {
    let bench = Bench::start();
    bench.switch("chat");
    bench.goes("/v1/rollback", "1h");
    let (status, refusal) = bench.ask(
        "PATCH",
        "/v1/routes/keyed/split",
        r#"{"percent":{"nobody":7}}"#,
    );
    assert!(status >= 400, "{refusal}");
    assert_eq!(bench.going_back()[0]["parts"]["part"], 1);
    assert!(bench.hundredths("chat") > 5_000);
}

#[test]
fn an_abort_over_a_time_is_one_group_that_one_rollback_undoes() {
    let bench = Bench::start();
    bench.change("PATCH", "/v1/routes/chat/split", HALF);
    let receipt = bench.goes("/v1/routes/chat/abort", "4s");
    assert_eq!(bench.hundredths("chat"), 4_000, "{receipt:#}");
    assert_eq!(bench.going_back()[0]["command"], "abort");
    bench.is_back("chat");
    bench.is_over();
    let (_, page) = bench.ask("GET", "/v1/revisions?limit=2", "");
    let group = |at: usize| page["revisions"][at]["author"]["group"].clone();
    assert!(group(0).is_string() && group(0) == group(1), "{page:#}");
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(bench.hundredths("chat"), 5_000);
    // Nothing is left of it, so the next one is another.
    bench.goes("/v1/routes/chat/abort", "1h");
    let (status, refusal) = bench.ask("POST", "/v1/routes/chat/abort?over=5s", "");
    assert_eq!(status, 409, "{refusal}");
    bench.change("POST", "/v1/routes/chat/abort", "");
    assert_eq!(
        (bench.hundredths("chat"), bench.going_back()),
        (0, json!([]))
    );
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(
        bench.hundredths("chat"),
        5_000,
        "the part and the rest are one"
    );
}

#[test]
fn what_goes_back_in_parts_is_back_at_once_after_a_restart() {
    let mut bench = Bench::start();
    bench.switch("chat");
    bench.goes("/v1/rollback", "1h");
    bench.restart();
    bench.is_back("chat");
    bench.change("PATCH", "/v1/routes/chat/split", HALF);
    bench.goes("/v1/routes/chat/abort", "1h");
    bench.restart();
    bench.is_back("chat");
    bench.is_over();
    bench.change("POST", "/v1/rollback", "");
    assert_eq!(bench.hundredths("chat"), 5_000);
}

#[test]
fn a_kill_amid_the_parts_ends_with_all_back() {
    let mut killed = Killed::start(7_411);
    let split = |killed: &Killed| killed.ask("GET", "/v1/routes/chat", "").1["split"].clone();
    for (change, back) in [
        (("POST", "switch", SWITCH), "/v1/rollback?over=1h"),
        (("PATCH", "split", HALF), "/v1/routes/chat/abort?over=1h"),
        (("PATCH", "split", HALF), "/v1/rollback?over=9s"),
    ] {
        let (method, place, body) = change;
        let path = format!("/v1/routes/chat/{place}?force=true");
        assert_eq!(killed.ask(method, &path, body).0, 200);
        let (status, receipt) = killed.ask("POST", back, "");
        assert_eq!(
            (status, &receipt["durable"]),
            (200, &json!(true)),
            "{receipt:#}"
        );
        killed.serve_and_kill();
        let end = Instant::now() + Duration::from_secs(60);
        while split(&killed)["green"] != 0 {
            assert!(Instant::now() < end, "{}", split(&killed));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_holds_up_no_part_of_a_rollback() {
    let folder = folder();
    let is_broken = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&is_broken);
    let hook: switchback::history::FaultInjector = Arc::new(move |_| {
        if fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is full"));
        }
        Ok(())
    });
    let path = history_path(&folder);
    let fixture = ControllerFixture::open_with(&path, Settings::default(), Some(hook));
    fixture.import_weights(0, 0).await;
    fixture.split("chat", 100).await;
    is_broken.store(true, Ordering::Relaxed);
    let over = RollbackTo::PreviousOver(Duration::from_secs(30));
    let receipt = fixture.rollback_to(over).await.unwrap();
    assert!(matches!(receipt.cause, Cause::ReturnPart { part: 1, .. }));
    assert!(!receipt.durable, "{receipt:?}");
    assert_eq!(fixture.weights(), (9_000, 0));
    fixture.rollback().await.unwrap();
    assert_eq!(fixture.weights(), (0, 0));
}

#[tokio::test]
async fn a_repeated_key_gets_the_receipt_of_the_first_part_again() {
    let folder = folder();
    let fixture = ControllerFixture::with_weights(&history_path(&folder), 0, 0).await;
    fixture.split("chat", 100).await;
    let over = || RollbackTo::PreviousOver(Duration::from_secs(30));
    let by = crate::controller_fixture::keyed("once");
    let controller = &fixture.controller;
    let first = controller
        .rollback(over(), by.clone(), Expected::Any, false)
        .await;
    let again = controller.rollback(over(), by, Expected::Any, false).await;
    assert_eq!(first.unwrap().revision, again.unwrap().revision);
    let other = controller
        .rollback(over(), author(), Expected::Any, false)
        .await;
    assert!(other.unwrap_err().to_string().contains("goes back already"));
    let key = crate::controller_fixture::keyed("abort");
    let abort = || {
        let (route, over) = ("search".parse().unwrap(), Duration::from_secs(30));
        controller.abort_over(route, over, key.clone(), Expected::Any, false)
    };
    fixture.split("search", 40).await;
    let first = abort().await.unwrap().revision;
    assert_eq!(abort().await.unwrap().revision, first);
    assert_eq!(fixture.revision(), first);
}

#[test]
fn a_time_that_does_not_fit_is_refused_and_nothing_changes() {
    let bench = Bench::start();
    bench.switch("chat");
    let live = bench.live();
    for (path, body) in [
        ("/v1/rollback?over=0s", ""),
        ("/v1/rollback?over=61m", ""),
        ("/v1/routes/chat/abort?over=soon", ""),
        ("/v1/rollback?over=30s", r#"{"step":true}"#),
        ("/v1/rollback?over=30s", r#"{"to":1,"step":true}"#),
        ("/v1/routes/chat/rollback?over=30s", ""),
        ("/v1/routes/chat/switch?over=30s", SWITCH),
    ] {
        let (status, refusal) = bench.ask("POST", path, body);
        assert!([400, 422].contains(&status), "{path} {body}: {refusal}");
    }
    let dry_run = bench.change("POST", "/v1/rollback?over=30s&dry_run", "");
    assert_eq!(dry_run["changed"], true, "{dry_run:#}");
    assert_eq!((bench.live(), bench.going_back()), (live, json!([])));
}

#[test]
fn where_a_rollout_runs_the_receipt_points_to_its_own_way_back() {
    let bench = Bench::start();
    let path = bench.begin(LONG);
    let id = path.rsplit('/').next().unwrap();
    let receipt = bench.goes("/v1/routes/chat/abort", "30s");
    let hint = receipt["hint"].as_str().unwrap();
    assert!(
        hint.contains(&format!("`switchback rollout abort {id}`")),
        "{hint}"
    );
    bench.reaches(&path, "superseded");
}

#[test]
fn the_command_line_spreads_a_rollback_and_an_abort_and_shows_them() {
    let bench = Bench::start();
    bench.switch("chat");
    let cli = |arguments: &[&str]| bench.cli(arguments);
    let shown = cli(&["rollback", "--over", "1h", "-m", "slowly"]);
    assert!(
        shown.contains("goes back over 1h, part 1 of 10, until "),
        "{shown}"
    );
    let status = cli(&["status"]);
    assert!(
        status.contains(": chat goes back over 1h, part 1 of 10"),
        "{status}"
    );
    assert!(
        status.contains("`switchback rollback --to 1` gives back the rest"),
        "{status}"
    );
    assert!(cli(&["history"]).contains("part 1 of 10"));
    cli(&["rollback", "--to", "1"]);
    assert_eq!(bench.hundredths("chat"), 0);
    cli(&["split", "tools", "green=20"]);
    cli(&["abort", "tools", "--over", "1h"]);
    let status = cli(&["status", "--route", "tools"]);
    assert!(
        status.contains("abort: tools goes back over 1h"),
        "{status}"
    );
    assert!(status.contains("`switchback abort tools`"), "{status}");
    assert!(!cli(&["status", "--route", "chat"]).contains("goes back"));
}
