//! One thread of the data plane: a single-threaded runtime with its own sockets, pools and view of the table.

use std::{
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    runtime,
    sync::{mpsc, watch},
    task::{LocalSet, spawn_local},
};

use crate::{
    config::Network,
    net::{Accepted, Acceptor, ConnectionLimits, ConnectionPermit, ServerTls},
    proxy::{ListenerSettings, Shared, Worker, start_connection},
};

/// Capacity of the queue of connections handed to another worker.
const HANDED: usize = 64;

/// Phase of the data plane's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Accepts connections.
    Serving,
    /// Accepts none, and lets the open ones finish.
    Draining,
    /// Ends, whatever is open.
    Ending,
}

/// A listener as seen by one worker.
pub(super) struct WorkerListener {
    pub(super) sockets: Vec<std::net::TcpListener>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) preview: bool,
    pub(super) proxy_senders: Option<Vec<Network>>,
    pub(super) name: String,
}

/// Input of a worker thread.
pub(super) struct WorkerSetup {
    pub(super) slot: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) listeners: Vec<WorkerListener>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) balance: Arc<ConnectionBalancer>,
    pub(super) handed: mpsc::Receiver<HandoffConnection>,
}

/// A connection that another worker accepted, before a byte of it was read.
#[derive(Debug)]
pub(super) struct HandoffConnection {
    tcp: std::net::TcpStream,
    peer: std::net::SocketAddr,
    permit: ConnectionPermit,
    listener: usize,
}

/// Largest number of concurrent connections of synthetic requests.
const SYNTHETIC: usize = 64;

/// Number of connections of each worker, and the channels to hand one over.
///
/// The kernel spreads connections by a hash of their addresses, which works for many connections but not for a few
/// heavy ones: of eight HTTP/2 connections, six may land on one worker.
#[derive(Debug)]
pub(super) struct ConnectionBalancer {
    // By worker, then by listener. Each counts the open connections of its worker, below the limits of the listener.
    open: Vec<Vec<Arc<ConnectionLimits>>>,
    ways: Vec<mpsc::Sender<HandoffConnection>>,
    synthetic: Arc<ConnectionLimits>,
}

impl ConnectionBalancer {
    /// Creates the balancer for workers at listeners with these limits, and the receivers of handed connections.
    pub(super) fn new(
        workers: usize,
        listeners: &[Arc<ConnectionLimits>],
    ) -> (Arc<Self>, Vec<mpsc::Receiver<HandoffConnection>>) {
        let (ways, ends): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(HANDED)).unzip();
        let setup = |limits: &Arc<ConnectionLimits>| {
            ConnectionLimits::new(usize::MAX, Some(Arc::clone(limits)))
        };
        let open = (0..workers)
            .map(|_| listeners.iter().map(setup).collect())
            .collect();
        let synthetic = ConnectionLimits::new(SYNTHETIC, None);
        let balancer = Self {
            open,
            ways,
            synthetic,
        };
        (Arc::new(balancer), ends)
    }

    /// Hands the connection of a synthetic request to a worker.
    pub(super) fn hand_synthetic(
        &self,
        turn: usize,
        tcp: std::net::TcpStream,
        peer: std::net::SocketAddr,
    ) -> Result<(), ()> {
        let permit = self.synthetic.acquire().ok_or(())?;
        let listeners = self.open.first().map_or(0, Vec::len);
        let way = self.ways.get(turn % self.ways.len().max(1)).ok_or(())?;
        let handed = HandoffConnection {
            tcp,
            peer,
            permit,
            // After the listeners of the configuration.
            listener: listeners,
        };
        way.try_send(handed).map_err(|_| ())
    }

    /// Connection limits of one worker at one listener.
    pub(super) fn limits(&self, worker: usize, listener: usize) -> Arc<ConnectionLimits> {
        Arc::clone(&self.open[worker][listener])
    }

    fn load(&self, worker: usize) -> usize {
        self.open[worker].iter().map(|limits| limits.open()).sum()
    }

    /// The worker that should get a new connection instead of this one: the less loaded of two others, if this one is
    /// clearly busier. The required difference grows with the load, so that many light connections stay put.
    fn less_loaded(&self, own: usize, draw: usize) -> Option<usize> {
        let count = self.open.len();
        if count < 2 {
            return None;
        }
        let other = |draw: usize| (own + 1 + draw % (count - 1)) % count;
        let (first, second) = (other(draw), other(draw / count + 1));
        let less = if self.load(second) < self.load(first) {
            second
        } else {
            first
        };
        is_clearly_busier(self.load(own), self.load(less)).then_some(less)
    }
}

