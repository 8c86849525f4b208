//! One address that serves requests: health, ejections, weight and requests in flight.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use super::{
    ack_stalls::AckStalls,
    balance::{BalancePolicy, EjectionPolicy},
    concurrency_limit::ConcurrencyLimit,
    ejection::{Ejection, EjectionReason},
    endpoint_flags::EndpointFlags,
    idle_limit::IdleLimit,
    peak_ewma::PeakEwma,
    slow_start::SlowStart,
};
use crate::model::{EndpointSpec, EndpointUrl, rendezvous};

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
    seed: u64,
    health: AtomicU8,
    flags: EndpointFlags,
    weight: AtomicU32,
    ejection: Ejection,
    // In milliseconds of the caller's clock.
    avoid_until_ms: AtomicU64,
    retry_afters: AtomicU64,
    slow_start: SlowStart,
    pub(super) latency: PeakEwma,
    pub(super) in_flight: CachePadded<AtomicU32>,
    connections: Arc<ConcurrencyLimit>,
    idle_limit: IdleLimit,
    ack_stalls: AckStalls,
}

impl Endpoint {
    /// Creates an endpoint of unknown health, at the beginning of its slow start.
    pub fn new(spec: &EndpointSpec, address: SocketAddr) -> Self {
        Self {
            url: spec.url().clone(),
            address,
            seed: seed_of(address),
            health: AtomicU8::new(Health::Unknown as u8),
            flags: EndpointFlags::new(EndpointFlags::STARTING),
            weight: AtomicU32::new(spec.weight()),
            ejection: Ejection::default(),
            avoid_until_ms: AtomicU64::new(0),
            retry_afters: AtomicU64::new(0),
            slow_start: SlowStart::default(),
            latency: PeakEwma::default(),
            in_flight: CachePadded::default(),
            connections: Arc::default(),
            idle_limit: IdleLimit::default(),
            ack_stalls: AckStalls::default(),
        }
    }

    /// Configured URL; shared by several endpoints if its host has several addresses.
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Its URL and weight.
    pub fn spec(&self) -> EndpointSpec {
        let spec = EndpointSpec::new(self.url.clone(), self.weight());
        spec.unwrap_or_else(|| self.url.clone().into())
    }

