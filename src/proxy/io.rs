//! Traits between the request path and the two protocols: bodies, heads and responses of HTTP/1.1 and HTTP/2.
//!
//! Each trait has an implementation for HTTP/1.1 and one for HTTP/2; the code between them is written once.
//! Heads are read in synchronous calls. Bodies pass frame by frame, as slices of buffers that their reader owns, so
//! nothing is boxed, spawned or sent through a channel between two HTTP/1.1 connections.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::http1::{self, HeadWriter, Trailers};
use crate::http2;
use crate::message::{
    Field, RequestContextForResponse, RequestFraming, ResponseFraming, ValidatedRequest,
    ValidatedResponse, handshake, is_trailer_allowed,
};

use super::budget::Budget;
use super::error::{ClientError, ProxyError, UpstreamError};
use super::fair_queue::FairQueue;

/// The fields of a head of either protocol, in their order.
#[derive(Clone)]
pub(super) enum HeadFields<'h> {
    /// From an HTTP/1.1 head.
    Http1(http1::Fields<'h>),
    /// From an HTTP/2 head.
    Http2(http2::Fields<'h>),
}

/// View of a request head: never held across an await.
pub(super) struct RequestParts<'h> {
    /// The method as received; `GET` for a WebSocket handshake.
    pub(super) method: &'h [u8],
    /// The validated head.
    pub(super) facts: &'h ValidatedRequest<'h>,
    /// The fields of the head.
    pub(super) fields: HeadFields<'h>,
}

/// View of a response head: never held across an await.
pub(super) struct ResponseParts<'h> {
    /// The reason phrase; empty in HTTP/2.
    pub(super) reason: &'h [u8],
    /// The validated head.
    pub(super) facts: &'h ValidatedResponse<'h>,
    /// The fields of the head.
    pub(super) fields: HeadFields<'h>,
    /// Action for its `Sec-WebSocket-Accept`.
    pub(super) agreement: Agreement<'h>,
}

/// Action for the `Sec-WebSocket-Accept` of an upstream response.
#[derive(Clone, Copy)]
pub(super) enum Agreement<'h> {
    /// Forwarded, if there is one.
    Passes,
    /// Dropped; the client gets this value instead if it sent a key.
    Replaced(Option<&'h handshake::Accept>),
}

