//! Input and result of a choice of an endpoint, and its fast path.
//!
//! The fast path is the power of two choices: of two random endpoints the one with fewer requests in flight.
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001): the longest queue grows with log log
//! n instead of log n / log log n, and no request has to read all counters. Whatever needs more than that is in
//! [`Choice`](super::choice::Choice).

use std::{net::SocketAddr, sync::Arc};

use super::{balance::BalancePolicy, endpoint::Endpoint};

/// Input of a choice of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'t> {
    /// Balancing policy of the release.
    pub policy: &'t BalancePolicy,
    /// Random number.
    pub random: u64,
    /// Time in milliseconds of the caller's clock.
    pub now_ms: u64,
    /// Index of the worker.
    pub slot: usize,
    /// Endpoints that are not to be picked: they were tried already.
    pub tried: &'t [SocketAddr],
    /// Endpoint to pick if it is available. If it has no room, the request waits for it.
    pub preferred: Option<SocketAddr>,
    /// Affinity key of the session, for consistent hashing.
    pub key: Option<u64>,
    /// True if it is the request's turn in the queue for an endpoint with room.
    pub is_called: bool,
}

/// Reason why no endpoint was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickError {
    /// All available endpoints have as many requests in flight as they may: the request waits for any of them, or for
    /// the one that its session is pinned to.
    Full(Option<SocketAddr>),
    /// There is no endpoint, or all are unhealthy.
    NoEndpoint,
}

pub(super) type Endpoints = [Arc<Endpoint>];

impl Pick<'_> {
    /// A pick by a random number alone.
    pub const fn random(random: u64, now_ms: u64, slot: usize) -> Self {
        Self {
            policy: &BalancePolicy::DEFAULT,
            random,
            now_ms,
            slot,
            tried: &[],
            preferred: None,
            key: None,
            is_called: false,
        }
    }

    /// Index of the endpoint to use, if nothing but two choices among equals is asked for.
    #[inline]
    pub(super) fn plain_index(&self, endpoints: &Endpoints) -> Option<usize> {
        if !self.policy.is_plain() || self.preferred.is_some() {
            return None;
        }
        let (high, low) = halves(self.random);
        let first = index_of(high, endpoints.len());
        let second = match endpoints.len() {
            0 | 1 => first,
            len => {
                // From the remaining ones, so that the two always differ.
                let other = index_of(low, len - 1);
                other + usize::from(other >= first)
            }
        };
        let fit =
            |endpoint: &Endpoint| endpoint.is_fit() && !self.tried.contains(&endpoint.address());
        let are_fit = fit(endpoints.get(first)?) && fit(endpoints.get(second)?);
        are_fit.then(|| with_fewer(endpoints, first, second))
    }
}

/// Maps a random number to an index below `len` by multiplication (Lemire 2019); good enough for a balancer.
fn index_of(draw: u32, len: usize) -> usize {
    usize::try_from((u64::from(draw) * len as u64) >> 32).unwrap_or(0)
}

/// Both halves of a random number: the high one, the low one.
pub(super) fn halves(draw: u64) -> (u32, u32) {
    let high = u32::try_from(draw >> 32).unwrap_or_default();
    (
        high,
        u32::try_from(draw & u64::from(u32::MAX)).unwrap_or_default(),
    )
}

/// The one with fewer requests in flight; the first if equal.
fn with_fewer(endpoints: &Endpoints, first: usize, second: usize) -> usize {
    if endpoints[second].in_flight() < endpoints[first].in_flight() {
        second
    } else {
        first
    }
}
