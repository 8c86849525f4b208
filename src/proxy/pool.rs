//! Pools of idle connections to endpoints: one per address and TLS settings, last in, first out.
//!
//! A connection comes here only with a [`Reusable`], which exists once both sides of its last exchange were read to the
//! end, or fresh from dialing. It is reused only if it is still idle.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::fleet::{ConcurrencyLimit, CountedConnection, Endpoint, Permit};
use crate::http1::Reusable;
use crate::model::{ReleaseSpec, Scheme};
use crate::net::Stream;

/// An HTTP/1.1 connection to an endpoint, counted on it until dropped.
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// True if it carried a request before.
    pub(super) is_reused: bool,
    /// Time that it was idle before its request, in milliseconds.
    pub(super) idle_ms: u64,
    counted: ConnectionCount,
    /// As in [`PoolKey`].
    tls: u64,
}

/// Key of interchangeable connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolKey {
    address: SocketAddr,
    /// 0 for cleartext, else a hash of the TLS settings and the name that was verified.
    tls: u64,
}

/// Counts a connection towards the limit of its endpoint and that of all endpoints.
pub(super) struct ConnectionCount {
    endpoint: Arc<Endpoint>,
    _place: Permit,
    _budgeted: CountedConnection,
}

/// All pools of one worker.
pub(super) struct Pools {
    by_key: RefCell<HashMap<PoolKey, Vec<Idle>, BuildHasherDefault<FastHasher>>>,
    worker: usize,
    most: usize,
    idle: Cell<usize>,
    filled: Notify,
}

struct Idle {
    connection: Connection,
    since_ms: u64,
    /// Time at which it was seen open last.
    alive_ms: u64,
    until_ms: u64,
}

/// Idle time from which on a system call makes sure that the connection is open: events of the runtime may be late, and
/// the endpoint may be about to close.
const LONG_MS: u64 = 1_000;

/// Fast hash: keys are addresses that operators configured, so it needs no resistance to collision attacks.
#[derive(Default)]
struct FastHasher(u64);

// === impl PoolKey ===

impl PoolKey {
    pub(super) fn new(endpoint: &Endpoint, spec: &ReleaseSpec) -> Self {
        let tls = match endpoint.url().scheme() {
            Scheme::Http => 0,
            Scheme::Https => {
                let mut mixer = FastHasher(1);
                (&spec.tls, endpoint.url().host()).hash(&mut mixer);
                mixer.finish() | 1
            }
        };
        Self {
            address: endpoint.address(),
            tls,
        }
    }
}

impl Hash for PoolKey {
    /// Hashes whole words, since each request looks a pool up twice; the derived code hashes an address byte by byte.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let port = u64::from(self.address.port());
        match self.address.ip() {
            IpAddr::V4(ip) => state.write_u64(u64::from(ip.to_bits()) << 16 | port),
            IpAddr::V6(ip) => {
                state.write(&ip.octets());
                state.write_u64(port);
            }
        }
        state.write_u64(self.tls);
    }
}

// === impl ConnectionCount ===

impl ConnectionCount {
    pub(super) fn new(
        endpoint: &Arc<Endpoint>,
        place: Permit,
        budgeted: CountedConnection,
    ) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            _place: place,
            _budgeted: budgeted,
        }
    }

    /// The limit that its permit belongs to.
    pub(super) fn places(&self) -> &Arc<ConcurrencyLimit> {
        self.endpoint.connection_limit()
    }
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(stream: Stream, counted: ConnectionCount, key: PoolKey) -> Self {
        Self {
            stream,
            is_reused: false,
            idle_ms: 0,
            counted,
            tls: key.tls,
        }
    }

    fn key(&self) -> PoolKey {
        PoolKey {
            address: self.counted.endpoint.address(),
            tls: self.tls,
        }
    }
}

// === impl Pools ===

impl Pools {
    /// Creates the pools of a worker; at most `most` idle connections to one endpoint.
    pub(super) fn new(worker: usize, most: usize) -> Self {
        Self {
            worker,
            by_key: RefCell::default(),
            most,
            idle: Cell::new(0),
            filled: Notify::new(),
        }
    }

