//! Endpoints by a watch of `EndpointSlice` objects: a whole proxy, agents, and a stand-in for the API server between them.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Client, Origin, Served, cli::program, cli::stdout, wait_until, write};

pub(crate) mod api_server;

use api_server::{ApiStandIn, End, Refusal, TOKEN, ready, slice, terminating};

/// A proxy whose release is a Service, and the API server that knows its pods.
struct Bench {
    api: ApiStandIn,
    served: Served,
    folder: TempDir,
}

const URL: &str = "http://_http._tcp.chat.agents.svc.cluster.local";

impl Bench {
    /// Starts a proxy once there is what `before` makes.
    fn start(before: impl FnOnce(&ApiStandIn)) -> Self {
        let api = ApiStandIn::start();
        before(&api);
        let url = api.url();
        Self::of(api, &url, "")
    }

    fn of(api: ApiStandIn, url: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("token"), format!("{TOKEN}\n"));
        let served = Served::start(&format!(
            "[discovery.kubernetes]\nurl = {url:?}\ntoken_file = {:?}\n{lines}\n\
             [releases.blue]\nendpoints = [{URL:?}]\n\
             [[routes]]\nname = \"all\"\npath_prefix = \"/\"\nsplit = {{ blue = 100 }}\n",
            path(&folder, "token")
        ));
        Self {
            api,
            served,
            folder,
        }
    }

    /// Addresses of the release's endpoints, in order.
    fn endpoints(&self) -> Vec<String> {
        let status = self.status();
        let releases = status["releases"].as_array().unwrap();
        let of_blue = releases.iter().find(|one| one["name"] == "blue").unwrap();
        let endpoints = of_blue["endpoints"].as_array().unwrap().iter();
        let address = |one: &Value| one["address"].as_str().unwrap().to_owned();
        endpoints
            .filter(|one| one["draining"] != true)
            .map(address)
            .collect()
    }

    fn status(&self) -> Value {
        self.served.admin("GET", "/v1/status", &Value::Null).1
    }

    /// The watch as the status shows it.
    fn watch(&self) -> Value {
        self.status()["service_watches"][0].clone()
    }

    /// Waits until the release has these endpoints.
    fn holds(&self, expected: &[&Origin]) {
        let mut expected: Vec<_> = expected.iter().map(|one| one.address()).collect();
        expected.sort();
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        wait_until(&format!("{expected:?}"), || self.endpoints() == expected);
    }

    /// Waits until the watch fails, and returns its state.
    fn failing(&self) -> Value {
        wait_until("the watch fails", || self.watch()["error"].is_string());
        self.watch()
    }

    fn works(&self) {
        wait_until("the watch works", || {
            self.api.open_watches() == 1 && self.watch()["error"].is_null()
        });
    }
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// A slice named `a`, `b` and so on for each origin.
fn slice_of(name: &str, origin: &Origin) -> Value {
    slice("chat", name, &[ready("127.0.0.1")], origin.address().port())
}

fn slice_that_ends(name: &str, origin: &Origin) -> Value {
    let port = origin.address().port();
    slice("chat", name, &[terminating("127.0.0.1")], port)
}

fn agents() -> [Origin; 2] {
    ["one", "two"].map(Origin::replying)
}

#[test]
fn endpoints_follow_the_slices_and_those_that_end_get_no_new_request() {
    let [one, two] = agents();
    let bench = Bench::start(|api| api.put(slice_of("a", &one)));
    bench.holds(&[&one]);
    assert_eq!(bench.served.client().get("/").text(), "one");
    bench.api.put(slice_of("b", &two));
    bench.holds(&[&one, &two]);
    bench.api.put(slice_that_ends("a", &one));
    bench.holds(&[&two]);
    let before = one.requests().len();
    for _ in 0..20 {
        assert_eq!(bench.served.client().get("/").text(), "two");
    }
    assert_eq!(one.requests().len(), before);
    // The same pod in two slices is one endpoint.
    bench.api.put(slice_of("c", &two));
    bench.api.bookmark();
    bench.holds(&[&two]);
    // What the API server says counts, if it is that there are none.
    bench.api.delete("b");
    bench.api.delete("c");
    bench.holds(&[]);
    assert_eq!(bench.served.client().get("/").status, 503);
    assert_eq!(bench.watch()["endpoints"], 0);
    bench.api.put(slice_of("b", &two));
    bench.holds(&[&two]);
    assert_eq!(bench.served.client().get("/").text(), "two");
    assert_eq!((bench.api.lists(), bench.api.watched_from().len()), (1, 1));
}

