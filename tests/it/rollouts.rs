//! Rollouts from end to end: a whole switchback, two origins, real requests.

use std::{
    fs::File,
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

use crate::support::{
    Client, Origin, TestAdmin,
    cli::{file, program, run_failing, run_ok, stdout},
};

mod approval;
mod data;
mod good;
mod killed;
mod killed_trains;
mod kinds;
mod over;
mod quarantine;
mod queries;
mod sessions;
mod spread;
mod trains;
mod withdrawn;

/// A plan whose first step is never left by itself.
const LONG: &str = r#"{"steps":[{"weight":5,"hold":"10m"},{"weight":100}]}"#;
/// A plan that is over soon.
const SHORT: &str = r#"{"steps":[{"weight":50,"hold":"1s"},{"weight":100}],"bake":"1s"}"#;

/// A switchback in front of two origins; green fails while it is told to, and always on a path that ends with `/bad`.
struct Bench {
    running: Option<Running>,
    folder: TempDir,
    is_bad: Arc<AtomicBool>,
    _origins: [Origin; 2],
}

/// Requests without a pause, until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    /// The output of a command that succeeds.
    fn cli(&self, arguments: &[&str]) -> String {
        let admin = format!("http://{}", self.running().admin());
        let output = program(arguments, &[("SWITCHBACK_ADMIN", &admin)]);
        assert!(output.status.success(), "{output:?}");
        stdout(&output)
    }

    fn start() -> Self {
        let is_bad = Arc::new(AtomicBool::new(false));
        let (fails, count) = (Arc::clone(&is_bad), AtomicUsize::new(0));
        let green = Origin::answering(move |request| {
            let is_odd = count.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            let is_bad = request.line().contains("/bad ");
            if is_bad || is_odd && fails.load(Ordering::Relaxed) {
                return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngreen".to_vec()
        });
        let origins = [Origin::replying("blue"), green];
        let folder = tempfile::tempdir().unwrap();
        let [blue, green] = origins.each_ref().map(Origin::url);
        let schema = folder.path().join("schema").display().to_string();
        let text = format!(
            "history.path = \"history\"\nadmin.address = \"127.0.0.1:0\"\naccess_log.format = \"off\"\n\
             workers = 1\n[hooks.schema]\ncommand = [\"/bin/cat\", {schema:?}]\n[plans.quick]\nbake = \"1s\"\nsteps = [{{ weight = 50, hold = \"1s\" }}, {{ weight = 100 }}]\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n\
             [[routes]]\nname = \"keyed\"\npath_prefix = \"/keyed\"\naffinity = [{{ header = \"x-session\" }}]\n\
             split = {{ blue = 100, green = 0 }}\n\
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

    fn restart(&mut self) {
        self.running.take().unwrap().stop();
        self.run();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn load(&self) -> Load {
        self.load_of(&["/"])
    }

    fn load_of(&self, paths: &'static [&'static str]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, address) = (Arc::clone(&stop), self.running().listeners()[0]);
        let thread = thread::spawn(move || {
            let mut client = Client::connect(address);
            while !ends.load(Ordering::Relaxed) {
                for path in paths {
                    drop(client.get(path));
                }
            }
        });
        Load {
            stop,
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

    /// Starts a rollout of green, and returns its path.
    fn begin(&self, plan: &str) -> String {
        let body = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
        let (status, rollout) = self.ask("POST", "/v1/rollouts", &body);
        assert_eq!(status, 201, "{rollout}");
        assert_eq!(
            (&rollout["from"], &rollout["step"]),
            (&json!("blue"), &json!(0))
        );
        format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap())
    }

    /// Waits until a rollout has a state, and returns it.
    fn reaches(&self, path: &str, state: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, rollout) = self.ask("GET", path, "");
            if rollout["state"] == state {
                return rollout;
            }
            assert!(Instant::now() < end, "{state}: {rollout:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a rollout that holds a place was looked at once more.
    fn looks_again(&self, path: &str) {
        let held = || self.ask("GET", path, "").1["held"].clone();
        let (before, end) = (held(), Instant::now() + Duration::from_secs(30));
        while held() == before {
            assert!(Instant::now() < end, "no look");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn split(&self, route: &str) -> Value {
        self.ask("GET", &format!("/v1/routes/{route}"), "").1["split"].clone()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
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
fn a_bad_release_at_five_percent_is_taken_back_by_itself() {
    let bench = Bench::start();
    bench.is_bad.store(true, Ordering::Relaxed);
    let before = bench.split("chat");
    let path = bench.begin(LONG);
    assert_eq!(bench.split("chat"), json!({ "blue": 95, "green": 5 }));
    let load = bench.load();
    let rollout = bench.reaches(&path, "rolled_back");
    drop(load);
    assert_eq!(bench.split("chat"), before);
    let verdict = &rollout["verdict"];
    assert_eq!(verdict["overall"], "worse", "{rollout:#}");
    assert_eq!(verdict["metrics"][0]["name"], "failures");
    assert_eq!(verdict["metrics"][0]["verdict"], "worse");
    assert_eq!(verdict["metrics"][0]["stable"]["bad"], 0);
    assert!(rollout["ended_at"].is_string());
    let (_, page) = bench.ask("GET", "/v1/revisions?limit=1", "");
    assert_eq!(page["revisions"][0]["cause"]["kind"], "rollback", "{page}");
    assert_eq!(page["revisions"][0]["author"]["actor"], "system");
    let (status, _) = bench.ask("POST", &format!("{path}/rollback"), "");
    assert_eq!(status, 409, "it has ended");
}

#[test]
fn a_good_release_gets_everything_and_one_rollback_undoes_the_whole_rollout() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin("\"quick\"");
    let load = bench.load();
    let baking = bench.reaches(&path, "baking");
    assert_eq!(
        (&baking["weight"], &baking["plan_name"]),
        (&json!(95), &json!("quick"))
    );
    bench.reaches(&path, "succeeded");
    drop(load);
    assert_eq!(bench.split("chat"), json!({ "blue": 0, "green": 100 }));
    let (status, receipt) = bench.ask("POST", "/v1/rollback", "");
    assert_eq!((status, bench.split("chat")), (200, before), "{receipt}");
    assert_eq!(receipt["undid"].as_array().unwrap().len(), 3, "{receipt}");
}

#[test]
fn a_change_by_others_supersedes_a_rollout_and_stays() {
    let bench = Bench::start();
    let path = bench.begin(LONG);
    let (status, _) = bench.ask(
        "PATCH",
        "/v1/routes/tools/split",
        r#"{"percent":{"green":5}}"#,
    );
    assert_eq!(status, 200);
    let (status, _) = bench.ask(
        "PATCH",
        "/v1/routes/chat/split",
        r#"{"percent":{"green":30}}"#,
    );
    assert_eq!(status, 200);
    bench.is_bad.store(true, Ordering::Relaxed);
    let load = bench.load();
    let rollout = bench.reaches(&path, "superseded");
    assert!(rollout["ended_at"].is_string());
    drop(load);
    assert_eq!(bench.split("chat"), json!({ "blue": 70, "green": 30 }));
    let (status, _) = bench.ask("POST", &format!("{path}/abort"), "");
    assert_eq!(status, 409);
}

#[test]
fn changes_of_other_routes_survive_when_a_rollout_goes_back() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin(LONG);
    bench.ask(
        "PATCH",
        "/v1/routes/tools/split",
        r#"{"percent":{"green":5}}"#,
    );
    let (status, rollout) = bench.ask("POST", &format!("{path}/abort"), r#"{"message":"enough"}"#);
    assert_eq!(
        (status, &rollout["state"]),
        (200, &json!("aborted")),
        "{rollout}"
    );
    assert_eq!(bench.split("chat"), before);
    assert_eq!(bench.split("tools"), json!({ "blue": 95, "green": 5 }));
}

#[test]
fn a_restart_in_the_middle_of_a_step_goes_on_there() {
    let mut bench = Bench::start();
    let path = bench.begin(LONG);
    bench.restart();
    let rollout = bench.reaches(&path, "running");
    assert_eq!(
        (&rollout["step"], &rollout["weight"]),
        (&json!(0), &json!(5))
    );
    bench.is_bad.store(true, Ordering::Relaxed);
    let load = bench.load();
    bench.reaches(&path, "rolled_back");
    drop(load);
    bench.restart();
    let (_, ended) = bench.ask("GET", &path, "");
    assert_eq!(ended["state"], "rolled_back");
}

#[test]
fn the_evidence_survives_a_restart() {
    let mut bench = Bench::start();
    let path = bench.begin(r#"{"steps":[{"weight":5,"hold":"10m"},{"weight":100}]}"#);
    let mut client = Client::connect(bench.running().listeners()[0]);
    let seen = |bench: &Bench| {
        let (_, rollout) = bench.ask("GET", &path, "");
        rollout["verdict"]["metrics"][0]["stable"]["units"]
            .as_u64()
            .unwrap_or(0)
    };
    while seen(&bench) == 0 {
        client.get("/");
    }
    drop(client);
    // The saved state is behind by a look at most.
    let (_, before) = bench.ask("GET", &path, "");
    thread::sleep(Duration::from_millis(1_500));
    bench.restart();
    let units = |rollout: &Value| {
        let metric = &rollout["verdict"]["metrics"][0];
        metric["stable"]["units"].as_u64().unwrap()
    };
    // What is shown at first is the saved verdict; the next one comes of the judge.
    let mut client = Client::connect(bench.running().listeners()[0]);
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        client.get("/");
        let (_, after) = bench.ask("GET", &path, "");
        if units(&after) != units(&before) {
            assert!(units(&after) > units(&before), "{before}\n{after}");
            return;
        }
        assert!(Instant::now() < end, "no look: {after}");
    }
}

#[test]
fn a_release_without_requests_is_never_promoted() {
    let bench = Bench::start();
    let path = bench.begin(SHORT);
    let rollout = bench.reaches(&path, "paused");
    assert_eq!(
        (&rollout["paused_for"], &rollout["weight"]),
        (&json!("no_traffic"), &json!(50))
    );
    let load = bench.load();
    bench.reaches(&path, "succeeded");
    drop(load);
}

#[test]
fn a_command_that_is_refused_happens_neither_now_nor_later() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let path = bench.begin(LONG);
    let history = bench.folder.path().join("history");
    let gone = bench.folder.path().join("gone");
    std::fs::rename(&history, &gone).unwrap();
    let command = |word: &str| bench.ask("POST", &format!("{path}/{word}"), "");
    let (status, refusal) = command("promote");
    assert_eq!(status, 503, "{refusal}");
    assert!(refusal["type"].as_str().unwrap().ends_with("not-durable"));
    // A pause holds, and says that a restart may forget it.
    let (status, refusal) = command("pause");
    assert_eq!(status, 503, "{refusal}");
    std::fs::rename(&gone, &history).unwrap();
    assert_eq!(command("resume").0, 200);
    let held = |rollout: &Value| rollout["held"].as_str().unwrap().to_owned();
    let resumed = held(&bench.ask("GET", &path, "").1);
    let end = Instant::now() + Duration::from_secs(30);
    let mut now = bench.ask("GET", &path, "").1;
    while held(&now) == resumed {
        assert!(Instant::now() < end, "no look: {now}");
        thread::sleep(Duration::from_millis(20));
        now = bench.ask("GET", &path, "").1;
    }
    assert_eq!(
        (&now["state"], &now["weight"]),
        (&json!("running"), &json!(5))
    );
    std::fs::rename(&history, &gone).unwrap();
    let (status, rollout) = command("rollback");
    assert_eq!(
        (status, &rollout["state"]),
        (200, &json!("rolled_back")),
        "{rollout}"
    );
    assert_eq!(bench.split("chat"), before);
    std::fs::rename(&gone, &history).unwrap();
}

#[test]
fn commands_pause_skip_approve_and_take_back() {
    let bench = Bench::start();
    let before = bench.split("chat");
    let plan =
        r#"{"steps":[{"weight":5,"hold":"10m"},{"weight":50,"approval":true},{"weight":100}]}"#;
    let path = bench.begin(plan);
    let command = |word: &str| bench.ask("POST", &format!("{path}/{word}"), "");
    assert_eq!(command("resume").0, 409);
    assert_eq!(command("pause").1["paused_for"], "manual");
    assert_eq!(command("resume").1["state"], "running");
    assert_eq!(command("skip").1["weight"], 50);
    let load = bench.load();
    let waiting = bench.reaches(&path, "paused");
    assert_eq!(waiting["paused_for"], "approval");
    drop(load);
    assert_eq!(command("resume").0, 409, "resuming is no approval");
    assert_eq!(command("approve").1["state"], "succeeded");
    assert_eq!(bench.split("chat"), json!({ "blue": 0, "green": 100 }));
    assert_eq!(command("rollback").1["state"], "rolled_back");
    assert_eq!(bench.split("chat"), before);
    let words: Vec<_> = bench.ask("GET", &path, "").1["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["what"].as_str().unwrap().to_owned())
        .collect();
    for word in ["started", "pause", "resume", "skip", "approve", "rollback"] {
        assert!(words.iter().any(|what| what == word), "{word}: {words:?}");
    }
}

#[test]
fn what_cannot_be_rolled_out_is_refused_and_nothing_changes() {
    let admin = TestAdmin::start();
    let before = admin.revision();
    for (body, status) in [
        (json!({ "route": "chat", "to": "gren" }), 404),
        (json!({ "route": "chit", "to": "green" }), 404),
        (json!({ "route": "chat", "to": "blue" }), 409),
        (
            json!({ "route": "chat", "to": "green", "plan": "careful" }),
            404,
        ),
        (
            json!({ "route": "chat", "to": "green", "plan": { "steps": [] } }),
            422,
        ),
        (
            json!({ "route": "chat", "to": "green", "plan": { "steps": [{ "weight": 5 }] } }),
            422,
        ),
        (
            json!({ "route": "chat", "to": "green", "plan": { "step": [] } }),
            422,
        ),
        (json!({ "route": "chat" }), 422),
    ] {
        let (found, problem) = admin.json("POST", "/v1/rollouts", &body);
        assert_eq!(
            (found, admin.revision()),
            (status, before),
            "{body}: {problem}"
        );
    }
    assert_eq!(
        admin
            .json("POST", "/v1/rollouts/chat/pause", &Value::Null)
            .0,
        404
    );
    assert!(
        admin.get("/v1/rollouts")["rollouts"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let begun = json!({ "route": "chat", "to": "green", "message": "begin" });
    let (status, rollout) = admin.json("POST", "/v1/rollouts", &begun);
    assert_eq!(
        (status, &rollout["state"]),
        (201, &json!("running")),
        "{rollout}"
    );
    let (status, problem) = admin.json("POST", "/v1/rollouts", &begun);
    assert_eq!(status, 409);
    assert!(
        problem["detail"].as_str().unwrap().contains("is running"),
        "{problem}"
    );
}

#[test]
fn the_command_line_starts_shows_and_ends_rollouts() {
    let admin = TestAdmin::start();
    let plan = file(&admin, "plan.json", LONG);
    let shown = run_ok(
        &admin,
        &[
            "rollout",
            "start",
            "chat",
            "green",
            "--plan-file",
            &plan,
            "-m",
            "two",
        ],
    );
    assert!(
        shown.contains("chat: blue → green  running, step 1 of 2, 5%"),
        "{shown}"
    );
    assert!(run_ok(&admin, &["rollout", "list"]).contains("running"));
    assert!(run_ok(&admin, &["rollout", "pause", "chat"]).contains("paused (manual)"));
    assert!(run_ok(&admin, &["rollout", "show", "chat"]).contains("started"));
    let (code, error) = run_failing(&admin, &["rollout", "approve", "chat"]);
    assert_eq!(code, Some(65), "{error}");
    assert!(run_ok(&admin, &["rollout", "abort", "chat"]).contains("aborted"));
    assert_eq!(admin.split("chat"), json!({ "blue": 100, "green": 0 }));
    assert_eq!(
        run_failing(&admin, &["rollout", "show", "nothing"]).0,
        Some(65)
    );
}

#[test]
fn a_plan_of_the_file_is_checked_and_its_keys_have_an_effect() {
    let text =
        |plan: &str| format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n[plans.careful]\n{plan}\n");
    let problems = |plan: &str| {
        let parsed = config::parse(&text(plan), Path::new("/"), config::FileCheck::MayBeMissing);
        parsed.err().unwrap_or_default()
    };
    let steps = "steps = [{ weight = 5, until = \"fine\", within = \"1h\", hold = \"1m\", approval = true }, { weight = 100 }]";
    assert!(problems(&format!("bake = \"10m\"\nhold_back = 10\n{steps}")).is_empty());
    let found = problems("steps = [{ weight = 5 }]");
    assert_eq!(
        found[0].problem.path, "plans.careful.steps.0.weight",
        "{found:?}"
    );
    assert_eq!(found[0].line, Some(4), "{found:?}");
}
