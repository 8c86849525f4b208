//! One address that serves requests: its health, its refusals, and what is in flight on it.

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

/// How long an endpoint that refused a connection is left alone, at first.
const FIRST_SKIP_MS: u64 = 1_000;
/// The longest that it is left alone; the time doubles with each refusal up to this.
const LONGEST_SKIP_MS: u64 = 30_000;

/// What active checks say of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// The last checks failed.
    Unhealthy,
    /// Not checked, or not yet: taken as fit to serve.
    Unknown,
    /// The last checks succeeded.
    Healthy,
}

impl Health {
    /// The word in status, metrics and logs.
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
    // Milliseconds of the caller's clock; 0 means that nothing was refused since the last connection.
    skip_until_ms: AtomicU64,
    in_flight: CachePadded<AtomicU32>,
    connections: Arc<ConcurrencyLimit>,
}

impl Endpoint {
    /// An endpoint that nothing is known about yet.
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

    /// The URL that it was configured with; several endpoints share it when its host has several addresses.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What active checks say.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unhealthy,
            1 => Health::Unknown,
            _ => Health::Healthy,
        }
    }

    /// Notes what active checks say; returns what they said before.
    pub fn set_health(&self, health: Health) -> Health {
        let before = self.health();
        self.health.store(health as u8, Ordering::Relaxed);
        before
    }

    /// Notes a refused connection: the endpoint is skipped for 1 s, then 2 s, up to 30 s, each time with one trial.
    pub fn refused(&self, now_ms: u64) {
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed);
        let skip = (FIRST_SKIP_MS << refusals.min(5)).min(LONGEST_SKIP_MS);
        self.skip_until_ms
            .store((now_ms + skip).max(1), Ordering::Relaxed);
    }

    /// Notes a connection that was made: earlier refusals are forgotten.
    pub fn connected(&self) {
        if self.skip_until_ms.load(Ordering::Relaxed) != 0 {
            self.refusals.store(0, Ordering::Relaxed);
            self.skip_until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Requests in flight, streams and tunnels included.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Open connections to it, idle ones included, over all workers.
    pub fn connections(&self) -> u32 {
        self.connections.held()
    }

    /// The places of its connections, and the queue of those who may not open another one.
    pub fn connection_places(&self) -> &Arc<ConcurrencyLimit> {
        &self.connections
    }

    /// Whether a request may be sent: healthy or unknown, and not skipped for a refusal.
    pub(super) fn standing(&self, now_ms: u64) -> Availability {
        if self.health() == Health::Unhealthy {
            return Availability::Out;
        }
        match self.skip_until_ms.load(Ordering::Relaxed) {
            0 => Availability::Fit,
            until if now_ms < until => Availability::Ejected,
            until => Availability::HalfOpen(until),
        }
    }

    /// Takes the one trial after a skip; the others go on skipping until it has ended either way, or for 5 s.
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

/// Whether an endpoint may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    /// Nothing speaks against it.
    Fit,
    /// The time of a skip is over: one request may try.
    HalfOpen(u64),
    /// Active checks say no.
    Out,
    /// It refused a connection a moment ago.
    Ejected,
}

/// What is in flight on a release.
#[derive(Debug)]
pub(super) struct Load {
    count: Sharded,
    /// How often everything that was in flight has been told to end.
    abort_generation: AtomicU64,
}

/// What a request holds on to, in a copy for each worker: so that of a request's counts only the one on its endpoint,
/// which is one truth for all, is in a line that several workers write to.
#[derive(Debug)]
pub(super) struct WorkerCounters {
    pub(super) endpoints: Arc<Vec<Arc<Endpoint>>>,
    pub(super) load: Arc<Load>,
}

/// One request in flight: counted on its endpoint and its release until this is dropped.
#[derive(Debug)]
pub struct InFlight {
    hold: Arc<CachePadded<WorkerCounters>>,
    // Invariant: there is an endpoint at this place.
    place: usize,
    slot: usize,
    ends: u64,
}

impl Load {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            count: Sharded::new(workers),
            abort_generation: AtomicU64::new(0),
        }
    }

    pub(super) fn sum(&self) -> u64 {
        self.count.sum()
    }

    pub(super) fn abort_all(&self) {
        self.abort_generation.fetch_add(1, Ordering::Relaxed);
    }
}

impl InFlight {
    /// Counts a request on the endpoint at a place, where there is one.
    pub(super) fn new(
        hold: &Arc<CachePadded<WorkerCounters>>,
        place: usize,
        slot: usize,
    ) -> Option<Self> {
        let endpoint = hold.endpoints.get(place)?;
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        hold.load.count.add(slot);
        Some(Self {
            ends: hold.load.abort_generation.load(Ordering::Relaxed),
            hold: Arc::clone(hold),
            place,
            slot,
        })
    }

    /// Whether its release has left so long ago that it is to end; see [`Roster::abort_all`](super::Roster::end).
    pub fn is_aborted(&self) -> bool {
        self.hold.load.abort_generation.load(Ordering::Relaxed) != self.ends
    }

    /// The endpoint that was picked.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.hold.endpoints[self.place]
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint().in_flight.fetch_sub(1, Ordering::Relaxed);
        self.hold.load.count.sub(self.slot);
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
                endpoint.standing(now + skip - 1),
                Availability::Ejected,
                "{skip}"
            );
            assert_eq!(
                endpoint.standing(now + skip),
                Availability::HalfOpen(now + skip)
            );
            now += skip;
        }
        endpoint.connected();
        assert_eq!(endpoint.standing(now), Availability::Fit);
        endpoint.refused(now);
        assert_eq!(
            endpoint.standing(now + 1_000),
            Availability::HalfOpen(now + 1_000)
        );
    }

    #[test]
    fn only_one_request_takes_the_trial() {
        let endpoint = endpoint();
        endpoint.refused(0);
        assert!(endpoint.take_probe(1_000, 1_000));
        assert!(!endpoint.take_probe(1_000, 1_000));
        assert_eq!(endpoint.standing(1_001), Availability::Ejected);
    }
}
