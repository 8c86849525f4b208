//! Coarse deadlines: one list per worker, scanned when the nearest one is due.
//!
//! Arming stores a number; nothing is allocated per request and no timer of the runtime is touched.
//! The scan walks one contiguous list of `u32`, a few microseconds for ten thousand connections, and its task sleeps
//! until the nearest deadline. A deadline fires up to two ticks late, never early.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const TICK_MS: u64 = 100;
const TICK: Duration = Duration::from_millis(TICK_MS);
const TICK_NANOS: u64 = TICK_MS * 1_000_000;
/// Value of an unarmed slot.
const UNARMED: u32 = u32::MAX;
/// No slot allocated yet.
const NO_SLOT: u32 = u32::MAX;

/// Time on the clock of one worker, in nanoseconds since its timers began: comparing two is one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

/// Deadlines of one worker.
pub struct Timers {
    epoch: Instant,
    /// Time of the last clock read.
    read: Cell<Tick>,
    /// Tick of the last scan; deadlines at or before it have expired.
    now: Cell<u32>,
    /// Tick of the next scan.
    next: Cell<u32>,
    slots: RefCell<Slots>,
    earlier: Notify,
}

#[derive(Default)]
struct Slots {
    due: Vec<u32>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

/// One deadline, unarmed at first. A drop frees its slot.
pub struct Deadline {
    slot: u32,
    timers: Rc<Timers>,
}

/// Time limit that is rarely waited for: a deadline that allocates its slot when it is first armed.
pub struct LazyDeadline<'t> {
    slot: Cell<u32>,
    millis: u32,
    timers: &'t Timers,
}

// === impl Tick ===

impl Tick {
    /// Time since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds since the timers began.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The tick so much later.
    #[must_use]
    pub const fn later(self, by: Duration) -> Self {
        Self(self.after(by))
    }

    const fn after(self, after: Duration) -> u64 {
        let seconds = after.as_secs().saturating_mul(1_000_000_000);
        self.0
            .saturating_add(seconds)
            .saturating_add(after.subsec_nanos() as u64)
    }
}

// === impl Timers ===

impl Timers {
    /// Creates timers without deadlines. [`Timers::run`] must be running for them to fire.
    #[must_use]
    pub fn new() -> Rc<Self> {
        let epoch = Instant::now();
        Rc::new(Self {
            epoch,
            read: Cell::new(Tick(0)),
            now: Cell::new(0),
            next: Cell::new(UNARMED),
            slots: RefCell::default(),
            earlier: Notify::new(),
        })
    }

    /// Creates an unarmed deadline.
    ///
    /// # Panics
    /// With four billion deadlines.
    #[must_use]
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        Deadline {
            slot: self.take_slot(),
            timers: Rc::clone(self),
        }
    }

    /// Creates a limit of `span`, in whole milliseconds up to 49 days, without a slot.
    #[must_use]
    pub fn limit(&self, span: Duration) -> LazyDeadline<'_> {
        LazyDeadline {
            slot: Cell::new(NO_SLOT),
            millis: u32::try_from(span.as_millis()).unwrap_or(u32::MAX),
            timers: self,
        }
    }

    /// Start of this clock.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.epoch
    }

    /// Fires due deadlines forever; sleeps while none is armed.
    pub async fn run(&self) {
        loop {
            self.fire(tick(self.now().0));
            if self.next.get() == UNARMED {
                self.earlier.notified().await;
                continue;
            }
            let wake_at = self.epoch + TICK * self.next.get();
            tokio::select! {
                () = sleep_until(wake_at) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Wakes every task that waits for a deadline, so that it checks its other conditions again.
    pub fn wake_all(&self) {
        for waker in self
            .slots
            .borrow_mut()
            .wakers
            .iter_mut()
            .filter_map(Option::take)
        {
            waker.wake();
        }
    }

    /// Reads the clock.
    pub fn now(&self) -> Tick {
        let now = self.at(Instant::now());
        self.read.set(now);
        now
    }

    fn at(&self, instant: Instant) -> Tick {
        let since = instant.saturating_duration_since(self.epoch);
        Tick(Tick(0).after(since))
    }

    /// Time of the last clock read: precise enough right after one.
    pub fn recent(&self) -> Tick {
        self.read.get()
    }

    fn take_slot(&self) -> u32 {
        let mut slots = self.slots.borrow_mut();
        slots.free.pop().unwrap_or_else(|| {
            slots.due.push(UNARMED);
            slots.wakers.push(None);
            u32::try_from(slots.due.len() - 1).expect("fewer than 4 billion deadlines")
        })
    }

    fn free_slot(&self, slot: u32) {
        let mut slots = self.slots.borrow_mut();
        slots.due[slot as usize] = UNARMED;
        slots.wakers[slot as usize] = None;
        slots.free.push(slot);
    }

    fn fire(&self, now: u32) {
        self.now.set(now);
        let mut slots = self.slots.borrow_mut();
        let Slots { due, wakers, .. } = &mut *slots;
        let mut next = UNARMED;
        for (slot, &due) in due.iter().enumerate() {
            if due > now {
                next = next.min(due);
            } else if let Some(waker) = wakers[slot].take() {
                waker.wake();
            }
        }
        self.next.set(next);
    }

    fn arm(&self, slot: u32, from: Tick, after: Duration) {
        // One extra tick: `from` may lie at the end of its tick, and a deadline never fires early.
        let due = (tick(from.after(after)) + 1).min(UNARMED - 1);
        self.slots.borrow_mut().due[slot as usize] = due;
        if due < self.next.get() {
            self.next.set(due);
            self.earlier.notify_one();
        }
    }

    fn poll(&self, slot: u32, cx: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.slots.borrow_mut();
        if slots.due[slot as usize] <= self.now.get() {
            return Poll::Ready(());
        }
        let waker = &mut slots.wakers[slot as usize];
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

fn tick(nanos: u64) -> u32 {
    u32::try_from(nanos / TICK_NANOS)
        .unwrap_or(UNARMED - 2)
        .min(UNARMED - 2)
}

// === impl Deadline ===

impl Deadline {
    /// Arms it for `after` from `now`; replaces an earlier arming.
    pub fn set(&self, now: Instant, after: Duration) {
        self.set_from(self.timers.at(now), after);
    }

    /// Arms it for `after`, counted from `from`.
    pub fn set_from(&self, from: Tick, after: Duration) {
        self.timers.arm(self.slot, from, after);
    }

    /// Arms it for `after` from now.
    pub fn set_from_now(&self, after: Duration) {
        self.set_from(self.timers.now(), after);
    }

    /// Disarms it.
    pub fn clear(&self) {
        self.timers.slots.borrow_mut().due[self.slot as usize] = UNARMED;
    }

    /// True if it was armed and has expired.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.timers.slots.borrow().due[self.slot as usize] <= self.timers.now.get()
    }

    /// Ready once it has expired; wakes the task when that happens.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.timers.poll(self.slot, cx)
    }

    /// Returns once it has expired. Cancellation safe.
    pub async fn expired(&self) {
        poll_fn(|cx| self.poll_expired(cx)).await;
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.timers.free_slot(self.slot);
    }
}

// === impl LazyDeadline ===

impl LazyDeadline<'_> {
    /// Arms it from now.
    pub fn start(&self) {
        if self.slot.get() == NO_SLOT {
            self.slot.set(self.timers.take_slot());
        }
        let span = Duration::from_millis(self.millis.into());
        self.timers.arm(self.slot.get(), self.timers.now(), span);
    }

    /// The timers that it belongs to.
    pub const fn timers(&self) -> &Timers {
        self.timers
    }

    /// Ready once it has expired; wakes the task when that happens. One that was never armed never expires.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.slot.get() {
            NO_SLOT => Poll::Pending,
            slot => self.timers.poll(slot, cx),
        }
    }
}

