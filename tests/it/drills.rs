//! Drills from end to end: a whole switchback, two origins, real requests.

use std::{
    fs::{File, read_to_string},
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchback::{
    config,
    server::{self, Options, Running},
};
use tempfile::TempDir;

use crate::{
    conformance::child::Switchback,
    support::{
        Client, Origin, TestAdmin,
        cli::{program, run_failing, run_ok, stderr, stdout},
        closed_address,
    },
};

/// A switchback in front of two origins, with green switched to; blue, the predecessor, fails while it is told to.
struct Bench {
    running: Option<Running>,
    folder: TempDir,
    is_bad: Arc<AtomicBool>,
    blue: Origin,
    _green: Origin,
}

/// Time that an agent takes for an answer: a first connection is no slower by comparison.
const WORK: Duration = Duration::from_millis(3);

/// Requests without a pause, until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    fn start() -> Self {
        Self::with("", "")
    }

    /// Starts one with further settings, and further keys of the route.
    fn with(settings: &str, route: &str) -> Self {
        let is_bad = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&is_bad);
        let blue = Origin::answering(move |request| {
            if request.line().contains("/slow") {
                thread::sleep(Duration::from_secs(1));
            }
            if fails.load(Ordering::Relaxed) {
                return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            thread::sleep(WORK);
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue".to_vec()
        });
        let green = Origin::answering(|_| {
            thread::sleep(WORK);
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngreen".to_vec()
        });
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "history.path = \"history\"\nadmin.address = \"127.0.0.1:0\"\naccess_log.format = \"off\"\n\
             workers = 2\n{settings}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n{}",
            table(&blue.url(), &green.url(), route)
        );
        let mut file = File::create(folder.path().join("switchback.toml")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut bench = Self {
            running: None,
            folder,
            is_bad,
            blue,
            _green: green,
        };
        bench.run();
        bench
    }

    fn run(&mut self) {
        let config = config::load(&self.folder.path().join("switchback.toml")).unwrap();
        self.running = Some(server::start(config, Options::default()).unwrap());
    }

    fn restart(&mut self) {
        self.running.take().unwrap().stop();
        self.run();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn switch(&self) {
        let (status, receipt) = self.ask("POST", "/v1/routes/chat/switch", r#"{"to":"green"}"#);
        assert_eq!(status, 200, "{receipt}");
    }

    fn load(&self) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (failed, made) = (Arc::default(), Arc::default());
        let (ends, address) = (Arc::clone(&stop), self.running().listeners()[0]);
        let (fails, makes): (Arc<AtomicUsize>, Arc<AtomicUsize>) =
            (Arc::clone(&failed), Arc::clone(&made));
        let thread = thread::spawn(move || {
            let mut client = Client::connect(address);
            while !ends.load(Ordering::Relaxed) {
                let is_failure = client.get("/").status != 200;
                fails.fetch_add(usize::from(is_failure), Ordering::Relaxed);
                makes.fetch_add(1, Ordering::Relaxed);
            }
        });
        Load {
            stop,
            failed,
            made,
            thread: Some(thread),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let response = self.raw(method, path, body);
        (response.0, serde_json::from_slice(&response.1).unwrap())
    }

    fn raw(&self, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
        let (address, length) = (self.running().admin(), body.len());
        let mut client = Client::connect(address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        let response = client.response();
        (response.status, response.body)
    }

    /// Begins a drill of the route `chat`.
    fn drill(&self, more: &str) -> Value {
        let (status, drill) = self.ask(
            "POST",
            "/v1/drills",
            &format!(r#"{{"route":"chat"{more}}}"#),
        );
        assert_eq!(status, 201, "{drill}");
        drill
    }

    /// Waits until a drill has ended, and returns it.
    fn ended(&self, drill: &Value) -> Value {
        let path = format!("/v1/drills/{}", drill["id"].as_str().unwrap());
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, drill) = self.ask("GET", &path, "");
            if drill["state"] != "running" {
                return drill;
            }
            assert!(Instant::now() < end, "{drill:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn split(&self) -> Value {
        self.ask("GET", "/v1/routes/chat", "").1["split"].clone()
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.raw("GET", "/metrics", "").1).unwrap()
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
    fn wait_for(&self, requests: usize) {
        while self.made.load(Ordering::Relaxed) < requests {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _joined = self.thread.take().unwrap().join();
    }
}

fn table(blue: &str, green: &str, route: &str) -> String {
    let requests = "drill = [{ path = \"/probe?x=1\" }, { path = \"/probe\", method = \"POST\", body = \"{}\" }]";
    let requests = if route.contains("drill = ") {
        ""
    } else {
        requests
    };
    format!(
        "[releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
         [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
         [releases.red]\nversion = \"3\"\nendpoints = [{green:?}]\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n\
         {requests}\n{route}\n\
         [[routes]]\nname = \"tools\"\npath_prefix = \"/tools\"\nsplit = {{ blue = 1 }}\n"
    )
}

fn states(drill: &Value) -> (&str, bool) {
    (
        drill["state"].as_str().unwrap(),
        drill["passed"].as_bool().unwrap(),
    )
}

#[test]
fn the_mechanism_is_rehearsed_under_load_and_no_request_fails() {
    let bench = Bench::start();
    bench.switch();
    let (_, before) = bench.ask("POST", "/v1/rollback?dry_run=true", "");
    let load = bench.load();
    for round in 1..=10 {
        load.wait_for(round * 50);
        let drill = bench.drill("");
        assert_eq!(states(&drill), ("passed", true), "{drill:#}");
        let steps = drill["steps"].as_array().unwrap();
        let what: Vec<_> = steps
            .iter()
            .map(|step| step["what"].as_str().unwrap())
            .collect();
        assert_eq!(what, ["publish", "rollback"]);
        for step in steps {
            for time in ["live_ms", "durable_ms", "converged_ms"] {
                assert!(step[time].as_f64().unwrap() > 0.0, "{time}: {step}");
            }
        }
    }
    assert_eq!(load.failed(), 0);
    drop(load);
    let (_, after) = bench.ask("POST", "/v1/rollback?dry_run=true", "");
    assert_eq!(
        (&after["to"], &after["undoes"]),
        (&before["to"], &before["undoes"])
    );
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
    let (status, receipt) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!(
        (status, bench.split()),
        (200, json!({ "blue": 100, "green": 0 })),
        "{receipt}"
    );
    let metrics = bench.metrics();
    // Other tests of this process count as well.
    for line in [
        "switchback_drills_ended_total{level=\"mechanism\",state=\"passed\"}",
        "switchback_drill_passed{route=\"chat\"}",
        "switchback_drill_timestamp_seconds{route=\"chat\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_smoke_drill_sends_marked_requests_to_the_predecessor_and_they_count_for_nothing() {
    let bench = Bench::start();
    bench.switch();
    let drill = bench.drill(r#","level":"smoke","message":"before friday""#);
    assert_eq!(states(&drill), ("passed", true), "{drill:#}");
    assert_eq!(
        (&drill["from"], &drill["to"]),
        (&json!("green"), &json!("blue"))
    );
    assert_eq!(drill["requests"][0]["sent"], 2);
    let seen = bench.blue.requests();
    let lines: Vec<_> = seen
        .iter()
        .map(|request| request.line().to_owned())
        .collect();
    assert_eq!(lines, ["GET /probe?x=1 HTTP/1.1", "POST /probe HTTP/1.1"]);
    for request in &seen {
        assert_eq!(request.value("switchback-drill"), drill["id"].as_str());
        assert_eq!(request.value("x-switchback-release"), None);
    }
    let metrics = bench.metrics();
    let counted = metrics.lines().find(|line| {
        line.starts_with("switchback_requests_total") && line.contains("release=\"blue\"")
    });
    assert!(
        counted.is_none_or(|line| line.ends_with(" 0")),
        "{counted:?}"
    );
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
}

#[test]
fn a_smoke_drill_fails_where_the_predecessor_answers_wrongly_or_is_dead() {
    let bench = Bench::with("", "fallback = \"stable\"\nstable = \"green\"");
    bench.switch();
    bench.is_bad.store(true, Ordering::Relaxed);
    let drill = bench.drill(r#","level":"smoke""#);
    assert_eq!(states(&drill), ("failed", false), "{drill:#}");
    let failure = drill["failures"][0].as_str().unwrap();
    assert!(
        failure.contains("`GET /probe?x=1`: 500, expected 200-299"),
        "{failure}"
    );
    let dead = format!(
        r#"{{"version":"1","endpoints":["http://{}"]}}"#,
        closed_address()
    );
    let (status, receipt) = bench.ask("PUT", "/v1/releases/blue", &dead);
    assert_eq!(status, 200, "{receipt}");
    let drill = bench.drill(r#","level":"smoke""#);
    assert_eq!(states(&drill), ("failed", false), "{drill:#}");
    assert_eq!(drill["requests"][0]["failed"], 2);
    let (_, status) = bench.ask("GET", "/v1/status", "");
    let last = &status["routes"][0]["drill"];
    assert_eq!(
        (&last["level"], &last["passed"]),
        (&json!("smoke"), &json!(false))
    );
}

#[test]
fn a_synthetic_request_has_a_status_and_a_time_of_its_own() {
    let wants_failure = "drill = [{ path = \"/\", status = \"500\" }]";
    let bench = Bench::with("", wants_failure);
    bench.switch();
    assert_eq!(states(&bench.drill(r#","level":"smoke""#)).0, "failed");
    bench.is_bad.store(true, Ordering::Relaxed);
    assert_eq!(states(&bench.drill(r#","level":"smoke""#)).0, "passed");
    let hurried = Bench::with("", "drill = [{ path = \"/slow\", timeout = \"100ms\" }]");
    hurried.switch();
    let drill = hurried.drill(r#","level":"smoke""#);
    let failure = drill["failures"][0].as_str().unwrap();
    assert!(
        failure.contains("no whole response within 100ms"),
        "{failure}"
    );
}

#[test]
fn a_live_drill_passes_with_a_good_predecessor_and_gives_back_its_share() {
    let bench = Bench::start();
    bench.switch();
    let load = [(); 6].map(|()| bench.load());
    load[0].wait_for(200);
    let drill = bench.drill(r#","level":"live","share":40,"for":"8s""#);
    assert_eq!(states(&drill), ("running", false), "{drill:#}");
    assert_eq!(bench.split(), json!({ "blue": 40, "green": 60 }));
    let ended = bench.ended(&drill);
    drop(load);
    assert_eq!(states(&ended), ("passed", true), "{ended:#}");
    assert_eq!(ended["verdict"]["metrics"][0]["verdict"], "fine");
    assert_eq!(ended["steps"].as_array().unwrap().len(), 2);
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
    let (_, receipt) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!(
        bench.split(),
        json!({ "blue": 100, "green": 0 }),
        "{receipt}"
    );
}

#[test]
fn a_live_drill_with_a_bad_predecessor_is_over_at_once_and_one_without_requests_shows_nothing() {
    let bench = Bench::start();
    bench.switch();
    let drill = bench.drill(r#","level":"live","share":20,"for":"1s""#);
    let ended = bench.ended(&drill);
    assert_eq!(states(&ended), ("inconclusive", false), "{ended:#}");
    assert!(ended["notes"][0].as_str().unwrap().contains("no requests"));
    bench.is_bad.store(true, Ordering::Relaxed);
    let load = bench.load();
    let drill = bench.drill(r#","level":"live","share":20,"for":"1h""#);
    let ended = bench.ended(&drill);
    drop(load);
    assert_eq!(states(&ended), ("failed", false), "{ended:#}");
    assert!(
        ended["failures"][0].as_str().unwrap().contains("worse"),
        "{ended:#}"
    );
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
}

#[test]
fn a_full_drill_switches_loads_switches_back_and_loads_again() {
    let bench = Bench::start();
    bench.switch();
    let (status, problem) = bench.ask("POST", "/v1/drills", r#"{"route":"chat","level":"full"}"#);
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["hint"].as_str().unwrap().contains("visible"),
        "{problem}"
    );
    let ask = r#","level":"full","visible":true,"for":"1s""#;
    let ended = bench.ended(&bench.drill(ask));
    assert_eq!(states(&ended), ("passed", true), "{ended:#}");
    let on = |load: usize| ended["requests"][load]["release"].as_str().unwrap();
    assert_eq!([on(0), on(1)], ["blue", "green"]);
    for load in ended["requests"].as_array().unwrap() {
        assert!(load["sent"].as_u64().unwrap() >= 20, "{load}");
        assert_eq!(load["failed"], 0);
    }
    bench.is_bad.store(true, Ordering::Relaxed);
    let ended = bench.ended(&bench.drill(ask));
    assert_eq!(states(&ended), ("failed", false), "{ended:#}");
    let first = &ended["requests"][0];
    assert!(first["failed"].as_u64().unwrap() >= 3, "{first}");
    assert_eq!(ended["requests"][1]["failed"], 0);
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
}

#[test]
fn a_change_by_others_supersedes_a_drill_and_stays() {
    let bench = Bench::start();
    bench.switch();
    let drill = bench.drill(r#","level":"live","share":10,"for":"1h""#);
    let (status, _) = bench.ask(
        "PUT",
        "/v1/routes/chat/split",
        r#"{"weights":{"blue":30,"green":70}}"#,
    );
    assert_eq!(status, 200);
    let ended = bench.ended(&drill);
    assert_eq!(states(&ended), ("superseded", false), "{ended:#}");
    assert_eq!(bench.split(), json!({ "blue": 30, "green": 70 }));
}

#[test]
fn changes_of_other_routes_stay_and_are_undone_first_after_a_drill() {
    let bench = Bench::start();
    bench.switch();
    let drill = bench.drill(r#","level":"live","share":10,"for":"3s""#);
    let (status, _) = bench.ask(
        "PATCH",
        "/v1/routes/tools/split",
        r#"{"percent":{"green":5}}"#,
    );
    assert_eq!(status, 200);
    bench.ended(&drill);
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
    let tools = || bench.ask("GET", "/v1/routes/tools", "").1["split"].clone();
    assert_eq!(tools()["green"], 5);
    bench.ask("POST", "/v1/rollback", "");
    assert_eq!(
        (tools()["green"].clone(), bench.split()["green"].clone()),
        (Value::Null, json!(100))
    );
    bench.ask("POST", "/v1/rollback", "");
    assert_eq!(bench.split(), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn what_cannot_be_drilled_is_refused_with_a_reason_and_the_mechanism_works() {
    let bench = Bench::start();
    let refused = |body: &str, status: u16, words: &str| {
        let (found, problem) = bench.ask("POST", "/v1/drills", body);
        assert_eq!(found, status, "{body}: {problem}");
        assert!(problem.to_string().contains(words), "{body}: {problem}");
    };
    refused(r#"{"route":"chat","level":"smoke"}"#, 409, "no predecessor");
    refused(
        r#"{"route":"tools","level":"smoke"}"#,
        409,
        "no synthetic requests",
    );
    refused(r#"{"route":"chit"}"#, 404, "chit");
    refused(r#"{"route":"chat","share":1}"#, 422, "only a live drill");
    refused(
        r#"{"route":"chat","for":"1s"}"#,
        422,
        "only a live and a full drill",
    );
    refused(
        r#"{"route":"chat","level":"live","share":51}"#,
        422,
        "at most 50",
    );
    refused(r#"{"route":"chat","level":"livid"}"#, 422, "livid");
    let drill = bench.drill("");
    assert_eq!(states(&drill), ("passed", true), "{drill:#}");
    assert!(
        drill["notes"][0]
            .as_str()
            .unwrap()
            .contains("nothing to roll back to")
    );
    let (status, rollout) = bench.ask("POST", "/v1/rollouts", r#"{"route":"chat","to":"green"}"#);
    assert_eq!(status, 201, "{rollout}");
    refused(r#"{"route":"chat"}"#, 409, "rollout");
    let (status, drill) = bench.ask("POST", "/v1/drills", r#"{"route":"tools"}"#);
    assert_eq!((status, states(&drill)), (201, ("passed", true)));
    let id = rollout["id"].as_str().unwrap();
    let (_, rollout) = bench.ask("GET", &format!("/v1/rollouts/{id}"), "");
    assert_eq!(
        rollout["state"], "running",
        "a drill of another route leaves it alone"
    );
    let (status, _) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!(
        (status, bench.split()),
        (200, json!({ "blue": 100, "green": 0 }))
    );
}

#[test]
fn a_restart_amid_a_live_drill_takes_back_what_it_began() {
    let mut bench = Bench::start();
    bench.switch();
    let drill = bench.drill(r#","level":"live","share":10,"for":"1h""#);
    assert_eq!(bench.split()["blue"], 10);
    bench.restart();
    let ended = bench.ended(&drill);
    assert_eq!(states(&ended), ("interrupted", false), "{ended:#}");
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
    bench.restart();
    assert_eq!(states(&bench.ended(&drill)).0, "interrupted");
    bench.ask("POST", "/v1/rollback", "");
    assert_eq!(bench.split(), json!({ "blue": 100, "green": 0 }));
}

#[test]
fn drills_begin_by_themselves_and_once_for_all_routes() {
    let bench = Bench::with("drills.every = \"1s\"", "");
    let end = Instant::now() + Duration::from_secs(60);
    let drills = || bench.ask("GET", "/v1/drills", "").1["drills"].clone();
    while drills().as_array().unwrap().len() < 2 {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(20));
    }
    let all = drills();
    let first = all.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&first["author"], &first["routes"]),
        (&json!("switchback"), &json!(2)),
        "{first}"
    );
    assert_eq!(states(first), ("passed", true), "{first}");
    let (_, status) = bench.ask("GET", "/v1/status", "");
    for route in status["routes"].as_array().unwrap() {
        assert_eq!(route["drill"]["passed"], true, "{route}");
    }
}

#[test]
fn drills_by_themselves_keep_to_their_routes_and_their_level() {
    let settings = "drills.every = \"1s\"\ndrills.routes = [\"chat\"]\ndrills.level = \"smoke\"";
    let bench = Bench::with(settings, "");
    bench.switch();
    let end = Instant::now() + Duration::from_secs(60);
    let smoke = loop {
        let (_, list) = bench.ask("GET", "/v1/drills", "");
        let mut all = list["drills"].as_array().unwrap().clone().into_iter();
        if let Some(smoke) = all.find(|drill| drill["level"] == "smoke") {
            break smoke;
        }
        assert!(Instant::now() < end, "{list}");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(states(&bench.ended(&smoke)), ("passed", true), "{smoke}");
    let (_, status) = bench.ask("GET", "/v1/status", "");
    assert_eq!(status["routes"][1]["drill"], Value::Null);
}

#[test]
fn a_live_drill_has_the_share_and_the_time_of_the_configuration() {
    let bench = Bench::with("drills.share = 3\ndrills.for = \"1h\"", "");
    bench.switch();
    let drill = bench.drill(r#","level":"live""#);
    assert_eq!((&drill["share"], &drill["for"]), (&json!(3), &json!("1h")));
    assert_eq!(bench.split(), json!({ "blue": 3, "green": 97 }));
    let (status, problem) = bench.ask("POST", "/v1/drills", r#"{"route":"chat"}"#);
    assert_eq!(status, 409, "{problem}");
    bench.ask("POST", "/v1/rollback", "");
    assert_eq!(states(&bench.ended(&drill)).0, "superseded");
    assert_eq!(bench.split(), json!({ "blue": 0, "green": 100 }));
}

#[test]
fn a_plan_may_ask_for_a_drill_that_has_passed_lately() {
    let bench = Bench::start();
    let start = |age: &str| {
        let plan = format!(
            r#"{{"steps":[{{"weight":5,"hold":"1h"}},{{"weight":100}}],"drill_max_age":"{age}"}}"#
        );
        let body = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
        bench.ask("POST", "/v1/rollouts", &body)
    };
    let (status, problem) = start("1h");
    assert_eq!(status, 409, "{problem}");
    assert_eq!(
        problem["hint"],
        "rehearse the way back first: `switchback drill chat`"
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("none has passed yet")
    );
    bench.drill("");
    thread::sleep(Duration::from_millis(5));
    let (status, problem) = start("1ms");
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("old"),
        "{problem}"
    );
    let (status, rollout) = start("1h");
    assert_eq!(status, 201, "{rollout}");
}

#[test]
fn no_rollout_begins_while_a_drill_has_changed_the_split_and_ending_it_is_no_quarantine() {
    let bench = Bench::start();
    bench.switch();
    let drill = bench.drill(r#","level":"live","for":"1h""#);
    let (status, problem) = bench.ask("POST", "/v1/rollouts", r#"{"route":"chat","to":"red"}"#);
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("drill"),
        "{problem}"
    );
    bench.ask("POST", "/v1/rollback", "");
    assert_eq!(states(&bench.ended(&drill)).0, "superseded");
    let (_, status) = bench.ask("GET", "/v1/status", "");
    assert_eq!(status["quarantine"], json!([]), "{status}");
}

#[test]
fn a_kill_amid_drills_leaves_the_route_as_it_was() {
    let blue = Origin::replying("blue");
    let green = Origin::replying("green");
    let rest = format!("workers = 1\n{}", table(&blue.url(), &green.url(), ""));
    let mut switchback = Switchback::start(&[""], &rest);
    let file = switchback.file();
    let run = |admin: &str, arguments: &[&str]| {
        let output = program(&[&["--admin", admin], arguments].concat(), &[]);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        stdout(&output)
    };
    let admin = switchback.admin().to_string();
    run(&admin, &["switch", "chat", "green"]);
    run(&admin, &["drill", "chat"]);
    let begun = run(
        &admin,
        &[
            "drill",
            "chat",
            "--level",
            "live",
            "--share",
            "10",
            "--no-wait",
        ],
    );
    assert!(begun.contains("live, running"), "{begun}");
    switchback.child.kill().unwrap();
    switchback.child.wait().unwrap();
    let config = config::load(&file).unwrap();
    let running = server::start(config, Options::default()).unwrap();
    let admin = running.admin().to_string();
    let end = Instant::now() + Duration::from_secs(60);
    while !run(&admin, &["drill", "show", "chat"]).contains("interrupted") {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(20));
    }
    let split = run(&admin, &["route", "show", "chat", "--json"]);
    let split: Value = serde_json::from_str(&split).unwrap();
    assert_eq!(split["split"], json!({ "blue": 0, "green": 100 }));
    run(&admin, &["rollback"]);
    let split: Value =
        serde_json::from_str(&run(&admin, &["route", "show", "chat", "--json"])).unwrap();
    assert_eq!(split["split"], json!({ "blue": 100, "green": 0 }));
    running.stop();
}

#[test]
fn the_command_line_prints_the_report_and_says_by_its_status_if_it_has_passed() {
    let admin = TestAdmin::start();
    let shown = run_ok(&admin, &["drill", "chat", "-m", "friday"]);
    assert!(shown.contains("chat: mechanism, passed"), "{shown}");
    assert!(
        shown.contains("publish") && shown.contains("on the disk"),
        "{shown}"
    );
    assert!(run_ok(&admin, &["drill", "list"]).contains("mechanism"));
    assert!(run_ok(&admin, &["drill", "show", "chat"]).contains("passed"));
    let (code, error) = run_failing(&admin, &["drill", "chat", "--level", "live"]);
    assert_eq!(code, Some(65), "{error}");
    assert!(error.contains("switchback drill chat"), "{error}");
    let (code, error) = run_failing(&admin, &["drill", "chat", "--level", "loud"]);
    assert_eq!(code, Some(64), "{error}");
    run_ok(&admin, &["switch", "chat", "green"]);
    let (code, error) = run_failing(&admin, &["drill", "show", "nothing"]);
    assert_eq!(code, Some(65), "{error}");
}

#[test]
fn a_failed_drill_ends_the_command_line_with_its_report() {
    let bench = Bench::start();
    bench.switch();
    bench.is_bad.store(true, Ordering::Relaxed);
    let admin = bench.running().admin().to_string();
    let output = program(
        &["--admin", &admin, "drill", "chat", "--level", "smoke"],
        &[],
    );
    assert_eq!(output.status.code(), Some(65));
    assert!(
        stderr(&output).contains("FAILED: blue: `GET /probe?x=1`: 500"),
        "{}",
        stderr(&output)
    );
    let waited = [
        "--admin", &admin, "drill", "chat", "--level", "live", "--for", "1s",
    ];
    let output = program(&waited, &[]);
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("inconclusive"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn mistakes_in_the_settings_of_drills_have_their_place() {
    let problems = |lines: &str| {
        let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n[drills]\n{lines}\n");
        let parsed = config::parse(&text, Path::new("/"), config::FileCheck::MayBeMissing);
        let found = parsed.err().unwrap_or_default().into_iter();
        found.map(|one| one.problem.path).collect::<Vec<_>>()
    };
    for (lines, path) in [
        ("every = \"10ms\"", "drills.every"),
        ("level = \"full\"", "drills.level"),
        ("share = 0", "drills.share"),
        ("for = \"2days\"", "drills.for"),
        ("routes = [\"chat\"]", "drills.routes.0"),
    ] {
        assert_eq!(problems(lines), [path], "{lines}");
    }
    assert!(problems("every = \"24h\"\nshare = 2").is_empty());
    let reference = read_to_string("config/switchback.toml").unwrap();
    assert!(reference.contains("[drills]"));
}
