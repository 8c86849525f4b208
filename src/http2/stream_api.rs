//! Stream API for the handler of a stream: receive, set the expected length, reset and release.

use std::task::{Context, Poll};

use super::connection::Connection;
use super::connection_error::ConnectionError;
use super::frame::Code;
use super::head::Head;
use super::stream::{Inbound, Stream};
use super::streams::Key;
use crate::message::Reason;

/// Next part of a body.
#[derive(Debug)]
pub enum BodyEvent {
    /// Data, and if nothing follows it.
    Data {
        /// `END_STREAM` was set.
        last: bool,
    },
    /// The end, with trailers if present.
    End(Option<Head>),
}

/// The stream has ended or was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// Error code, if one was given.
    pub code: Code,
    /// Not processed by the peer: the request may be sent again.
    pub is_unprocessed: bool,
    /// Reset by us, because the peer's message is malformed.
    pub invalid: Option<Reason>,
}

pub(super) const CANCELLED: StreamError = StreamError {
    code: Code::CANCEL,
    is_unprocessed: false,
    invalid: None,
};

/// Not processed by the peer.
pub(super) const UNPROCESSED: StreamError = StreamError {
    code: Code::REFUSED_STREAM,
    is_unprocessed: true,
    invalid: None,
};

pub(super) fn gone(stream: &Stream) -> StreamError {
    match stream.inbound {
        Inbound::Broken(code) => StreamError { code, ..CANCELLED },
        Inbound::Invalid(why) => StreamError {
            code: Code::PROTOCOL_ERROR,
            invalid: Some(why),
            ..CANCELLED
        },
        Inbound::Unprocessed => UNPROCESSED,
        Inbound::Open | Inbound::Ended | Inbound::Lost => CANCELLED,
    }
}

// === impl Connection ===

impl Connection {
    /// Polls the next head of a response.
    pub fn poll_head(&mut self, key: Key, cx: &Context<'_>) -> Poll<Result<Head, StreamError>> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Poll::Ready(Err(CANCELLED));
        };
        if let Some(head) = stream.heads.pop_front() {
            return Poll::Ready(Ok(head));
        }
        if stream.inbound != Inbound::Open {
            return Poll::Ready(Err(gone(stream)));
        }
        stream.register_waker(cx);
        Poll::Pending
    }

    /// Polls the next part of a body. Data is put into `into`, which is empty;
    /// [`Connection::release_capacity`] marks it as read.
    ///
    /// # Errors
    /// If the stream has ended and everything received before was taken.
    pub fn poll_take(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<Result<BodyEvent, StreamError>> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Poll::Ready(Err(CANCELLED));
        };
        // Data received before a reset is delivered, so that the reader gets it and sees where the body is cut.
        if !stream.data.is_empty() {
            std::mem::swap(&mut stream.data, into);
            stream.unacked += into.len();
            let last = stream.inbound == Inbound::Ended && stream.trailers.is_none();
            return Poll::Ready(Ok(BodyEvent::Data { last }));
        }
        if stream.is_inbound_broken() {
            return Poll::Ready(Err(gone(stream)));
        }
        if stream.inbound == Inbound::Ended {
            return Poll::Ready(Ok(BodyEvent::End(stream.trailers.take())));
        }
        stream.register_waker(cx);
        Poll::Pending
    }

    /// True if [`Connection::poll_take`] has a result.
    pub fn has_more(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        stream.is_none_or(|stream| stream.inbound != Inbound::Open || !stream.data.is_empty())
    }

    /// Ready once the peer has reset the stream or the connection has ended.
    pub fn poll_broken(&mut self, key: Key, cx: &Context<'_>) -> Poll<()> {
        match self.streams.get_mut(key) {
            Some(stream) if !stream.is_broken() => {
                stream.register_waker(cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// True if the connection ended without a statement of the peer about the stream: no
    /// refusal, and no part of a head.
    pub fn is_lost(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        let is_lost = stream.is_some_and(|stream| stream.inbound == Inbound::Lost);
        is_lost && self.receiving.block.is_none()
    }

    /// Sets the length of the body; the stream is reset if it does not match. False if the received data already
    /// violates it: then none of it may be used.
    #[must_use]
    pub fn expect(&mut self, key: Key, length: u64) -> bool {
        let stream = self.streams.get_mut(key);
        stream.is_none_or(|stream| stream.expect(length))
    }

    /// Resets a stream, unless it has ended.
    pub fn reset(&mut self, key: Key, code: Code) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if !stream.is_closed() && self.broken().is_none() {
            let refused = self.reset_counted(stream.id, code);
            self.end(refused);
        }
    }

    /// Releases a stream. One that has not ended is reset with this code.
    pub fn release(&mut self, key: Key, code: Code) {
        self.reset(key, code);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.is_held = false;
            // On a broken connection no stream ends by itself.
            stream.end_by_peer(Inbound::Broken(code));
            self.reap(key);
        }
        self.wake_next_sender();
        if self.is_idle() {
            self.notify();
        }
    }

    fn end(&mut self, result: Result<(), ConnectionError>) {
        if let Err(broken) = result {
            self.close(broken.code);
        }
    }
}

#[cfg(test)]
mod tests;
