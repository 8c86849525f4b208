//! FIFO queue of the greedy bodies of a worker: they wait for one another, and small requests never wait for them.
//!
//! A worker polls its sockets after it has polled every ready task. If every large body moved between two such polls, a
//! small request would wait for all of them, twice: for its head to be read, and for its response. So greedy bodies
//! share one allowance of bytes, which each poll of the sockets renews, and queue for it, first come, first served.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::poll_again::poll_again;

/// Bytes that greedy bodies move between two polls of the sockets. Less costs more system calls, more delays others.
const ALLOWANCE: usize = 128 * 1024;

/// Queue of one worker.
pub(super) struct FairQueue {
    /// Bytes moved since the last known poll of the sockets.
    moved: Cell<usize>,
    queue: RefCell<VecDeque<Waiting>>,
    last: Cell<u32>,
    /// The first in the queue is polled again after the next poll of the sockets.
    is_looking: Cell<bool>,
    began: Instant,
}

struct Waiting {
    place: FairQueueEntry,
    waker: Waker,
}

/// Position in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FairQueueEntry(u32);

// === impl FairQueue ===

impl FairQueue {
    /// Creates an empty queue.
    pub(super) fn new() -> Self {
        Self {
            moved: Cell::new(0),
            queue: RefCell::default(),
            last: Cell::new(0),
            is_looking: Cell::new(false),
            began: Instant::now(),
        }
    }

    /// Milliseconds since creation; wraps after seven weeks.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only differences are looked at"
    )]
    pub(super) fn now_ms(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    /// Counts bytes that a body has moved.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved.set(self.moved.get().saturating_add(bytes));
    }

    /// Ready when the body may move data; `place` is its entry in the queue, if it has one.
    pub(super) fn poll_admit(
        &self,
        cx: &mut Context<'_>,
        place: &mut Option<FairQueueEntry>,
    ) -> Poll<()> {
        if self.is_next(*place) {
            if self.is_looking.take() {
                self.moved.set(0);
            }
            if self.moved.get() < ALLOWANCE {
                self.leave(place);
                return Poll::Ready(());
            }
        }
        let own = *place.get_or_insert_with(|| self.enter(cx.waker()));
        if self.is_next(Some(own)) {
            self.is_looking.set(true);
            poll_again(cx);
        }
        Poll::Pending
    }

    /// Removes an entry, used or not, and wakes the next one.
    pub(super) fn leave(&self, place: &mut Option<FairQueueEntry>) {
        let Some(place) = place.take() else { return };
        let mut queue = self.queue.borrow_mut();
        if queue.front().is_some_and(|first| first.place == place) {
            queue.pop_front();
            self.is_looking.set(false);
            if let Some(next) = queue.front() {
                next.waker.wake_by_ref();
            }
        } else {
            queue.retain(|waiting| waiting.place != place);
        }
    }

    /// True if no other entry is before this one.
    fn is_next(&self, place: Option<FairQueueEntry>) -> bool {
        self.queue.borrow().front().map(|first| first.place) == place
    }

    fn enter(&self, waker: &Waker) -> FairQueueEntry {
        let place = FairQueueEntry(self.last.get().wrapping_add(1));
        self.last.set(place.0);
        self.queue.borrow_mut().push_back(Waiting {
            place,
            waker: waker.clone(),
        });
        place
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Body {
        calls: Arc<Calls>,
        place: Option<FairQueueEntry>,
    }

    impl Body {
        fn poll(&mut self, turns: &FairQueue) -> bool {
            let waker = Arc::clone(&self.calls).into();
            turns
                .poll_admit(&mut Context::from_waker(&waker), &mut self.place)
                .is_ready()
        }

        /// Number of wakes since the last call. Outside a runtime, `poll_again` wakes at once.
        fn calls(&self) -> usize {
            self.calls.0.swap(0, Ordering::Relaxed)
        }
    }

    #[test]
    fn between_two_looks_no_more_is_moved_than_the_allowance() {
        let turns = FairQueue::new();
        let [mut first, mut second, mut third] = <[Body; 3]>::default();
        assert!(first.poll(&turns), "nobody has moved anything");
        turns.moved(ALLOWANCE);
        assert!(!first.poll(&turns));
        assert_eq!(
            first.calls(),
            1,
            "it is first, and polled again after a look"
        );
        assert!(!second.poll(&turns) && !third.poll(&turns));
        assert_eq!((second.calls(), third.calls()), (0, 0));
        assert!(
            !third.poll(&turns),
            "woken by something else, it keeps its place"
        );

        assert!(first.poll(&turns), "after the look");
        assert_eq!((second.calls(), third.calls()), (1, 0));
        turns.moved(ALLOWANCE - 1);
        assert!(second.poll(&turns), "the allowance is not spent");
        assert_eq!(third.calls(), 1);
        turns.moved(1);
        assert!(!third.poll(&turns));
        assert!(!first.poll(&turns), "it queues behind");
        assert_eq!((third.calls(), first.calls()), (1, 0));
        assert!(third.poll(&turns) && first.calls() == 1);
    }

    #[test]
    fn who_goes_away_holds_nobody_up() {
        let turns = FairQueue::new();
        let [mut first, mut second, mut third] = <[Body; 3]>::default();
        turns.moved(ALLOWANCE);
        assert!(!first.poll(&turns) && !second.poll(&turns) && !third.poll(&turns));
        turns.leave(&mut second.place);
        turns.leave(&mut first.place);
        assert_eq!(third.calls(), 1);
        assert!(
            !third.poll(&turns),
            "there was no look since it became the first"
        );
        assert!(third.poll(&turns));
        assert!(turns.queue.borrow().is_empty());
    }
}
