//! Quantiles of a histogram, by the rule of Prometheus' `histogram_quantile`: linear within a bucket.

use super::histogram::{BOUNDS_SECONDS, HistogramSnapshot};

impl HistogramSnapshot {
    /// Quantile in seconds; `None` without a value. Above the last bound it is that bound.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.seconds_at(quantile * real(count)))
    }

    /// Value in seconds at a rank, from 0 to the number of values.
    pub fn seconds_at(&self, rank: f64) -> f64 {
        let (mut lower, mut below) = (0.0, 0);
        for (bound, count) in self.cumulative() {
            if bound.is_infinite() {
                break;
            }
            if real(count) >= rank && count > below {
                let part = (rank - real(below)) / real(count - below);
                return lower + (bound - lower) * part.clamp(0.0, 1.0);
            }
            (lower, below) = (bound, count);
        }
        BOUNDS_SECONDS[BOUNDS_SECONDS.len() - 1]
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 are rounded, which moves no quantile"
)]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[(usize, u64)]) -> HistogramSnapshot {
        let mut buckets = [0; BOUNDS_SECONDS.len() + 1];
        for (bucket, count) in values {
            buckets[*bucket] = *count;
        }
        HistogramSnapshot::of_buckets(buckets)
    }

    fn is(seconds: Option<f64>, expected: f64) -> bool {
        seconds.is_some_and(|seconds| (seconds - expected).abs() < 1e-9)
    }

    #[test]
    fn a_quantile_lies_within_its_bucket_in_proportion_to_its_rank() {
        // 80 values up to 0.1 s, 20 from 0.25 s to 0.5 s.
        let some = histogram(&[(6, 80), (8, 20)]);
        assert!(is(some.quantile(0.5), 0.05 + 0.05 * 50.0 / 80.0));
        assert!(is(some.quantile(0.8), 0.1));
        assert!(is(some.quantile(0.95), 0.25 + 0.25 * 0.75));
        assert!(is(some.quantile(1.0), 0.5));
    }

    #[test]
    fn nothing_has_no_quantile_and_above_the_last_bound_it_is_that_bound() {
        assert_eq!(histogram(&[]).quantile(0.5), None);
        assert!(is(histogram(&[(16, 3)]).quantile(0.5), 600.0));
        assert!(is(histogram(&[(0, 1), (16, 3)]).quantile(0.99), 600.0));
    }
}
