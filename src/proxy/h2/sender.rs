//! The way out of a stream, on either side: data goes as far as the peer's window and our own bound allow.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

/// A body on its way to a peer. Nothing is taken that cannot be sent on within the bound on what we hold of a stream.
pub(super) struct Outgoing {
    stream: SendStream<Bytes>,
    rest: Bytes,
    end: End,
}

/// What comes after a piece.
pub(super) enum Follows {
    /// Another piece.
    More,
    /// Nothing, but for the trailers.
    Nothing(Option<HeaderMap>),
}

enum End {
    /// `rest` is all that was taken so far.
    Before(Follows),
    /// The stream's end was handed over.
    Done,
}

// === impl Outgoing ===

impl Outgoing {
    /// Takes over the way out; `is_over` if the head was all there is.
    pub(super) fn new(stream: SendStream<Bytes>, is_over: bool) -> Self {
        Self {
            stream,
            rest: Bytes::new(),
            end: if is_over {
                End::Done
            } else {
                End::Before(Follows::More)
            },
        }
    }

    /// Takes a piece, to be sent by [`Outgoing::poll_send`] before the next one.
    pub(super) fn take(&mut self, data: &[u8], follows: Follows) {
        debug_assert!(self.rest.is_empty(), "the piece before has left");
        if !self.is_done() {
            self.rest = Bytes::copy_from_slice(data);
            self.end = End::Before(follows);
        }
    }

    /// Ready once the piece has left our hands.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.rest.is_empty() {
            let capacity = ready!(self.poll_capacity(cx))?;
            let data = self.rest.split_to(capacity.min(self.rest.len()));
            let is_last =
                self.rest.is_empty() && matches!(self.end, End::Before(Follows::Nothing(None)));
            self.stream.send_data(data, is_last)?;
            if is_last {
                self.end = End::Done;
            }
        }
        Poll::Ready(self.finish())
    }

    fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, h2::Error>> {
        self.stream.reserve_capacity(self.rest.len());
        // The library wakes only for what is new, so what is there already is asked for first.
        let available = self.stream.capacity();
        if available > 0 {
            return Poll::Ready(Ok(available));
        }
        match ready!(self.stream.poll_capacity(cx)) {
            Some(capacity) => Poll::Ready(capacity),
            // The peer has reset the stream, or it is over.
            None => Poll::Ready(Err(Reason::CANCEL.into())),
        }
    }

    fn finish(&mut self) -> Result<(), h2::Error> {
        match std::mem::replace(&mut self.end, End::Done) {
            End::Done => Ok(()),
            End::Before(Follows::Nothing(None)) => self.stream.send_data(Bytes::new(), true),
            End::Before(Follows::Nothing(Some(trailers))) => self.stream.send_trailers(trailers),
            End::Before(Follows::More) => {
                self.end = End::Before(Follows::More);
                Ok(())
            }
        }
    }

    /// Ends the stream with these trailers, unless a piece still waits for the peer's window.
    pub(super) fn end_with(&mut self, trailers: HeaderMap) {
        if self.rest.is_empty() && !self.is_done() {
            self.end = End::Before(Follows::Nothing(Some(trailers)));
            // An error means that the stream is gone.
            let _ = self.finish();
        }
    }

    /// Whether the stream's end was handed over.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.end, End::Done)
    }

    /// Ready when the peer has reset the stream, or the connection is gone.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(|_| ())
    }

    /// Breaks the stream off, so that what was sent of it cannot look whole.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }
}
