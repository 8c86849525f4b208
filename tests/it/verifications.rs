//! Verifications of rollbacks from end to end: a whole switchback, two origins, real requests.

use std::{
    fs::{self, File},
    io::Write as _,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use switchback::{
    config,
    server::{self, Options, Running},
};
use tempfile::TempDir;

use crate::support::{
    Client, Origin,
    cli::{program, stderr, stdout},
};

/// Requests that make a period that can be compared with.
const ENOUGH: usize = 400;

/// A switchback in front of two origins; each answers every second request with 500 while it is to.
struct Bench {
    running: Option<Running>,
    folder: TempDir,
    is_bad: [Arc<AtomicBool>; 2],
    _origins: [Origin; 2],
}

/// Requests without a pause, until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

fn origin(name: &'static str, is_bad: &Arc<AtomicBool>) -> Origin {
    let (is_bad, count) = (Arc::clone(is_bad), AtomicUsize::new(0));
    Origin::answering(move |_| {
        let is_odd = count.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        if is_odd && is_bad.load(Ordering::Relaxed) {
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        let length = name.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}").into_bytes()
    })
}

impl Bench {
    /// A bench whose file has this section.
    fn start(verification: &str) -> Self {
        let is_bad = [Arc::default(), Arc::default()];
        let origins = [origin("blue", &is_bad[0]), origin("green", &is_bad[1])];
        let folder = tempfile::tempdir().unwrap();
        let [blue, green] = origins.each_ref().map(Origin::url);
        let text = format!(
            "history.path = \"history\"\nhistory.durable_within = \"30s\"\nadmin.address = \"127.0.0.1:0\"\naccess_log.format = \"off\"\nworkers = 1\n\
             [verification]\n{verification}\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n\
             [[routes]]\nname = \"tools\"\npath_prefix = \"/tools\"\nsplit = {{ blue = 1 }}\n"
        );
        let mut file = File::create(folder.path().join("switchback.toml")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut bench = Self {
            running: None,
            folder,
            is_bad,
            _origins: origins,
        };
        bench.run();
        bench
    }

    fn run(&mut self) {
        let config = config::load(&self.folder.path().join("switchback.toml")).unwrap();
        self.running = Some(server::start(config, Options::default()).unwrap());
    }

    fn stop(&mut self) {
        self.running.take().unwrap().stop();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn bad(&self, [blue, green]: [bool; 2]) {
        self.is_bad[0].store(blue, Ordering::Relaxed);
        self.is_bad[1].store(green, Ordering::Relaxed);
    }

    fn load(&self) -> Load {
        let (stop, count) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (ends, counts) = (Arc::clone(&stop), Arc::clone(&count));
        let address = self.running().listeners()[0];
        let thread = thread::spawn(move || {
            let mut client = Client::connect(address);
            while !ends.load(Ordering::Relaxed) {
                client.get("/");
                counts.fetch_add(1, Ordering::Relaxed);
            }
        });
        Load {
            stop,
            count,
            thread: Some(thread),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (address, length) = (self.running().admin(), body.len());
        let mut client = Client::connect(address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        let response = client.response();
        (
            response.status,
            serde_json::from_slice(&response.body).unwrap(),
        )
    }

    fn made(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, receipt) = self.ask(method, path, body);
        assert_eq!(status, 200, "{receipt}");
        receipt
    }

    /// Gives everything to green, once blue has a history, and lets green have one.
    fn trial(&self, load: &Load, bad: [bool; 2]) {
        load.more();
        self.is_bad[1].store(bad[1], Ordering::Relaxed);
        self.made("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
        self.is_bad[0].store(bad[0], Ordering::Relaxed);
        load.more();
    }

    /// Rolls back, and returns the path of the verification.
    fn roll_back(&self) -> String {
        let receipt = self.made("POST", "/v1/rollback", "");
        let id = receipt["verification"].as_str().unwrap();
        assert_eq!(id, receipt["revision"].to_string());
        format!("/v1/verifications/{id}")
    }

    /// A verification once it has ended.
    fn ended(&self, path: &str) -> Value {
        loop {
            let (status, verification) = self.ask("GET", &format!("{path}?wait=ended"), "");
            match status {
                504 => assert_eq!(verification["state"], "running", "{verification:#}"),
                _ => return verification,
            }
        }
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        let admin = format!("http://{}", self.running().admin());
        program(arguments, &[("SWITCHBACK_ADMIN", &admin)])
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

impl Load {
    /// Waits until enough requests have been answered from now on.
    fn more(&self) {
        let now = self.count.load(Ordering::Relaxed);
        while self.count.load(Ordering::Relaxed) < now + ENOUGH {
            thread::yield_now();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _joined = self.thread.take().unwrap().join();
    }
}

#[test]
fn users_of_a_bad_release_have_recovered_after_its_rollback() {
    let bench = Bench::start("");
    let load = bench.load();
    bench.trial(&load, [false, true]);
    let path = bench.roll_back();
    let verification = bench.ended(&path);
    assert_eq!(
        (&verification["verdict"], &verification["state"]),
        (&json!("recovered"), &json!("ended")),
        "{verification:#}"
    );
    let route = &verification["routes"][0];
    assert_eq!(
        (&route["taken_back"], &route["restored"]),
        (&json!("green"), &json!("blue"))
    );
    assert_eq!(
        (&route["compared_with"], &route["improved"]),
        (&json!("before"), &json!(true))
    );
    let failures = &route["signals"][0];
    // A request amid a change may count on its other side.
    for side in ["since", "reference"] {
        let bad = failures[side]["bad"].as_u64().unwrap();
        assert!(bad < 5, "{side}: {route:#}");
    }
    assert!(
        failures["own"]["bad"].as_u64().unwrap() >= 100,
        "{failures}"
    );
    let words = verification["words"].as_str().unwrap();
    assert!(words.starts_with("recovered: chat fails "), "{words}");
    assert!(words.contains(" with green, "), "{words}");
    assert!(words.ends_with(" before it"), "{words}");
    let (_, status) = bench.ask("GET", "/v1/status", "");
    assert_eq!(
        status["verifications"][0]["verdict"], "recovered",
        "{status}"
    );
    let (_, page) = bench.ask("GET", "/v1/revisions?limit=1", "");
    assert_eq!(page["revisions"][0]["verification"]["verdict"], "recovered");
    let (_, list) = bench.ask("GET", "/v1/verifications", "");
    assert_eq!(list["verifications"].as_array().unwrap().len(), 1);
    drop(load);
}

#[test]
fn where_the_earlier_release_is_bad_as_well_the_verdict_names_what_else_changed() {
    let bench = Bench::start("");
    let load = bench.load();
    bench.made(
        "PATCH",
        "/v1/routes/tools/split",
        r#"{"percent":{"green":5},"message":"new tools"}"#,
    );
    bench.trial(&load, [true, true]);
    let verification = bench.ended(&bench.roll_back());
    assert_eq!(verification["verdict"], "not_recovered", "{verification:#}");
    let words = verification["words"].as_str().unwrap();
    assert!(words.starts_with("NOT RECOVERED: chat fails "), "{words}");
    assert!(words.contains("green was not the cause"), "{words}");
    let changes = verification["also_changed"].as_array().unwrap();
    let named = |what: &str| {
        let mut all = changes.iter();
        all.any(|change| change["words"].as_str().unwrap().contains(what))
    };
    assert!(named("route tools, \"new tools\""), "{changes:#?}");
    assert!(named("switchback was started"), "{changes:#?}");
    let own = changes.iter().filter(|change| change["kind"] == "revision");
    let (_, page) = bench.ask("GET", "/v1/revisions", "");
    let all = page["revisions"].as_array().unwrap().len();
    assert_eq!(
        own.count(),
        all - 2,
        "the switch and the rollback are not others"
    );
    drop(load);
}

#[test]
fn a_way_back_that_makes_it_worse_says_so() {
    let bench = Bench::start("");
    let load = bench.load();
    bench.trial(&load, [true, false]);
    let verification = bench.ended(&bench.roll_back());
    assert_eq!(verification["verdict"], "worse", "{verification:#}");
    let words = verification["words"].as_str().unwrap();
    assert!(words.starts_with("WORSE: "), "{words}");
    drop(load);
}

#[test]
fn without_requests_there_is_not_enough_data() {
    let bench = Bench::start("within = \"2s\"");
    bench.made("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
    let path = bench.roll_back();
    let (status, running) = bench.ask("GET", &format!("{path}?wait=ended&timeout=1ms"), "");
    assert_eq!((status, &running["state"]), (504, &json!("running")));
    let verification = bench.ended(&path);
    assert_eq!(
        (&verification["verdict"], &verification["state"]),
        (&json!("not_enough_data"), &json!("ended")),
        "{verification:#}"
    );
    let words = verification["words"].as_str().unwrap();
    assert!(words.contains("chat has had no requests"), "{words}");
    assert_eq!(bench.ask("GET", "/v1/verifications/999999", "").0, 404);
    assert_eq!(
        bench.ask("GET", "/v1/verifications/x?wait=ended", "").0,
        404
    );
    assert_eq!(bench.ask("GET", &format!("{path}?timeout=1s"), "").0, 400);
}

#[test]
fn after_so_many_requests_a_verification_ends_without_a_verdict() {
    let bench = Bench::start("requests = 500");
    let load = bench.load();
    // Nothing is known of the time before: nothing can be shown.
    let receipt = bench.made("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
    assert!(receipt.get("verification").is_none(), "{receipt}");
    let verification = bench.ended(&bench.roll_back());
    let verdict = verification["verdict"].as_str().unwrap();
    let requests = verification["routes"][0]["requests"].as_u64().unwrap();
    assert!(
        verdict == "recovered" || requests >= 500,
        "{verification:#}"
    );
    drop(load);
}

#[test]
fn rollbacks_are_not_verified_where_that_is_switched_off() {
    let bench = Bench::start("enabled = false");
    bench.made("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
    let output = bench.cli(&["rollback", "--verify"]);
    assert_eq!(output.status.code(), Some(82), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("switched off"),
        "{}",
        stderr(&output)
    );
    let (_, list) = bench.ask("GET", "/v1/verifications", "");
    assert_eq!(list["verifications"], json!([]));
}

#[test]
fn an_abort_and_a_rollback_of_a_route_are_verified_and_a_later_change_supersedes() {
    let bench = Bench::start("");
    let split = |percent: u32| {
        let body = format!(r#"{{"percent":{{"green":{percent}}}}}"#);
        bench.made("PATCH", "/v1/routes/chat/split", &body);
    };
    split(5);
    let aborted = bench.made("POST", "/v1/routes/chat/abort", "");
    let first = format!(
        "/v1/verifications/{}",
        aborted["verification"].as_str().unwrap()
    );
    split(10);
    let back = bench.made("POST", "/v1/routes/chat/rollback", "");
    assert!(back["verification"].is_string(), "{back}");
    let verification = bench.ended(&first);
    assert_eq!(verification["state"], "superseded", "{verification:#}");
    assert!(verification["routes"][0]["superseded_by"].is_u64());
    assert_eq!(verification["verdict"], "not_enough_data");
}

#[test]
fn the_exit_status_of_a_rollback_says_what_became_of_users() {
    let bench = Bench::start("");
    let load = bench.load();
    bench.trial(&load, [false, true]);
    let output = bench.cli(&["rollback", "--verify", "-m", "errors in green"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("= revision "), "{text}");
    assert!(text.contains("\nrecovered: chat fails "), "{text}");
    bench.trial(&load, [true, true]);
    let output = bench.cli(&["--json", "rollback", "--verify"]);
    assert_eq!(output.status.code(), Some(80), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verification"]["verdict"], "not_recovered", "{json}");
    assert_eq!(json["receipt"]["changed"], true);
    let id = json["verification"]["id"].as_str().unwrap();
    let output = bench.cli(&["verification", id, "--wait"]);
    assert_eq!(output.status.code(), Some(80), "{}", stderr(&output));
    let output = bench.cli(&["verification"]);
    assert!(stdout(&output).contains("not_recovered"));
    let output = bench.cli(&["status"]);
    assert!(
        stdout(&output).contains("NOT RECOVERED"),
        "{}",
        stdout(&output)
    );
    bench.bad([false, false]);
    bench.trial(&load, [true, false]);
    let output = bench.cli(&["rollback", "--verify"]);
    assert_eq!(output.status.code(), Some(81), "{}", stderr(&output));
    drop(load);
}

#[test]
fn without_requests_the_exit_status_is_not_that_of_a_success() {
    let bench = Bench::start("within = \"2s\"");
    bench.made("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
    let output = bench.cli(&["rollback", "--verify"]);
    assert_eq!(output.status.code(), Some(82), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not enough data"),
        "{}",
        stderr(&output)
    );
    let output = bench.cli(&["rollback", "--verify", "--dry-run"]);
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}

#[test]
fn a_verification_goes_on_after_a_restart() {
    let mut bench = Bench::start("");
    let load = bench.load();
    bench.trial(&load, [false, true]);
    drop(load);
    let path = bench.roll_back();
    let saved = bench.folder.path().join("history/verifications.json");
    while !saved.exists() {
        thread::yield_now();
    }
    bench.stop();
    bench.run();
    let (_, verification) = bench.ask("GET", &path, "");
    assert_eq!(verification["state"], "running", "{verification:#}");
    let load = bench.load();
    let verification = bench.ended(&path);
    assert_eq!(verification["verdict"], "recovered", "{verification:#}");
    assert_eq!(verification["routes"][0]["compared_with"], "before");
    drop(load);
    bench.stop();
    bench.run();
    assert_eq!(bench.ask("GET", &path, "").1["verdict"], "recovered");
}

#[test]
fn a_verification_of_which_nothing_was_saved_is_interrupted() {
    let mut bench = Bench::start("");
    bench.made("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
    let path = bench.roll_back();
    bench.stop();
    // As a kill right after the rollback leaves it.
    let _gone = fs::remove_file(bench.folder.path().join("history/verifications.json"));
    bench.run();
    let (status, verification) = bench.ask("GET", &path, "");
    assert_eq!(
        (status, &verification["state"], &verification["verdict"]),
        (200, &json!("interrupted"), &json!("not_enough_data")),
        "{verification:#}"
    );
}

#[test]
fn a_rollout_that_went_back_shows_its_verification() {
    let bench = Bench::start("");
    let load = bench.load();
    load.more();
    bench.bad([false, true]);
    let body = r#"{"route":"chat","to":"green","plan":{"steps":[{"weight":50,"hold":"10m"},{"weight":100}]}}"#;
    let (status, rollout) = bench.ask("POST", "/v1/rollouts", body);
    assert_eq!(status, 201, "{rollout}");
    let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    let back = loop {
        let (_, rollout) = bench.ask("GET", &path, "");
        if rollout["state"] == "rolled_back" {
            break rollout;
        }
        thread::yield_now();
    };
    let id = back["verification"]["id"].as_str().unwrap();
    let verification = bench.ended(&format!("/v1/verifications/{id}"));
    assert_eq!(verification["verdict"], "recovered", "{verification:#}");
    let (_, rollout) = bench.ask("GET", &path, "");
    assert_eq!(rollout["verification"]["verdict"], "recovered");
    drop(load);
}
