//! The way into a stream, on either side: data in the pieces that arrived, then perhaps trailers.
//!
//! The peer's window is opened again only when a piece was passed on, so a slow reader on one side slows the writer on the
//! other, and what we hold of a stream stays within its window.

use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::RecvStream;

use super::head::FieldList;
use crate::proxy::seam::{Piece, TrailerFields};

/// A body on its way from a peer.
pub(super) struct Incoming {
    stream: RecvStream,
    /// What the last piece consists of, until the next one is asked for.
    current: Bytes,
    /// A piece that arrived while nobody waited for it.
    ahead: Option<Result<Arrived, h2::Error>>,
    trailers: Option<FieldList>,
    is_over: bool,
}

struct Arrived {
    data: Bytes,
    trailers: Option<FieldList>,
    last: bool,
}

// === impl Incoming ===

impl Incoming {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            current: Bytes::new(),
            ahead: None,
            trailers: None,
            is_over: false,
        }
    }

    /// Whether a piece is there already.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.ahead.is_none() {
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(arrived) = self.poll_arrived(&mut cx) {
                self.ahead = Some(arrived);
            }
        }
        self.ahead.is_some()
    }

    /// Ready once there is a piece, which [`Incoming::piece`] then hands out. The one before is done with.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.release();
        let arrived = match self.ahead.take() {
            Some(arrived) => arrived,
            None => ready!(self.poll_arrived(cx)),
        };
        let arrived = arrived?;
        self.current = arrived.data;
        self.trailers = arrived.trailers;
        self.is_over = arrived.last;
        Poll::Ready(Ok(()))
    }

    /// What [`Incoming::poll_next`] has found.
    pub(super) fn piece(&self) -> Piece<'_> {
        Piece {
            data: &self.current,
            last: self.is_over,
            trailers: self.trailers.as_ref().map(TrailerFields::Http2),
        }
    }

    /// The number of the stream.
    pub(super) fn stream(&self) -> u32 {
        self.stream.stream_id().as_u32()
    }

    /// The trailers, if they came with the last piece.
    pub(super) fn trailers(&self) -> Option<&FieldList> {
        self.trailers.as_ref()
    }

    /// Gives the window of the last piece back to the peer.
    pub(super) fn release(&mut self) {
        let held = std::mem::take(&mut self.current).len();
        if held > 0 {
            // An error means that the stream is gone, and its window with it.
            let _ = self.stream.flow_control().release_capacity(held);
        }
    }

    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrived, h2::Error>> {
        if self.is_over {
            return Poll::Ready(Ok(Arrived::end(None)));
        }
        loop {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() && !self.stream.is_end_stream() => {}
                Some(Ok(data)) => {
                    let last = self.stream.is_end_stream();
                    return Poll::Ready(Ok(Arrived {
                        data,
                        trailers: None,
                        last,
                    }));
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {
                    let trailers = ready!(self.stream.poll_trailers(cx))?;
                    return Poll::Ready(Ok(Arrived::end(trailers.map(FieldList::new))));
                }
            }
        }
    }
}

// === impl Arrived ===

impl Arrived {
    fn end(trailers: Option<FieldList>) -> Self {
        Self {
            data: Bytes::new(),
            trailers,
            last: true,
        }
    }
}
