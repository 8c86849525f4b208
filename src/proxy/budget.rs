//! Byte budget of a body: after this much data it yields to the other connections of its worker.
//!
//! Without it a fast download would be read and written until one side blocks, and every other connection of its worker
//! would wait meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::fair_queue::{FairQueue, FairQueueEntry};

/// Bytes that one direction moves before it yields.
const BYTES: u32 = 64 * 1024;

/// Bytes counted for each frame besides its data, since it costs system calls as well.
const PIECE: usize = 1024;

/// A body that spends its budget within this many milliseconds of the previous yield is greedy.
const GREEDY_MS: u32 = 100;

/// Bytes spent since the last yield.
#[derive(Debug, Default)]
pub(super) struct Spent(u32);

/// Progress of one body, and its speed.
pub(super) struct Budget<'t> {
    turns: &'t FairQueue,
    place: Option<FairQueueEntry>,
    spent: Spent,
    /// Time of the last yield, in milliseconds of the worker's clock.
    turned_ms: Option<u32>,
    is_greedy: bool,
    /// It is greedy and was admitted by the queue.
    has_turn: bool,
}

// === impl Spent ===

impl Spent {
    /// Counts a frame of so many bytes; true if the budget is spent, which starts a new one.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let frame = u32::try_from(bytes + PIECE).unwrap_or(u32::MAX);
        self.0 = self.0.saturating_add(frame);
        let is_spent = self.0 >= BYTES;
        if is_spent {
            self.0 = 0;
        }
        is_spent
    }
}

// === impl Budget ===

impl<'t> Budget<'t> {
    /// For a body that has moved nothing yet.
    pub(super) fn new(turns: &'t FairQueue) -> Self {
        Self {
            turns,
            place: None,
            spent: Spent::default(),
            turned_ms: None,
            is_greedy: false,
            has_turn: false,
        }
    }

    /// True if the next frame must be polled with [`Budget::poll_next`]; no other body needs it.
    pub(super) fn is_greedy(&self) -> bool {
        self.is_greedy
    }

    /// Polls for the next frame; a greedy body waits for admission first.
    pub(super) fn poll_next<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        next: Pin<&mut F>,
    ) -> Poll<F::Output> {
        if self.is_greedy && !self.has_turn {
            ready!(self.turns.poll_admit(cx, &mut self.place));
            self.has_turn = true;
        }
        let polled = next.poll(cx);
        // A body that has to wait has moved all it had: it must not run twice between two polls of the sockets.
        self.has_turn &= polled.is_ready();
        polled
    }

    /// Counts a frame; true if the body has to yield now. Not an `async fn`, which would cost every frame of a stream.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        self.turns.moved(bytes + PIECE);
        let is_spent = self.spent.spend(bytes);
        if is_spent {
            self.reassess(self.turns.now_ms());
        }
        is_spent && !self.is_greedy
    }

    /// Starts a new budget.
    fn reassess(&mut self, now_ms: u32) {
        let before = self.turned_ms.replace(now_ms);
        self.is_greedy = before.is_some_and(|before| now_ms.wrapping_sub(before) < GREEDY_MS);
        self.has_turn = false;
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        self.turns.leave(&mut self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_turn_ends_after_so_many_bytes_or_pieces() {
        let mut spent = Spent::default();
        let turn = BYTES as usize;
        assert!(spent.spend(turn));
        assert!(!spent.spend(turn / 2));
        assert!(spent.spend(turn / 2));
        let small = (0..1_000).take_while(|_| !spent.spend(1)).count();
        assert!((40..64).contains(&small), "{small} small pieces in a turn");
    }

    #[test]
    fn only_who_moves_much_in_little_time_waits_for_a_turn() {
        let turns = FairQueue::new();
        turns.moved(usize::MAX);
        let asks = |budget: &mut Budget<'_>| {
            let cx = &mut Context::from_waker(Waker::noop());
            budget.poll_next(cx, pin!(ready(()))).is_ready()
        };
        let mut budget = Budget::new(&turns);
        assert!(asks(&mut budget));
        budget.reassess(5);
        assert!(asks(&mut budget), "nobody knows yet how fast it is");
        budget.reassess(5 + GREEDY_MS);
        assert!(asks(&mut budget), "it is slow");
        budget.reassess(4 + 2 * GREEDY_MS);
        assert!(
            !asks(&mut budget),
            "it is fast, and all has been moved that may be"
        );
        assert!(asks(&mut budget), "after a look at the sockets");
        budget.reassess(4 + 3 * GREEDY_MS);
        turns.moved(usize::MAX);
        assert!(asks(&mut budget), "it is slow again");
    }
}
