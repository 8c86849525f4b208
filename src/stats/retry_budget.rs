//! Retry budget: how many requests of a release may be sent again.
//!
//! Retries multiply the load on what fails already. So they may be a fifth of the requests, as in Finagle, linkerd and
//! Envoy, plus three a second, so that a release with few requests has retries at all (Finagle and linkerd allow ten;
//! each worker here has a budget of its own, and a fleet of agents serves fewer requests than one of theirs).
//! Nothing is done for a request that is not sent again: the number of requests is read when a retry asks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Share of a retry that a request adds, in thousandths.
const PER_REQUEST: u64 = 200;
/// Share of a retry that a millisecond adds to the floor, in thousandths: three retries a second.
const PER_MS: u64 = 3;
/// Time for which requests count, in milliseconds.
const WINDOW_MS: u64 = 10_000;
/// A retry, in thousandths.
const RETRY: u64 = 1_000;
/// Largest floor: what accumulates within the window.
const FLOOR: u64 = PER_MS * WINDOW_MS;

/// Budget of one release on one worker. Time and the number of requests are parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryBudget {
    /// Retries that the requests of the window allow, in thousandths.
    share: u64,
    /// Retries that are always allowed, in thousandths.
    floor: u64,
    /// Number of requests that were counted.
    requests: u64,
    at_ms: u64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            share: 0,
            floor: FLOOR,
            requests: 0,
            at_ms: 0,
        }
    }
}

impl RetryBudget {
    /// Takes one retry, if there is one. `requests` is the number of requests until now; it only goes up.
    pub(super) fn take(&mut self, requests: u64, now_ms: u64) -> bool {
        self.advance(requests, now_ms);
        for left in [&mut self.share, &mut self.floor] {
            if *left >= RETRY {
                *left -= RETRY;
                return true;
            }
        }
        false
    }

    /// Adds what has come since. What is old fades: the share is that of about the last ten seconds.
    fn advance(&mut self, requests: u64, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        let came = requests.saturating_sub(self.requests);
        // Of a longer time, the requests of the window count, as if they had come evenly.
        let recent = came * WINDOW_MS / elapsed.max(WINDOW_MS);
        let stays = self.share * WINDOW_MS.saturating_sub(elapsed) / WINDOW_MS;
        *self = Self {
            share: stays + recent * PER_REQUEST,
            floor: (self.floor + elapsed.min(WINDOW_MS) * PER_MS).min(FLOOR),
            requests,
            at_ms: self.at_ms.max(now_ms),
        };
    }
}

/// A budget in the counters of a worker, which alone writes it.
#[derive(Debug)]
pub(super) struct RetryBudgetCell([AtomicU64; 4]);

impl Default for RetryBudgetCell {
    fn default() -> Self {
        let new = RetryBudget::default();
        Self([new.share, new.floor, new.requests, new.at_ms].map(AtomicU64::new))
    }
}

impl RetryBudgetCell {
    /// See [`RetryBudget::take`].
    pub(super) fn take(&self, requests: u64, now_ms: u64) -> bool {
        let [share, floor, counted, at_ms] =
            self.0.each_ref().map(|one| one.load(Ordering::Relaxed));
        let mut budget = RetryBudget {
            share,
            floor,
            requests: counted,
            at_ms,
        };
        let is_granted = budget.take(requests, now_ms);
        let values = [budget.share, budget.floor, budget.requests, budget.at_ms];
        for (cell, value) in self.0.iter().zip(values) {
            cell.store(value, Ordering::Relaxed);
        }
        is_granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Number of retries that are granted if `count` are asked for.
    fn granted(budget: &mut RetryBudget, count: u64, requests: u64, now_ms: u64) -> u64 {
        (0..count)
            .map(|_| u64::from(budget.take(requests, now_ms)))
            .sum()
    }

    #[test]
    fn a_quiet_release_has_its_floor_and_no_more() {
        let mut budget = RetryBudget::default();
        assert_eq!(granted(&mut budget, 100, 0, 5_000), 30);
        assert_eq!(granted(&mut budget, 100, 0, 6_000), 3);
        assert_eq!(granted(&mut budget, 100, 0, 60_000), 30);
    }

    #[test]
    fn a_busy_release_has_a_fifth_of_its_last_requests() {
        let mut budget = RetryBudget::default();
        assert_eq!(granted(&mut budget, 10_000, 1_000, 10_000), 200 + 30);
        // A hundred seconds with a hundred requests a second: a fifth of the last ten.
        assert_eq!(granted(&mut budget, 10_000, 11_000, 110_000), 200 + 30);
        assert_eq!(granted(&mut budget, 10_000, 11_000, 110_000), 0);
    }

    proptest! {
        #[test]
        fn retries_are_never_more_than_a_fifth_and_the_floor(
            steps in proptest::collection::vec((0_u64..3_000, 0_u64..200, 0_u64..200), 1..100)
        ) {
            let mut budget = RetryBudget::default();
            let (mut now_ms, mut requests, mut retries) = (0, 0, 0);
            for (elapsed, came, asked) in steps {
                now_ms += elapsed;
                requests += came;
                retries += granted(&mut budget, asked, requests, now_ms);
                prop_assert!(retries * RETRY <= requests * PER_REQUEST + FLOOR + now_ms * PER_MS);
            }
        }

        #[test]
        fn a_storm_after_any_past_gets_what_the_window_allows(
            past in proptest::collection::vec((0_u64..3_000, 0_u64..200, 1_u64..50), 0..50),
            pause in WINDOW_MS..1_000_000,
        ) {
            let mut budget = RetryBudget::default();
            let (mut now_ms, mut requests) = (0, 0);
            for (elapsed, came, asked) in past {
                now_ms += elapsed;
                requests += came;
                granted(&mut budget, asked, requests, now_ms);
            }
            // Nothing came for a whole window: the past allows nothing any more.
            prop_assert_eq!(granted(&mut budget, 10_000, requests, now_ms + pause), 30);
        }

        #[test]
        fn a_retry_is_granted_while_there_are_five_requests_for_each(
            counts in proptest::collection::vec(5_u64..500, 1..50)
        ) {
            let mut budget = RetryBudget::default();
            let (mut now_ms, mut requests) = (0, 0);
            for count in counts {
                now_ms += 1_000;
                requests += count;
                prop_assert_eq!(granted(&mut budget, count / 5, requests, now_ms), count / 5);
            }
        }
    }
}
