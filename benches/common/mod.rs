//! Shared parts of the benches: tables of any size, requests that match their routes, and many threads at once.
#![expect(dead_code, reason = "each bench uses a part of it")]

use std::{
    net::SocketAddr,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use switchback::{
    fleet::Fleet,
    model::{ChangeSet, EndpointSpec, RequestView, Revision, TableDocument, TableState},
    table::{Compiled, LiveTable, StackChange, compile},
};

/// A request as a decision sees it.
pub(crate) struct Request {
    path: String,
    session: Option<Vec<u8>>,
}

impl Request {
    /// A request for a route of [`state`].
    pub(crate) fn to(route: usize) -> Self {
        Self {
            path: format!("/agents/{route}/messages"),
            session: None,
        }
    }

    /// The same with a session.
    pub(crate) fn of(self, session: &str) -> Self {
        Self {
            session: Some(session.into()),
            ..self
        }
    }
}

impl RequestView for Request {
    fn method(&self) -> &'static str {
        "POST"
    }

    fn host(&self) -> &'static str {
        "agents.example.com"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.session.as_deref().filter(|_| name == "x-session-id")
    }

    fn cookie(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

/// A table of two releases with four endpoints each, and this many routes.
pub(crate) fn state(routes: usize) -> TableState {
    let urls = |port: u16| -> Vec<String> {
        (port..port + 4)
            .map(|port| format!("http://127.0.0.1:{port}"))
            .collect()
    };
    let route = |number| {
        serde_json::json!({
            "name": format!("r{number}"), "host": "agents.example.com", "path_prefix": format!("/agents/{number}"),
            "split": {"blue": 95, "green": 5}, "affinity": [{"header": "x-session-id"}],
        })
    };
    let document = serde_json::json!({
        "releases": {"blue": {"endpoints": urls(9000)}, "green": {"endpoints": urls(9100)}},
        "routes": (0..routes).map(route).collect::<Vec<_>>(),
    });
    let document: TableDocument = serde_json::from_value(document).expect("the document is valid");
    document.into_state(&TableState::default())
}

/// The whole table, compiled anew.
pub(crate) fn compiled(state: &TableState, fleet: &Fleet) -> Arc<Compiled> {
    let draft =
        compile(state.clone(), &ChangeSet::default(), None, fleet).expect("the table is valid");
    Arc::clone(draft.compiled())
}

/// A live table of this many routes, with its endpoints.
pub(crate) fn live(routes: usize, workers: usize) -> (LiveTable, Fleet) {
    of_state(&state(routes), workers)
}

/// This table, live, with its endpoints.
pub(crate) fn of_state(state: &TableState, workers: usize) -> (LiveTable, Fleet) {
    let (cell, fleet) = (LiveTable::new(workers), Fleet::new(workers));
    let draft =
        compile(state.clone(), &ChangeSet::default(), None, &fleet).expect("the table is valid");
    for (name, release) in draft.compiled().releases() {
        let member = |endpoint: &EndpointSpec| {
            let address = SocketAddr::from(([127, 0, 0, 1], endpoint.url().port()));
            (endpoint.clone(), address)
        };
        let members: Vec<_> = state.endpoints(name).iter().map(member).collect();
        release.roster().set(&members);
    }
    cell.publish(draft, Revision(1), Revision(0), StackChange::Push(None), 0)
        .expect("nothing else is live");
    (cell, fleet)
}

/// A random number generator that costs less than what is measured (splitmix64).
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// The next random number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Numbers of threads that are measured.
pub(crate) const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

/// Cost of one call when every thread makes `rounds` of them at once: the processor time of the thread that used most.
/// It is not wall-clock time: where there are more threads than cores, that would include the time of other threads.
pub(crate) fn together<W: FnMut(usize)>(
    threads: usize,
    rounds: u64,
    worker: impl Fn(usize) -> W + Sync,
) -> Duration {
    let barrier = Barrier::new(threads);
    let times = thread::scope(|scope| {
        let run = |slot: usize| {
            let mut work = worker(slot);
            barrier.wait();
            let before = on_processor();
            (0..rounds).for_each(|turn| work(usize::try_from(turn % 64).unwrap_or_default()));
            on_processor().saturating_sub(before)
        };
        let running: Vec<_> = (0..threads)
            .map(|slot| scope.spawn(move || run(slot)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .max()
    });
    times.expect("there is a thread")
}

/// Processor time of this thread as the kernel's scheduler counts it, which it does when a thread yields.
fn on_processor() -> Duration {
    thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat");
    let first = stat.as_deref().ok().and_then(|text| text.split(' ').next());
    let nanoseconds = first.and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.expect("Linux counts processor time for each thread"))
}
