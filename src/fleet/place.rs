//! Places under a release's limit on requests in flight, and a bounded queue of those who wait for one.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::Notify;

/// The places of one roster. They outlive every swap, so a limit holds while tables change.
#[derive(Debug, Default)]
pub struct Places {
    held: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>);

/// A seat in the queue that is taken until this is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Places>);

impl Places {
    /// Takes a place, if fewer than `limit` are held.
    pub fn acquire(self: &Arc<Self>, limit: u32) -> Option<Place> {
        raise(&self.held, limit).then(|| Place(Arc::clone(self)))
    }

    /// Takes a seat in the queue, if fewer than `limit` are taken.
    pub fn queue(self: &Arc<Self>, limit: u32) -> Option<Waiting> {
        raise(&self.waiting, limit).then(|| Waiting(Arc::clone(self)))
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Waiting {
    /// Returns when a place may be free; whoever comes first takes it. Cancelling it passes the turn on.
    pub async fn turn(&self) {
        self.0.freed.notified().await;
    }
}

fn raise(count: &AtomicU32, limit: u32) -> bool {
    let below = |count: u32| (count < limit).then(|| count + 1);
    count
        .fetch_update(Ordering::AcqRel, Ordering::Relaxed, below)
        .is_ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_seats_are_bounded_and_come_back() {
        let places = Arc::new(Places::default());
        let held = places.acquire(1).unwrap();
        assert!(places.acquire(1).is_none());
        let waiting = places.queue(1).unwrap();
        assert!(places.queue(1).is_none());
        assert_eq!(places.waiting(), 1);
        drop((held, waiting));
        assert!(places.acquire(1).is_some());
        assert_eq!(places.waiting(), 0);
    }

    #[tokio::test]
    async fn a_freed_place_wakes_one_who_waits() {
        let places = Arc::new(Places::default());
        let held = places.acquire(1).unwrap();
        let waiting = places.queue(9).unwrap();
        drop(held);
        waiting.turn().await;
        assert!(places.acquire(1).is_some());
    }
}
