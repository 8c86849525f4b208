//! Histogram with fixed bounds: recording is one search among a few numbers and two additions.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds in seconds: Prometheus' default of 5 ms to 10 s, extended at both ends, since proxies respond in a
/// millisecond and agents take minutes.
pub const BOUNDS_SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
    600.0,
];

/// Number of buckets: one below each bound, and one above the last.
pub(super) const BUCKETS: usize = BOUNDS_SECONDS.len() + 1;

/// The same bounds in microseconds, so that recording compares integers.
const BOUNDS_MICROS: [u64; 16] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
    600_000_000,
];

/// The lowest bound in seconds that is not below this time: what is longer is counted exactly from there. The highest
/// one, if all are below.
pub fn bound_from(time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    let bound = BOUNDS_SECONDS.into_iter().find(|bound| *bound >= seconds);
    bound.unwrap_or(BOUNDS_SECONDS[BOUNDS_SECONDS.len() - 1])
}

/// One worker's histogram.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        add_relaxed(&self.buckets[bucket], 1);
        add_relaxed(&self.sum_micros, micros);
    }

    pub(super) fn add_to(&self, snapshot: &mut HistogramSnapshot) {
        for (total, bucket) in snapshot.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.load(Ordering::Relaxed);
        }
        snapshot.sum_micros += self.sum_micros.load(Ordering::Relaxed);
    }
}

/// Adds without a locked instruction: only the worker that owns the cache line writes it.
pub(super) fn add_relaxed(counter: &AtomicU64, by: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

/// Values of a histogram, summed over workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    buckets: [u64; BUCKETS],
    sum_micros: u64,
}

impl HistogramSnapshot {
    /// A histogram with these buckets; the sum of its values is not known.
    pub(super) const fn of_buckets(buckets: [u64; BUCKETS]) -> Self {
        Self {
            buckets,
            sum_micros: 0,
        }
    }

    /// Number of values in each bucket.
    pub(super) const fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// Number of recorded values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Number of values in each bucket; the last one has no bound.
    pub fn counts(&self) -> &[u64] {
        &self.buckets
    }

    /// Sum of all values, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_micros).as_secs_f64()
    }

    /// Upper bounds in seconds with the number of values at or below each; the last bound is infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS_SECONDS.into_iter().chain([f64::INFINITY]);
        let mut total = 0;
        bounds.zip(self.buckets).map(move |(bound, count)| {
            total += count;
            (bound, total)
        })
    }

    /// The values that were recorded since an earlier snapshot of the same histogram.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut buckets = self.buckets;
        for (now, before) in buckets.iter_mut().zip(before.buckets) {
            *now = now.saturating_sub(before);
        }
        Self {
            buckets,
            sum_micros: self.sum_micros.saturating_sub(before.sum_micros),
        }
    }

    /// Adds another histogram to this one.
    pub fn add(&mut self, other: &Self) {
        for (total, count) in self.buckets.iter_mut().zip(other.buckets) {
            *total += count;
        }
        self.sum_micros += other.sum_micros;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_counts_below_it() {
        let histogram = Histogram::default();
        for micros in [1_000, 1_001, 700_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut snapshot = HistogramSnapshot::default();
        histogram.add_to(&mut snapshot);
        let counts: Vec<u64> = snapshot.cumulative().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (1, 2, 2, 3));
        assert_eq!(snapshot.count(), 3);
        assert!((snapshot.sum_seconds() - 700.002_001).abs() < 1e-9);
    }

    #[test]
    fn a_later_snapshot_less_an_earlier_one_is_what_came_between() {
        let histogram = Histogram::default();
        let snapshot = || {
            let mut snapshot = HistogramSnapshot::default();
            histogram.add_to(&mut snapshot);
            snapshot
        };
        histogram.record(Duration::from_millis(1));
        let before = snapshot();
        histogram.record(Duration::from_secs(1));
        let between = snapshot().since(&before);
        assert_eq!(between.count(), 1);
        assert!((between.sum_seconds() - 1.0).abs() < 1e-9);
        assert_eq!(before.since(&snapshot()), HistogramSnapshot::default());
    }

    #[test]
    fn a_time_is_counted_from_the_next_bound() {
        for (millis, bound) in [
            (0, 0.001),
            (25, 0.025),
            (26, 0.05),
            (2_000, 2.5),
            (900_000, 600.0),
        ] {
            let found = bound_from(Duration::from_millis(millis));
            assert!((found - bound).abs() < 1e-12, "{millis} ms: {found}");
        }
    }

    #[test]
    fn both_lists_of_bounds_say_the_same() {
        for (seconds, micros) in BOUNDS_SECONDS.into_iter().zip(BOUNDS_MICROS) {
            assert_eq!(
                Duration::from_secs_f64(seconds),
                Duration::from_micros(micros)
            );
        }
    }
}
