//! The choice of an endpoint by policy, weight, room and availability.
//!
//! In this order: the endpoint that the session is pinned to; one whose ejection is over, which gets this request as its
//! probe; those that are fit; those that asked for a pause. If all of these are full, the request waits. Only if there
//! are none, an ejected endpoint is picked: an ejection never empties a release.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use super::{
    endpoint::{Availability, Endpoint},
    pick::{Endpoints, Pick, PickError, halves},
};
use crate::model::{Balance, rendezvous};

/// A choice among the endpoints of a release.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) pick: &'a Pick<'a>,
    pub(super) endpoints: &'a Endpoints,
    /// State of this worker's round robin, for each endpoint.
    pub(super) turns: &'a [AtomicI64],
}

impl Choice<'_> {
    /// Index of the endpoint to use.
    pub(super) fn index(&self) -> Result<usize, PickError> {
        let preferred = self
            .pick
            .preferred
            .and_then(|address| self.preferred(address));
        if let Some(preferred) = preferred {
            return preferred;
        }
        if let Some(probe) = self.probe() {
            return Ok(probe);
        }
        let with =
            |wanted: Availability| move |endpoint: &Endpoint| self.availability(endpoint) == wanted;
        let fit = self.by_policy(with(Availability::Fit));
        if let Some(index) = fit.or_else(|| self.by_policy(with(Availability::Avoided))) {
            return Ok(index);
        }
        let may_serve = |endpoint: &Endpoint| {
            matches!(
                self.availability(endpoint),
                Availability::Fit | Availability::Avoided
            )
        };
        if self.any(may_serve) {
            return Err(PickError::Full(None));
        }
        let is_not_out = |endpoint: &Endpoint| self.availability(endpoint) != Availability::Out;
        let ejected = self.by_policy(is_not_out);
        ejected.ok_or(if self.any(is_not_out) {
            PickError::Full(None)
        } else {
            PickError::NoEndpoint
        })
    }

    /// The endpoint to wait for, since the session is pinned to it and it can serve; `None` if any will do.
    pub(super) fn wanted(&self) -> Option<SocketAddr> {
        let address = self.pick.preferred?;
        let endpoint = &self.endpoints[self.preferred_index(address)?];
        let can_serve = !matches!(
            self.availability(endpoint),
            Availability::Ejected | Availability::Out
        );
        can_serve.then_some(address)
    }

    fn preferred_index(&self, address: SocketAddr) -> Option<usize> {
        let is_preferred = |endpoint: &Arc<Endpoint>| endpoint.address() == address;
        let index = self.endpoints.iter().position(is_preferred);
        index.filter(|_| !self.pick.tried.contains(&address))
    }

    /// The endpoint that the session is pinned to, whatever its weight; `None` if it cannot serve.
    fn preferred(&self, address: SocketAddr) -> Option<Result<usize, PickError>> {
        let index = self.preferred_index(address)?;
        let endpoint = &self.endpoints[index];
        match self.availability(endpoint) {
            Availability::Fit | Availability::Avoided if self.has_room(endpoint) => Some(Ok(index)),
            Availability::Fit | Availability::Avoided => Some(Err(PickError::Full(Some(address)))),
            Availability::HalfOpen(until) => {
                let is_probe =
                    self.has_room(endpoint) && endpoint.take_probe(until, self.pick.now_ms);
                is_probe.then_some(Ok(index))
            }
            Availability::Ejected | Availability::Out => None,
        }
    }

    /// An endpoint whose ejection time is over.
    fn probe(&self) -> Option<usize> {
        self.endpoints.iter().position(|endpoint| {
            matches!(self.availability(endpoint), Availability::HalfOpen(until)
                if self.is_usable(endpoint)
                    && self.has_room(endpoint)
                    && endpoint.take_probe(until, self.pick.now_ms))
        })
    }

    /// One of the usable endpoints with room that are eligible, by the policy.
    fn by_policy(&self, is_eligible: impl Fn(&Endpoint) -> bool) -> Option<usize> {
        let is_candidate = |index: usize| {
            let endpoint = &self.endpoints[index];
            self.is_usable(endpoint) && self.has_room(endpoint) && is_eligible(endpoint)
        };
        match (self.pick.policy.balance, self.pick.key) {
            (Balance::RoundRobin, _) => self.next_in_turn(is_candidate),
            (Balance::ConsistentHash, Some(key)) => self.by_key(key, is_candidate),
            _ => self.two_choices(is_candidate),
        }
    }

    /// Of two random candidates the one that is loaded less.
    fn two_choices(&self, is_candidate: impl Fn(usize) -> bool) -> Option<usize> {
        let weight = |index: usize| {
            if is_candidate(index) {
                self.weight(index)
            } else {
                0
            }
        };
        let all = 0..self.endpoints.len();
        let weights = all.clone().map(weight).filter(|weight| *weight > 0);
        let (total, least, most) = weights
            .fold((0, u64::MAX, 0), |(total, least, most), weight| {
                (total + weight, weight.min(least), weight.max(most))
            });
        let is_by_latency = self.pick.policy.balance == Balance::PeakEwma;
        if least < most && !is_by_latency {
            return self.by_load(all.filter(|index| weight(*index) > 0));
        }
        let (high, low) = halves(self.pick.random);
        let first = drawn(all.clone(), weight, below(high, total))?;
        let rest = total.saturating_sub(weight(first));
        let others = all.filter(|index| *index != first);
        let Some(second) = drawn(others, weight, below(low, rest)) else {
            return Some(first);
        };
        let is_less = if is_by_latency {
            self.costs_less(second, first)
        } else {
            self.endpoints[second].in_flight() < self.endpoints[first].in_flight()
        };
        Some(if is_less { second } else { first })
    }

    /// The candidate whose requests in flight, and a random part of one, are the fewest for its weight.
    ///
    /// The random parts are exponential, so that idle candidates get what their weights say (the least of exponentials
    /// divided by weights is one's own with the probability of its share), and busy ones hold as much as their weights
    /// say. Envoy draws by weight ÷ (in flight + 1), which holds only the square root of it.
    fn by_load(&self, candidates: impl Iterator<Item = usize>) -> Option<usize> {
        let fitness = |index: usize| {
            let endpoint = &self.endpoints[index];
            let part = rendezvous::score(self.pick.random, endpoint.seed(), 1).recip();
            #[expect(clippy::cast_precision_loss, reason = "weights are small")]
            let weight = self.weight(index) as f64;
            weight / (f64::from(endpoint.in_flight()) + part)
        };
        let fit = candidates.map(|index| (index, fitness(index)));
        let fittest = fit.max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(fittest.0)
    }

    fn costs_less(&self, one: usize, other: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "weights are small")]
        let cost = |index: usize, weight: u64| {
            let endpoint = &self.endpoints[index];
            let cost = endpoint
                .latency
                .cost(endpoint.in_flight(), self.pick.now_ms);
            cost * weight as f64
        };
        cost(one, self.weight(other)) < cost(other, self.weight(one))
    }

    /// nginx's smooth weighted round robin: each gets its weight, the one with most is next and pays the sum.
    fn next_in_turn(&self, is_candidate: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut total) = (None, 0);
        for index in (0..self.endpoints.len()).filter(|index| is_candidate(*index)) {
            let weight = i64::try_from(self.weight(index)).unwrap_or(i64::MAX);
            total += weight;
            let turn = self.turns[index].load(Ordering::Relaxed) + weight;
            self.turns[index].store(turn, Ordering::Relaxed);
            if best.is_none_or(|(most, _)| turn > most) {
                best = Some((turn, index));
            }
        }
        let (turn, index) = best?;
        self.turns[index].store(turn - total, Ordering::Relaxed);
        Some(index)
    }

    /// Weighted rendezvous: without the best endpoint its keys go to their next one, and come back.
    fn by_key(&self, key: u64, is_candidate: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for index in (0..self.endpoints.len()).filter(|index| is_candidate(*index)) {
            let endpoint = &self.endpoints[index];
            let score = rendezvous::score(key, endpoint.seed(), endpoint.weight());
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn any(&self, is_eligible: impl Fn(&Endpoint) -> bool) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| self.is_usable(endpoint) && is_eligible(endpoint))
    }

    fn availability(&self, endpoint: &Endpoint) -> Availability {
        endpoint.availability(self.pick.now_ms)
    }

    fn weight(&self, index: usize) -> u64 {
        self.endpoints[index].effective_weight(self.pick.policy, self.pick.now_ms)
    }

    fn is_usable(&self, endpoint: &Endpoint) -> bool {
        endpoint.weight() > 0 && !self.pick.tried.contains(&endpoint.address())
    }

    fn has_room(&self, endpoint: &Endpoint) -> bool {
        endpoint.in_flight() < self.pick.policy.in_flight_per_endpoint
    }
}

/// A number below `total`, by multiplication.
fn below(draw: u32, total: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(total)) >> 32).unwrap_or_default()
}

/// The index at which the running sum of the weights passes `point`. Weights may change between two passes; then the
/// last one that has any.
fn drawn(
    indices: impl Iterator<Item = usize>,
    weight: impl Fn(usize) -> u64,
    point: u64,
) -> Option<usize> {
    let (mut sum, mut last) = (0, None);
    for index in indices {
        let weight = weight(index);
        if weight == 0 {
            continue;
        }
        sum += weight;
        last = Some(index);
        if point < sum {
            break;
        }
    }
    last
}
