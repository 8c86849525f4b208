//! Balancing decisions of a release, compiled from its spec.

use std::time::Duration;

use crate::model::{Balance, EjectionSpec, HumanDuration, ReleaseSpec};

/// Longest time for which a `Retry-After` is honoured, unless the release has one of its own.
const MAX_RETRY_AFTER: HumanDuration = HumanDuration::seconds(60);

/// Balancing policy of a release, in the form that a pick reads.
#[derive(Debug, Clone, Copy)]
pub struct BalancePolicy {
    pub(super) balance: Balance,
    /// Requests in flight on one endpoint; `u32::MAX` without a limit.
    pub(super) in_flight_per_endpoint: u32,
    /// Length of a slow start; 0 without one.
    pub(super) slow_start_ms: u64,
    max_retry_after_ms: u64,
    ejection: Option<EjectionPolicy>,
    /// Two choices without a limit: the pick takes its fast path.
    is_plain: bool,
}

/// When an endpoint is ejected, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct EjectionPolicy {
    pub(super) failures: u32,
    pub(super) gateway_failures: u32,
    interval_ms: u64,
    base_ms: u64,
    max_ms: u64,
    max_percent: u32,
}

impl BalancePolicy {
    /// The policy of a release that says nothing about balancing.
    pub const DEFAULT: Self = Self {
        balance: Balance::LeastInFlight,
        in_flight_per_endpoint: u32::MAX,
        slow_start_ms: 0,
        max_retry_after_ms: 60_000,
        ejection: None,
        is_plain: true,
    };

    /// Compiles the policy of a release.
    pub fn of(spec: &ReleaseSpec) -> Self {
        let limit = spec.limits.in_flight_per_endpoint.unwrap_or(u32::MAX);
        Self {
            balance: spec.balance,
            in_flight_per_endpoint: limit,
            slow_start_ms: spec.slow_start.map_or(0, millis),
            max_retry_after_ms: millis(spec.max_retry_after.unwrap_or(MAX_RETRY_AFTER)),
            ejection: spec.ejection.as_ref().map(EjectionPolicy::of),
            is_plain: spec.balance == Balance::LeastInFlight && limit == u32::MAX,
        }
    }

    /// True if the time to first byte of its endpoints is measured.
    pub fn measures_latency(&self) -> bool {
        self.balance == Balance::PeakEwma
    }

    /// True if endpoints have a limit of requests in flight.
    pub fn limits_endpoints(&self) -> bool {
        self.in_flight_per_endpoint != u32::MAX
    }

    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    pub(super) fn ejection(&self) -> Option<&EjectionPolicy> {
        self.ejection.as_ref()
    }

    /// Time for which an endpoint is avoided that asked for `wanted`; `None` if it is not.
    pub(super) fn honoured_ms(&self, wanted: Duration) -> Option<u64> {
        let wanted = u64::try_from(wanted.as_millis()).unwrap_or(u64::MAX);
        Some(wanted.min(self.max_retry_after_ms)).filter(|span| *span > 0)
    }
}

impl EjectionPolicy {
    fn of(spec: &EjectionSpec) -> Self {
        Self {
            failures: spec.consecutive_failures,
            gateway_failures: spec.consecutive_gateway_failures,
            interval_ms: millis(spec.interval).max(1),
            base_ms: millis(spec.base_time).max(1),
            max_ms: millis(spec.max_time),
            max_percent: spec.max_percent,
        }
    }

    /// Number of this ejection: one more than the last, less one for each interval that the endpoint has served since.
    pub(super) fn times(&self, before: u32, served_ms: u64) -> u32 {
        let forgotten = u32::try_from(served_ms / self.interval_ms).unwrap_or(u32::MAX);
        before.saturating_sub(forgotten).saturating_add(1)
    }

    /// Length of the ejection of that number.
    pub(super) fn span_ms(&self, times: u32) -> u64 {
        let span = self.base_ms.saturating_mul(u64::from(times));
        span.min(self.max_ms.max(self.base_ms))
    }

    /// Maximum number of endpoints that are ejected at a time, of all that a release has.
    pub(super) fn most_ejected(&self, endpoints: usize) -> usize {
        let share = endpoints.saturating_mul(self.max_percent as usize) / 100;
        share.min(endpoints.saturating_sub(1))
    }
}

fn millis(span: HumanDuration) -> u64 {
    u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_endpoints_are_ejected_at_most_and_never_the_last() {
        let policy = |max_percent| {
            EjectionPolicy::of(&EjectionSpec {
                max_percent,
                ..EjectionSpec::default()
            })
        };
        let most = |percent: u32| [0, 1, 2, 3, 4, 5].map(|n| policy(percent).most_ejected(n));
        assert_eq!(most(50), [0, 0, 1, 1, 2, 2]);
        assert_eq!(most(100), [0, 0, 1, 2, 3, 4]);
        assert_eq!(most(0), [0; 6]);
    }

    #[test]
    fn ejections_grow_by_the_base_time_up_to_the_maximum_and_are_forgotten() {
        let policy = EjectionPolicy::of(&EjectionSpec::default());
        let spans = [1, 2, 10, 11, u32::MAX].map(|times| policy.span_ms(times));
        assert_eq!(spans, [30_000, 60_000, 300_000, 300_000, 300_000]);
        assert_eq!(policy.times(0, 0), 1);
        assert_eq!(policy.times(3, 9_999), 4);
        assert_eq!(policy.times(3, 20_000), 2);
        assert_eq!(policy.times(3, u64::MAX), 1);
    }

    #[test]
    fn a_spec_that_says_nothing_compiles_to_the_default() {
        let compiled = BalancePolicy::of(&ReleaseSpec::default());
        assert_eq!(
            format!("{compiled:?}"),
            format!("{:?}", BalancePolicy::DEFAULT)
        );
    }
}
