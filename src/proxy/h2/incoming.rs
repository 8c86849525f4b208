//! The way into a stream, on either side: data in the pieces that arrived, then perhaps trailers.
//!
//! The peer's window is opened again only when a piece was passed on, so a slow reader on one side slows the writer on the
//! other, and what we hold of a stream stays within its window.

use std::task::{Context, Poll, ready};

use super::hold::Hold;
use crate::http2::{Gone, Head, Taken};
use crate::proxy::seam::{Piece, TrailerFields};

/// A body on its way from a peer.
#[derive(Default)]
pub(super) struct Incoming {
    /// What the last piece consists of, until the next one is asked for.
    current: Vec<u8>,
    trailers: Option<Head>,
    is_over: bool,
}

// === impl Incoming ===

impl Incoming {
    /// Whether a piece is there already.
    pub(super) fn is_ready(&self, hold: &Hold) -> bool {
        self.is_over || hold.engine().has_more(hold.key())
    }

    /// Ready once there is a piece, which [`Incoming::piece`] then hands out. The one before is done with.
    pub(super) fn poll_next(&mut self, hold: &Hold, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        self.release(hold);
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        let taken = hold.engine().poll_take(hold.key(), cx, &mut self.current);
        match ready!(taken)? {
            Taken::Data { last } => self.is_over = last,
            Taken::End(trailers) => {
                self.trailers = trailers;
                self.is_over = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What [`Incoming::poll_next`] has found.
    pub(super) fn piece(&self) -> Piece<'_> {
        Piece {
            data: &self.current,
            last: self.is_over,
            trailers: self.trailers.as_ref().map(TrailerFields::from),
        }
    }

    /// The trailers, if they came with the last piece.
    pub(super) fn trailers(&self) -> Option<&Head> {
        self.trailers.as_ref()
    }

    /// Gives the window of the last piece back to the peer.
    pub(super) fn release(&mut self, hold: &Hold) {
        if !self.current.is_empty() {
            hold.engine().taken(hold.key(), self.current.len());
            // Between two pieces nothing is held.
            self.current = Vec::new();
        }
    }
}
