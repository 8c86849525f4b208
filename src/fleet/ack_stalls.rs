//! The stalls of a peer that writes a message in small pieces and waits for an acknowledgement between them.
//!
//! A peer with Nagle's algorithm on (Python's `http.server`, the JDK's `HttpServer`) sends no second small piece before
//! the first one is acknowledged, and Linux delays an acknowledgement by 40 ms when it has nothing else to send: each
//! answer takes 40 ms, with any proxy and with none. An acknowledgement at once ends the stall, and costs a system call
//! and a packet; so it is asked for only where a stall was seen.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Pauses inside a message that are taken for such a stall: Linux delays by 40 ms, and a wake may be late.
const STALL: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(60);
/// Acknowledgements at once after a stall was seen; then one answer in so many shows if it is still there.
const AT_ONCE: u32 = 10_000;
/// Those that a pause costs which went on in spite of one: the peer was busy, and waited for nothing.
const IN_VAIN: u32 = AT_ONCE / 10;

/// The acknowledgements that are still sent to a peer at once.
#[derive(Debug, Default)]
pub struct AckStalls(AtomicU32);

impl AckStalls {
    /// True if the peer is likely to wait for an acknowledgement when it pauses inside a message.
    pub fn are_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Learns from a pause inside a message. Each one while stalls are likely was acknowledged at once.
    pub fn observe(&self, pause: Duration) {
        let left = self.0.load(Ordering::Relaxed);
        let now = match left {
            0 if STALL.contains(&pause) => AT_ONCE,
            0 => return,
            _ if pause < *STALL.start() => left - 1,
            _ => left.saturating_sub(IN_VAIN),
        };
        // Two workers at the same time may count once: it is an estimate.
        self.0.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pauses: &[u64]) -> AckStalls {
        let stalls = AckStalls::default();
        for pause in pauses {
            stalls.observe(Duration::from_millis(*pause));
        }
        stalls
    }

    #[test]
    fn a_stall_is_learned_and_nothing_else() {
        assert!(!seen(&[0, 1, 19, 61, 5_000]).are_likely());
        for stall in [20, 41, 60] {
            assert!(seen(&[stall]).are_likely());
        }
    }

    #[test]
    fn quick_pauses_keep_it_and_one_in_ten_thousand_looks_again() {
        let stalls = seen(&[41]);
        for _ in 1..AT_ONCE {
            stalls.observe(Duration::ZERO);
            assert!(stalls.are_likely());
        }
        stalls.observe(Duration::ZERO);
        assert!(!stalls.are_likely());
        stalls.observe(Duration::from_millis(41));
        assert!(stalls.are_likely());
    }

    #[test]
    fn a_peer_that_is_busy_between_its_pieces_is_left_alone_soon() {
        let mut pauses = vec![30];
        pauses.extend([30; 9]);
        assert!(seen(&pauses).are_likely());
        pauses.push(30);
        assert!(!seen(&pauses).are_likely());
    }
}
