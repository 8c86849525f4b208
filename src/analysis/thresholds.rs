//! Thresholds of slowness: quantiles of the stable release, frozen at the start of a rollout.

use serde::{Deserialize, Serialize};

use super::number::real;

/// Most thresholds of a signal.
pub const LEVELS: usize = 4;

/// Fewest values from which quantiles are learned: the slowest hundredth needs some.
const FEWEST: u64 = 200;

/// Shares of requests above p50, p90, p95 and p99.
const TAILS: [f64; LEVELS] = [0.5, 0.1, 0.05, 0.01];

/// Ascending thresholds in seconds, one to four.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Thresholds(Vec<f64>);

impl Thresholds {
    /// Thresholds that an operator chose; `None` if there are none or more than four, or they are not positive and
    /// ascending.
    pub fn given(seconds: &[f64]) -> Option<Self> {
        let ascending = seconds.is_sorted_by(|a, b| a < b);
        let positive = seconds
            .iter()
            .all(|seconds| seconds.is_finite() && *seconds > 0.0);
        (ascending && positive && (1..=LEVELS).contains(&seconds.len()))
            .then(|| Self(seconds.to_vec()))
    }

    /// Bounds of stable's histogram next to its p50, p90, p95 and p99, from the upper bound of each bucket in seconds
    /// with the number of values at or below it. Only bounds are thresholds that a histogram can count exactly.
    ///
    /// `None` with fewer than 200 values, or if all are above the last finite bound.
    pub fn freeze(cumulative: impl IntoIterator<Item = (f64, u64)>) -> Option<Self> {
        let cumulative: Vec<_> = cumulative.into_iter().collect();
        let total = cumulative.last().map_or(0, |(_, count)| *count);
        let finite = || cumulative.iter().filter(|(bound, _)| bound.is_finite());
        let tail = |below: u64| real(total.saturating_sub(below)) / real(total.max(1));
        let nearest = |wanted: f64| {
            let distance = |below: u64| (tail(below) / wanted).ln().abs();
            finite()
                .filter(|(_, below)| *below > 0 && *below < total)
                .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))
        };
        let mut seconds: Vec<f64> = TAILS
            .into_iter()
            .filter_map(nearest)
            .map(|(bound, _)| *bound)
            .collect();
        if seconds.is_empty() {
            seconds.extend(
                finite()
                    .find(|(_, below)| *below == total)
                    .map(|(bound, _)| *bound),
            );
        }
        seconds.dedup();
        (total >= FEWEST).then(|| Self::given(&seconds)).flatten()
    }

    /// Thresholds of which none is lower than so many seconds.
    #[must_use]
    pub fn at_least(self, seconds: f64) -> Self {
        let mut raised: Vec<f64> = self.0.iter().map(|one| one.max(seconds)).collect();
        raised.dedup();
        Self::given(&raised).unwrap_or(self)
    }

    /// The thresholds.
    pub fn seconds(&self) -> &[f64] {
        &self.0
    }

    /// Number of values of a histogram above each threshold. Between two bounds, the lower one decides.
    ///
    /// With the requests in flight that have passed it added, the sum grows when a request becomes that old and not when
    /// it ends: the difference between two looks is evidence.
    pub fn older(&self, cumulative: impl IntoIterator<Item = (f64, u64)>) -> [u64; LEVELS] {
        let mut below = [0; LEVELS];
        let mut total = 0;
        for (bound, count) in cumulative {
            for (below, threshold) in below.iter_mut().zip(&self.0) {
                if bound <= *threshold {
                    *below = count;
                }
            }
            total = count;
        }
        let mut above = below.map(|below| total.saturating_sub(below));
        above[self.0.len()..].fill(0);
        above
    }

    /// Number of thresholds that an age is above.
    pub fn passed(&self, age_seconds: f64) -> usize {
        self.0.partition_point(|threshold| *threshold < age_seconds)
    }
}

impl TryFrom<Vec<f64>> for Thresholds {
    type Error = &'static str;

    fn try_from(seconds: Vec<f64>) -> Result<Self, Self::Error> {
        Self::given(&seconds).ok_or("thresholds are one to four ascending numbers of seconds")
    }
}

impl From<Thresholds> for Vec<f64> {
    fn from(thresholds: Thresholds) -> Self {
        thresholds.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 6] = [0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];

    fn histogram(counts: [u64; 6]) -> Vec<(f64, u64)> {
        let mut total = 0;
        let sum = |(bound, count)| {
            total += count;
            (bound, total)
        };
        BOUNDS.into_iter().zip(counts).map(sum).collect()
    }

    #[test]
    fn the_bounds_nearest_to_the_quantiles_are_frozen() {
        let thresholds = Thresholds::freeze(histogram([200, 300, 350, 110, 35, 5])).unwrap();
        assert_eq!(thresholds.seconds(), [1.0, 2.5, 5.0, 10.0]);
        let narrow = Thresholds::freeze(histogram([0, 500, 500, 0, 0, 0])).unwrap();
        assert_eq!(narrow.seconds(), [1.0]);
        let all_alike = Thresholds::freeze(histogram([0, 0, 1_000, 0, 0, 0])).unwrap();
        assert_eq!(all_alike.seconds(), [2.5]);
        assert_eq!(Thresholds::freeze(histogram([0, 0, 0, 0, 0, 1_000])), None);
        assert_eq!(Thresholds::freeze(histogram([99, 99, 1, 0, 0, 0])), None);
        assert_eq!(Thresholds::freeze([]), None);
    }

    #[test]
    fn what_is_older_is_counted_at_each_threshold() {
        let thresholds = Thresholds::given(&[1.0, 5.0]).unwrap();
        assert_eq!(
            thresholds.older(histogram([1, 2, 4, 8, 16, 32])),
            [60, 48, 0, 0]
        );
        assert_eq!(thresholds.older([]), [0; LEVELS]);
        assert_eq!(
            [0.5, 1.0, 1.1, 5.0, 6.0].map(|age| thresholds.passed(age)),
            [0, 0, 1, 1, 2]
        );
    }

    #[test]
    fn low_thresholds_are_raised_to_one() {
        let raised = |seconds| {
            Thresholds::given(&[0.001, 0.005, 0.1])
                .unwrap()
                .at_least(seconds)
        };
        assert_eq!(raised(0.025).seconds(), [0.025, 0.1]);
        assert_eq!(raised(1.0).seconds(), [1.0]);
        assert_eq!(raised(0.0).seconds(), [0.001, 0.005, 0.1]);
        assert_eq!(raised(f64::NAN).seconds(), [0.001, 0.005, 0.1]);
    }

    #[test]
    fn thresholds_that_make_no_sense_are_refused() {
        for wrong in [
            &[][..],
            &[0.0],
            &[2.0, 1.0],
            &[1.0, 1.0],
            &[f64::NAN],
            &[1.0; 5],
            &[f64::INFINITY],
        ] {
            assert_eq!(Thresholds::given(wrong), None, "{wrong:?}");
        }
        assert!(serde_json::from_str::<Thresholds>("[2.0, 1.0]").is_err());
    }
}
