//! The time for which an endpoint keeps idle connections, learned from those that it closed.
//!
//! Servers close after 2 s (gunicorn), 5 s (uvicorn, Node) or minutes, and few say so in `Keep-Alive`. A request that is
//! sent in the moment of such an end is lost, and a POST cannot be sent again. So a connection that was found closed
//! limits how long later ones are kept; the limit grows slowly, in case that it was an accident.

use std::sync::atomic::{AtomicU64, Ordering};

/// Age below which an end is taken for a restart of the endpoint, in milliseconds.
const RESTART_MS: u64 = 1_000;
/// Shortest limit, in milliseconds.
const SHORTEST_MS: u64 = 500;
/// Time in which a limit doubles, in seconds.
const DOUBLING_SECONDS: u64 = 16 * 60;
/// Doublings after which a limit grows no further: the shortest one is six days then.
const MOST_DOUBLINGS: u64 = 20;

/// The limit of an endpoint, once there is one.
#[derive(Debug, Default)]
pub struct IdleLimit(
    // The limit in milliseconds and, in the low half, the second at which it was learned; 0 for none.
    AtomicU64,
);

impl IdleLimit {
    /// Longest idle time of a connection, in milliseconds; `u64::MAX` if nothing was learned.
    pub fn limit_ms(&self, now_ms: u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => u64::MAX,
            learned => grown(learned, now_ms / 1_000),
        }
    }

    /// Learns from a connection that its endpoint closed: it was open after `alive_ms` of being idle, and closed after
    /// `age_ms`.
    pub fn observe(&self, alive_ms: u64, age_ms: u64, now_ms: u64) {
        if age_ms < RESTART_MS {
            return;
        }
        // An eighth is left for the network and for the coarse clocks of servers.
        let limit = (alive_ms - alive_ms / 8).max(SHORTEST_MS);
        if limit < self.limit_ms(now_ms) {
            let learned = limit.min(u64::from(u32::MAX)) << 32;
            let second = (now_ms / 1_000) & u64::from(u32::MAX);
            self.0.store(learned | second, Ordering::Relaxed);
        }
    }
}

/// A limit at a later second: doubled for each whole span, and linear within one.
fn grown(learned: u64, now: u64) -> u64 {
    let (limit, since) = (learned >> 32, learned & u64::from(u32::MAX));
    let elapsed = now
        .saturating_sub(since)
        .min(MOST_DOUBLINGS * DOUBLING_SECONDS);
    // At most 2^52, and 2^62 below: the limit has 32 bits.
    let doubled = limit << (elapsed / DOUBLING_SECONDS);
    doubled + doubled * (elapsed % DOUBLING_SECONDS) / DOUBLING_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_limits_those_after_it_and_the_limit_grows_slowly() {
        let limit = IdleLimit::default();
        assert_eq!(limit.limit_ms(0), u64::MAX);
        limit.observe(1_600, 2_300, 10_000);
        assert_eq!(limit.limit_ms(10_000), 1_400);
        limit.observe(1_900, 2_100, 11_000);
        assert_eq!(limit.limit_ms(11_000), 1_401, "the shortest counts");
        assert_eq!(limit.limit_ms(10_000 + 16 * 60_000), 2_800);
    }

    #[test]
    fn a_limit_doubles_each_time_and_not_only_once() {
        let limit = IdleLimit::default();
        limit.observe(1_600, 2_300, 0);
        let minutes = |minutes: u64| limit.limit_ms(minutes * 60_000);
        assert_eq!(
            [0, 16, 32, 40, 48].map(minutes),
            [1_400, 2_800, 5_600, 8_400, 11_200]
        );
        assert_eq!(
            [20 * 16, 21 * 16, u64::MAX / 60_000].map(minutes),
            [1_400 << 20; 3]
        );
    }

    #[test]
    fn an_end_right_after_use_is_a_restart() {
        let limit = IdleLimit::default();
        limit.observe(0, 999, 5_000);
        assert_eq!(limit.limit_ms(5_000), u64::MAX);
        limit.observe(0, 1_000, 5_000);
        assert_eq!(limit.limit_ms(5_000), 500);
    }
}
