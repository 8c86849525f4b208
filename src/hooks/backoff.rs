//! Times between the attempts at a call: exponential, with jitter.

use std::time::Duration;

/// Longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(300);
/// Longest time that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Time until the attempt after `failed` failed ones: between half and all of 1, 2, 4 … seconds, at most five minutes.
/// `random` is from 0 to 1; `asked` is a `Retry-After`, which is kept, up to an hour.
pub(super) fn delay(failed: u32, asked: Option<Duration>, random: f64) -> Duration {
    let whole = Duration::from_secs(1_u64 << failed.saturating_sub(1).min(16)).min(LONGEST);
    let own = whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attempts_are_further_and_further_apart_up_to_five_minutes() {
        let times: Vec<_> = (1..=10)
            .map(|failed| delay(failed, None, 1.0).as_secs())
            .collect();
        assert_eq!(times, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_and_an_hour_at_most() {
        let asked = |seconds| delay(1, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(asked(30), Duration::from_secs(30));
        assert_eq!(asked(0), Duration::from_millis(500));
        assert_eq!(asked(u64::MAX), Duration::from_secs(3600));
    }

    proptest! {
        #[test]
        fn the_jitter_is_at_most_half(failed in any::<u32>(), random in 0.0_f64..=1.0) {
            let whole = delay(failed, None, 1.0);
            let found = delay(failed, None, random);
            prop_assert!(found <= whole && found >= whole / 2);
            prop_assert!(whole <= LONGEST);
        }
    }
}
