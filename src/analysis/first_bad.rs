//! Units that were bad already: a session counts once.

use std::collections::{HashSet, VecDeque};

use super::{signal::Signal, thresholds::LEVELS};

/// Bounded memory of bad units: one for each signal and threshold by which a unit was bad. Full, it forgets the oldest, which may then count once
/// more.
#[derive(Debug)]
pub struct FirstBad {
    seen: HashSet<u64>,
    order: VecDeque<u64>,
    capacity: usize,
}

impl FirstBad {
    /// Creates an empty memory of so many bad units.
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashSet::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// True if this unit was not bad before by this signal and threshold; it is remembered. A unit is the hash of its
    /// session.
    pub fn is_first(&mut self, unit: u64, signal: Signal, level: usize) -> bool {
        let kind = (signal.index() * LEVELS + level.min(LEVELS - 1)) as u64 + 1;
        let key =
            (unit ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        if !self.seen.insert(key) {
            return false;
        }
        if self.order.len() == self.capacity {
            let oldest = self.order.pop_front();
            oldest.inspect(|oldest| {
                self.seen.remove(oldest);
            });
        }
        self.order.push_back(key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_once_for_each_signal_and_threshold() {
        let mut bad = FirstBad::new(100);
        assert!(bad.is_first(7, Signal::Failures, 0));
        assert!(!bad.is_first(7, Signal::Failures, 0));
        assert!(bad.is_first(7, Signal::Slow, 0));
        assert!(bad.is_first(7, Signal::Slow, 1));
        assert!(bad.is_first(8, Signal::Slow, 1));
        assert!(!bad.is_first(7, Signal::Slow, 1));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut bad = FirstBad::new(3);
        for unit in 0..1_000 {
            assert!(bad.is_first(unit, Signal::Failures, 0));
        }
        assert_eq!((bad.seen.len(), bad.order.len()), (3, 3));
        assert!(!bad.is_first(999, Signal::Failures, 0));
        assert!(bad.is_first(996, Signal::Failures, 0));
    }
}
