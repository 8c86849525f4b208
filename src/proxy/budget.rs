//! The budget of one turn: a body that always has more to move lets other connections have their turn after so much.
//!
//! Without it a fast download would be read and written until one side has to wait, and everything else on its worker
//! would wait meanwhile.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::yield_now;

use super::fair_queue::{FairQueue, FairQueueEntry};

/// Bytes that one direction moves in a turn.
const BYTES: u32 = 64 * 1024;

/// Counted for each piece beside its bytes, since it costs system calls as well.
const PIECE: usize = 1024;

/// A body that moves a turn's bytes within this many milliseconds, once it has begun to, is greedy.
const GREEDY_MS: u32 = 100;

/// What was moved of one turn.
#[derive(Debug, Default)]
pub(super) struct Spent(u32);

/// What one body has moved, and how fast.
pub(super) struct Budget<'t> {
    turns: &'t FairQueue,
    place: Option<FairQueueEntry>,
    spent: Spent,
    /// When the last turn was over, in milliseconds of the worker's clock.
    turned_ms: Option<u32>,
    is_greedy: bool,
    /// It is greedy, and its turn is not over.
    has_turn: bool,
}

// === impl Spent ===

impl Spent {
    /// Counts a piece of so many bytes; true if that was the last of this turn, and the next one begins.
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
    /// A body that has moved nothing yet.
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

    /// Whether what comes next has to be asked for by [`Budget::poll_next`]; all other bodies are spared it.
    pub(super) fn is_greedy(&self) -> bool {
        self.is_greedy
    }

    /// Asks for what the body brings next; a greedy one gets it only when it is its turn.
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
        // Whoever has to wait has moved what there was: it is not to come back between two looks at the sockets.
        self.has_turn &= polled.is_ready();
        polled
    }

    /// Counts a piece, and lets everything else have its turn if it was the last of this one.
    pub(super) async fn pay(&mut self, bytes: usize) {
        self.turns.moved(bytes + PIECE);
        if self.spent.spend(bytes) {
            self.reassess(self.turns.now_ms());
            if !self.is_greedy {
                yield_now().await;
            }
        }
    }

    /// A turn is over.
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

/// Has the task polled again after everything that is ready by then, sockets included. A wake would bring it back before
/// the sockets are looked at.
pub(super) fn poll_again(cx: &mut Context<'_>) {
    // The first poll hands the waker over to the runtime, and that is all that is needed.
    let _ = pin!(yield_now()).poll(cx);
}

#[cfg(test)]
mod tests {
    use std::future::ready;
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
