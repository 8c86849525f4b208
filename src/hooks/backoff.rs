//! Times between the attempts at a call: exponential, with jitter.

use std::time::Duration;

use crate::net;

/// Time until the second attempt, at most.
const FIRST: Duration = Duration::from_secs(1);
/// Longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(300);
/// Longest time that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Time until the attempt after `failed` failed ones: between half and all of 1, 2, 4 … seconds, at most five minutes.
/// `random` is from 0 to 1; `asked` is a `Retry-After`, which is kept, up to an hour.
pub(super) fn delay(failed: u32, asked: Option<Duration>, random: f64) -> Duration {
    let own = net::backoff(FIRST, LONGEST, failed, random);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
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
}
