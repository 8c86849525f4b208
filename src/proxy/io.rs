//! Traits between the request path and the two protocols: bodies, heads and responses of HTTP/1.1 and HTTP/2.
//!
//! Each trait has an implementation for HTTP/1.1 and one for HTTP/2; the code between them is written once.
//! Heads are read in synchronous calls. Bodies pass frame by frame, as slices of buffers that their reader owns, so
//! nothing is boxed, spawned or sent through a channel between two HTTP/1.1 connections.

use std::time::Duration;

use crate::http1::{self, HeadWriter, Trailers};
use crate::http2;
use crate::message::{
    Field, RequestContextForResponse, RequestFraming, ResponseFraming, ValidatedRequest,
    ValidatedResponse, handshake, is_trailer_allowed,
};
use crate::table::RetryPolicy;

use super::error::{ClientError, ProxyError, UpstreamError};
use super::taken_fields::TakenFields;

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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct RequestMeta {
    /// Framing of the body.
    pub(super) framing: RequestFraming,
    /// The client may wait for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// Properties of the request that decide how its response is parsed.
    pub(super) asked: RequestContextForResponse,
    /// Sending it twice has the effect of sending it once (RFC 9110, section 9.2.2).
    pub(super) is_idempotent: bool,
    /// It has an `Idempotency-Key`.
    pub(super) has_idempotency_key: bool,
    /// Errors of the proxy are sent as a gRPC status.
    pub(super) is_grpc: bool,
    /// Timeout for the whole request that the client asked for (`grpc-timeout`).
    pub(super) within: Option<Duration>,
}

/// Largest rest of an unwanted body that is read and discarded to keep the connection usable.
pub(super) const DRAINED: u64 = 64 * 1024;

impl RequestMeta {
    /// True if it may be sent twice, by its method or because the route takes its key for that.
    pub(super) fn may_be_repeated(&self, policy: &RetryPolicy) -> bool {
        self.is_idempotent || self.has_idempotency_key && policy.takes_keys()
    }

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

impl<'b> BodyFrame<'b> {
    /// Data that is not the end of the body.
    pub(super) const fn more(data: &'b [u8]) -> Self {
        Self {
            data,
            last: false,
            trailers: None,
        }
    }
}

/// The trailer section of either protocol.
#[derive(Clone, Copy)]
pub(super) struct TrailerFields<'b> {
    section: TrailerSection<'b>,
    /// Fields that are not forwarded.
    pub(super) taken: TakenFields<'b>,
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
    fn retract(&mut self) -> bool;

    /// Ends a gRPC response that has begun with an error status in its trailers, if a trailer can be sent now.
    /// Otherwise the response is truncated.
    fn abort(&mut self, _why: &ProxyError) {}

    /// Adds the last bytes to a body that is truncated after them, as far as they can be written at once. Nothing else
    /// may be under way.
    fn append(&mut self, last: &[u8]);
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
            taken: TakenFields::default(),
        }
    }
}

impl<'b> From<&'b http2::Head> for TrailerFields<'b> {
    fn from(head: &'b http2::Head) -> Self {
        Self {
            section: TrailerSection::Http2(head),
            taken: TakenFields::default(),
        }
    }
}

impl<'b> TrailerFields<'b> {
    /// The fields that may be forwarded.
    pub(super) fn allowed(&self) -> impl Iterator<Item = Field<'b>> + use<'b> {
        let taken = self.taken;
        let (http1, http2) = match self.section {
            TrailerSection::Http1(trailers) => (Some(trailers.fields()), None),
            TrailerSection::Http2(head) => (None, Some(head.fields())),
        };
        let fields = http1.into_iter().flatten();
        fields
            .chain(http2.into_iter().flatten())
            .filter(move |field| is_trailer_allowed(field) && !taken.takes(field))
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
