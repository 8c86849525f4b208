//! A rollback over the admin API, alone and beside readers: at 10,000 routes, each of which names 50 releases, with four
//! clients that request the status, or metrics, as fast as they get responses. Percentiles go to standard error.

#![expect(
    clippy::print_stderr,
    reason = "criterion prints one figure; percentiles are what this is about"
)]

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchback::{
    admin::{self, Access, AdminState, FeedbackState, ProbeState, Readiness, RunningSettings},
    config::{self, FileCheck},
    control::{Consent, Controller, Expected, Settings},
    fleet::Fleet,
    history::History,
    model::{Actor, Author, TableDocument},
    seal::KeyRing,
    table::LiveTable,
    telemetry::Metrics,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

const ROUTES: usize = 10_000;
const RELEASES: usize = 50;
const WATCHERS: usize = 4;

/// A running admin API with its table.
struct Api {
    address: SocketAddr,
    _runtime: Runtime,
    _folder: TempDir,
}

/// A keep-alive connection.
struct Client(BufReader<TcpStream>);

fn table() -> TableDocument {
    let split: serde_json::Map<_, _> = (0..RELEASES)
        .map(|release| (format!("v{release}"), u32::from(release == 0).into()))
        .collect();
    let release = |number: usize| {
        let url = format!("http://127.0.0.1:{}", 9_000 + number);
        (
            format!("v{number}"),
            serde_json::json!({ "endpoints": [url] }),
        )
    };
    let route = |number| {
        serde_json::json!({
            "name": format!("r{number}"), "path_prefix": format!("/agents/{number}"), "split": split,
        })
    };
    let releases: serde_json::Map<_, _> = (0..RELEASES).map(release).collect();
    let routes: Vec<_> = (0..ROUTES).map(route).collect();
    let document = serde_json::json!({ "releases": releases, "routes": routes });
    serde_json::from_value(document).expect("the document is valid")
}

impl Api {
    /// As in the program: two threads for everything but traffic.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (history, loaded) = History::open(folder.path()).expect("the folder is empty");
        let (cell, fleet) = (Arc::new(LiveTable::new(2)), Arc::new(Fleet::new(2)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let entered = runtime.enter();
        let metrics = Metrics::new(Arc::clone(&cell), Arc::clone(&fleet), || ());
        let settings = Settings::default();
        let controller = Controller::open(settings, history, loaded, cell, fleet);
        let controller = Arc::new(controller.expect("the history is empty"));
        let author = Author {
            actor: Actor::File,
            name: "bench".to_owned(),
            message: None,
            idempotency_key: None,
            group: None,
        };
        let consent = Consent {
            force: true,
            ..Consent::default()
        };
        let imported = controller.import(table(), None, author, Expected::Any, consent);
        runtime.block_on(imported).expect("the table is valid");
        let text = "[admin]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n";
        let config =
            config::parse(text, Path::new("/"), FileCheck::MustExist).expect("it is valid");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let access = Access::load(&config.admin.tokens, address).expect("there are no tokens");
        let observed = ProbeState::new(move || metrics.render(), Arc::new(Readiness::default()));
        let running = Arc::new(RunningSettings::new(config.settings_digests()).0);
        let secret = "a-secret-for-the-watchers-of-a-benchmark";
        let ring = KeyRing::new(&[secret])
            .ok()
            .flatten()
            .expect("it is long enough");
        let ring = Arc::new(ring);
        let desk = FeedbackState::new(Arc::clone(&controller), Arc::clone(&ring), &config.feedback);
        let state = AdminState::new(Arc::clone(&controller), observed, running, desk, ring);
        let router = admin::router(state, access, &config.admin, address);
        runtime.spawn(admin::serve(listener, None, router, std::future::pending()));
        runtime.spawn(async move { controller.run().await });
        drop(entered);
        Self {
            address,
            _runtime: runtime,
            _folder: folder,
        }
    }

    fn client(&self) -> Client {
        Client(BufReader::new(
            TcpStream::connect(self.address).expect("it listens"),
        ))
    }
}

impl Client {
    /// Sends a request and reads the response to its end; returns its length.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> u64 {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let sent = self
            .0
            .get_mut()
            .write_all(format!("{head}{body}").as_bytes());
        sent.expect("it reads");
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).expect("a status line");
        assert!(line.contains(" 200 "), "{path}: {line}");
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("a field");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            }
        }
        let mut body = (&mut self.0).take(length);
        std::io::copy(&mut body, &mut std::io::sink()).expect("the whole body")
    }
}

/// Runs `work` beside clients that request `path` all the time; returns the number of responses that they got.
fn beside(api: &Api, path: Option<&str>, work: impl FnOnce()) -> u64 {
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for path in path.into_iter().flat_map(|path| [path; WATCHERS]) {
            let (stop, answers) = (&stop, &answers);
            scope.spawn(move || {
                let mut client = api.client();
                while !stop.load(Ordering::Relaxed) {
                    client.ask("GET", path, "");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        work();
        stop.store(true, Ordering::Relaxed);
    });
    answers.into_inner()
}

fn tell(what: &str, mut times: Vec<Duration>, answers: u64) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    eprintln!(
        "rollback beside {what}: p50 {:?}, p99 {:?}, max {:?} of {}; {answers} answers beside them",
        at(50),
        at(99),
        times[times.len() - 1],
        times.len()
    );
}

fn rollbacks(criterion: &mut Criterion) {
    let api = Api::start();
    let mut group = criterion.benchmark_group("watchers/rollback");
    group.sample_size(10);
    for (what, path) in [
        ("nobody", None),
        ("four of status", Some("/v1/status")),
        ("four of brief status", Some("/v1/status?brief=true")),
        ("four of a page", Some("/v1/status?limit=100")),
        ("four of the table", Some("/v1/table")),
        ("four of metrics", Some("/metrics")),
    ] {
        let mut times = Vec::new();
        let answers = beside(&api, path, || {
            let mut client = api.client();
            group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
                bencher.iter_custom(|rounds| {
                    let begin = times.len();
                    for _ in 0..rounds {
                        client.ask("POST", "/v1/routes/r0/switch", r#"{"to":"v1"}"#);
                        let start = Instant::now();
                        client.ask("POST", "/v1/rollback", "");
                        times.push(start.elapsed());
                    }
                    times[begin..].iter().sum()
                });
            });
        });
        tell(what, times, answers);
    }
    group.finish();
}

/// Each long response alone: the wait of one client.
fn answers(criterion: &mut Criterion) {
    let api = Api::start();
    let mut group = criterion.benchmark_group("watchers/answer");
    group.sample_size(10);
    for (what, path) in [
        ("status", "/v1/status"),
        ("brief status", "/v1/status?brief=true"),
        ("page of 100 routes", "/v1/status?limit=100"),
        ("table", "/v1/table"),
        ("routes", "/v1/routes"),
        ("metrics", "/metrics"),
    ] {
        let mut client = api.client();
        eprintln!("{what}: {} bytes", client.ask("GET", path, ""));
        group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
            bencher.iter(|| client.ask("GET", path, ""));
        });
    }
    group.finish();
}

criterion_group!(benches, rollbacks, answers);
criterion_main!(benches);
