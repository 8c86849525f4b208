//! The way into a stream, on either side: data in the pieces that arrived, then perhaps trailers.
//!
//! The peer's window is opened again only when a piece was passed on, so a slow reader on one side slows the writer on the
//! other, and what we hold of a stream stays within its window.

use std::task::{Context, Poll, ready};

use super::stream_handle::StreamHandle;
use crate::http2::{BodyEvent, Head, StreamError};
use crate::proxy::io::{BodyFrame, TrailerFields};

/// A body on its way from a peer.
#[derive(Default)]
pub(super) struct RecvBody {
    /// What the last piece consists of, until the next one is asked for.
    current: Vec<u8>,
    trailers: Option<Head>,
    is_over: bool,
}

// === impl RecvBody ===

impl RecvBody {
    /// Whether a piece is there already.
    pub(super) fn is_ready(&self, handle: &StreamHandle) -> bool {
        self.is_over || handle.engine().has_more(handle.key())
    }

    /// Ready once there is a piece, which [`RecvBody::next_frame`] then hands out. The one before is done with.
    pub(super) fn poll_next(
        &mut self,
        handle: &StreamHandle,
        cx: &Context<'_>,
    ) -> Poll<Result<(), StreamError>> {
        self.release(handle);
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        let taken = handle
            .engine()
            .poll_take(handle.key(), cx, &mut self.current);
        match ready!(taken)? {
            BodyEvent::Data { last } => self.is_over = last,
            BodyEvent::End(trailers) => {
                self.trailers = trailers;
                self.is_over = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What [`RecvBody::poll_next`] has found.
    pub(super) fn frame(&self) -> BodyFrame<'_> {
        BodyFrame {
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
    pub(super) fn release(&mut self, handle: &StreamHandle) {
        if !self.current.is_empty() {
            handle
                .engine()
                .release_capacity(handle.key(), self.current.len());
            // Between two pieces nothing is held.
            self.current = Vec::new();
        }
    }
}