    /// Takes the most recently used connection that is still usable.
    pub(super) fn take(&self, key: PoolKey, now_ms: u64) -> Option<Connection> {
        let mut pools = self.by_key.borrow_mut();
        let pool = pools.get_mut(&key)?;
        while let Some(last) = pool.last_mut() {
            let is_usable = now_ms < last.until_ms && last.is_usable(now_ms);
            self.idle.set(self.idle.get() - 1);
            let idle = pool.pop()?;
            if is_usable {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Returns a connection after an exchange.
    pub(super) fn give_back(
        &self,
        mut connection: Connection,
        proof: &Reusable,
        longest: Duration,
        now_ms: u64,
    ) {
        connection.is_reused = true;
        // The time that the endpoint promises, less a second for the network: the proxy must close first.
        let promised = proof
            .idle()
            .map(|idle| idle.saturating_sub(Duration::from_secs(1)));
        self.put(
            connection,
            promised.map_or(longest, |promised| promised.min(longest)),
            now_ms,
        );
    }

    /// Returns a fresh connection whose request went elsewhere.
    pub(super) fn put_idle(&self, connection: Connection, longest: Duration, now_ms: u64) {
        self.put(connection, longest, now_ms);
    }

    fn put(&self, connection: Connection, idle: Duration, now_ms: u64) {
        if idle.is_zero() || self.is_for_another_worker(&connection) {
            return;
        }
        let mut pools = self.by_key.borrow_mut();
        let pool = pools.entry(connection.key()).or_default();
        if pool.len() >= self.most {
            // The oldest is the least likely to be needed.
            drop(pool.remove(0));
            self.idle.set(self.idle.get() - 1);
        }
        let limit_ms = connection.counted.endpoint.idle_limit().limit_ms(now_ms);
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        pool.push(Idle {
            connection,
            since_ms: now_ms,
            alive_ms: now_ms,
            until_ms: now_ms.saturating_add(idle_ms.min(limit_ms)),
        });
        if self.idle.replace(self.idle.get() + 1) == 0 {
            self.filled.notify_one();
        }
    }

    /// Returns when at least one connection is idle.
    pub(super) async fn filled(&self) {
        while self.idle.get() == 0 {
            self.filled.notified().await;
        }
    }

    /// True if the connection is to be closed because its endpoint is at its limit and the first waiter is on another
    /// worker. A first waiter on this worker is woken, to take this connection.
    fn is_for_another_worker(&self, connection: &Connection) -> bool {
        let places = connection.counted.places();
        places.waiting() > 0 && !places.wake_first_of(self.worker)
    }

    /// Closes connections that another worker waits for, and up to `more` others, the oldest first.
    pub(super) fn give_up(&self, more: usize) {
        let (mut left, mut more) = (0, more);
        self.by_key.borrow_mut().retain(|_, pool| {
            pool.retain(|idle| {
                if self.is_for_another_worker(&idle.connection) {
                    return false;
                }
                let is_kept = more == 0;
                more = more.saturating_sub(1);
                is_kept
            });
            left += pool.len();
            !pool.is_empty()
        });
        self.idle.set(left);
    }

    /// Closes connections that were idle for too long or that the peer closed.
    pub(super) fn sweep(&self, now_ms: u64) {
        let mut left = 0;
        self.by_key.borrow_mut().retain(|_, pool| {
            pool.retain_mut(|idle| idle.is_alive(now_ms) && now_ms < idle.until_ms);
            left += pool.len();
            !pool.is_empty()
        });
        self.idle.set(left);
    }
}

// === impl Idle ===

impl Idle {
    /// True if the connection is open, and a request may be sent on it.
    fn is_usable(&mut self, now_ms: u64) -> bool {
        let idle_ms = now_ms.saturating_sub(self.since_ms);
        if !self.is_alive(now_ms) {
            return false;
        }
        if idle_ms >= LONG_MS && !self.connection.stream.is_idle_now() {
            self.note_end(now_ms);
            return false;
        }
        self.connection.idle_ms = idle_ms;
        true
    }

    /// True if the connection is open; otherwise its endpoint's limit is learned from it.
    fn is_alive(&mut self, now_ms: u64) -> bool {
        if self.connection.stream.is_idle() {
            self.alive_ms = now_ms;
            return true;
        }
        self.note_end(now_ms);
        false
    }

    fn note_end(&self, now_ms: u64) {
        let (alive, age) = (self.alive_ms - self.since_ms, now_ms - self.since_ms);
        let limit = self.connection.counted.endpoint.idle_limit();
        limit.observe(alive, age, now_ms);
    }
}

// === impl FastHasher ===

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        // The hash table uses the high bits as well as the low ones.
        self.0 ^ (self.0 >> 32)
    }
}