    /// Address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Seed for consistent hashing: the same for an address on every machine.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Result of active checks.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unhealthy,
            1 => Health::Unknown,
            _ => Health::Healthy,
        }
    }

    /// Sets the result of active checks; returns the previous one. An endpoint that recovers starts slowly, and one that
    /// was ejected because it refused connections is not any more.
    pub fn set_health(&self, health: Health) -> Health {
        let before = self.health();
        self.health.store(health as u8, Ordering::Relaxed);
        if health == Health::Unhealthy {
            self.flags.set(EndpointFlags::UNHEALTHY);
            return before;
        }
        if before == Health::Unhealthy {
            self.slow_start.restart(&self.flags);
            self.flags.clear(EndpointFlags::UNHEALTHY);
        }
        if health == Health::Healthy {
            self.connected();
        }
        before
    }

    /// Its weight among the endpoints of its release; 0 takes no new work.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Sets its weight.
    pub(super) fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// Records a refused connection: the endpoint is ejected for 1 s, then 2 s, up to 30 s,
    /// followed by one probe each time. What is refused meanwhile does not prolong it.
    pub fn refused(&self, now_ms: u64) {
        self.ejection.refused(now_ms, &self.flags);
    }

    /// Records an accepted connection: an ejection because of refused ones ends.
    pub fn connected(&self) {
        if self.flags.has(EndpointFlags::EJECTED) && self.ejection.connected(&self.flags) {
            self.slow_start.restart(&self.flags);
        }
    }

    /// Records the head of a response that is no failure: a probe has succeeded.
    pub fn responded(&self, now_ms: u64) {
        if self.flags.has(EndpointFlags::EJECTED)
            && self.ejection.probe_succeeded(now_ms, &self.flags)
        {
            self.slow_start.restart(&self.flags);
        }
    }

    /// Records a response that is whole and no failure: earlier failures are forgotten.
    pub fn succeeded(&self) {
        if self.flags.has(EndpointFlags::FAILING) {
            self.flags.clear(EndpointFlags::FAILING);
            self.ejection.reset_failures();
        }
    }

    /// Records a failure; the reason if the endpoint is to be ejected for it.
    pub(super) fn failed(
        &self,
        is_gateway: bool,
        policy: &EjectionPolicy,
    ) -> Option<EjectionReason> {
        let reason = self.ejection.failed(is_gateway, policy);
        // Last, so that the next success finds the flag and forgets what was counted.
        self.flags.set(EndpointFlags::FAILING);
        reason
    }

    /// Ejects it; false if it is ejected already.
    pub(super) fn eject(
        &self,
        reason: EjectionReason,
        policy: &EjectionPolicy,
        now_ms: u64,
    ) -> bool {
        self.ejection.eject(reason, policy, now_ms, &self.flags)
    }

    /// Records that it asked for a pause.
    pub(super) fn avoid(&self, until_ms: u64) {
        self.retry_afters.fetch_add(1, Ordering::Relaxed);
        self.avoid_until_ms.fetch_max(until_ms, Ordering::Relaxed);
        self.flags.set(EndpointFlags::AVOIDED);
    }

    /// Reason of its ejection, while it is ejected or probed.
    pub fn ejected(&self) -> Option<EjectionReason> {
        self.ejection.reason()
    }

    /// Time for which it is avoided from now on, since it asked for a pause.
    pub(super) fn avoided_ms(&self, now_ms: u64) -> Option<u64> {
        let left = self.avoid_until_ms.load(Ordering::Relaxed);
        left.checked_sub(now_ms).filter(|left| *left > 0)
    }

    /// Number of its ejections for a reason.
    pub fn ejections(&self, reason: EjectionReason) -> u64 {
        self.ejection.count(reason)
    }

    /// Number of responses with a `Retry-After` that was honoured.
    pub fn retry_afters(&self) -> u64 {
        self.retry_afters.load(Ordering::Relaxed)
    }

    /// Requests in flight, including streams and tunnels.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Number of requests that it may have beside those in flight. Ordered after the step by which the caller joined the
    /// queue: either it sees the place of a request that has ended, or that one sees who waits.
    pub(super) fn room(&self, limit: u32) -> u32 {
        limit.saturating_sub(self.in_flight.load(Ordering::SeqCst))
    }

    /// Open connections over all workers, including idle ones.
    pub fn connections(&self) -> u32 {
        self.connections.held()
    }

    /// Longest idle time of its connections, as far as it was learned.
    pub fn idle_limit(&self) -> &IdleLimit {
        &self.idle_limit
    }

    /// Its stalls inside messages, as far as they were learned.
    pub fn ack_stalls(&self) -> &AckStalls {
        &self.ack_stalls
    }

    /// Limit on its connections, with the queue of requests that wait for one.
    pub fn connection_limit(&self) -> &Arc<ConcurrencyLimit> {
        &self.connections
    }

    /// True if a response that is no failure changes nothing about it.
    pub fn is_settled(&self) -> bool {
        !self.flags.has(EndpointFlags::EJECTED)
    }

    /// True if it may be picked with its whole weight: one load, since almost every endpoint is.
    pub(super) fn is_fit(&self) -> bool {
        !self.flags.has(EndpointFlags::UNFIT)
    }

    /// Availability for a request.
    pub(super) fn availability(&self, now_ms: u64) -> Availability {
        if self.flags.has(EndpointFlags::UNHEALTHY) {
            return Availability::Out;
        }
        if self.flags.has(EndpointFlags::EJECTED) {
            match self.ejection.until_ms() {
                0 => {}
                until if now_ms < until => return Availability::Ejected,
                until => return Availability::HalfOpen(until),
            }
        }
        if self.flags.has(EndpointFlags::AVOIDED) {
            if self.avoided_ms(now_ms).is_some() {
                return Availability::Avoided;
            }
            self.flags.clear(EndpointFlags::AVOIDED);
        }
        Availability::Fit
    }

    /// Takes the single probe after an ejection; other requests skip the endpoint until it has ended, or for 5 s.
    pub(super) fn take_probe(&self, until: u64, now_ms: u64) -> bool {
        self.ejection.take_probe(until, now_ms)
    }

    /// Its weight at this moment, in thousandths: smaller during a slow start.
    pub(super) fn effective_weight(&self, policy: &BalancePolicy, now_ms: u64) -> u64 {
        let span_ms = policy.slow_start_ms;
        u64::from(self.weight()) * self.slow_start.share(span_ms, now_ms, &self.flags)
    }

    /// Counts a request, unless `limit` are in flight.
    pub(super) fn count(&self, limit: u32) -> bool {
        let mut seen = self.in_flight();
        while seen < limit {
            match self.in_flight.compare_exchange_weak(
                seen,
                seen + 1,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(changed) => seen = changed,
            }
        }
        false
    }
}

fn seed_of(address: SocketAddr) -> u64 {
    let state = match address.ip() {
        IpAddr::V4(ip) => rendezvous::fnv(rendezvous::OFFSET, &ip.octets()),
        IpAddr::V6(ip) => rendezvous::fnv(rendezvous::OFFSET, &ip.octets()),
    };
    rendezvous::mix(rendezvous::fnv(state, &address.port().to_be_bytes()))
}

/// Availability of an endpoint for picking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    /// May be picked.
    Fit,
    /// It asked for a pause: picked if there is no other.
    Avoided,
    /// The ejection time is over: one request may probe.
    HalfOpen(u64),
    /// Ejected: picked only if all others are unhealthy or ejected.
    Ejected,
    /// Unhealthy by active checks.
    Out,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(
            &"http://127.0.0.1:9".parse().unwrap(),
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
    fn a_slow_start_grows_from_a_tenth_to_the_whole_weight() {
        let policy = BalancePolicy::of(&crate::model::ReleaseSpec {
            slow_start: Some(crate::model::HumanDuration::seconds(10)),
            ..Default::default()
        });
        let endpoint = endpoint();
        endpoint.set_weight(2);
        let at = |now_ms| endpoint.effective_weight(&policy, now_ms);
        assert_eq!([5, 505, 5_005, 9_005].map(at), [200, 200, 1_000, 1_800]);
        assert!(!endpoint.is_fit());
        assert_eq!((at(10_005), endpoint.is_fit()), (2_000, true));
        endpoint.set_health(Health::Unhealthy);
        endpoint.set_health(Health::Healthy);
        assert_eq!([20_000, 25_000].map(at), [200, 1_000], "it recovered");
    }

    #[test]
    fn a_pause_is_kept_and_then_over() {
        let endpoint = endpoint();
        endpoint.avoid(2_000);
        endpoint.avoid(1_000);
        assert_eq!(endpoint.availability(1_999), Availability::Avoided);
        assert_eq!(endpoint.availability(2_000), Availability::Fit);
        assert_eq!(endpoint.retry_afters(), 2);
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
