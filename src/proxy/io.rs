//! The seam between the protocols: what one request needs of its client and of its endpoint, whatever they speak.
//!
//! Each trait has an implementation for HTTP/1.1 and one for HTTP/2; the code between them is written once.
//! Heads are looked at in synchronous calls and bodies go piece by piece, as slices of buffers that their reader owns,
//! so nothing is boxed, spawned or sent through a channel between two HTTP/1.1 connections.

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

/// The fields of a head, in their order, whatever brought it.
#[derive(Clone)]
pub(super) enum HeadFields<'h> {
    /// Of an HTTP/1.1 head.
    Http1(http1::Fields<'h>),
    /// Of an HTTP/2 head.
    Http2(http2::Fields<'h>),
}

/// A request head while it is looked at: never held across an await.
pub(super) struct RequestParts<'h> {
    /// The method as it came; `GET` if it asks for a WebSocket.
    pub(super) method: &'h [u8],
    /// What the head says.
    pub(super) facts: &'h ValidatedRequest<'h>,
    /// Its fields.
    pub(super) fields: HeadFields<'h>,
}

/// A response head while it is looked at: never held across an await.
pub(super) struct ResponseParts<'h> {
    /// The reason phrase; empty in HTTP/2.
    pub(super) reason: &'h [u8],
    /// What the head says.
    pub(super) facts: &'h ValidatedResponse<'h>,
    /// Its fields.
    pub(super) fields: HeadFields<'h>,
    /// What becomes of its `Sec-WebSocket-Accept`.
    pub(super) agreement: Agreement<'h>,
}

/// What becomes of the field that answers the key of a WebSocket.
#[derive(Clone, Copy)]
pub(super) enum Agreement<'h> {
    /// It passes, if there is one.
    Passes,
    /// It is not for the client, which is shown this one instead if it sent a key.
    Replaced(Option<&'h handshake::Accept>),
}

