//! Peak EWMA of the time to first byte: it follows a rise at once and a fall slowly.
//!
//! The average is Finagle's (`PeakEwma.scala`), which linkerd took over: an observation above the average replaces it,
//! one below counts by the time since the last one, `exp(-elapsed / 10 s)`. The cost of an endpoint is the average times
//! its requests in flight and one more; an endpoint that is not measured yet and has requests in flight costs more than
//! any that is. One whose average has decayed was measured all the same: an open stream does not keep others away.

use std::sync::atomic::{AtomicU64, Ordering};

/// Time after which an observation counts for a third: the default of Finagle and linkerd.
const DECAY_MS: f32 = 10_000.0;
/// Cost of an endpoint that is not measured yet.
const PENALTY: f64 = 1e12;
/// Least average: the clock counts milliseconds, 0 means that nothing was observed, and each request in flight has a cost
/// however long ago the last one was observed.
const LEAST_MS: f32 = 0.5;
/// Time that a failure counts as, at least: linkerd's load biaser. Fast failures would attract requests otherwise.
const FAILURE_MS: f32 = 5_000.0;

/// Average of one endpoint, shared by all workers: the time of the last observation in the upper half, the average in
/// milliseconds in the lower one.
#[derive(Debug, Default)]
pub(super) struct PeakEwma(AtomicU64);

impl PeakEwma {
    /// Records the time to first byte of a request.
    pub(super) fn observe(&self, latency_ms: u64, now_ms: u64) {
        #[expect(clippy::cast_precision_loss, reason = "an average needs no more")]
        let latency = (latency_ms as f32).max(LEAST_MS);
        self.update(latency, now_ms);
    }

    /// Records a failure, however fast it was.
    pub(super) fn observe_failure(&self, latency_ms: u64, now_ms: u64) {
        #[expect(clippy::cast_precision_loss, reason = "an average needs no more")]
        let latency = (latency_ms as f32).max(FAILURE_MS);
        self.update(latency, now_ms);
    }

    /// Cost of one more request, with as many in flight.
    pub(super) fn cost(&self, in_flight: u32, now_ms: u64) -> f64 {
        let in_flight = f64::from(in_flight);
        match decayed(self.0.load(Ordering::Relaxed), now_ms) {
            Some(average) => f64::from(average) * (in_flight + 1.0),
            None if in_flight > 0.0 => PENALTY + in_flight,
            None => 0.0,
        }
    }

    fn update(&self, latency: f32, now_ms: u64) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let next = next(seen, latency, now_ms);
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(changed) => seen = changed,
            }
        }
    }
}

fn next(seen: u64, latency: f32, now_ms: u64) -> u64 {
    let average = average_of(seen);
    let kept = kept(seen, now_ms);
    let next = if latency > average {
        latency
    } else {
        average * kept + latency * (1.0 - kept)
    };
    u64::from(stamp(now_ms)) << 32 | u64::from(next.to_bits())
}

/// The average at this time; `None` if nothing was observed yet.
fn decayed(seen: u64, now_ms: u64) -> Option<f32> {
    let average = average_of(seen);
    (average > 0.0).then(|| (average * kept(seen, now_ms)).max(LEAST_MS))
}

fn average_of(seen: u64) -> f32 {
    f32::from_bits(u32::try_from(seen & u64::from(u32::MAX)).unwrap_or_default())
}

/// Share of the average that is left at this time.
fn kept(seen: u64, now_ms: u64) -> f32 {
    let since = stamp(now_ms).wrapping_sub(u32::try_from(seen >> 32).unwrap_or_default());
    // Another worker's clock may have been read a moment later.
    let elapsed = if since > u32::MAX / 2 { 0 } else { since };
    #[expect(clippy::cast_precision_loss, reason = "an average needs no more")]
    let elapsed = elapsed as f32;
    libm::expf(-elapsed / DECAY_MS)
}

/// The time in 32 bits; differences are right for 24 days.
fn stamp(now_ms: u64) -> u32 {
    u32::try_from(now_ms & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_a_better_time_slowly() {
        let average = PeakEwma::default();
        average.observe(100, 1_000);
        average.observe(900, 1_000);
        assert!((average.cost(0, 1_000) - 900.0).abs() < 1.0);
        average.observe(100, 1_100);
        assert!(average.cost(0, 1_100) > 880.0);
        average.observe(100, 11_100);
        let third = average.cost(0, 11_100);
        assert!((380.0..410.0).contains(&third), "{third}");
    }

    #[test]
    fn the_cost_grows_with_the_requests_in_flight() {
        let average = PeakEwma::default();
        average.observe(100, 0);
        assert!((average.cost(3, 0) - 400.0).abs() < 1.0);
    }

    #[test]
    fn an_unmeasured_endpoint_gets_one_request_and_then_no_other_before_its_answer() {
        let average = PeakEwma::default();
        assert!(average.cost(0, 0) < 1.0);
        assert!(average.cost(1, 0) > 1e9);
    }

    #[test]
    fn an_average_that_has_decayed_is_not_taken_for_unmeasured() {
        let average = PeakEwma::default();
        average.observe(100, 1_000);
        for now_ms in [200_000, 2_000_000] {
            let costs = [0, 1, 2].map(|in_flight| average.cost(in_flight, now_ms));
            assert!(costs.is_sorted_by(|one, next| one < next), "{costs:?}");
            assert!(costs[2] < 10.0, "{costs:?}");
        }
    }

    #[test]
    fn a_fast_failure_does_not_attract_requests() {
        let average = PeakEwma::default();
        average.observe_failure(1, 0);
        assert!(average.cost(0, 0) >= 5_000.0);
    }
}
