//! The load balancer: which of a release's endpoints gets a request.
//!
//! It uses the power of two choices: of two random endpoints it picks the one with fewer requests in flight.
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001): the longest queue grows with log log
//! n instead of log n / log log n, and no request has to read all counters.

use std::{net::SocketAddr, sync::Arc};

use super::endpoint::{Availability, Endpoint};

/// Input of a choice of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'t> {
    /// Random number.
    pub random: u64,
    /// Time in milliseconds of the caller's clock.
    pub now_ms: u64,
    /// Index of the worker.
    pub slot: usize,
    /// Endpoints that are not to be picked: they were tried already.
    pub tried: &'t [SocketAddr],
    /// Endpoint to pick if it is available.
    pub preferred: Option<SocketAddr>,
    /// Affinity key of the session, for consistent hashing.
    pub key: Option<u64>,
}

type Endpoints = [Arc<Endpoint>];

impl Pick<'_> {
    /// A pick by a random number alone.
    pub const fn random(random: u64, now_ms: u64, slot: usize) -> Self {
        Self {
            random,
            now_ms,
            slot,
            tried: &[],
            preferred: None,
            key: None,
        }
    }

    /// Index of the endpoint to use.
    pub(super) fn index(&self, endpoints: &Endpoints) -> Option<usize> {
        if let Some(index) = self.preferred_index(endpoints) {
            return Some(index);
        }
        let (draw, now_ms) = (self.random, self.now_ms);
        let usable = |endpoint: &Endpoint| !self.tried.contains(&endpoint.address());
        pick_two(endpoints, draw, now_ms, usable)
            .or_else(|| pick_scan(endpoints, draw, now_ms, usable))
            .or_else(|| pick_skipped(endpoints, draw, now_ms, usable))
    }

    fn preferred_index(&self, endpoints: &Endpoints) -> Option<usize> {
        let preferred = self.preferred?;
        let is_preferred = |endpoint: &Arc<Endpoint>| endpoint.address() == preferred;
        let index = endpoints.iter().position(is_preferred)?;
        let is_fit = endpoints[index].availability(self.now_ms) == Availability::Fit;
        (is_fit && !self.tried.contains(&preferred)).then_some(index)
    }
}

/// Maps a random number to an index below `len` by multiplication (Lemire 2019); good enough for a balancer.
fn index_of(draw: u32, len: usize) -> usize {
    usize::try_from((u64::from(draw) * len as u64) >> 32).unwrap_or(0)
}

fn halves(draw: u64) -> (u32, u32) {
    let high = u32::try_from(draw >> 32).unwrap_or_default();
    (
        high,
        u32::try_from(draw & u64::from(u32::MAX)).unwrap_or_default(),
    )
}

/// Fast path: two random endpoints, both fit.
fn pick_two(
    endpoints: &Endpoints,
    draw: u64,
    now_ms: u64,
    usable: impl Fn(&Endpoint) -> bool,
) -> Option<usize> {
    let (high, low) = halves(draw);
    let first = index_of(high, endpoints.len());
    let second = match endpoints.len() {
        0 | 1 => first,
        len => {
            // From the remaining ones, so that the two always differ.
            let other = index_of(low, len - 1);
            other + usize::from(other >= first)
        }
    };
    let fit = |endpoint: &Endpoint| {
        usable(endpoint) && endpoint.availability(now_ms) == Availability::Fit
    };
    let are_fit = fit(endpoints.get(first)?) && fit(endpoints.get(second)?);
    are_fit.then(|| with_fewer(endpoints, first, second))
}

/// The one with fewer requests in flight; the first if equal.
fn with_fewer(endpoints: &Endpoints, first: usize, second: usize) -> usize {
    if endpoints[second].in_flight() < endpoints[first].in_flight() {
        second
    } else {
        first
    }
}

/// Slow path: a half-open endpoint gets this request as its probe; otherwise two random ones of all that are fit.
fn pick_scan(
    endpoints: &Endpoints,
    draw: u64,
    now_ms: u64,
    usable: impl Fn(&Endpoint) -> bool,
) -> Option<usize> {
    for (place, endpoint) in endpoints.iter().enumerate() {
        if usable(endpoint)
            && let Availability::HalfOpen(until) = endpoint.availability(now_ms)
            && endpoint.take_probe(until, now_ms)
        {
            return Some(place);
        }
    }
    two_of(endpoints, draw, |endpoint| {
        usable(endpoint) && endpoint.availability(now_ms) == Availability::Fit
    })
}

/// Last resort: refusals never empty a release, so an ejected endpoint is picked.
fn pick_skipped(
    endpoints: &Endpoints,
    draw: u64,
    now_ms: u64,
    usable: impl Fn(&Endpoint) -> bool,
) -> Option<usize> {
    two_of(endpoints, draw, |endpoint| {
        usable(endpoint) && endpoint.availability(now_ms) != Availability::Out
    })
}

fn two_of(endpoints: &Endpoints, draw: u64, good: impl Fn(&Endpoint) -> bool) -> Option<usize> {
    let all_good = || (0..endpoints.len()).filter(|&place| good(&endpoints[place]));
    let count = all_good().count();
    let (high, low) = halves(draw);
    let nth = |n: usize| all_good().nth(n);
    // Health may change between the two passes; then the first fit endpoint is used.
    let first = nth(index_of(high, count)).or_else(|| nth(0))?;
    let second =
        nth((index_of(high, count) + 1 + index_of(low, count.saturating_sub(1))) % count.max(1))
            .unwrap_or(first);
    Some(with_fewer(endpoints, first, second))
}
