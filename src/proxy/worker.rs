//! Worker of the data plane: the state of one single-threaded runtime, its pools, buffers, timers and random numbers.
//!
//! Only [`Shared`] is shared with other workers, and of that only counters are written.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::fleet::AnswerMemory;
use crate::model::Revision;
use crate::net::{BufferPool, BufferSize, Timers};
use crate::table::{Route, RoutingTable, TableReader, WorkRequest};
use crate::telemetry::AccessLog;

use super::compressors::Compressors;
use super::date::{self, DateCache};
use super::fair_queue::FairQueue;
use super::h2::Upstreams;
use super::pool::Pools;
use super::retry_memory::RetryMemory;
use super::route_cache::{CachedRoute, RouteCache};
use super::shared::{Drain, Shared};
use super::work_list::WorkList;

/// Interval for closing expired idle connections.
const SWEEP: Duration = Duration::from_secs(1);
/// Interval for freeing unused buffers.
const TRIM: Duration = Duration::from_secs(1);
/// Maximum number of spare output buffers.
const SPARE_HEADS: usize = 64;

/// One worker.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: usize,
    pub(super) pools: Pools,
    pub(super) http2: Upstreams,
    pub(super) buffers: Rc<BufferPool>,
    pub(super) timers: Rc<Timers>,
    pub(super) kept_room: RetryMemory,
    pub(super) access_log: RefCell<AccessLog>,
    pub(super) work: Rc<WorkList>,
    /// The answers that users may say something of, on routes that remember them.
    pub(super) answers: RefCell<AnswerMemory>,
    /// Wakes requests that wait and are not committed, so that they select again.
    pub(super) table_changed: Notify,
    table: RefCell<TableReader>,
    routes: RefCell<RouteCache>,
    acknowledged: Cell<Option<Revision>>,
    rng: Cell<u64>,
    heads: RefCell<Vec<Vec<u8>>>,
    date: DateCache,
    draining: Cell<Drain>,
    connections: Cell<usize>,
    idle: Notify,
    /// Start of its own clock, in milliseconds of the clock that all workers share.
    began_ms: u64,
    /// A task has just yielded; its caller returns to the runtime and will be polled again.
    pub(super) is_yielding: Cell<bool>,
    pub(super) turns: FairQueue,
    pub(super) compressors: Rc<Compressors>,
}

/// Counts a request until dropped.
pub(super) struct RequestPermit(Rc<Worker>);

/// Counts a connection until dropped.
pub(super) struct ConnectionGuard(Rc<Worker>);

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.shared.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Worker ===

impl Worker {
    /// Creates a worker that counts in `slot`. [`Worker::run`] must run beside its connections.
    #[must_use]
    pub fn new(shared: Arc<Shared>, slot: usize) -> Rc<Self> {
        let idle_per_endpoint = (shared.settings.limits.idle_per_endpoint / shared.workers).max(1);
        let table = shared.cell.reader();
        let draining = *shared.draining.borrow();
        shared.cell.work().join(slot);
        let timers = Timers::new();
        let began = timers.began().saturating_duration_since(shared.epoch);
        Rc::new(Self {
            slot,
            pools: Pools::new(slot, idle_per_endpoint),
            http2: Upstreams::new(idle_per_endpoint),
            buffers: BufferPool::new(BufferSize::within(shared.settings.limits.buffer.0)),
            timers,
            kept_room: RetryMemory::default(),
            access_log: RefCell::new(shared.access_log.clone()),
            work: WorkList::new(),
            answers: RefCell::default(),
            table_changed: Notify::new(),
            table: RefCell::new(table),
            routes: RefCell::default(),
            acknowledged: Cell::new(None),
            rng: Cell::new(RandomState::new().hash_one(slot) | 1),
            heads: RefCell::default(),
            date: DateCache::default(),
            draining: Cell::new(draining),
            connections: Cell::new(0),
            idle: Notify::new(),
            began_ms: began.as_secs() * 1_000 + u64::from(began.subsec_millis()),
            is_yielding: Cell::new(false),
            turns: FairQueue::new(),
            compressors: Compressors::new(shared.workers),
            shared,
        })
    }

    /// Background tasks of a worker: timers, table changes, idle connections, draining. Never returns.
    pub async fn run(&self) {
        tokio::join!(
            self.timers.run(),
            self.follow_table(),
            self.follow_work(),
            self.sweep(),
            self.trim(),
            self.follow_drain(),
            self.give_up_idle()
        );
    }

    /// Acknowledges each revision from this worker's own loop.
    ///
    /// A request checks at its commit, in the same synchronous section as the first write of its head, that the table
    /// it was selected from is still live. So once this loop has run after a swap, no request of this worker can be
    /// committed by an older table. A selection acknowledges as well: on a busy worker it runs earlier than this loop.
    async fn follow_table(&self) {
        loop {
            let revision = self.with_table(|table| table.revision());
            self.routes.borrow_mut().clear();
            self.acknowledge(revision);
            self.table_changed.notify_waiters();
            self.shared.cell.changed(self.slot).await;
        }
    }