/// A request head that can be looked at again as long as nothing of it was sent.
pub(super) trait RequestHead {
    /// Hands a view of the head to `look`.
    fn look<R>(&self, look: impl FnOnce(&RequestParts<'_>) -> R) -> R;
}

/// What has to be known of a request once its head is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestMeta {
    /// Where the body ends.
    pub(super) framing: RequestFraming,
    /// Its client may wait for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// What the answer's meaning depends on.
    pub(super) asked: RequestContextForResponse,
    /// Doing it twice is doing it once.
    pub(super) is_idempotent: bool,
    /// Errors of ours are told as a gRPC status.
    pub(super) is_grpc: bool,
    /// How long the whole may take, if its client says so (`grpc-timeout`).
    pub(super) within: Option<Duration>,
}

/// How much of a body that nobody wants is read, so that its connection can go on.
pub(super) const DRAINED: u64 = 64 * 1024;

impl RequestMeta {
    /// Whether what is left of the body behind the first `read` bytes may well be read and thrown away. A client that may
    /// wait for a 100 sends the body, or does not: that cannot be known before some of it has come.
    pub(super) fn is_nearly_read(&self, read: u64) -> bool {
        let left = match self.framing {
            RequestFraming::Length(length) => length.saturating_sub(read),
            _ => 0,
        };
        self.framing.is_empty() || left <= DRAINED && (!self.expects_continue || read > 0)
    }
}

/// Takes the fields of a head that is being written, in their order.
pub(super) trait FieldSink {
    /// A field that was received.
    fn field(&mut self, field: &Field<'_>);
    /// A field of ours; the name is a token in lower case.
    fn add(&mut self, name: &'static str, value: &[u8]);
    /// A field of ours whose value consists of what was checked before: of our own words and numbers, and of hosts.
    fn trusted(&mut self, name: &'static str, value: &[u8]) {
        self.add(name, value);
    }
    /// A field that was received over HTTP/1.1, with its line.
    fn raw_line(&mut self, line: &http1::HeaderLine<'_>) {
        self.field(&line.field);
    }
}

/// A run of a body's data. It ends the body if it is the last; the last one may be empty, no other is.
#[derive(Clone, Copy)]
pub(super) struct BodyFrame<'b> {
    /// The data.
    pub(super) data: &'b [u8],
    /// Nothing follows.
    pub(super) last: bool,
    /// With the last piece: the trailer section, if there was one.
    pub(super) trailers: Option<TrailerFields<'b>>,
}

/// The trailer section of either protocol.
#[derive(Clone, Copy)]
pub(super) struct TrailerFields<'b> {
    section: TrailerSection<'b>,
    /// The name of a field that only we write: it ends here.
    exposed: Option<&'b str>,
}

#[derive(Clone, Copy)]
enum TrailerSection<'b> {
    /// As HTTP/1.1 chunks carried it.
    Http1(&'b Trailers),
    /// As a head of HTTP/2 carried it.
    Http2(&'b http2::Head),
}

/// Where a body comes from.
pub(super) trait BodySource {
    /// What goes wrong with this side.
    type Error;

    /// The next piece, as soon as there is one; what the last call handed out is done with then.
    ///
    /// Not called again after the last piece.
    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, Self::Error>;

    /// Whether the next piece is there already, without waiting.
    fn is_ready(&mut self) -> bool;
}

/// Where a body goes to.
pub(super) trait BodySink {
    /// What goes wrong with this side.
    type Error;

    /// Sends a piece, together with a head that still waits; returns once it has left our hands.
    async fn send(&mut self, frame: BodyFrame<'_>) -> Result<(), Self::Error>;

    /// Sends a head that still waits, without a piece.
    async fn flush(&mut self) -> Result<(), Self::Error>;

    /// Whether what is sent leaves together with what others send, whenever that is.
    fn is_buffered(&self) -> bool {
        false
    }
}

/// The client's side of a request that is being read.
pub(super) trait ClientBody: BodySource<Error = ClientError> {
    /// Returns when the client has left. Called only after the last piece.
    async fn closed(&mut self);
}

/// The way back to the client: heads are encoded in synchronous calls and leave with the next send or flush.
pub(super) trait Responder: BodySink<Error = ClientError> {
    /// Takes an informational head, to be flushed by the caller; false if this client cannot be sent one.
    fn send_informational(&mut self, status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> bool;

    /// Takes the final head, and says with which status it is sent.
    ///
    /// # Errors
    /// When the head cannot be written, which means that upstream sent something odd.
    fn respond(
        &mut self,
        response: &ResponseStart<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<u16, UpstreamError>;

    /// Takes back a final head of which nothing has left yet, so that another can be sent in its place; false if it is too
    /// late for that.
    fn take_back(&mut self) -> bool;

    /// Ends an answer of gRPC that has begun with a status that says why, where there is a place for it at the moment.
    /// Without it, the answer is cut.
    fn abort(&mut self, _why: &ProxyError) {}
}

/// The start of a final response.
pub(super) struct ResponseStart<'r> {
    /// The status.
    pub(super) status: u16,
    /// The reason phrase; may be empty.
    pub(super) reason: &'r [u8],
    /// With consent to an upgrade: the protocol that follows.
    pub(super) upgrade: Option<&'r [u8]>,
    /// Where the body ends, as upstream framed it.
    pub(super) framing: ResponseFraming,
    /// The whole request was read, or so much that the rest may well be read and thrown away. Without that, an HTTP/1.1
    /// connection ends with an error, and with any response that is over before the request is.
    pub(super) request_is_read: bool,
}

/// The answer of an endpoint: heads, then the body.
pub(super) trait UpstreamResponse: BodySource<Error = UpstreamError> {
    /// Waits for the next head, judges it and hands it to `look`.
    async fn head<R>(
        &mut self,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, UpstreamError>;
}

/// Which side of a relay broke.
#[derive(Debug)]
pub(super) enum RelayError<S, K> {
    /// Where the body goes to.
    Sink(K),
    /// Where it comes from.
    Source(S),
}

/// Lets whatever else is ready have its turn. What is written after it leaves in a burst with what others write: a
/// reader that slept is woken for the first of them, and is awake for the rest. Nothing waits for what is not there yet.
/// Meanwhile `turning` says that there is nothing else to be asked.
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

/// Moves a body from one side to the other. A head that waits leaves with the first piece, or at once if none is there.
/// A trailer with the name that `exposed` says ends here.
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

    /// A body whose next piece is always there, and a reader that always takes it.
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
        // Nobody knows at first that they are greedy.
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
