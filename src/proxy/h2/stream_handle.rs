//! Handle of a stream, and its sending half.

use std::cell::{Cell, RefMut};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::connection_io::Http2Io;
use super::head::trailers;
use crate::http2::{Code, Connection, Key, StreamError};
use crate::net::Deadline;
use crate::proxy::io::BodyFrame;

/// Handle of a stream, released on drop.
pub(in crate::proxy) struct StreamHandle {
    io: Rc<Http2Io>,
    key: Key,
    /// State of our direction.
    sending: Cell<SendState>,
}

/// Reason for which a frame was not sent.
pub(super) enum Unsent {
    /// The stream is gone.
    Gone(StreamError),
    /// The peer accepts no trailers of that length. The stream was reset.
    TrailersTooLarge,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SendState {
    Open,
    /// A frame is being sent.
    Within,
    Over,
}

// === impl StreamHandle ===

impl StreamHandle {
    /// Takes ownership of a stream; `is_over` if its head ended our direction.
    pub(super) fn new(io: Rc<Http2Io>, key: Key, is_over: bool) -> Self {
        let sending = if is_over {
            SendState::Over
        } else {
            SendState::Open
        };
        Self {
            io,
            key,
            sending: Cell::new(sending),
        }
    }

    pub(in crate::proxy) fn engine(&self) -> RefMut<'_, Connection> {
        self.io.engine()
    }

    pub(in crate::proxy) fn key(&self) -> Key {
        self.key
    }

    /// True if our direction has ended.
    pub(super) fn is_over(&self) -> bool {
        self.sending.get() == SendState::Over
    }

    /// Ready once the peer has reset the stream or is gone.
    pub(in crate::proxy) fn poll_broken(&self, cx: &Context<'_>) -> Poll<()> {
        self.engine().poll_broken(self.key, cx)
    }

    /// True if the connection ended between two frames, without a reset of the stream.
    pub(super) fn is_lost(&self) -> bool {
        !self.io.is_within_frame() && self.engine().is_lost(self.key)
    }

    /// Resets the stream.
    pub(in crate::proxy) fn reset(&self, code: Code) {
        self.engine().reset(self.key, code);
    }

    /// Sends a head or trailers.
    pub(super) fn send_head(&self, block: &[u8], is_over: bool) -> Result<(), StreamError> {
        self.engine().send_head(self.key, block, is_over)?;
        if is_over {
            self.sending.set(SendState::Over);
        }
        Ok(())
    }

    /// Sends a frame of a body as fast as the peer takes it; `None` if it takes nothing for `timeout`.
    pub(super) async fn send(
        &self,
        frame: BodyFrame<'_>,
        (progress, patience): (&Deadline, Duration),
    ) -> Option<Result<(), Unsent>> {
        if self.is_over() {
            return Some(Ok(()));
        }
        let trailers = trailers(&frame);
        if let Some((_, list)) = &trailers
            && *list > self.engine().longest_list()
        {
            // The peer may close the connection of all other streams because of them.
            self.reset(Code::CANCEL);
            return Some(Err(Unsent::TrailersTooLarge));
        }
        let is_last = frame.last && trailers.is_none();
        let mut data = frame.data;
        if !data.is_empty() || is_last {
            self.sending.set(SendState::Within);
            let mut is_armed = false;
            let leaving = poll_fn(|cx| {
                let before = data.len();
                let polled = self.engine().poll_send(self.key, cx, &mut data, is_last);
                if let Poll::Ready(sent) = polled {
                    return Poll::Ready(Some(sent));
                }
                if !is_armed || data.len() < before {
                    is_armed = true;
                    progress.set_from_now(patience);
                }
                progress.poll_expired(cx).map(|()| None)
            });
            let sent = leaving.await?;
            if is_armed {
                progress.clear();
            }
            if let Err(gone) = sent {
                return Some(Err(Unsent::Gone(gone)));
            }
            self.sending.set(if is_last {
                SendState::Over
            } else {
                SendState::Open
            });
        }
        let sent = trailers.map_or(Ok(()), |(block, _)| self.send_head(&block, true));
        Some(sent.map_err(Unsent::Gone))
    }

    /// Writes data of a tunnel, which is advanced; ready once all of it was taken by the engine.
    pub(in crate::proxy) fn poll_write(
        &self,
        cx: &Context<'_>,
        data: &mut &[u8],
    ) -> Poll<Result<(), StreamError>> {
        self.engine().poll_send(self.key, cx, data, false)
    }

    /// Ends our direction.
    pub(in crate::proxy) fn finish(&self) {
        if self.is_over() {
            return;
        }
        let mut nothing: &[u8] = &[];
        let cx = Context::from_waker(Waker::noop());
        // An end without data needs no window; an error means that the stream is gone.
        let _ended = self.engine().poll_send(self.key, &cx, &mut nothing, true);
        self.sending.set(SendState::Over);
    }

    /// Sends as much of the data as there is room for now, unless a frame is being sent.
    pub(super) fn append(&self, mut data: &[u8]) {
        if self.sending.get() == SendState::Open {
            let cx = Context::from_waker(Waker::noop());
            // An error means that the stream is gone.
            let _ = self.engine().poll_send(self.key, &cx, &mut data, false);
        }
    }

    /// Ends our direction with these trailers, unless a frame is being sent.
    pub(super) fn end_with(&self, trailers: &[u8]) {
        if self.sending.get() == SendState::Open {
            // An error means that the stream is gone.
            let _ = self.send_head(trailers, true);
        }
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let code = if self.is_over() {
            Code::NO_ERROR
        } else {
            Code::CANCEL
        };
        self.io.engine().release(self.key, code);
    }
}
