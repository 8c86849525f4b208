//! Pauses between attempts: exponential, with jitter.

use std::time::Duration;

/// Pause after `failed` failed attempts: between half and all of `first`, twice that, four times …, at most `longest`.
/// `random` is from 0 to 1.
pub fn backoff(first: Duration, longest: Duration, failed: u32, random: f64) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let whole = first.saturating_mul(1 << doublings).min(longest);
    whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(8);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let whole = |failed| backoff(FIRST, LONGEST, failed, 1.0).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(whole),
            [500, 1000, 2000, 4000, 8000, 8000]
        );
        assert_eq!(backoff(FIRST, LONGEST, 0, 0.0), FIRST / 2);
    }

    proptest! {
        #[test]
        fn the_jitter_is_at_most_half(failed in any::<u32>(), random in 0.0_f64..=1.0) {
            let whole = backoff(FIRST, LONGEST, failed, 1.0);
            let found = backoff(FIRST, LONGEST, failed, random);
            prop_assert!(found <= whole && found >= whole / 2);
            prop_assert!(whole <= LONGEST);
        }
    }
}
