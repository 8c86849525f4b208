//! Observations of the endpoints of a release: failures eject, a pause that is asked for is kept.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    InFlight, Roster,
    balance::{BalancePolicy, EjectionPolicy},
    ejection::EjectionReason,
    endpoint::{Availability, Endpoint},
};

impl Roster {
    /// Records a failure of an endpoint: a status of 5xx, or no response. It is ejected if the policy says so and enough
    /// others are left.
    pub fn record_failure(
        &self,
        endpoint: &Endpoint,
        policy: &BalancePolicy,
        is_gateway: bool,
        now_ms: u64,
    ) -> Option<EjectionReason> {
        let ejection = policy.ejection()?;
        let reason = endpoint.failed(is_gateway, ejection)?;
        // One at a time, so that two workers do not eject the last two endpoints.
        let _one = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ejected =
            self.may_eject(endpoint, ejection, now_ms) && endpoint.eject(reason, ejection, now_ms);
        is_ejected.then_some(reason)
    }

    /// True if few enough are ejected, and one stays that can serve.
    fn may_eject(&self, endpoint: &Endpoint, policy: &EjectionPolicy, now_ms: u64) -> bool {
        let endpoints = self.endpoints();
        let others = || {
            let all = endpoints.iter();
            all.filter(|other| other.address() != endpoint.address())
        };
        let is_ejected = |other: &&Arc<Endpoint>| other.ejected().is_some();
        let may_serve = |other: &Arc<Endpoint>| {
            other.weight() > 0 && other.availability(now_ms) == Availability::Fit
        };
        others().filter(is_ejected).count() < policy.most_ejected(endpoints.len())
            && others().any(may_serve)
    }

    /// Records a 429 or 503 with `Retry-After`: the endpoint is avoided for that time; false if the policy ignores it.
    pub fn record_retry_after(
        &self,
        endpoint: &Endpoint,
        policy: &BalancePolicy,
        wanted: Duration,
        now_ms: u64,
    ) -> bool {
        let span = policy.honoured_ms(wanted);
        if let Some(span) = span {
            endpoint.avoid(now_ms.saturating_add(span));
        }
        span.is_some()
    }

    /// Records the time to first byte of a request, where the policy goes by it.
    pub fn record_latency(&self, in_flight: &InFlight, is_failure: bool, now_ms: u64) {
        let latency_ms = now_ms.saturating_sub(in_flight.picked_ms());
        let latency = &in_flight.endpoint().latency;
        if is_failure {
            latency.observe_failure(latency_ms, now_ms);
        } else {
            latency.observe(latency_ms, now_ms);
        }
    }
}
