//! The budget of one turn: a body that always has more to move lets other connections have their turn after so much.
//!
//! Without it a fast download would be read and written until one side has to wait, and everything else on its worker
//! would wait meanwhile.

use std::pin::pin;
use std::task::Context;

use tokio::task::yield_now;

/// Bytes that one direction moves in a turn.
const BYTES: usize = 64 * 1024;

/// Counted for each piece beside its bytes, since it costs system calls as well.
const PIECE: usize = 1024;

/// What one direction has moved in its turn.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: usize,
}

impl Budget {
    /// Counts a piece of so many bytes; true if that was the last of this turn, and the next one begins.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        self.spent += bytes + PIECE;
        let is_spent = self.spent >= BYTES;
        if is_spent {
            self.spent = 0;
        }
        is_spent
    }

    /// Counts a piece, and lets everything else have its turn if it was the last of this one.
    pub(super) async fn pay(&mut self, bytes: usize) {
        if self.spend(bytes) {
            yield_now().await;
        }
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
    use super::*;

    #[test]
    fn a_turn_ends_after_so_many_bytes_or_pieces() {
        let mut budget = Budget::default();
        assert!(budget.spend(BYTES));
        assert!(!budget.spend(BYTES / 2));
        assert!(budget.spend(BYTES / 2));
        let small = (0..1_000).take_while(|_| !budget.spend(1)).count();
        assert!((40..64).contains(&small), "{small} small pieces in a turn");
    }
}