    /// Answers the control plane's requests about the work in flight and about answers that were given.
    async fn follow_work(&self) {
        let board = self.shared.cell.work();
        loop {
            let mut has_marked = false;
            for request in board.requests(self.slot).await {
                match request {
                    WorkRequest::Count {
                        roster,
                        route,
                        ages,
                        tally,
                    } => {
                        let now = self.timers.now();
                        // Nothing waits for it any more if this fails.
                        let _ = tally.send(self.work.tally(&roster, (route.as_ref(), &ages), now));
                    }
                    WorkRequest::Cut(order) => has_marked |= self.work.mark(&order),
                    WorkRequest::Find { key, found } => {
                        let answer = self.answers.borrow().find(&key, self.now_ms());
                        // The same here.
                        let _ = found.send(answer);
                    }
                }
            }
            // Every request in flight also waits for a deadline, and checks for its cut when that wakes it.
            if has_marked {
                self.timers.wake_all();
            }
        }
    }

    /// Announces that no request will be committed by an older table. Must not run between the check that the selected
    /// table is live and the write that commits.
    pub(super) fn acknowledge(&self, revision: Revision) {
        if self.acknowledged.replace(Some(revision)) != Some(revision) {
            self.shared.cell.acknowledge(self.slot, revision);
        }
    }

    async fn sweep(&self) {
        loop {
            self.pools.filled().await;
            tokio::time::sleep(SWEEP).await;
            self.pools.sweep(self.now_ms());
        }
    }

    /// Closes idle connections that another worker waits for.
    async fn give_up_idle(&self) {
        let mut wanted = self.shared.idle_wanted.subscribe();
        // `shared` holds the sender, so the loop does not end.
        while wanted.changed().await.is_ok() {
            self.pools.give_up(self.shared.connections.waiting());
            self.http2.give_up();
        }
    }

    /// Frees buffers left over from a burst.
    async fn trim(&self) {
        loop {
            tokio::time::sleep(TRIM).await;
            self.buffers.trim();
        }
    }

    async fn follow_drain(&self) {
        let mut draining = self.shared.draining.subscribe();
        while draining
            .wait_for(|drain| *drain != self.draining.get())
            .await
            .is_ok()
        {
            self.draining.set(*draining.borrow_and_update());
            self.timers.wake_all();
        }
        std::future::pending::<()>().await;
    }

    /// Counts a request among those of all workers; `None` at the limit.
    pub(super) fn acquire_request(self: &Rc<Self>) -> Option<RequestPermit> {
        let (requests, most) = (&self.shared.requests, self.shared.settings.limits.requests);
        if requests.fetch_add(1, Ordering::Relaxed) >= most {
            requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(RequestPermit(Rc::clone(self)))
    }

    /// This worker's own reference to a route of the live table.
    pub(super) fn cached_route(&self, route: &Arc<Route>) -> Rc<CachedRoute> {
        self.routes.borrow_mut().get(route)
    }

    /// Calls `look` with the live table: the one load of a selection.
    pub(super) fn with_table<R>(&self, look: impl FnOnce(&Arc<RoutingTable>) -> R) -> R {
        look(self.table.borrow_mut().load())
    }

    /// The live revision.
    pub(super) fn revision(&self) -> Revision {
        self.with_table(|table| table.revision())
    }

    /// True if no new work is accepted.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get() != Drain::No
    }

    /// True if idle connections are closed.
    pub(super) fn closes_idle(&self) -> bool {
        self.draining.get() == Drain::Closing
    }

    /// Returns when no connection is open.
    pub async fn drained(&self) {
        while self.connections.get() > 0 {
            self.idle.notified().await;
        }
    }

    pub(super) fn open_connection(self: &Rc<Self>) -> ConnectionGuard {
        self.connections.set(self.connections.get() + 1);
        ConnectionGuard(Rc::clone(self))
    }

    /// Time at which a connection that begins now is asked to close: the configured age, give or take a tenth.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let age = self.shared.settings.timeouts.connection_age?;
        Some(Instant::now() + age.0.mul_f64(jittered(self.random())))
    }

    /// Milliseconds of the clock that all workers share.
    pub(super) fn now_ms(&self) -> u64 {
        self.began_ms + self.timers.now().millis()
    }

    /// The same as of the last clock read, for code that runs right after one.
    pub(super) fn cached_now_ms(&self) -> u64 {
        self.began_ms + self.timers.recent().millis()
    }

    /// The `Date` value as of the last clock read.
    pub(super) fn date(&self) -> [u8; date::LENGTH] {
        self.date.at(self.cached_now_ms() / 1_000)
    }

    /// A random number (wyrand): good enough for balancing and request ids, not for secrets.
    pub(super) fn random(&self) -> u64 {
        let state = self.rng.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.rng.set(state);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "both halves are folded together"
        )]
        let folded = (product >> 64) as u64 ^ product as u64;
        folded
    }

    /// Takes an empty buffer to write a head into.
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        self.heads
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(2048))
    }

    /// Returns such a buffer.
    pub(super) fn recycle_buffer(&self, mut head: Vec<u8>) {
        let mut heads = self.heads.borrow_mut();
        if head.capacity() > 0 && head.capacity() <= 16 * 1024 && heads.len() < SPARE_HEADS {
            head.clear();
            heads.push(head);
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let open = self.0.connections.get() - 1;
        self.0.connections.set(open);
        if open == 0 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.cell.leave(self.slot);
    }
}

/// Random factor from 0.9 to 1.1.
fn jittered(random: u64) -> f64 {
    f64::from(u32::try_from(random >> 32).expect("half of the bits are left")) / f64::from(u32::MAX)
        * 0.2
        + 0.9
}
