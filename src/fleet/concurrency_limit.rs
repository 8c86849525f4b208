//! Places under a limit, and a bounded queue of those who wait for one: first come, first served, across workers.
//!
//! Who finds a place free and nobody waiting takes it with one atomic step. The lock is for those who wait, and for who
//! frees a place while somebody does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

const ONE_WAITING: u64 = 1 << 32;

/// The places of one roster or endpoint. They outlive every swap, so a limit holds while tables change.
#[derive(Debug, Default)]
pub struct ConcurrencyLimit {
    // Held in the lower half, waiting in the upper one: one value, so that nobody takes a place past those who wait.
    counts: AtomicU64,
    line: Mutex<Line>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub struct Permit(Arc<ConcurrencyLimit>);

/// A seat in the queue that is taken until this is dropped, which passes on what it was granted.
#[derive(Debug)]
pub struct QueueSlot {
    places: Arc<ConcurrencyLimit>,
    seat: Arc<Seat>,
    number: u64,
    is_taken: bool,
}

/// Those who wait, by the order in which they came.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    seats: BTreeMap<u64, Arc<Seat>>,
}

#[derive(Debug)]
struct Seat {
    worker: usize,
    limit: AtomicU32,
    // Set once, under the lock: the place is counted as held from then on.
    is_granted: AtomicBool,
    woken: Notify,
}

fn held(counts: u64) -> u32 {
    u32::try_from(counts % ONE_WAITING).unwrap_or(u32::MAX)
}

fn waiting(counts: u64) -> u32 {
    u32::try_from(counts / ONE_WAITING).unwrap_or(u32::MAX)
}

// === impl ConcurrencyLimit ===

