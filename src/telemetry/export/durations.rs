//! Values of a histogram, for formats that take values and not buckets.
//!
//! Within a bucket values are assumed to be spread evenly, as `histogram_quantile` of Prometheus does. So a quantile of
//! them is wrong by at most the width of its bucket.

/// New values of a histogram, by bucket.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewValues {
    /// Upper bounds of the buckets, without the infinite one.
    pub(super) bounds: &'static [f64],
    /// Number of values in each bucket.
    pub(super) counts: Vec<u64>,
    /// Sum of the values.
    pub(super) sum: f64,
}

impl NewValues {
    /// Number of values.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The values of one bucket alone; their sum is left out.
    pub(super) fn only(&self, bucket: usize) -> Self {
        let mut counts = vec![0; self.counts.len()];
        counts[bucket] = self.counts[bucket];
        Self {
            bounds: self.bounds,
            counts,
            sum: 0.0,
        }
    }

    /// Adds the values of another histogram with the same buckets.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// This many values that stand for all of them: at evenly spaced ranks.
    #[expect(
        clippy::cast_precision_loss,
        reason = "ranks are estimates within a bucket"
    )]
    pub(super) fn spread(&self, many: u64) -> Vec<f64> {
        let step = self.count() as f64 / many.max(1) as f64;
        let mut values = Vec::new();
        let (mut bucket, mut below) = (0, 0_u64);
        for place in 0..many {
            let rank = (place as f64 + 0.5) * step;
            while (below + self.counts[bucket]) as f64 <= rank && bucket + 1 < self.counts.len() {
                below += self.counts[bucket];
                bucket += 1;
            }
            let within = (rank - below as f64) / self.counts[bucket].max(1) as f64;
            values.push(self.at(bucket, within));
        }
        values
    }

    /// Value at a place in a bucket, from 0 to 1. Above the last bound it is that bound.
    fn at(&self, bucket: usize, within: f64) -> f64 {
        let lower = match bucket.checked_sub(1) {
            Some(below) => self.bounds[below],
            None => 0.0,
        };
        let upper = self.bounds.get(bucket).copied().unwrap_or(lower);
        lower + (upper - lower) * within.clamp(0.0, 1.0)
    }
}

/// Shares out a number of values in proportion to the counts; all of them if they are no more. `carry` is the part of a
/// value that is left for the next time.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are positive and at most the budget"
)]
pub(super) fn share_out(counts: &[u64], budget: u64, carry: &mut f64) -> Vec<u64> {
    let total: u64 = counts.iter().sum();
    if total <= budget {
        return counts.to_vec();
    }
    let ratio = budget as f64 / total as f64;
    let share = |count: &u64| {
        *carry += *count as f64 * ratio;
        let whole = carry.floor();
        *carry -= whole;
        whole as u64
    };
    counts.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(counts: &[u64]) -> NewValues {
        NewValues {
            bounds: &[1.0, 2.0, 4.0],
            counts: counts.to_vec(),
            sum: 0.0,
        }
    }

    #[test]
    fn values_are_spread_over_their_buckets() {
        assert_eq!(values(&[0, 2, 0, 0]).spread(2), [1.25, 1.75]);
        assert_eq!(values(&[1, 0, 1, 1]).spread(3), [0.5, 3.0, 4.0]);
        assert_eq!(values(&[100, 0, 0, 100]).spread(2), [0.5, 4.0]);
        assert!(values(&[1, 0, 0, 0]).spread(0).is_empty());
    }

    #[test]
    fn a_share_is_in_proportion_and_what_is_left_is_carried_on() {
        let mut carry = 0.0;
        assert_eq!(share_out(&[3, 4], 7, &mut carry), [3, 4]);
        let shares: Vec<_> = (0..10)
            .map(|_| share_out(&[1, 999], 100, &mut carry))
            .collect();
        let of_first: u64 = shares.iter().map(|share| share[0]).sum();
        let of_all: u64 = shares.iter().flatten().sum();
        assert!((999..=1000).contains(&of_all), "{of_all}");
        assert!(of_first <= 2, "{of_first}");
    }

    proptest! {
        #[test]
        fn as_many_values_as_asked_for_each_within_the_bounds(
            counts in prop::collection::vec(0_u64..1000, 4),
            many in 0_u64..200,
        ) {
            let values = values(&counts);
            prop_assume!(values.count() > 0);
            let spread = values.spread(many);
            prop_assert_eq!(spread.len() as u64, many);
            prop_assert!(spread.is_sorted());
            prop_assert!(spread.iter().all(|value| (0.0..=4.0).contains(value)));
        }

        #[test]
        fn with_one_value_for_each_every_bucket_gets_its_own(
            counts in prop::collection::vec(0_u64..50, 4),
        ) {
            let values = values(&counts);
            let spread = values.spread(values.count());
            let (bounds, mut seen) = (values.bounds, [0; 4]);
            for value in spread {
                seen[bounds.partition_point(|bound| *bound < value)] += 1;
            }
            // What is above the last bound is shown at it.
            prop_assert_eq!(&seen[..2], &counts[..2]);
            prop_assert_eq!(seen[2], counts[2] + counts[3]);
        }
    }
}
