//! Rehearsals of the judge from end to end: a whole switchback, one release, real requests.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchback::{
    config,
    server::{self, Options, Running},
    stats::half_of,
    table::key_of,
};
use tempfile::TempDir;

use crate::support::{
    Client, Origin,
    cli::{program, stderr, stdout},
    write,
};

/// A switchback in front of one release.
struct Bench {
    running: Option<Running>,
    folder: TempDir,
    _origin: Origin,
}

/// An origin that fails for a session of which this says so, and for each twentieth request.
fn origin(fails: impl Fn(&str) -> bool + Send + Sync + 'static) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::answering(move |request| {
        let is_twentieth = count.fetch_add(1, Ordering::Relaxed) % 20 == 19;
        let session = request.value("x-session").unwrap_or_default();
        if is_twentieth || fails(session) {
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue".to_vec()
    })
}

impl Bench {
    /// A bench whose file has this section.
    fn start(calibrate: &str, origin: Origin) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "history.path = \"history\"\nhistory.durable_within = \"30s\"\nadmin.address = \"127.0.0.1:0\"\n\
             access_log.format = \"off\"\nworkers = 2\n\
             [calibrate]\n{calibrate}\n\
             [plans.careful]\nclient_errors = true\nslow = \"1s\"\nsteps = [{{ weight = 100 }}]\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}\n\
             [[routes]]\nname = \"keyed\"\npath_prefix = \"/keyed\"\naffinity = [{{ header = \"x-session\" }}]\n\
             split = {{ blue = 1 }}\n",
            origin.url()
        );
        write(folder.path().join("switchback.toml"), &text);
        let mut bench = Self {
            running: None,
            folder,
            _origin: origin,
        };
        bench.run();
        bench
    }

    fn run(&mut self) {
        let config = config::load(&self.folder.path().join("switchback.toml")).unwrap();
        self.running = Some(server::start(config, Options::default()).unwrap());
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(self.running().listeners()[0])
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let address = self.running().admin();
        let mut client = Client::connect(address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        let response = client.response();
        (
            response.status,
            serde_json::from_slice(&response.body).unwrap(),
        )
    }

    /// The calibration of a route, once it is as this says.
    fn reaches(&self, route: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, report) = self.get(&format!("/v1/calibration?route={route}"));
            assert_eq!(status, 200, "{report}");
            let seen = &report["routes"][0];
            if is_so(seen) {
                return seen.clone();
            }
            assert!(Instant::now() < end, "{report:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn cli(&self, arguments: &[&str]) -> (String, String) {
        let admin = format!("http://{}", self.running().admin());
        let output = program(arguments, &[("SWITCHBACK_ADMIN", &admin)]);
        (stdout(&output), stderr(&output))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

#[test]
fn two_halves_of_one_release_are_not_told_apart_and_the_record_says_so() {
    let section = "routes = [\"chat\"]\nplan = \"careful\"\nwindow = \"1s\"";
    let bench = Bench::start(section, origin(|_| false));
    let stop = Arc::new(AtomicBool::new(false));
    let (mut client, ends) = (bench.client(), Arc::clone(&stop));
    let load = thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            drop(client.get("/"));
        }
    });
    let seen = bench.reaches("chat", |seen| seen["rehearsals"].as_u64() >= Some(2));
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    assert_eq!(
        (&seen["alarms"], &seen["finding"]),
        (&json!(0), &json!("as_promised")),
        "{seen:#}"
    );
    assert!(seen["requests"].as_u64() > Some(100), "{seen:#}");
    let largest = seen["largest"]["e"].as_f64().unwrap();
    assert!((0.0..100.0).contains(&largest), "{seen:#}");
    let metrics = seen["metrics"].as_array().unwrap();
    let names: BTreeSet<_> = metrics
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    let of_the_plan = ["broken_streams", "client_errors", "failures", "slow"];
    assert_eq!(names, of_the_plan.into(), "the signals of the plan");
    let (shown, errors) = bench.cli(&["judge", "--calibrate", "chat"]);
    assert!(
        shown.contains("both halves were the same release"),
        "{shown}{errors}"
    );
    assert!(
        shown.contains("METRIC") && shown.contains("client_errors"),
        "{shown}"
    );
    let (json, _) = bench.cli(&["judge", "--calibrate", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["bound"], &json["window"]),
        (&json!(100.0), &json!("1s"))
    );
    let (status, refused) = bench.get("/v1/calibration?route=keyed");
    assert_eq!(
        (status, &refused["known"]),
        (404, &json!(["chat"])),
        "{refused}"
    );
}

#[test]
fn a_half_that_fails_is_an_alarm_and_a_restart_keeps_it() {
    let is_second = |session: &str| half_of(key_of(session.as_bytes()), 0) == 1;
    let mut bench = Bench::start("routes = [\"keyed\"]", origin(is_second));
    let running = bench.reaches("keyed", |seen| seen["running"].is_object());
    assert_eq!(running["running"]["draw"], 0, "{running:#}");
    assert!(
        running["words"]
            .as_str()
            .unwrap()
            .starts_with("no rehearsal has ended yet; one runs")
    );
    let mut client = bench.client();
    for number in 0..200 {
        client.send(format!(
            "GET /keyed HTTP/1.1\r\nHost: a.test\r\nx-session: session-{number}\r\n\r\n"
        ));
        client.response();
    }
    let seen = bench.reaches("keyed", |seen| seen["rehearsals"] == 1);
    assert_eq!(
        (&seen["alarms"], &seen["finding"], &seen["largest"]["name"]),
        (&json!(1), &json!("too_many"), &json!("failures")),
        "{seen:#}"
    );
    assert!(seen["largest"]["e"].as_f64() >= Some(100.0), "{seen:#}");
    let words = seen["words"].as_str().unwrap();
    assert!(
        words.contains("would have raised 1 alarm (0.01 promised at most)"),
        "{words}"
    );
    let file = bench.folder.path().join("history/calibration.json");
    let end = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string(&file).is_ok_and(|text| text.contains("\"is_worse\":true")) {
        assert!(Instant::now() < end, "it is not saved");
        thread::sleep(Duration::from_millis(20));
    }
    drop(client);
    bench.running.take().unwrap().stop();
    bench.run();
    let again = bench.reaches("keyed", |seen| seen["running"].is_object());
    assert_eq!(
        (&again["alarms"], &again["largest"]),
        (&seen["alarms"], &seen["largest"])
    );
    assert_eq!(
        again["running"]["draw"], 1,
        "the halves are drawn anew: {again:#}"
    );
}

#[test]
fn without_routes_nothing_is_rehearsed_and_the_command_says_how() {
    let bench = Bench::start("", origin(|_| false));
    (0..10).for_each(|_| drop(bench.client().get("/")));
    let (status, report) = bench.get("/v1/calibration");
    assert_eq!((status, &report["routes"]), (200, &json!([])));
    let (status, refused) = bench.get("/v1/calibration?route=chat");
    assert_eq!(status, 404, "{refused}");
    assert!(
        refused["hint"]
            .as_str()
            .unwrap()
            .contains("`calibrate.routes`"),
        "{refused}"
    );
    let (shown, _) = bench.cli(&["judge", "--calibrate"]);
    assert!(
        shown.starts_with("no route is calibrated: name it in `calibrate.routes`"),
        "{shown}"
    );
    assert!(
        !bench
            .folder
            .path()
            .join("history/calibration.json")
            .exists()
    );
    let (_, errors) = bench.cli(&["judge"]);
    assert!(errors.contains("--calibrate"), "{errors}");
}
