//! A counter that goes up and down, with one cache line per worker.

use std::sync::atomic::{AtomicI64, Ordering};

use crossbeam_utils::CachePadded;

/// A gauge that each worker counts in a line of its own.
///
/// A unit may be added in one slot and taken away in another, so only the sum has a meaning.
#[derive(Debug)]
pub struct Sharded(Box<[CachePadded<AtomicI64>]>);

impl Sharded {
    /// A counter at zero with this many slots, at least one.
    pub fn new(slots: usize) -> Self {
        Self(
            (0..slots.max(1))
                .map(|_| CachePadded::new(AtomicI64::new(0)))
                .collect(),
        )
    }

    /// Adds one in a slot; slots beyond the last wrap around.
    pub fn add(&self, slot: usize) {
        // SeqCst: a count must be seen by whoever has seen the request's worker acknowledge a later revision.
        self.0[slot % self.0.len()].fetch_add(1, Ordering::SeqCst);
    }

    /// Takes one away in a slot.
    pub fn sub(&self, slot: usize) {
        self.0[slot % self.0.len()].fetch_sub(1, Ordering::SeqCst);
    }

    /// The sum over all slots, never below zero.
    pub fn sum(&self) -> u64 {
        let sum: i64 = self
            .0
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .sum();
        sum.max(0).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn what_is_added_anywhere_can_be_taken_away_anywhere() {
        let counter = Arc::new(Sharded::new(3));
        let threads = (0..4).map(|slot| {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                for i in 0..1000 {
                    counter.add(slot);
                    counter.sub(slot + i);
                }
                counter.add(slot);
            })
        });
        threads
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(counter.sum(), 4);
    }
}