/// Clients that send requests until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |_| {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let response = client.post("/", b"turn");
                    sent.fetch_add(1, Ordering::Relaxed);
                    if response.status != 200 {
                        failed.push(response.head);
                    }
                }
                failed
            })
        };
        let clients = (0..4).map(client).collect();
        Self {
            stop,
            sent,
            clients,
        }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it, and returns the number of requests and the failures.
    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let clients = self.clients.into_iter();
        let failed = clients.flat_map(|one| one.join().unwrap()).collect();
        (self.sent.load(Ordering::Relaxed), failed)
    }
}

#[test]
fn endpoints_that_change_under_load_fail_no_request() {
    let [one, two] = agents();
    let bench = Bench::start(|api| api.put(slice_of("a", &one)));
    bench.holds(&[&one]);
    let load = Load::start(bench.served.running.listeners()[0]);
    let mut times = Vec::new();
    for round in 0..30 {
        let [(new, new_name), (old, old_name)] = if round % 2 == 0 {
            [(&two, "b"), (&one, "a")]
        } else {
            [(&one, "a"), (&two, "b")]
        };
        if round % 5 == 4 {
            bench.api.put_and_cut(slice_of(new_name, new));
        } else {
            bench.api.put(slice_of(new_name, new));
        }
        bench.holds(&[new, old]);
        let begin = Instant::now();
        bench.api.put(slice_that_ends(old_name, old));
        bench.holds(&[new]);
        times.push(begin.elapsed());
        let so_far = load.sent();
        wait_until("requests go on", || load.sent() > so_far + 20);
    }
    let (requests, failed) = load.end();
    assert_eq!(failed, Vec::<String>::new());
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{requests} requests; from a change to the roster: {median:?} in the median, {most:?} at most"
    );
    assert!(requests > 600, "{requests}");
    assert!(median < Duration::from_millis(500), "{median:?}");
}

#[test]
fn a_watch_that_is_cut_in_a_line_goes_on_after_the_last_event() {
    let [one, two] = agents();
    let bench = Bench::start(|api| api.put(slice_of("a", &one)));
    bench.holds(&[&one]);
    bench.works();
    bench.api.put_and_cut(slice_of("b", &two));
    bench.holds(&[&one, &two]);
    bench.works();
    // The version of the list, twice: of the event that was cut nothing is known.
    assert_eq!(bench.api.watched_from(), [101, 101]);
    bench.api.bookmark();
    bench.api.put(slice_that_ends("a", &one));
    bench.holds(&[&two]);
    bench.api.bookmark();
    bench.api.end(End::InOrder);
    wait_until("a third watch", || bench.api.watched_from().len() == 3);
    let last = bench.api.watched_from()[2];
    assert!([104, 105].contains(&last), "{last}");
    bench.works();
    assert_eq!(bench.api.lists(), 1);
    bench.holds(&[&two]);
}

#[test]
fn what_is_too_old_is_listed_again_and_what_left_meanwhile_is_gone() {
    for says_so_by_status in [true, false] {
        let [one, two] = agents();
        let bench = Bench::start(|api| {
            api.put(slice_of("a", &one));
            api.put(slice_of("b", &two));
        });
        bench.holds(&[&one, &two]);
        bench.works();
        bench
            .api
            .refuse(Some(Refusal::Status(503, "etcd is away".into())));
        bench.api.end(End::InOrder);
        let failing = bench.failing();
        assert!(
            failing["error"]
                .as_str()
                .unwrap()
                .contains("503: etcd is away"),
            "{failing}"
        );
        bench.api.delete("b");
        bench.api.compact(says_so_by_status);
        bench.holds(&[&one, &two]);
        bench.api.refuse(None);
        bench.holds(&[&one]);
        bench.works();
        assert_eq!(bench.api.lists(), 2);
    }
}