/// A request head that can be read again as long as nothing of it was sent.
pub(super) trait RequestHead {
    /// Calls `look` with a view of the head.
    fn look<R>(&self, look: impl FnOnce(&RequestParts<'_>) -> R) -> R;
}

/// Properties of a request that outlive its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestMeta {
    /// Framing of the body.
    pub(super) framing: RequestFraming,
    /// The client may wait for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// Properties of the request that decide how its response is parsed.
    pub(super) asked: RequestContextForResponse,
    /// Sending it twice has the effect of sending it once.
    pub(super) is_idempotent: bool,
    /// Errors of the proxy are sent as a gRPC status.
    pub(super) is_grpc: bool,
    /// Timeout for the whole request that the client asked for (`grpc-timeout`).
    pub(super) within: Option<Duration>,
}

/// Largest rest of an unwanted body that is read and discarded to keep the connection usable.
pub(super) const DRAINED: u64 = 64 * 1024;

impl RequestMeta {
    /// True if the rest of the body after the first `read` bytes is small enough to be read and discarded. A client
    /// that may wait for a 100 may never send the body: that is unknown until some of it has arrived.
    pub(super) fn is_nearly_read(&self, read: u64) -> bool {
        let left = match self.framing {
            RequestFraming::Length(length) => length.saturating_sub(read),
            _ => 0,
        };
        self.framing.is_empty() || left <= DRAINED && (!self.expects_continue || read > 0)
    }
}

/// Receives the fields of a head that is being written, in their order.
pub(super) trait FieldSink {
    /// A received field.
    fn field(&mut self, field: &Field<'_>);
    /// A field of the proxy's own; the name is a token in lower case.
    fn add(&mut self, name: &'static str, value: &[u8]);
    /// A field of the proxy's own whose value is known to be valid: constants, numbers and checked hosts.
    fn trusted(&mut self, name: &'static str, value: &[u8]) {
        self.add(name, value);
    }
    /// A field received over HTTP/1.1, with its raw line.
    fn raw_line(&mut self, line: &http1::HeaderLine<'_>) {
        self.field(&line.field);
    }
}

/// Part of a body. The last frame ends the body and may be empty; no other frame is empty.
#[derive(Clone, Copy)]
pub(super) struct BodyFrame<'b> {
    /// The data.
    pub(super) data: &'b [u8],
    /// Nothing follows.
    pub(super) last: bool,
    /// Only in the last frame: the trailer section, if there was one.
    pub(super) trailers: Option<TrailerFields<'b>>,
}

/// The trailer section of either protocol.
#[derive(Clone, Copy)]
pub(super) struct TrailerFields<'b> {
    section: TrailerSection<'b>,
    /// Name of a field that only the proxy sets: not forwarded.
    exposed: Option<&'b str>,
}

#[derive(Clone, Copy)]
enum TrailerSection<'b> {
    /// From the end of an HTTP/1.1 chunked body.
    Http1(&'b Trailers),
    /// From a HEADERS frame of HTTP/2.
    Http2(&'b http2::Head),
}

/// The reading end of a body.
pub(super) trait BodySource {
    /// Errors of this side.
    type Error;

    /// Waits for the next frame; invalidates the data of the previous one.
    ///
    /// Not called again after the last frame.
    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, Self::Error>;

    /// True if the next frame is available without waiting.
    fn is_ready(&mut self) -> bool;
}

/// The writing end of a body.
pub(super) trait BodySink {
    /// Errors of this side.
    type Error;

    /// Sends a frame, together with a pending head; returns once it is written.
    async fn send(&mut self, frame: BodyFrame<'_>) -> Result<(), Self::Error>;

    /// Sends a pending head without a frame.
    async fn flush(&mut self) -> Result<(), Self::Error>;

    /// True if sent data is buffered and written later, together with that of other streams.
    fn is_buffered(&self) -> bool {
        false
    }
}

/// The client's side of a request while it is read.
pub(super) trait ClientBody: BodySource<Error = ClientError> {
    /// Returns when the client has disconnected. Called only after the last frame.
    async fn closed(&mut self);
}

/// The client's side of a response: heads are encoded in synchronous calls and written with the next send or flush.
pub(super) trait Responder: BodySink<Error = ClientError> {
    /// Encodes an informational head, to be flushed by the caller; false if this client cannot be sent one.
    fn send_informational(&mut self, status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> bool;

    /// Encodes the final head and returns the status that is sent.
    ///
    /// # Errors
    /// When the head cannot be encoded: the upstream response was invalid.
    fn respond(
        &mut self,
        response: &ResponseStart<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<u16, UpstreamError>;

    /// Removes a final head of which nothing was written yet, so that another can be sent instead; false if it is too
    /// late.
    fn take_back(&mut self) -> bool;

    /// Ends a gRPC response that has begun with an error status in its trailers, if a trailer can be sent now.
    /// Otherwise the response is truncated.
    fn abort(&mut self, _why: &ProxyError) {}
}

/// The start of a final response.
pub(super) struct ResponseStart<'r> {
    /// The status.
    pub(super) status: u16,
    /// The reason phrase; may be empty.
    pub(super) reason: &'r [u8],
    /// The protocol that follows, if the response accepts an upgrade.
    pub(super) upgrade: Option<&'r [u8]>,
    /// Framing of the body as upstream sent it.
    pub(super) framing: ResponseFraming,
    /// The request was read to its end, or its rest is small enough to be read and discarded. Otherwise an HTTP/1.1
    /// connection closes after an error, and after any response that ends before the request does.
    pub(super) request_is_read: bool,
}

/// The response of an endpoint: heads, then the body.
pub(super) trait UpstreamResponse: BodySource<Error = UpstreamError> {
    /// Waits for the next head, validates it and calls `look` with it.
    async fn head<R>(
        &mut self,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, UpstreamError>;
}

/// The side of a relay that failed.
#[derive(Debug)]
pub(super) enum RelayError<S, K> {
    /// Writing to the sink failed.
    Sink(K),
    /// Reading from the source failed.
    Source(S),
}

/// Yields once to the other ready tasks. Data written after it leaves in one burst with that of other tasks: a sleeping
/// reader is woken by the first write and is awake for the rest. It does not wait for data that has yet to arrive.
/// Sets `turning` so that the caller polls nothing else meanwhile.
pub(super) async fn yield_once(turning: &Cell<bool>) {
    let mut was_polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        turning.set(true);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Moves a body from source to sink. A pending head leaves with the first frame, or at once if none is ready.
/// A trailer field with the name that `exposed` returns is dropped.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn relay_body<'e, S: BodySource, K: BodySink>(
    source: &mut S,
    sink: &mut K,
    exposed: impl Fn() -> Option<&'e str>,
    moved: &Cell<u64>,
    turns: &FairQueue,
) -> impl Future<Output = Result<(), RelayError<S::Error, K::Error>>> {
    async move {
        if !source.is_ready() {
            sink.flush().await.map_err(RelayError::Sink)?;
        }
        let mut budget = Budget::new(turns);
        loop {
            let frame = if budget.is_greedy() {
                let mut next = pin!(source.next_frame());
                poll_fn(|cx| budget.poll_next(cx, next.as_mut())).await
            } else {
                source.next_frame().await
            };
            let mut frame = frame.map_err(RelayError::Source)?;
            if let Some(trailers) = &mut frame.trailers {
                trailers.exposed = exposed();
            }
            let (last, length) = (frame.last, frame.data.len());
            moved.set(moved.get() + length as u64);
            sink.send(frame).await.map_err(RelayError::Sink)?;
            if last {
                return Ok(());
            }
            budget.pay(length).await;
        }
    }
}

// === impl HeadFields ===

impl<'h> Iterator for HeadFields<'h> {
    type Item = Field<'h>;

    #[inline]
    fn next(&mut self) -> Option<Field<'h>> {
        match self {
            Self::Http1(fields) => fields.next(),
            Self::Http2(fields) => fields.next(),
        }
    }
}

// === impl TrailerFields ===

impl<'b> From<&'b Trailers> for TrailerFields<'b> {
    fn from(trailers: &'b Trailers) -> Self {
        Self {
            section: TrailerSection::Http1(trailers),
            exposed: None,
        }
    }
}

impl<'b> From<&'b http2::Head> for TrailerFields<'b> {
    fn from(head: &'b http2::Head) -> Self {
        Self {
            section: TrailerSection::Http2(head),
            exposed: None,
        }
    }
}

impl<'b> TrailerFields<'b> {
    /// The fields that may be forwarded.
    pub(super) fn allowed(&self) -> impl Iterator<Item = Field<'b>> + use<'b> {
        let exposed = self.exposed;
        let (http1, http2) = match self.section {
            TrailerSection::Http1(trailers) => (Some(trailers.fields()), None),
            TrailerSection::Http2(head) => (None, Some(head.fields())),
        };
        let fields = http1.into_iter().flatten();
        fields
            .chain(http2.into_iter().flatten())
            .filter(move |field| {
                let is_exposed = |name: &str| field.name.eq_ignore_ascii_case(name.as_bytes());
                is_trailer_allowed(field) && !exposed.is_some_and(is_exposed)
            })
    }
}

// === impl FieldSink ===

impl FieldSink for HeadWriter<'_> {
    #[inline]
    fn field(&mut self, field: &Field<'_>) {
        Self::field(self, field);
    }

    #[inline]
    fn add(&mut self, name: &'static str, value: &[u8]) {
        Self::constant(self, name, value);
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "with its name known, it is a few instructions"
    )]
    fn trusted(&mut self, name: &'static str, value: &[u8]) {
        Self::own(self, name, value);
    }

