//! A data plane for one test: workers, listeners on port 0, a table.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use switchback::config::{self, Config, FileCheck, Network};
use switchback::fleet::Fleet;
use switchback::model::{Change, CutCause, LeaveCause, Revision};
use switchback::net::{Acceptor, ConnectionLimits, bind_listener};
use switchback::proxy::{ListenerSettings, ProxySettings, Shared, Worker, listen};
use switchback::seal::KeyRing;
use switchback::table::{CutOrder, LiveTable, RollbackTarget, StackChange, Swapped, compile};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::log::MemoryLog;
use super::{Client, Origin, TIMEOUT, wait_until};

/// The secret of proxies that are given none.
pub(crate) const SECRET: &str = "a-secret-for-the-proxies-of-tests";

/// The settings, releases and routes of a test's proxy.
#[derive(Default)]
pub(crate) struct TestProxyBuilder {
    settings: String,
    tables: String,
    workers: usize,
    preview: bool,
    proxy_senders: Option<Vec<Network>>,
    secrets: Vec<String>,
}

/// A running proxy. It ends when it is dropped.
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    pub(crate) cell: Arc<LiveTable>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) shared: Arc<Shared>,
    log: MemoryLog,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl TestProxyBuilder {
    /// Adds a release with these endpoints.
    pub(crate) fn release(self, name: &str, origins: &[&Origin]) -> Self {
        let urls: Vec<_> = origins.iter().map(|origin| origin.url()).collect();
        self.release_with(name, &format!("endpoints = {urls:?}"))
    }

    /// Adds a release, written as in the configuration file.
    pub(crate) fn release_with(mut self, name: &str, lines: &str) -> Self {
        writeln!(self.tables, "[releases.{name}]\n{lines}").unwrap();
        self
    }

    /// Adds a route for a path prefix.
    pub(crate) fn route(self, name: &str, prefix: &str, split: &[(&str, u32)]) -> Self {
        self.route_with(name, split, &format!("path_prefix = {prefix:?}"))
    }

    /// Adds a route with further lines, written as in the configuration file.
    pub(crate) fn route_with(mut self, name: &str, split: &[(&str, u32)], lines: &str) -> Self {
        let split: Vec<_> = split
            .iter()
            .map(|(name, weight)| format!("{name} = {weight}"))
            .collect();
        let split = split.join(", ");
        writeln!(
            self.tables,
            "[[routes]]\nname = {name:?}\nsplit = {{ {split} }}\n{lines}"
        )
        .unwrap();
        self
    }

    /// Adds a route without a split, written as in the configuration file.
    pub(crate) fn splitless(mut self, name: &str, lines: &str) -> Self {
        writeln!(self.tables, "[[routes]]\nname = {name:?}\n{lines}").unwrap();
        self
    }

    /// Adds settings, written as in the configuration file.
    pub(crate) fn settings(mut self, lines: &str) -> Self {
        writeln!(self.settings, "{lines}").unwrap();
        self
    }

    /// Sets the number of workers; the default is one.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Allows previews on the listener: a request may name its release.
    pub(crate) fn preview(mut self) -> Self {
        self.preview = true;
        self
    }

    /// Sets the secrets that seal session ids, the sealing one first; by default there is one that all tests share.
    pub(crate) fn secrets(mut self, secrets: &[&str]) -> Self {
        self.secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        self
    }

    /// Makes the listener expect a PROXY protocol header from senders in this network.
    pub(crate) fn proxy_protocol_from(mut self, senders: &str) -> Self {
        self.proxy_senders = Some(vec![senders.parse().unwrap()]);
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> TestProxy {
        let text = format!(
            "{}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n{}",
            self.settings, self.tables
        );
        let config = config::parse(&text, Path::new("/"), FileCheck::MayBeMissing);
        let config = config.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        let workers = self.workers.max(1);
        let cell = Arc::new(LiveTable::new(workers));
        let (access_log, log) = MemoryLog::new();
        let secrets: Vec<_> = self.secrets.iter().map(String::as_str).collect();
        let secrets = if secrets.is_empty() {
            &[SECRET][..]
        } else {
            &secrets
        };
        let settings = ProxySettings {
            seal: KeyRing::new(secrets).unwrap().map(Arc::new),
            ..ProxySettings::new(&config)
        };
        let shared = Shared::new(settings, Arc::clone(&cell), workers, access_log);
        let bound = bind_listener("127.0.0.1:0".parse().unwrap(), workers).unwrap();
        let (stop, stopped) = watch::channel(false);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut proxy = TestProxy {
            address: bound.address,
            fleet: Arc::new(Fleet::new(workers)),
            cell,
            shared,
            log,
            runtime,
            stop,
            threads: Vec::new(),
        };
        proxy.import(&config);
        let limits = ConnectionLimits::new(config.limits.connections, None);
        for (slot, socket) in bound.sockets.into_iter().enumerate() {
            let (shared, limits, stopped) = (
                Arc::clone(&proxy.shared),
                Arc::clone(&limits),
                stopped.clone(),
            );
            let (preview, proxy_senders) = (self.preview, self.proxy_senders.clone());
            proxy.threads.push(std::thread::spawn(move || {
                let settings = ListenerSettings {
                    tls: None,
                    preview,
                    proxy_senders,
                    is_own: false,
                    name: "test".into(),
                };
                run_worker(shared, slot, socket, limits, settings, stopped);
            }));
        }
        proxy
    }
}

fn run_worker(
    shared: Arc<Shared>,
    slot: usize,
    socket: std::net::TcpListener,
    limits: Arc<ConnectionLimits>,
    settings: ListenerSettings,
    mut stopped: watch::Receiver<bool>,
) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async move {
        let worker = Worker::new(shared, slot);
        let acceptor = Acceptor::new(socket, limits).unwrap();
        let listening = listen(Rc::clone(&worker), acceptor, Rc::new(settings));
        tokio::select! {
            () = worker.run() => {}
            () = async { listening.await; worker.drained().await } => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

impl TestProxy {
    /// An empty builder.
    pub(crate) fn builder() -> TestProxyBuilder {
        TestProxyBuilder::default()
    }

    /// A proxy with one release `blue` and one route for everything.
    pub(crate) fn before(origin: &Origin) -> Self {
        Self::builder()
            .release("blue", &[origin])
            .route("all", "/", &[("blue", 1)])
            .start()
    }

    /// The same with the release written as in the configuration file.
    pub(crate) fn before_with(release: &str) -> Self {
        Self::builder()
            .release_with("blue", release)
            .route("all", "/", &[("blue", 1)])
            .start()
    }

    fn import(&mut self, config: &Config) {
        self.change(&Change::Replace {
            table: config.table(),
        });
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The lines of the access log, once there are this many.
    pub(crate) fn access_lines(&self, count: usize) -> Vec<serde_json::Value> {
        self.wait_until(|| self.log.lines().len() >= count);
        self.log.lines()
    }

    /// Publishes a change, as the next revision.
    pub(crate) fn change(&self, change: &Change) -> Swapped {
        let live = self.cell.load();
        let applied = change.apply_to(&live.state()).unwrap();
        let state = applied.state.clone();
        let draft = compile(
            applied.state,
            &applied.touched,
            Some(live.compiled()),
            &self.fleet,
        )
        .unwrap();
        for (name, spec) in state.spec.releases() {
            let members: Vec<_> = state
                .endpoints(name)
                .iter()
                .map(|endpoint| {
                    let url = endpoint.url();
                    let address = SocketAddr::new(url.ip().unwrap(), url.port());
                    (endpoint.clone(), address)
                })
                .collect();
            self.fleet.roster(name, &spec.version).set(&members);
        }
        let next = Revision(live.revision().0 + 1);
        self.cell
            .publish(draft, next, live.revision(), StackChange::Push(None), 0)
            .unwrap()
    }

    /// Switches a route to one release.
    pub(crate) fn switch(&self, route: &str, to: &str) -> Revision {
        let change = Change::Switch {
            route: route.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        self.change(&change).table.revision()
    }

    /// Rolls back to the previous table.
    pub(crate) fn rollback(&self) -> Revision {
        let next = Revision(self.cell.load().revision().0 + 1);
        self.cell
            .rollback(RollbackTarget::Previous, None, || next)
            .unwrap()
            .table
            .revision()
    }

    /// Has all work in flight on a release end.
    pub(crate) fn cut(&self, release: &str) {
        self.cell.work().cut(CutOrder {
            roster: Some(self.roster(release)),
            route: None,
            class: None,
            before: Revision(u64::MAX),
            part: u32::MAX,
            cause: CutCause::Left(LeaveCause::Remove),
        });
    }

    /// The roster of a release.
    pub(crate) fn roster(&self, release: &str) -> Arc<switchback::fleet::Roster> {
        let live = self.cell.load();
        let name = release.parse().unwrap();
        let spec = live
            .compiled()
            .spec()
            .release(&name)
            .expect("the table has it")
            .clone();
        self.fleet.roster(&name, &spec.version)
    }

    /// Waits for a counter of the proxy, and yields to its threads in between.
    #[expect(clippy::unused_self, reason = "it waits for something of this proxy")]
    pub(crate) fn wait_until(&self, is_so: impl Fn() -> bool) {
        wait_until("the proxy gets there", is_so);
    }

    /// Waits until every worker has acknowledged a revision.
    pub(crate) fn converged(&self, revision: Revision) {
        let waiting = async { tokio::time::timeout(TIMEOUT, self.cell.converged(revision)).await };
        self.runtime
            .block_on(waiting)
            .expect("every worker acknowledges");
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "a worker panicked"
            );
        }
    }
}
