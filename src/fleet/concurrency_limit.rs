//! Concurrency limit with permits and a bounded FIFO queue, shared by all workers.
//!
//! The fast path takes a permit in one atomic step if one is free and the queue is empty. The lock is taken only to
//! queue, and to release a permit while a request is queued.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

const ONE_WAITING: u64 = 1 << 32;

/// Concurrency limit of one roster or endpoint. It outlives every swap, so the limit holds while tables change.
#[derive(Debug, Default)]
pub struct ConcurrencyLimit {
    // Permits in the lower half, queued requests in the upper one: a single value, so that no
    // request overtakes the queue.
    counts: AtomicU64,
    queue: Mutex<Queue>,
}

/// A permit, released when dropped.
#[derive(Debug)]
pub struct Permit(Arc<ConcurrencyLimit>);

/// A position in the queue, left when dropped; a granted permit is then passed on.
#[derive(Debug)]
pub struct QueueSlot {
    limit: Arc<ConcurrencyLimit>,
    waiter: Arc<Waiter>,
    number: u64,
    is_taken: bool,
}

/// Queued requests, in order of arrival.
#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiters: BTreeMap<u64, Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    worker: usize,
    limit: AtomicU32,
    // Set once, under the lock: the permit counts as taken from then on.
    is_granted: AtomicBool,
    woken: Notify,
}

fn held(counts: u64) -> u32 {
    u32::try_from(counts % ONE_WAITING).unwrap_or(u32::MAX)
}

fn waiting(counts: u64) -> u32 {
    u32::try_from(counts / ONE_WAITING).unwrap_or(u32::MAX)
}

/// Replaces the counts by what `next` makes of them; false if it makes nothing.
///
/// Rust 1.99 deprecates `fetch_update`, and its successor does not exist in the oldest Rust that we support.
fn update(counts: &AtomicU64, next: impl Fn(u64) -> Option<u64>) -> bool {
    let mut seen = counts.load(Ordering::Relaxed);
    while let Some(wanted) = next(seen) {
        match counts.compare_exchange_weak(seen, wanted, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(changed) => seen = changed,
        }
    }
    false
}

// === impl ConcurrencyLimit ===

impl ConcurrencyLimit {
    /// Takes a permit, if fewer than `limit` are taken and the queue is empty.
    pub fn acquire(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        let more = |counts| (counts < u64::from(limit)).then(|| counts + 1);
        update(&self.counts, more).then(|| Permit(Arc::clone(self)))
    }

    /// Joins the end of the queue, if fewer than `most` requests are queued. A permit is granted as soon as
    /// fewer than `limit` are taken.
    pub fn queue(self: &Arc<Self>, limit: u32, most: u32, worker: usize) -> Option<QueueSlot> {
        let mut line = self.lock_queue();
        if self.waiting() >= most {
            return None;
        }
        self.counts.fetch_add(ONE_WAITING, Ordering::AcqRel);
        let waiter = Arc::new(Waiter {
            worker,
            limit: AtomicU32::new(limit),
            is_granted: AtomicBool::new(false),
            woken: Notify::new(),
        });
        let number = line.next;
        line.next += 1;
        line.waiters.insert(number, Arc::clone(&waiter));
        // A permit may have been released since the caller tried.
        self.grant(&mut line);
        drop(line);
        Some(QueueSlot {
            limit: Arc::clone(self),
            waiter,
            number,
            is_taken: false,
        })
    }

    /// Number of permits taken.
    pub fn held(&self) -> u32 {
        held(self.counts.load(Ordering::Relaxed))
    }

    /// Number of queued requests.
    pub fn waiting(&self) -> u32 {
        waiting(self.counts.load(Ordering::Relaxed))
    }

    /// Wakes the first request of the queue if it belongs to this worker; returns whether it does.
    pub fn wake_first_of(&self, worker: usize) -> bool {
        let line = self.lock_queue();
        let first = line.waiters.first_key_value();
        let is_ours = first.is_some_and(|(_, first)| first.worker == worker);
        if is_ours && let Some((_, first)) = first {
            first.woken.notify_one();
        }
        is_ours
    }

    /// True if the queue is not empty and its first request belongs to another worker.
    pub fn is_first_elsewhere(&self, worker: usize) -> bool {
        let is_elsewhere = || {
            let line = self.lock_queue();
            let first = line.waiters.first_key_value();
            first.is_some_and(|(_, first)| first.worker != worker)
        };
        self.waiting() > 0 && is_elsewhere()
    }

    /// Wakes all queued requests of this worker.
    pub fn wake_all_of(&self, worker: usize) {
        let line = self.lock_queue();
        let ours = line
            .waiters
            .values()
            .filter(|waiter| waiter.worker == worker);
        ours.for_each(|waiter| waiter.woken.notify_one());
    }

