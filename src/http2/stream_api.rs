//! What whoever has a stream in hand can do with it: take what arrived, say what it expects, and let it go.

use std::task::{Context, Poll};

use super::connection::{Connection, ConnectionError};
use super::frame::Code;
use super::head::Head;
use super::stream::{Inbound, Stream};
use super::streams::Key;
use crate::message::Reason;

/// What a stream has for its reader.
#[derive(Debug)]
pub enum BodyEvent {
    /// Data; nothing follows it if it is the last.
    Data {
        /// Nothing follows.
        last: bool,
    },
    /// The end, with trailers if there are any.
    End(Option<Head>),
}

/// The stream is over, or was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// Why, as far as somebody has said so.
    pub code: Code,
    /// The peer did not look at it: it may be asked again.
    pub is_unprocessed: bool,
    /// We broke it off, because what the peer sent is no message.
    pub invalid: Option<Reason>,
}

pub(super) const CANCELLED: StreamError = StreamError {
    code: Code::CANCEL,
    is_unprocessed: false,
    invalid: None,
};

/// The peer did not look at it.
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
    /// The next head of an answer.
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

    /// Takes what there is of a body. Data is put into `into`, which is empty; [`Connection::release_capacity`] says when it was read.
    ///
    /// # Errors
    /// When the stream is gone, and what had come before was taken.
    pub fn poll_take(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<Result<BodyEvent, StreamError>> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Poll::Ready(Err(CANCELLED));
        };
        // What came before a break is passed on, so that the reader has what there was and sees where it breaks.
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

    /// Whether [`Connection::poll_take`] has something.
    pub fn has_more(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        stream.is_none_or(|stream| stream.inbound != Inbound::Open || !stream.data.is_empty())
    }

    /// Ready once the peer has broken the stream off, or is gone.
    pub fn poll_broken(&mut self, key: Key, cx: &Context<'_>) -> Poll<()> {
        match self.streams.get_mut(key) {
            Some(stream) if !stream.is_broken() => {
                stream.register_waker(cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Whether the connection ended, and the peer has said nothing about the stream: neither that it looked at it, nor a
    /// part of a head.
    pub fn is_lost(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        let is_lost = stream.is_some_and(|stream| stream.inbound == Inbound::Lost);
        is_lost && self.receiving.block.is_none()
    }

    /// The body that comes shall have this length; if it turns out not to, the stream is broken off. False if what has
    /// come already says so: nothing of it may be used then.
    #[must_use]
    pub fn expect(&mut self, key: Key, length: u64) -> bool {
        let stream = self.streams.get_mut(key);
        stream.is_none_or(|stream| stream.expect(length))
    }

    /// Breaks a stream off, unless it is over.
    pub fn reset(&mut self, key: Key, code: Code) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if !stream.is_closed() && self.broken().is_none() {
            let refused = self.reset_counted(stream.id, code);
            self.end(refused);
        }
    }

    /// Lets a stream go. One that is not over is broken off with this code.
    pub fn release(&mut self, key: Key, code: Code) {
        self.reset(key, code);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.is_held = false;
            // On a broken connection nothing ends by itself any more.
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
