//! Every class of work by every cause, policy and transport: its end at the client, and the counters.
//!
//! A proxy has a route for each cause and round. In each round every class has another policy, and so has every cause, so
//! that no policy can pass for that of another class or cause.

mod case;
mod client;
mod endpoint;

use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Served, wait_until};
use case::{CLASSES, Case, Work};
use client::End;
use endpoint::Endpoint;

/// The time in the policies.
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Http1,
    Http2,
}

/// A proxy between clients and endpoints of these transports.
struct Matrix {
    client: Transport,
    upstream: Transport,
    proxy: Served,
    // A rollback refuses a change that is being made.
    changes: Mutex<()>,
    _old: Endpoint,
    new: Endpoint,
}

/// Work of a case that goes on after the change, and ends when its endpoint ends it.
type Kept = Vec<(Work, JoinHandle<End>)>;

// === impl Transport ===

impl Transport {
    fn protocol(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

// === impl Matrix ===

impl Matrix {
    fn start(client: Transport, upstream: Transport, gate: &watch::Receiver<bool>) -> Self {
        let endpoint = |name| Endpoint::start(upstream, name, gate.clone());
        let (old, new) = (endpoint("old"), endpoint("new"));
        let lines = Case::all().map(|case| case.lines(upstream.protocol(), &old, &new));
        Self {
            client,
            upstream,
            proxy: Served::start(&lines.collect::<String>()),
            changes: Mutex::default(),
            _old: old,
            new,
        }
    }

    /// The kinds of work that exist with these transports.
    fn works(&self) -> impl Iterator<Item = Work> {
        let has_grpc = (self.client, self.upstream) == (Transport::Http2, Transport::Http2);
        let exists = move |work: &Work| has_grpc || !work.is_grpc();
        Work::ALL.into_iter().filter(exists)
    }

    /// Number of pieces of work of each class of a kind.
    fn count(&self, is_counted: impl Fn(usize) -> bool) -> [usize; 4] {
        std::array::from_fn(|class| {
            let of_class = |work: &Work| work.class() == class && is_counted(class);
            self.works().filter(of_class).count()
        })
    }

    /// Runs a case as far as the proxy ends its work.
    fn run(&self, case: Case) -> Kept {
        if case.cause() == "rollback" {
            self.switch(case, "new");
            self.switch(case, "old");
        }
        let (id, body) = self.ask(case, None);
        assert_eq!(body, "old");
        let begun: Kept = self
            .works()
            .map(|work| (work, self.begin(case, work)))
            .collect();
        let all = self.count(|_| true);
        wait_until("all work has begun", || self.in_flight(case) == all);
        let left = Instant::now();
        self.leave(case);
        self.assert_session(case, &id, left);
        let is_kept = |(work, _): &(Work, _)| case.finishes(work.class());
        let (kept, cut): (Vec<_>, Vec<_>) = begun.into_iter().partition(is_kept);
        let ended = cut
            .into_iter()
            .map(|(work, end)| (work, end.join().unwrap()));
        let ended: Vec<_> = ended.collect();
        for (work, end) in &ended {
            assert_eq!(
                end.seen,
                work.cut(self.client, case.reason()),
                "{case:?} {work:?}"
            );
        }
        assert_times(case, &ended, left);
        let finishing = self.count(|class| case.finishes(class));
        wait_until("the rest", || self.in_flight(case) == finishing);
        kept
    }

    fn begin(&self, case: Case, work: Work) -> JoinHandle<End> {
        let (address, client) = (self.proxy.running.listeners()[0], self.client);
        let path = case.path(work.segment());
        thread::spawn(move || client::run(address, client, work, &path))
    }

    /// A request of a session: the id of the next one, and the endpoint's name.
    fn ask(&self, case: Case, id: Option<&str>) -> (String, String) {
        let address = self.proxy.running.listeners()[0];
        client::ask(address, self.client, &case.path("session"), id)
    }

    fn switch(&self, case: Case, to: &str) {
        let name = case.name();
        let body = json!({ "to": format!("{name}-{to}") });
        self.change("POST", &format!("/v1/routes/{name}/switch"), &body);
    }

    fn change(&self, method: &str, path: &str, body: &Value) {
        let _one = self.changes.lock().unwrap();
        self.proxy.done(method, path, body);
    }

    /// Makes the release of a case leave.
    fn leave(&self, case: Case) {
        let (name, old) = (case.name(), case.old());
        let (method, path, body) = match case.cause() {
            "switch" => return self.switch(case, "new"),
            "split" => {
                let weights = json!({ old: 0, format!("{name}-new"): 100 });
                let path = format!("/v1/routes/{name}/split");
                ("PATCH", path, json!({ "weights": weights }))
            }
            "rollback" => ("POST", format!("/v1/routes/{name}/rollback"), json!({})),
            _ => {
                let (endpoints, protocol) = ([self.new.url()], self.upstream.protocol());
                let body = json!({ "version": "2", "endpoints": endpoints, "protocol": protocol });
                ("PUT", format!("/v1/releases/{old}"), body)
            }
        };
        self.change(method, &path, &body);
    }

    /// Requests in flight on the release of a case, by class.
    fn in_flight(&self, case: Case) -> [usize; 4] {
        let path = format!("/v1/releases/{}/work?version=1", case.old());
        let (status, work) = self.proxy.admin("GET", &path, &Value::Null);
        if status == 404 {
            // A removed version is forgotten with its last request.
            return [0; 4];
        }
        let count = |class: usize| work["classes"][class]["count"].as_u64().unwrap();
        std::array::from_fn(|class| usize::try_from(count(class)).unwrap())
    }

    /// The session of a case stays or moves, and not before the limit.
    fn assert_session(&self, case: Case, id: &str, left: Instant) {
        let ask = || self.ask(case, Some(id)).1;
        if case.moves() && case.session_policy() != "move" {
            wait_until("the session moves", || ask() == "new");
            assert!(left.elapsed() >= LIMIT, "{case:?}: {:?}", left.elapsed());
        } else {
            let moves = case.moves() || case.is_removal();
            assert_eq!(ask(), if moves { "new" } else { "old" }, "{case:?}");
        }
    }

    /// Compares all counters.
    fn assert_counters(&self) {
        let (mut cuts, mut moves) = (Vec::new(), Vec::new());
        for case in Case::all() {
            let (route, old, cause) = (case.name(), case.old(), case.cause());
            let cut = self.count(|class| !case.finishes(class));
            let cut = CLASSES.iter().zip(cut).filter(|(_, count)| *count > 0);
            cuts.extend(
                cut.map(|(class, count)| format!("{route} {old} 1 {class} {cause} {count}")),
            );
            if case.moves() {
                moves.push(format!("{route} {old} 1 {cause} 1"));
            }
        }
        for (family, mut expected) in [
            ("switchback_cuts_total", cuts),
            ("switchback_moves_total", moves),
        ] {
            expected.sort_unstable();
            let sorted = || {
                let mut counters = self.proxy.counters(family);
                counters.sort_unstable();
                counters
            };
            assert_eq!(sorted(), expected);
        }
    }
}

/// The order of the ends on one route: at once, then after the limit.
fn assert_times(case: Case, ends: &[(Work, End)], left: Instant) {
    let of = |policy: &'static str| {
        let of_policy = move |(work, _): &&(Work, End)| case.own_policy(work.class()) == policy;
        ends.iter().filter(of_policy).map(|(_, end)| end.at)
    };
    for late in of("finish within 1s") {
        assert!(late - left >= LIMIT, "{case:?}: {:?}", late - left);
        assert!(of("cut").all(|early| early < late), "{case:?}");
    }
}

fn every_case(client: Transport, upstream: Transport) {
    let (open, gate) = watch::channel(false);
    let matrix = Matrix::start(client, upstream, &gate);
    let kept: Vec<_> = thread::scope(|scope| {
        let matrix = &matrix;
        let cases = Case::all().map(|case| (case, scope.spawn(move || matrix.run(case))));
        let cases: Vec<_> = cases.collect();
        let kept =
            |(case, kept): (Case, thread::ScopedJoinHandle<'_, Kept>)| (case, kept.join().unwrap());
        cases.into_iter().map(kept).collect()
    });
    open.send_replace(true);
    for (case, works) in kept {
        for (work, end) in works {
            assert_eq!(
                end.join().unwrap().seen,
                work.finished(),
                "{case:?} {work:?}"
            );
        }
        wait_until("nothing is in flight", || matrix.in_flight(case) == [0; 4]);
    }
    matrix.assert_counters();
}

#[test]
fn every_class_ends_as_its_policy_says_over_http1() {
    every_case(Transport::Http1, Transport::Http1);
}

#[test]
fn every_class_ends_as_its_policy_says_over_http2() {
    every_case(Transport::Http2, Transport::Http2);
}

#[test]
fn every_class_ends_as_its_policy_says_from_http1_to_http2() {
    every_case(Transport::Http1, Transport::Http2);
}

#[test]
fn every_class_ends_as_its_policy_says_from_http2_to_http1() {
    every_case(Transport::Http2, Transport::Http1);
}