/// True if a worker with `own` connections, including the new one, should hand that one to a worker with `other`.
const fn is_clearly_busier(own: usize, other: usize) -> bool {
    own > other + 1 + other / 8
}

/// Starts a worker on a thread of its own.
pub(super) fn start(setup: WorkerSetup) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("worker-{}", setup.slot)).spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
        match runtime {
            Ok(runtime) => LocalSet::new().block_on(&runtime, work(setup)),
            Err(error) => tracing::error!(%error, worker = setup.slot, "the worker's runtime cannot be started"),
        }
    })
}

async fn work(setup: WorkerSetup) {
    let WorkerSetup {
        slot,
        shared,
        listeners,
        phase,
        balance,
        handed,
    } = setup;
    let worker = Worker::new(shared, slot);
    let beside = spawn_local({
        let worker = Rc::clone(&worker);
        async move { worker.run().await }
    });
    let accept_loops: Vec<Rc<AcceptLoop>> = listeners
        .iter()
        .enumerate()
        .map(|(place, listener)| AcceptLoop::new(&worker, listener, &balance, slot, place))
        .chain([AcceptLoop::synthetic(
            &worker,
            &balance,
            slot,
            listeners.len(),
        )])
        .collect();
    let mut accepting = Vec::new();
    for (accept_loop, listener) in accept_loops.iter().zip(listeners) {
        for socket in listener.sockets {
            match Acceptor::new(socket, Arc::clone(&listener.limits)) {
                Ok(acceptor) => {
                    accepting.push(spawn_local(Rc::clone(accept_loop).accept(acceptor)));
                }
                Err(error) => {
                    tracing::error!(%error, worker = slot, "a listening socket cannot be used");
                }
            }
        }
    }
    let end = phase.clone();
    let mut handed = handed;
    serve_handed(phase, &mut handed, &accept_loops).await;
    for task in &accepting {
        task.abort();
    }
    serve_rest(handed, &accept_loops).await;
    wait_for_end(&worker, end).await;
    beside.abort();
}

/// Serves connections that other workers hand over, until the end begins.
async fn serve_handed(
    mut phase: watch::Receiver<Phase>,
    handed: &mut mpsc::Receiver<HandoffConnection>,
    accept_loops: &[Rc<AcceptLoop>],
) {
    loop {
        tokio::select! {
            // An error means that the process ends, and the worker with it.
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            Some(connection) = handed.recv() => serve_one(connection, accept_loops),
        }
    }
}

/// Takes no more connections of other workers, and serves those that are on their way: they were accepted.
async fn serve_rest(
    mut handed: mpsc::Receiver<HandoffConnection>,
    accept_loops: &[Rc<AcceptLoop>],
) {
    handed.close();
    while let Some(connection) = handed.recv().await {
        serve_one(connection, accept_loops);
    }
}

fn serve_one(connection: HandoffConnection, accept_loops: &[Rc<AcceptLoop>]) {
    let HandoffConnection {
        tcp,
        peer,
        permit,
        listener,
    } = connection;
    let Some(accept_loop) = accept_loops.get(listener) else {
        return;
    };
    match TcpStream::from_std(tcp) {
        Ok(tcp) => accept_loop.serve(Accepted { tcp, peer, permit }),
        Err(error) => tracing::warn!(%error, "a handed-over connection cannot be used"),
    }
}

/// Waits until no connection is open, or until the process ends.
async fn wait_for_end(worker: &Worker, mut phase: watch::Receiver<Phase>) {
    tokio::select! {
        () = worker.drained() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Ending) => {}
    }
}

/// Accepts the connections of one listener in one worker.
struct AcceptLoop {
    worker: Rc<Worker>,
    settings: Rc<ListenerSettings>,
    balance: Arc<ConnectionBalancer>,
    slot: usize,
    place: usize,
}