impl Drop for LazyDeadline<'_> {
    fn drop(&mut self) {
        if self.slot.get() != NO_SLOT {
            self.timers.free_slot(self.slot.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(deadline: &Deadline) -> bool {
        deadline
            .poll_expired(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn a_deadline_fires_in_its_tick_and_not_before() {
        let timers = Timers::new();
        let deadline = timers.deadline();
        deadline.set(timers.epoch, Duration::from_secs(1));
        timers.fire(10);
        assert!(!expired(&deadline));
        timers.fire(11);
        assert!(expired(&deadline));
    }

    #[test]
    fn rearming_and_clearing_replace_what_was_there() {
        let timers = Timers::new();
        let deadline = timers.deadline();
        deadline.set(timers.epoch, Duration::from_secs(1));
        deadline.set(timers.epoch, Duration::from_secs(5));
        timers.fire(20);
        assert!(!deadline.is_expired());
        deadline.clear();
        timers.fire(1_000);
        assert!(!expired(&deadline));
    }

    #[test]
    fn a_slot_is_used_again_and_starts_unarmed() {
        let timers = Timers::new();
        let first = timers.deadline();
        first.set(timers.epoch, Duration::ZERO);
        drop(first);
        let second = timers.deadline();
        timers.fire(100);
        assert!(!expired(&second));
        assert_eq!(timers.slots.borrow().due.len(), 1);
    }

    #[test]
    fn the_next_scan_is_the_nearest_deadline() {
        let timers = Timers::new();
        let (near, far) = (timers.deadline(), timers.deadline());
        far.set(timers.epoch, Duration::from_secs(60));
        assert_eq!(timers.next.get(), 601);
        near.set(timers.epoch, Duration::from_secs(3));
        assert_eq!(timers.next.get(), 31);
        timers.fire(31);
        assert_eq!(timers.next.get(), 601);
        drop(far);
        timers.fire(32);
        assert_eq!(timers.next.get(), UNARMED);
    }

    #[test]
    fn a_limit_has_a_slot_only_once_it_was_armed() {
        let timers = Timers::new();
        let limit = timers.limit(Duration::from_secs(1));
        let mut cx = Context::from_waker(Waker::noop());
        timers.fire(1_000);
        assert!(limit.poll_expired(&mut cx).is_pending());
        assert!(timers.slots.borrow().due.is_empty());
        limit.start();
        timers.fire(5);
        assert!(limit.poll_expired(&mut cx).is_pending());
        timers.fire(1_000);
        assert!(limit.poll_expired(&mut cx).is_ready());
        drop(limit);
        assert_eq!(timers.slots.borrow().free.len(), 1);
    }

    #[test]
    fn no_span_is_too_long() {
        let timers = Timers::new();
        let deadline = timers.deadline();
        deadline.set_from_now(Duration::MAX);
        timers.fire(UNARMED - 2);
        assert!(!expired(&deadline));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_waiting_task_is_woken() {
        let timers = Timers::new();
        let deadline = timers.deadline();
        deadline.set_from_now(Duration::from_millis(1));
        tokio::select! {
            () = timers.run() => unreachable!("the scan never ends"),
            () = deadline.expired() => {}
        }
    }
}