impl ConcurrencyLimit {
    /// Takes a place, if fewer than `limit` are held and nobody waits for one.
    pub fn acquire(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        let more = |counts| (counts < u64::from(limit)).then(|| counts + 1);
        self.counts
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more)
            .is_ok()
            .then(|| Permit(Arc::clone(self)))
    }

    /// Takes a seat at the end of the queue, if fewer than `most` are taken, to get a place as soon as fewer than `limit`
    /// are held.
    pub fn queue(self: &Arc<Self>, limit: u32, most: u32, worker: usize) -> Option<QueueSlot> {
        let mut line = self.line();
        if self.waiting() >= most {
            return None;
        }
        self.counts.fetch_add(ONE_WAITING, Ordering::AcqRel);
        let seat = Arc::new(Seat {
            worker,
            limit: AtomicU32::new(limit),
            is_granted: AtomicBool::new(false),
            woken: Notify::new(),
        });
        let number = line.next;
        line.next += 1;
        line.seats.insert(number, Arc::clone(&seat));
        // One may have become free since the caller looked.
        self.grant(&mut line);
        drop(line);
        Some(QueueSlot {
            places: Arc::clone(self),
            seat,
            number,
            is_taken: false,
        })
    }

    /// How many are held.
    pub fn held(&self) -> u32 {
        held(self.counts.load(Ordering::Relaxed))
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        waiting(self.counts.load(Ordering::Relaxed))
    }

    /// Wakes the one who has waited longest, if it waits on this worker; says whether it does.
    pub fn wake_first_of(&self, worker: usize) -> bool {
        let line = self.line();
        let first = line.seats.first_key_value();
        let is_ours = first.is_some_and(|(_, first)| first.worker == worker);
        if is_ours && let Some((_, first)) = first {
            first.woken.notify_one();
        }
        is_ours
    }

    /// Whether somebody waits, and the one who has waited longest does so on another worker.
    pub fn is_first_elsewhere(&self, worker: usize) -> bool {
        let is_elsewhere = || {
            let line = self.line();
            let first = line.seats.first_key_value();
            first.is_some_and(|(_, first)| first.worker != worker)
        };
        self.waiting() > 0 && is_elsewhere()
    }

    /// Wakes all who wait on this worker.
    pub fn wake_all_of(&self, worker: usize) {
        let line = self.line();
        let ours = line.seats.values().filter(|seat| seat.worker == worker);
        ours.for_each(|seat| seat.woken.notify_one());
    }

    /// Gives free places to those at the front of the queue.
    fn grant(&self, line: &mut Line) {
        while let Some(first) = line.seats.first_entry() {
            let limit = first.get().limit.load(Ordering::Relaxed);
            let moved = |counts| (held(counts) < limit).then(|| counts - ONE_WAITING + 1);
            let counts = &self.counts;
            if counts
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, moved)
                .is_err()
            {
                return;
            }
            let seat = first.remove();
            seat.is_granted.store(true, Ordering::Release);
            seat.woken.notify_one();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Safe to ignore poisoning: no step under the lock can panic halfway.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Permit {
    /// Whether it is one of these.
    pub fn is_of(&self, places: &Arc<ConcurrencyLimit>) -> bool {
        Arc::ptr_eq(&self.0, places)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.counts.fetch_sub(1, Ordering::AcqRel);
        if waiting(before) > 0 {
            self.0.grant(&mut self.0.line());
        }
    }
}

// === impl QueueSlot ===

impl QueueSlot {
    /// Whether it waits for one of these.
    pub fn is_for(&self, places: &Arc<ConcurrencyLimit>) -> bool {
        Arc::ptr_eq(&self.places, places)
    }

    /// Returns once a place was granted. Cancelling it loses nothing.
    pub async fn granted(&self) {
        while !self.seat.is_granted.load(Ordering::Acquire) {
            self.seat.woken.notified().await;
        }
    }

    /// Returns once a place was granted or [`ConcurrencyLimit::wake_first_of`] meant this one. Cancelling it loses nothing.
    pub async fn woken(&self) {
        if !self.seat.is_granted.load(Ordering::Acquire) {
            self.seat.woken.notified().await;
        }
    }

    /// The place that was granted; the limit may be another one by now.
    ///
    /// # Errors
    /// The seat, as long as there is no place for it.
    pub fn place(mut self, limit: u32) -> Result<Permit, Self> {
        if !self.seat.is_granted.load(Ordering::Acquire) {
            let mut line = self.places.line();
            self.seat.limit.store(limit, Ordering::Relaxed);
            self.places.grant(&mut line);
            drop(line);
            if !self.seat.is_granted.load(Ordering::Acquire) {
                return Err(self);
            }
        }
        self.is_taken = true;
        Ok(Permit(Arc::clone(&self.places)))
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        let places = Arc::clone(&self.places);
        let mut line = places.line();
        if line.seats.remove(&self.number).is_none() {
            drop(line);
            // It was granted a place that nobody came for.
            drop(Permit(places));
            return;
        }
        places.counts.fetch_sub(ONE_WAITING, Ordering::AcqRel);
        places.grant(&mut line);
        if let Some((_, first)) = line.seats.first_key_value() {
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
        let places = Arc::new(ConcurrencyLimit::default());
        let held = places.acquire(1).unwrap();
        assert!(places.acquire(1).is_none());
        let waiting = places.queue(1, 1, 0).unwrap();
        assert!(places.queue(1, 1, 0).is_none());
        assert_eq!((places.held(), places.waiting()), (1, 1));
        drop((waiting, held));
        assert_eq!((places.held(), places.waiting()), (0, 0));
        assert!(places.acquire(1).is_some());
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let places = Arc::new(ConcurrencyLimit::default());
        let held = places.acquire(1).unwrap();
        let (first, second) = (
            places.queue(1, 9, 0).unwrap(),
            places.queue(1, 9, 1).unwrap(),
        );
        drop(held);
        assert!(places.acquire(1).is_none(), "a place is free for the first");
        assert!(is_granted(&first) && !is_granted(&second));
        let held = first.place(1).unwrap();
        assert!(places.acquire(1).is_none());
        drop(held);
        let held = second.place(1).unwrap();
        assert_eq!((places.held(), places.waiting()), (1, 0));
        drop(held);
        assert!(places.acquire(1).is_some());
    }

    #[test]
    fn a_place_that_nobody_came_for_is_passed_on() {
        let places = Arc::new(ConcurrencyLimit::default());
        let held = places.acquire(1).unwrap();
        let (first, second) = (
            places.queue(1, 9, 0).unwrap(),
            places.queue(1, 9, 0).unwrap(),
        );
        drop(held);
        drop(first);
        assert!(is_granted(&second));
        drop(second);
        assert_eq!((places.held(), places.waiting()), (0, 0));
    }

    #[test]
    fn a_limit_that_was_raised_lets_more_in_by_their_order() {
        let places = Arc::new(ConcurrencyLimit::default());
        let _held = places.acquire(1).unwrap();
        let seats: Vec<_> = (0..3).map(|_| places.queue(1, 9, 0).unwrap()).collect();
        let mut later = Vec::new();
        let mut seats = seats.into_iter();
        let first = seats.next().unwrap();
        for seat in seats.rev() {
            later.push(seat.place(3).expect_err("it waits for the first"));
        }
        let _place = first.place(3).unwrap();
        assert_eq!((places.held(), places.waiting()), (3, 1));
        assert!(is_granted(&later[1]) && !is_granted(&later[0]));
    }

    #[test]
    fn under_many_threads_no_place_is_lost() {
        let places = Arc::new(ConcurrencyLimit::default());
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let places = &places;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = { runtime }.build().unwrap();
                    for turn in 0..2_000 {
                        let place = places.acquire(2).or_else(|| {
                            let seat = places.queue(2, 9, worker)?;
                            if turn % 3 == 0 {
                                return None;
                            }
                            runtime.block_on(seat.granted());
                            seat.place(2).ok()
                        });
                        assert!(places.held() <= 2);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!((places.held(), places.waiting()), (0, 0));
    }
}