    #[inline]
    fn raw_line(&mut self, line: &http1::HeaderLine<'_>) {
        Self::line(self, line);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    /// A body whose next frame is always ready, and a sink that always accepts it.
    struct Endless([u8; 16 * 1024]);

    impl BodySource for Endless {
        type Error = Infallible;

        async fn next_frame(&mut self) -> Result<BodyFrame<'_>, Infallible> {
            Ok(BodyFrame {
                data: &self.0,
                last: false,
                trailers: None,
            })
        }

        fn is_ready(&mut self) -> bool {
            true
        }
    }

    struct Greedy;

    impl BodySink for Greedy {
        type Error = Infallible;

        async fn send(&mut self, _piece: BodyFrame<'_>) -> Result<(), Infallible> {
            Ok(())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    fn poll(relay: Pin<&mut impl Future>) {
        let polled = relay.poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }

    #[test]
    fn a_body_without_end_lets_the_others_have_their_turn() {
        let (moved, turns) = (Cell::new(0), FairQueue::new());
        let (mut source, mut sink) = (Endless([0; 16 * 1024]), Greedy);
        let mut relay = pin!(relay_body(&mut source, &mut sink, || None, &moved, &turns));
        for _ in 0..10 {
            let before = moved.get();
            poll(relay.as_mut());
            assert!((1..=2 * 64 * 1024).contains(&(moved.get() - before)));
        }
    }

    #[test]
    fn many_bodies_without_end_move_together_what_one_may() {
        let (moved, turns) = (Cell::new(0), FairQueue::new());
        let mut relays: Vec<_> = (0..16)
            .map(|_| {
                let (moved, turns) = (&moved, &turns);
                Box::pin(async move {
                    let (mut source, mut sink) = (Endless([0; 16 * 1024]), Greedy);
                    relay_body(&mut source, &mut sink, || None, moved, turns).await
                })
            })
            .collect();
        // The first two rounds only mark them as greedy.
        let mut polled = |_| {
            let before = moved.get();
            for relay in &mut relays {
                poll(relay.as_mut());
            }
            moved.get() - before
        };
        let _ = (polled(0), polled(1));
        let most = (0..50).map(polled).max();
        assert!(
            most <= Some(3 * 64 * 1024),
            "{most:?} between two looks at the sockets"
        );
    }
}
