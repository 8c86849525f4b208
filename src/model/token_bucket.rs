//! Token bucket in the form of the generic cell rate algorithm: its whole state is one number, the time until it is full.

/// A bucket that gets tokens at a steady rate, and of which each request takes one. It has no clock: times are in any
/// unit, the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    interval: u64,
    capacity: u64,
}

impl TokenBucket {
    /// A bucket that gets a token each `interval` and holds `tokens`.
    pub const fn new(interval: u64, tokens: u64) -> Self {
        Self {
            interval,
            capacity: interval.saturating_mul(tokens),
        }
    }

    /// Time until an empty bucket is full.
    pub const fn capacity(self) -> u64 {
        self.capacity
    }

    /// Takes a token from a bucket that is full in `debt`: the time until it is full then.
    ///
    /// # Errors
    /// The time until there is a token.
    pub const fn take(self, debt: u64) -> Result<u64, u64> {
        let next = debt.saturating_add(self.interval);
        if next <= self.capacity {
            Ok(next)
        } else {
            Err(next - self.capacity)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Times from the gaps between them.
    fn times(gaps: &[u64]) -> Vec<u64> {
        let after = |now: &mut u64, gap: &u64| {
            *now += gap;
            Some(*now)
        };
        gaps.iter().scan(0, after).collect()
    }

    /// The times at which a token was taken, of those at which one was asked for.
    fn taken(bucket: TokenBucket, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut full_at = 0;
        let mut take = |now: &u64| {
            let debt = bucket.take(u64::saturating_sub(full_at, *now)).ok();
            debt.inspect(|debt| full_at = now + debt).is_some()
        };
        times.into_iter().filter(|now| take(now)).collect()
    }

    proptest! {
        #[test]
        fn a_bucket_never_gives_more_than_its_rate_and_its_burst(
            interval in 1..1_000_u64,
            tokens in 1..50_u64,
            gaps in proptest::collection::vec(0..2_000_u64, 1..400),
        ) {
            let taken = taken(TokenBucket::new(interval, tokens), times(&gaps));
            for (place, first) in taken.iter().enumerate() {
                for (count, last) in (1..).zip(&taken[place..]) {
                    prop_assert!(count <= tokens + (last - first) / interval);
                }
            }
        }

        #[test]
        fn who_stays_below_the_rate_is_never_refused(
            interval in 1..1_000_u64,
            tokens in 1..50_u64,
            rests in proptest::collection::vec(0..500_u64, 1..400),
        ) {
            let gaps: Vec<u64> = rests.iter().map(|rest| interval + rest).collect();
            let taken = taken(TokenBucket::new(interval, tokens), times(&gaps));
            prop_assert_eq!(taken.len(), gaps.len());
        }

        #[test]
        fn the_wait_that_a_refusal_names_is_the_shortest(
            interval in 1..1_000_u64,
            tokens in 1..50_u64,
            debt in 0..100_000_u64,
        ) {
            let bucket = TokenBucket::new(interval, tokens);
            if let Err(wait) = bucket.take(debt) {
                prop_assert!(wait > 0 && bucket.take(debt.saturating_sub(wait)).is_ok());
                prop_assert!(bucket.take(debt.saturating_sub(wait - 1)).is_err());
            }
        }
    }
}
