//! Sharded gauge: a counter that goes up and down, with a cache line for each worker.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crossbeam_utils::CachePadded;

/// A gauge that each worker counts in its own cache line.
///
/// A unit may be added in one slot and removed in another, so only the sum has a meaning.
#[derive(Debug)]
pub struct Sharded(Box<[WorkerSlot]>);

// Each with its own reference count: the holder of one writes to no cache line that another worker writes to.
type WorkerSlot = Arc<CachePadded<AtomicI64>>;

/// One unit, counted until dropped. It holds its slot, not the whole counter.
#[derive(Debug)]
pub struct CounterValue(WorkerSlot);

impl Sharded {
    /// Creates a counter at zero with this many slots, at least one.
    pub fn new(slots: usize) -> Self {
        Self(
            (0..slots.max(1))
                .map(|_| Arc::new(CachePadded::new(AtomicI64::new(0))))
                .collect(),
        )
    }

    fn slot(&self, slot: usize) -> &WorkerSlot {
        &self.0[slot % self.0.len()]
    }

    /// Adds one in a slot; slots beyond the last wrap around.
    pub fn add(&self, slot: usize) {
        // SeqCst: a reader that has seen the worker of this request acknowledge a later revision must see the count.
        self.slot(slot).fetch_add(1, Ordering::SeqCst);
    }

    /// Removes one in a slot.
    pub fn sub(&self, slot: usize) {
        self.slot(slot).fetch_sub(1, Ordering::SeqCst);
    }

    /// Adds one in a slot until the guard is dropped.
    pub fn count(&self, slot: usize) -> CounterValue {
        self.add(slot);
        CounterValue(Arc::clone(self.slot(slot)))
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

impl Drop for CounterValue {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
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
                    drop((counter.count(slot), counter.count(slot + i)));
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
