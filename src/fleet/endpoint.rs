//! One address that serves requests: health, refused connections and requests in flight.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use super::concurrency_limit::ConcurrencyLimit;
use crate::{model::EndpointUrl, stats::Sharded};

/// Initial ejection time after a refused connection.
const FIRST_SKIP_MS: u64 = 1_000;
/// Maximum ejection time; it doubles with each refusal.
const LONGEST_SKIP_MS: u64 = 30_000;

/// Result of active checks of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// The last checks failed.
    Unhealthy,
    /// Not checked yet, or no checks: may be picked.
    Unknown,
    /// The last checks succeeded.
    Healthy,
}

impl Health {
    /// Name in status, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
        }
    }
}

/// One address of one release. Counts and health are kept while the address stays in the roster.
#[derive(Debug)]
pub struct Endpoint {
    url: EndpointUrl,
    address: SocketAddr,
    health: AtomicU8,
    refusals: AtomicU32,
    // In milliseconds of the caller's clock; 0: no refusal since the last successful connection.
    skip_until_ms: AtomicU64,
    in_flight: CachePadded<AtomicU32>,
    connections: Arc<ConcurrencyLimit>,
}

impl Endpoint {
    /// Creates an endpoint of unknown health.
    pub fn new(url: EndpointUrl, address: SocketAddr) -> Self {
        Self {
            url,
            address,
            health: AtomicU8::new(Health::Unknown as u8),
            refusals: AtomicU32::new(0),
            skip_until_ms: AtomicU64::new(0),
            in_flight: CachePadded::default(),
            connections: Arc::default(),
        }
    }

    /// Configured URL; shared by several endpoints if its host has several addresses.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Result of active checks.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unhealthy,
            1 => Health::Unknown,
            _ => Health::Healthy,
        }
    }

    /// Sets the result of active checks; returns the previous one.
    pub fn set_health(&self, health: Health) -> Health {
        let before = self.health();
        self.health.store(health as u8, Ordering::Relaxed);
        before
    }

    /// Records a refused connection: the endpoint is ejected for 1 s, then 2 s, up to 30 s,
    /// followed by one probe each time.
    pub fn refused(&self, now_ms: u64) {
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed);
        let skip = (FIRST_SKIP_MS << refusals.min(5)).min(LONGEST_SKIP_MS);
        self.skip_until_ms
            .store((now_ms + skip).max(1), Ordering::Relaxed);
    }

    /// Records a successful connection: earlier refusals are cleared.
    pub fn connected(&self) {
        if self.skip_until_ms.load(Ordering::Relaxed) != 0 {
            self.refusals.store(0, Ordering::Relaxed);
            self.skip_until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Requests in flight, including streams and tunnels.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Open connections over all workers, including idle ones.
    pub fn connections(&self) -> u32 {
        self.connections.held()
    }

    /// Limit on its connections, with the queue of requests that wait for one.
    pub fn connection_limit(&self) -> &Arc<ConcurrencyLimit> {
        &self.connections
    }

    /// Availability for a request: fit if healthy or unknown, and not ejected after a refusal.
    pub(super) fn availability(&self, now_ms: u64) -> Availability {
        if self.health() == Health::Unhealthy {
            return Availability::Out;
        }
        match self.skip_until_ms.load(Ordering::Relaxed) {
            0 => Availability::Fit,
            until if now_ms < until => Availability::Ejected,
            until => Availability::HalfOpen(until),
        }
    }

    /// Takes the single probe after an ejection; other requests skip the endpoint until it has ended, or for 5 s.
    pub(super) fn take_probe(&self, until: u64, now_ms: u64) -> bool {
        const TRIAL_MS: u64 = 5_000;
        self.skip_until_ms
            .compare_exchange(
                until,
                now_ms + TRIAL_MS,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

/// Availability of an endpoint for picking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    /// May be picked.
    Fit,
    /// The ejection time is over: one request may probe.
    HalfOpen(u64),
    /// Unhealthy by active checks.
    Out,
    /// A connection was refused a moment ago.
    Ejected,
}

/// Requests in flight on a release.
#[derive(Debug)]
pub(super) struct Load(Sharded);

/// State that a request refers to, with a copy per worker: so of a request's counters only that of its endpoint, which
/// must be exact, is in a cache line that several workers write to.
#[derive(Debug)]
pub(super) struct WorkerCounters {
    pub(super) endpoints: Arc<Vec<Arc<Endpoint>>>,
    pub(super) load: Arc<Load>,
}

/// One request in flight: counted on its endpoint and its release until dropped.
#[derive(Debug)]
pub struct InFlight {
    counters: Arc<CachePadded<WorkerCounters>>,
    // Invariant: a valid index into the endpoints.
    index: usize,
    slot: usize,
}

impl Load {
    pub(super) fn new(workers: usize) -> Self {
        Self(Sharded::new(workers))
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.sum()
    }
}

impl InFlight {
    /// Counts a request on the endpoint at an index, if it exists.
    pub(super) fn new(
        hold: &Arc<CachePadded<WorkerCounters>>,
        place: usize,
        slot: usize,
    ) -> Option<Self> {
        let endpoint = hold.endpoints.get(place)?;
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        hold.load.0.add(slot);
        Some(Self {
            counters: Arc::clone(hold),
            index: place,
            slot,
        })
    }

    /// The picked endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.counters.endpoints[self.index]
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint().in_flight.fetch_sub(1, Ordering::Relaxed);
        self.counters.load.0.sub(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(
            "http://127.0.0.1:9".parse().unwrap(),
            "127.0.0.1:9".parse().unwrap(),
        )
    }

    #[test]
    fn a_refusal_skips_for_a_second_then_doubles_up_to_thirty() {
        let endpoint = endpoint();
        let mut now = 10_000;
        for skip in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            endpoint.refused(now);
            assert_eq!(
                endpoint.availability(now + skip - 1),
                Availability::Ejected,
                "{skip}"
            );
            assert_eq!(
                endpoint.availability(now + skip),
                Availability::HalfOpen(now + skip)
            );
            now += skip;
        }
        endpoint.connected();
        assert_eq!(endpoint.availability(now), Availability::Fit);
        endpoint.refused(now);
        assert_eq!(
            endpoint.availability(now + 1_000),
            Availability::HalfOpen(now + 1_000)
        );
    }

    #[test]
    fn only_one_request_takes_the_trial() {
        let endpoint = endpoint();
        endpoint.refused(0);
        assert!(endpoint.take_probe(1_000, 1_000));
        assert!(!endpoint.take_probe(1_000, 1_000));
        assert_eq!(endpoint.availability(1_001), Availability::Ejected);
    }
}