#[test]
fn a_watch_that_ends_with_410_is_listed_again_at_once() {
    let [one, two] = agents();
    let bench = Bench::start(|api| api.put(slice_of("a", &one)));
    bench.holds(&[&one]);
    bench.works();
    bench.api.end(End::Gone);
    wait_until("a second list", || bench.api.lists() == 2);
    bench.works();
    bench.api.put(slice_of("b", &two));
    bench.holds(&[&one, &two]);
    // It is part of the order of things, and no failure.
    let up = "switchback_service_watch_failures_total{watched_service=\"agents/chat\"} 0";
    let metrics = bench.served.metrics();
    assert!(metrics.contains(up), "{metrics}");
}

#[test]
fn a_list_comes_in_pages_and_begins_again_if_it_becomes_too_old() {
    let [one, two] = agents();
    let bench = Bench::start(|api| {
        api.page(1);
        api.put(slice_of("a", &one));
        api.put(slice_of("b", &two));
        api.put(slice("other", "c", &[ready("127.0.0.9")], 9));
        api.refuse(Some(Refusal::OfNextPage(
            410,
            "the continue token has expired".into(),
        )));
    });
    bench.holds(&[&one, &two]);
    bench.works();
    let pages = bench.api.targets();
    let pages = pages.iter().filter(|target| target.contains("continue="));
    assert_eq!((bench.api.lists(), pages.count()), (2, 2));
}

#[test]
fn a_token_that_is_replaced_is_read_again() {
    let [one, two] = agents();
    let bench = Bench::start(|api| api.put(slice_of("a", &one)));
    bench.holds(&[&one]);
    bench.works();
    // An open watch goes on with the token that it began with, as the real one does.
    bench.api.accept("token-2");
    bench.api.put(slice_of("b", &two));
    bench.holds(&[&one, &two]);
    bench.api.end(End::InOrder);
    let failing = bench.failing();
    let error = failing["error"].as_str().unwrap();
    assert!(
        error.contains("401: Unauthorized") && error.contains("service account"),
        "{error}"
    );
    assert!(failing["failing_since"].is_string(), "{failing}");
    assert_eq!(failing["endpoints"], 2);
    bench.holds(&[&one, &two]);
    let metrics = bench.served.metrics();
    assert!(metrics.contains("switchback_service_watch_up{watched_service=\"agents/chat\"} 0"));
    let admin = format!("http://{}", bench.served.running.admin());
    let status = stdout(&program(&["--admin", &admin, "status"], &[]));
    let notice = "SERVICE NOT WATCHED: agents/chat, its 2 endpoints are as of ";
    assert!(status.contains(notice), "{status}");

    write(bench.folder.path().join("token"), "token-2");
    bench.works();
    bench.api.put(slice_that_ends("a", &one));
    bench.holds(&[&two]);
    let metrics = bench.served.metrics();
    assert!(metrics.contains("switchback_service_watch_up{watched_service=\"agents/chat\"} 1"));
}

#[test]
fn an_api_server_that_is_away_leaves_the_endpoints_as_they_are() {
    let [one, two] = agents();
    let bench = Bench::start(|api| api.put(slice_of("a", &one)));
    bench.holds(&[&one]);
    bench.works();
    bench.api.refuse(Some(Refusal::Away));
    bench.api.end(End::InALine);
    let failing = bench.failing();
    assert_eq!(failing["endpoints"], 1);
    bench.api.put(slice_of("b", &two));
    for _ in 0..20 {
        assert_eq!(bench.served.client().get("/").text(), "one");
    }
    bench.api.refuse(None);
    bench.holds(&[&one, &two]);
    bench.works();
    assert_eq!(bench.api.lists(), 1, "it went on from where it was");
}

