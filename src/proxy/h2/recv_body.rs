//! Receiving half of a stream, on either side: data in the frames that arrived, then optional trailers.
//!
//! The peer's window is extended only when a frame was passed on. So a slow reader on one side slows the writer on the
//! other, and the buffered data of a stream stays within its window.

use std::task::{Context, Poll, ready};

use super::stream_handle::StreamHandle;
use crate::http2::{BodyEvent, Head, StreamError};
use crate::proxy::io::{BodyFrame, TrailerFields};

/// Body received from a peer.
#[derive(Default)]
pub(super) struct RecvBody {
    /// Data of the last frame, until the next one is polled for.
    current: Vec<u8>,
    trailers: Option<Head>,
    is_over: bool,
}

// === impl RecvBody ===

impl RecvBody {
    /// True if a frame is available.
    pub(super) fn is_ready(&self, handle: &StreamHandle) -> bool {
        self.is_over || handle.engine().has_more(handle.key())
    }

    /// Ready once there is a frame, to be read with [`RecvBody::frame`]. Invalidates the previous one.
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

    /// The frame that [`RecvBody::poll_next`] found.
    pub(super) fn frame(&self) -> BodyFrame<'_> {
        BodyFrame {
            data: &self.current,
            last: self.is_over,
            trailers: self.trailers.as_ref().map(TrailerFields::from),
        }
    }

    /// The trailers, if they came with the last frame.
    pub(super) fn trailers(&self) -> Option<&Head> {
        self.trailers.as_ref()
    }

    /// Returns the window of the last frame to the peer.
    pub(super) fn release(&mut self, handle: &StreamHandle) {
        if !self.current.is_empty() {
            handle
                .engine()
                .release_capacity(handle.key(), self.current.len());
            // No buffer is held between two frames.
            self.current = Vec::new();
        }
    }
}