impl AcceptLoop {
    fn new(
        worker: &Rc<Worker>,
        listener: &WorkerListener,
        balance: &Arc<ConnectionBalancer>,
        slot: usize,
        place: usize,
    ) -> Rc<Self> {
        let settings = ListenerSettings {
            tls: listener.tls.clone(),
            preview: listener.preview,
            proxy_senders: listener.proxy_senders.clone(),
            is_own: false,
            name: listener.name.clone(),
        };
        Rc::new(Self {
            worker: Rc::clone(worker),
            settings: Rc::new(settings),
            balance: Arc::clone(balance),
            slot,
            place,
        })
    }

    /// The entrance of synthetic requests: it accepts nothing, and takes what is handed to it.
    fn synthetic(
        worker: &Rc<Worker>,
        balance: &Arc<ConnectionBalancer>,
        slot: usize,
        place: usize,
    ) -> Rc<Self> {
        let settings = ListenerSettings {
            tls: None,
            preview: true,
            proxy_senders: None,
            is_own: true,
            name: "drill".to_owned(),
        };
        Rc::new(Self {
            worker: Rc::clone(worker),
            settings: Rc::new(settings),
            balance: Arc::clone(balance),
            slot,
            place,
        })
    }

    async fn accept(self: Rc<Self>, acceptor: Acceptor) {
        let mut draws = self.slot;
        loop {
            let accepted = acceptor.accept().await;
            draws = draws.wrapping_mul(5).wrapping_add(1);
            match self.balance.less_loaded(self.slot, draws >> 4) {
                Some(other) => self.hand_over(accepted, other),
                None => self.serve(accepted),
            }
        }
    }

    /// Hands a connection to another worker, or keeps it when that one cannot take it.
    fn hand_over(&self, accepted: Accepted, other: usize) {
        let way = self.balance.ways[other].try_reserve();
        let (Ok(way), Some(permit)) = (way, self.balance.open[other][self.place].acquire()) else {
            return self.serve(accepted);
        };
        let Accepted {
            tcp,
            peer,
            permit: own,
        } = accepted;
        drop(own);
        match tcp.into_std() {
            Ok(tcp) => way.send(HandoffConnection {
                tcp,
                peer,
                permit,
                listener: self.place,
            }),
            Err(error) => tracing::warn!(%error, "a connection cannot be handed over"),
        }
    }

    fn serve(&self, accepted: Accepted) {
        start_connection(&self.worker, accepted, &self.settings);
    }
}

/// Joins the threads within a time limit; true if all of them ended.
pub(super) fn join(threads: Vec<JoinHandle<()>>, patience: Duration) -> bool {
    let end = std::time::Instant::now() + patience;
    while threads.iter().any(|thread| !thread.is_finished()) {
        if std::time::Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    threads.into_iter().all(|thread| thread.join().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers with that many connections each.
    fn loads(open: &[usize]) -> (Arc<ConnectionBalancer>, Vec<ConnectionPermit>) {
        let (balance, _ends) =
            ConnectionBalancer::new(open.len(), &[ConnectionLimits::new(usize::MAX, None)]);
        let permits = balance
            .open
            .iter()
            .zip(open)
            .flat_map(|(seats, open)| (0..*open).filter_map(|_| seats[0].acquire()));
        let permits = permits.collect();
        (balance, permits)
    }

    fn better_of(open: &[usize]) -> Option<usize> {
        let (balance, _permits) = loads(open);
        balance.less_loaded(0, 3)
    }

    #[test]
    fn a_few_heavy_connections_are_shared_out() {
        let mut open = [0_usize; 2];
        for _ in 0..8 {
            // The kernel gives everything to the first worker.
            open[0] += 1;
            if let Some(other) = better_of(&open) {
                open[0] -= 1;
                open[other] += 1;
            }
        }
        assert_eq!(open, [4, 4]);
    }

    #[test]
    fn many_connections_that_lie_close_together_stay_put() {
        assert_eq!(better_of(&[520, 500]), None);
        assert_eq!(better_of(&[600, 500]), Some(1));
        assert_eq!(better_of(&[5]), None);
    }
}
