//! The last two days of one route and release, in three rings of intervals.
//!
//! Fed once a second with the difference of the counters, never by a request. Time is a number of seconds that the caller
//! counts, so that a clock that is set moves nothing.

use std::ops::Range;

use super::{interval_ring::IntervalRing, outcome_totals::OutcomeTotals};

/// Length of the intervals of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// One second, for five minutes.
    Second,
    /// Ten seconds, for two hours.
    TenSeconds,
    /// Two minutes, for two days.
    TwoMinutes,
}

/// The rings of one route and release.
#[derive(Debug)]
pub struct Windows([IntervalRing; Resolution::ALL.len()]);

impl Resolution {
    /// All resolutions, the finest first.
    pub const ALL: [Self; 3] = [Self::Second, Self::TenSeconds, Self::TwoMinutes];

    /// Length of an interval in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::TenSeconds => 10,
            Self::TwoMinutes => 120,
        }
    }

    /// Time that can be asked for, in seconds.
    pub const fn span(self) -> u64 {
        match self {
            Self::Second => 300,
            Self::TenSeconds => 7_200,
            Self::TwoMinutes => 172_800,
        }
    }

    /// The finest one that has a window of so many seconds.
    pub fn of_window(seconds: u64) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.span() >= seconds)
            .unwrap_or(Self::TwoMinutes)
    }

    /// Number of intervals that are kept. Some more than the span: one is not over, and a reading may be late.
    const fn intervals(self) -> u64 {
        self.span() / self.seconds() + 10
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self(Resolution::ALL.map(|one| IntervalRing::new(one.seconds(), one.intervals())))
    }
}

impl Windows {
    /// Adds what was counted in a second. Seconds never go back; one may come several times.
    pub fn add(&mut self, second: u64, totals: &OutcomeTotals, in_flight: u64) {
        let is_idle = totals.is_empty() && in_flight == 0;
        for ring in &mut self.0 {
            if is_idle {
                ring.expire(second);
            } else {
                ring.add(second, totals, in_flight);
            }
        }
    }

    /// True if nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(IntervalRing::is_empty)
    }

    /// The intervals that begin within these seconds: the first second of each, its counts, and the largest number of
    /// requests in flight. Intervals without any are left out.
    pub fn intervals(
        &self,
        resolution: Resolution,
        seconds: Range<u64>,
    ) -> impl Iterator<Item = (u64, OutcomeTotals, u64)> {
        let slots = self.0[resolution as usize].between(seconds);
        slots.map(|(second, slot)| (second, slot.totals(), slot.in_flight()))
    }

    /// Sum of the intervals that begin within these seconds.
    pub fn sum(&self, resolution: Resolution, seconds: Range<u64>) -> OutcomeTotals {
        let mut sum = OutcomeTotals::default();
        for (_, totals, _) in self.intervals(resolution, seconds) {
            sum.add(&totals);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{model::Outcome, stats::OutcomeTable};

    /// Bytes of a route and release with requests in every interval of two days.
    #[test]
    fn a_route_and_release_takes_at_most_430_kilobytes() {
        let mut windows = Windows::default();
        let one = OutcomeTotals {
            requests: 1,
            ..OutcomeTotals::default()
        };
        for second in 0..200_000 {
            windows.add(second, &one, 1);
        }
        let bytes: usize = windows.0.iter().map(IntervalRing::bytes).sum();
        let most = Resolution::ALL.map(|one| (one.intervals() + 1) * 172);
        assert!(bytes as u64 <= most.iter().sum(), "{bytes}");
        assert!(most.iter().sum::<u64>() <= 430_000, "{most:?}");
        let kept = Resolution::ALL.map(|one| windows.sum(one, 0..200_000).requests);
        assert_eq!(kept, [310, 7_300, 1_449 * 120 + 80], "the last is not over");
    }

    #[test]
    fn a_window_is_read_from_the_finest_ring_that_has_it() {
        for (seconds, expected) in [
            (1, Resolution::Second),
            (300, Resolution::Second),
            (301, Resolution::TenSeconds),
            (7_200, Resolution::TenSeconds),
            (7_201, Resolution::TwoMinutes),
            (u64::MAX, Resolution::TwoMinutes),
        ] {
            assert_eq!(Resolution::of_window(seconds), expected);
        }
    }

    /// Ticks: seconds since the last one, and requests since then with their durations.
    fn ticks() -> impl Strategy<Value = Vec<(u64, Vec<(bool, u64)>)>> {
        let requests = proptest::collection::vec((any::<bool>(), 0_u64..900_000), 0..6);
        proptest::collection::vec((0_u64..40, requests), 1..60)
    }

    proptest! {
        #[test]
        fn the_sums_of_the_rings_equal_the_counters_whatever_the_ticks(ticks in ticks()) {
            let table = OutcomeTable::new(1);
            let (mut windows, mut last) = (Windows::default(), OutcomeTotals::default());
            let (mut second, mut by_second) = (0, Vec::new());
            for (elapsed, requests) in ticks {
                second += elapsed;
                for (is_failure, ms) in requests {
                    let status = if is_failure { 500 } else { 200 };
                    let duration = Duration::from_millis(ms);
                    table.record(0, Outcome::Answered(status), duration, Some(duration / 2));
                }
                let now = OutcomeTotals::from(table.snapshot());
                let since = now.since(&last);
                windows.add(second, &since, 0);
                by_second.push((second, since));
                last = now;
            }
            for resolution in Resolution::ALL {
                let step = resolution.seconds();
                let oldest = (second / step + 1).saturating_sub(resolution.intervals());
                let mut kept = OutcomeTotals::default();
                for (at, since) in &by_second {
                    if at / step >= oldest {
                        kept.add(since);
                    }
                }
                let sum = windows.sum(resolution, 0..second + 1);
                prop_assert_eq!(sum.requests, kept.requests);
                prop_assert_eq!(sum.failures, kept.failures);
                prop_assert_eq!(sum.duration.buckets(), kept.duration.buckets());
                prop_assert_eq!(sum.first_byte.buckets(), kept.first_byte.buckets());
            }
            // No tick is older than two hours here, so two rings have everything.
            let all = windows.sum(Resolution::TwoMinutes, 0..second + 1);
            prop_assert_eq!(all.requests, last.requests);
            prop_assert_eq!(windows.sum(Resolution::TenSeconds, 0..second + 1), all);
        }
    }
}