    /// Grants free permits from the front of the queue.
    fn grant(&self, line: &mut Queue) {
        while let Some(first) = line.waiters.first_entry() {
            let limit = first.get().limit.load(Ordering::Relaxed);
            let moved = |counts| (held(counts) < limit).then(|| counts - ONE_WAITING + 1);
            if !update(&self.counts, moved) {
                return;
            }
            let waiter = first.remove();
            waiter.is_granted.store(true, Ordering::Release);
            waiter.woken.notify_one();
        }
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        // Safe to ignore poisoning: no step under the lock can panic halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Permit ===

impl Permit {
    /// True if the permit belongs to this limit.
    pub fn is_of(&self, limit: &Arc<ConcurrencyLimit>) -> bool {
        Arc::ptr_eq(&self.0, limit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.counts.fetch_sub(1, Ordering::AcqRel);
        if waiting(before) > 0 {
            self.0.grant(&mut self.0.lock_queue());
        }
    }
}

// === impl QueueSlot ===

impl QueueSlot {
    /// True if it is queued for this limit.
    pub fn is_for(&self, limit: &Arc<ConcurrencyLimit>) -> bool {
        Arc::ptr_eq(&self.limit, limit)
    }

    /// Returns once a permit was granted. Cancel-safe.
    pub async fn granted(&self) {
        while !self.waiter.is_granted.load(Ordering::Acquire) {
            self.waiter.woken.notified().await;
        }
    }

    /// Returns once a permit was granted or [`ConcurrencyLimit::wake_first_of`] woke this request. Cancel-safe.
    pub async fn woken(&self) {
        if !self.waiter.is_granted.load(Ordering::Acquire) {
            self.waiter.woken.notified().await;
        }
    }

    /// Takes the granted permit; the limit may have changed.
    ///
    /// # Errors
    /// Returns itself if no permit is free yet.
    pub fn place(mut self, limit: u32) -> Result<Permit, Self> {
        if !self.waiter.is_granted.load(Ordering::Acquire) {
            let mut line = self.limit.lock_queue();
            self.waiter.limit.store(limit, Ordering::Relaxed);
            self.limit.grant(&mut line);
            drop(line);
            if !self.waiter.is_granted.load(Ordering::Acquire) {
                return Err(self);
            }
        }
        self.is_taken = true;
        Ok(Permit(Arc::clone(&self.limit)))
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        let limit = Arc::clone(&self.limit);
        let mut line = limit.lock_queue();
        if line.waiters.remove(&self.number).is_none() {
            drop(line);
            // A permit was granted and never taken.
            drop(Permit(limit));
            return;
        }
        limit.counts.fetch_sub(ONE_WAITING, Ordering::AcqRel);
        limit.grant(&mut line);
        if let Some((_, first)) = line.waiters.first_key_value() {
            first.woken.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_granted(waiting: &QueueSlot) -> bool {
        waiting.granted().now_or_never().is_some()
    }

    #[test]
    fn places_and_seats_are_bounded_and_come_back() {
        let limit = Arc::new(ConcurrencyLimit::default());
        let held = limit.acquire(1).unwrap();
        assert!(limit.acquire(1).is_none());
        let waiting = limit.queue(1, 1, 0).unwrap();
        assert!(limit.queue(1, 1, 0).is_none());
        assert_eq!((limit.held(), limit.waiting()), (1, 1));
        drop((waiting, held));
        assert_eq!((limit.held(), limit.waiting()), (0, 0));
        assert!(limit.acquire(1).is_some());
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let limit = Arc::new(ConcurrencyLimit::default());
        let held = limit.acquire(1).unwrap();
        let (first, second) = (limit.queue(1, 9, 0).unwrap(), limit.queue(1, 9, 1).unwrap());
        drop(held);
        assert!(limit.acquire(1).is_none(), "a place is free for the first");
        assert!(is_granted(&first) && !is_granted(&second));
        let held = first.place(1).unwrap();
        assert!(limit.acquire(1).is_none());
        drop(held);
        let held = second.place(1).unwrap();
        assert_eq!((limit.held(), limit.waiting()), (1, 0));
        drop(held);
        assert!(limit.acquire(1).is_some());
    }

    #[test]
    fn a_place_that_nobody_came_for_is_passed_on() {
        let limit = Arc::new(ConcurrencyLimit::default());
        let held = limit.acquire(1).unwrap();
        let (first, second) = (limit.queue(1, 9, 0).unwrap(), limit.queue(1, 9, 0).unwrap());
        drop(held);
        drop(first);
        assert!(is_granted(&second));
        drop(second);
        assert_eq!((limit.held(), limit.waiting()), (0, 0));
    }

    #[test]
    fn a_limit_that_was_raised_lets_more_in_by_their_order() {
        let limit = Arc::new(ConcurrencyLimit::default());
        let _held = limit.acquire(1).unwrap();
        let waiters: Vec<_> = (0..3).map(|_| limit.queue(1, 9, 0).unwrap()).collect();
        let mut later = Vec::new();
        let mut waiters = waiters.into_iter();
        let first = waiters.next().unwrap();
        for waiter in waiters.rev() {
            later.push(waiter.place(3).expect_err("it waits for the first"));
        }
        let _place = first.place(3).unwrap();
        assert_eq!((limit.held(), limit.waiting()), (3, 1));
        assert!(is_granted(&later[1]) && !is_granted(&later[0]));
    }

    #[test]
    fn under_many_threads_no_place_is_lost() {
        let limit = Arc::new(ConcurrencyLimit::default());
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let limit = &limit;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = { runtime }.build().unwrap();
                    for turn in 0..2_000 {
                        let place = limit.acquire(2).or_else(|| {
                            let waiter = limit.queue(2, 9, worker)?;
                            if turn % 3 == 0 {
                                return None;
                            }
                            runtime.block_on(waiter.granted());
                            waiter.place(2).ok()
                        });
                        assert!(limit.held() <= 2);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!((limit.held(), limit.waiting()), (0, 0));
    }
}
