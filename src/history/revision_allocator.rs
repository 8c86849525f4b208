//! Allocator of revision numbers, reserved in durable blocks: a published number is never used again,
//! not even after `kill -9`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::Revision;

/// Numbers in a block. More than a chain of rollbacks can use while the disk is unavailable.
const BLOCK: u64 = 4_096;

/// Allocator of revision numbers.
#[derive(Debug)]
pub(super) struct RevisionAllocator {
    taken: AtomicU64,
    // Upper end of the durable reservation, or of one that is being written.
    reserved: AtomicU64,
    refilling: AtomicBool,
}

impl RevisionAllocator {
    /// Starts after the last number that may have been used.
    pub(super) fn after(last: u64) -> Self {
        Self {
            taken: AtomicU64::new(last),
            reserved: AtomicU64::new(last),
            refilling: AtomicBool::new(false),
        }
    }

    /// Takes a number; true if more should be reserved.
    pub(super) fn take(&self) -> (Revision, bool) {
        let number = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        let low = number + BLOCK / 2 > self.reserved.load(Ordering::Relaxed);
        let refill = low && !self.refilling.swap(true, Ordering::Relaxed);
        (Revision(number), refill)
    }

    /// Last number taken.
    pub(super) fn last_taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Upper end of the reserved numbers; above it none was taken.
    pub(super) fn upper_end(&self) -> u64 {
        self.last_taken().max(self.reserved.load(Ordering::Relaxed))
    }

    /// Reservation to write for a whole free block.
    pub(super) fn wanted(&self) -> u64 {
        self.last_taken().saturating_add(BLOCK)
    }

    /// Reservation to write if `written` is the current one; `None` while more than half a block is free.
    pub(super) fn due(&self, written: u64) -> Option<u64> {
        (self.last_taken().saturating_add(BLOCK / 2) > written).then(|| self.wanted())
    }

    /// Records that numbers up to here are reserved durably.
    pub(super) fn reserved(&self, upto: u64) {
        self.reserved.fetch_max(upto, Ordering::Relaxed);
        self.refilling.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refill_is_asked_for_once_when_half_of_the_block_is_left() {
        let numbers = RevisionAllocator::after(10);
        numbers.reserved(numbers.wanted());
        let asked: Vec<u64> = (0..BLOCK)
            .map(|_| numbers.take())
            .filter(|(_, refill)| *refill)
            .map(|(revision, _)| revision.0)
            .collect();
        assert_eq!(asked, [10 + BLOCK / 2 + 1]);
        numbers.reserved(numbers.wanted());
        assert_eq!(numbers.take(), (Revision(10 + BLOCK + 1), false));
    }

    #[test]
    fn numbers_are_written_down_beside_something_else_when_half_of_the_block_is_left() {
        let numbers = RevisionAllocator::after(10);
        assert_eq!(numbers.due(0), Some(10 + BLOCK));
        let due: Vec<u64> = (0..BLOCK)
            .map(|_| numbers.take().0.0)
            .filter(|_| numbers.due(10 + BLOCK).is_some())
            .collect();
        assert_eq!(due.first(), Some(&(10 + BLOCK / 2 + 1)));
        assert_eq!(numbers.due(10 + BLOCK), Some(numbers.wanted()));
    }
}