#[test]
fn without_the_right_to_watch_the_list_is_what_there_is() {
    let [one, _] = agents();
    let bench = Bench::start(|api| {
        api.put(slice_of("a", &one));
        api.refuse(Some(Refusal::OfWatches(
            403,
            "cannot watch resource".into(),
        )));
    });
    bench.holds(&[&one]);
    let failing = bench.failing();
    let error = failing["error"].as_str().unwrap();
    let hint = "needs get, list and watch on endpointslices.discovery.k8s.io";
    assert!(
        error.contains("403: cannot watch resource") && error.contains(hint),
        "{error}"
    );
    assert_eq!(bench.served.client().get("/").text(), "one");
    bench.api.refuse(None);
    bench.works();
}

#[test]
fn only_services_that_endpoints_name_are_watched() {
    let [one, two] = agents();
    let bench = Bench::start(|api| {
        api.put(slice_of("a", &one));
        api.put(slice(
            "tools",
            "t",
            &[ready("127.0.0.1")],
            two.address().port(),
        ));
    });
    bench.holds(&[&one]);
    bench.works();
    let body = json!({ "endpoints": ["http://_http._tcp.tools.agents.svc"] });
    bench.served.done("PUT", "/v1/releases/green", &body);
    // The change waits for the addresses.
    let switch = json!({ "to": "green" });
    bench.served.done("POST", "/v1/routes/all/switch", &switch);
    assert_eq!(bench.served.client().get("/").text(), "two");
    // A rollback would go to blue, so it stays watched.
    wait_until("both are watched", || bench.api.open_watches() == 2);
    let targets = bench.api.targets();
    let of = |service: &str| {
        let selector = format!("?labelSelector=kubernetes%2Eio%2Fservice%2Dname%3D{service}&");
        targets
            .iter()
            .filter(|target| target.contains(&selector))
            .count()
    };
    assert_eq!(
        (of("chat"), of("tools"), targets.len()),
        (2, 2, 4),
        "{targets:?}"
    );
    bench.served.running.stop();
    wait_until("no watch is left", || bench.api.open_watches() == 0);
}

#[test]
fn the_api_server_is_verified() {
    let certificate = || generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let CertifiedKey { cert, signing_key } = certificate();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let [one, two] = agents();
    let api = ApiStandIn::with_tls(config);
    api.put(slice_of("a", &one));
    let certificates = tempfile::tempdir().unwrap();
    let ca = certificates.path().join("ca.crt");
    write(&ca, certificate().cert.pem());
    let url = format!("https://{}", api.address);
    let bench = Bench::of(
        api,
        &url,
        &format!("ca = {:?}", path(&certificates, "ca.crt")),
    );
    let failing = bench.failing();
    assert!(
        failing["error"].as_str().unwrap().contains("certificate"),
        "{failing}"
    );
    assert!(bench.api.targets().is_empty(), "no token went to it");
    // The authorities of a cluster are replaced as its tokens are.
    write(Path::new(&ca), cert.pem());
    bench.holds(&[&one]);
    bench.works();
    bench.api.put(slice_of("b", &two));
    bench.holds(&[&one, &two]);
}

#[test]
fn outside_of_a_cluster_the_section_needs_a_url() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("switchback.toml");
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[history]\npath = {:?}\n\
         [discovery.kubernetes]\n",
        path(&folder, "history")
    );
    write(&file, text);
    let file = file.to_str().unwrap();
    // The file is right, wherever it is checked.
    let checked = program(&["check", "--config", file], &[]);
    assert!(checked.status.success());
    let started = program(&["serve", "--config", file], &[]);
    assert_eq!(started.status.code(), Some(78));
    let error = String::from_utf8(started.stderr).unwrap();
    assert!(
        error.contains("discovery.kubernetes.url") && error.contains("hint:"),
        "{error}"
    );
}
