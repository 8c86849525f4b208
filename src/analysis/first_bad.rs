//! Units that were bad already: a session counts once.

use std::collections::{HashSet, VecDeque};

use super::{signal::Signal, thresholds::LEVELS};

/// Bytes of a unit in the saved form.
const BYTES: usize = size_of::<u32>();

/// Bounded memory of bad units: one for each signal and threshold by which a unit was bad. Full, it forgets the oldest, which may then count once
/// more.
///
/// A unit is remembered by 32 bits, so that all of it is saved together with the evidence that it belongs to. A new unit
/// has the bits of one of 20,000 others once in 200,000 times, and does not count then: on either release alike, so that
/// the judge sees a little less and nothing that was not there.
#[derive(Debug)]
pub struct FirstBad {
    seen: HashSet<u32>,
    order: VecDeque<u32>,
    capacity: usize,
    /// True if there is more than was saved.
    has_grown: bool,
}

impl FirstBad {
    /// Creates an empty memory of so many bad units.
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashSet::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
            has_grown: false,
        }
    }

    /// A memory with what was saved of an earlier one; of more than it may remember it has the latest.
    pub fn restore(capacity: usize, saved: &[u8]) -> Self {
        let mut memory = Self::new(capacity);
        let (units, _) = saved.as_chunks::<BYTES>();
        for unit in units {
            memory.remember(u32::from_le_bytes(*unit));
        }
        memory.has_grown = false;
        memory
    }

    /// All of it, to be saved; `None` if that was done before and nothing is new.
    pub fn save(&mut self) -> Option<Vec<u8>> {
        let has_grown = std::mem::take(&mut self.has_grown);
        let bytes = || self.order.iter().flat_map(|unit| unit.to_le_bytes());
        has_grown.then(|| bytes().collect())
    }

    /// True if this unit was not bad before by this signal and threshold; it is remembered. A unit is the hash of its
    /// session.
    pub fn is_first(&mut self, unit: u64, signal: Signal, level: usize) -> bool {
        self.is_first_key(Self::key(unit, signal, level))
    }

    /// The bits by which a unit that is bad by a signal and threshold is remembered, the same in every memory.
    pub const fn key(unit: u64, signal: Signal, level: usize) -> u32 {
        let level = if level < LEVELS { level } else { LEVELS - 1 };
        let kind = (signal.index() * LEVELS + level) as u64 + 1;
        let key =
            (unit ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (key >> 32) as u32
    }

    /// True if the unit with these bits was not bad before; it is remembered.
    pub fn is_first_key(&mut self, key: u32) -> bool {
        self.remember(key)
    }

    fn remember(&mut self, unit: u32) -> bool {
        if !self.seen.insert(unit) {
            return false;
        }
        if self.order.len() == self.capacity {
            let oldest = self.order.pop_front();
            oldest.inspect(|oldest| {
                self.seen.remove(oldest);
            });
        }
        self.order.push_back(unit);
        self.has_grown = true;
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

    #[test]
    fn what_was_saved_does_not_count_again() {
        let mut bad = FirstBad::new(1_000);
        assert_eq!(bad.save(), None, "there is nothing");
        for unit in 0..500 {
            assert!(bad.is_first(unit, Signal::Failures, 0));
        }
        let saved = bad.save().unwrap();
        assert_eq!((saved.len(), bad.save()), (500 * BYTES, None));
        let mut again = FirstBad::restore(1_000, &saved);
        assert_eq!(again.save(), None, "nothing is new");
        for unit in 0..500 {
            assert!(!again.is_first(unit, Signal::Failures, 0), "{unit}");
        }
        assert!(again.is_first(0, Signal::Slow, 0));
        assert!(again.is_first(500, Signal::Failures, 0));
        assert_eq!(again.save().unwrap().len(), 502 * BYTES);
    }

    #[test]
    fn of_more_than_it_may_remember_the_latest_are_restored() {
        let mut bad = FirstBad::new(100);
        (0..100).for_each(|unit| assert!(bad.is_first(unit, Signal::Failures, 0)));
        let saved = bad.save().unwrap();
        let mut fewer = FirstBad::restore(10, &saved[..saved.len() - 1]);
        assert_eq!(fewer.order.len(), 10);
        assert!(!fewer.is_first(98, Signal::Failures, 0));
        assert!(fewer.is_first(99, Signal::Failures, 0), "it was cut off");
    }

    #[test]
    fn few_of_many_new_units_are_taken_for_known_ones() {
        let mut bad = FirstBad::new(20_000);
        let first = (0..200_000_u64)
            .map(|unit| unit.wrapping_mul(0x2545_f491_4f6c_dd1d))
            .filter(|unit| bad.is_first(*unit, Signal::Failures, 0));
        assert!(first.count() >= 199_990);
    }
}
