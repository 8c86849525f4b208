//! A request on an HTTP/1.1 connection to an endpoint.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::IoSlice;

use crate::http1::{Exchange, FieldSlots, HeadScan, ResponseHead, Reusable, WriteError};
use crate::message::{KnownField, Limits, Reason, Rejection, RequestContextForResponse, handshake};
use crate::net::Buffer;

use super::error::UpstreamError;
use super::http1_body::{BodyReader, BodyWriter, Written};
use super::io::{
    Agreement, BodyFrame, BodySink, BodySource, ClientBody, HeadFields, RequestHead, RequestMeta,
    Responder, ResponseParts, UpstreamResponse,
};
use super::outcome::{Attempted, RelayEnd, conclude};
use super::relay::relay;
use super::request_context::RequestContext;
use super::retry::Evidence;
use super::select::Selected;
use super::stage::{Committed, EncodedRequest};
use super::timed_stream::TimedStream;
use super::upload::RequestSink;
use super::worker::Worker;

/// Idle time after which a 408 that ends a connection is about that time, and not about the request that crossed it.
const GIVEN_UP_MS: u64 = 500;
/// The rejection of such a 408.
const UNSOLICITED: Rejection = Rejection::response(Reason::RequestTimeout);

/// Writes the request: its head, which waits for the first frame of the body, then the body.
struct Http1Sink<'s> {
    stream: TimedStream<'s>,
    exchange: &'s RefCell<Exchange>,
    worker: &'s Worker,
    head: Vec<u8>,
    /// Something of the request was written.
    has_written: bool,
    /// The request may have to be sent again.
    is_repeatable: bool,
    /// Drops the request's head, once it cannot be sent again.
    forget: &'s dyn Fn(),
}

/// Reads the response.
struct Http1Response<'s> {
    reader: BodyReader<'s, &'s RefCell<Exchange>>,
    asked: RequestContextForResponse,
    limits: &'s Limits,
    /// The expected `Sec-WebSocket-Accept`, if the key was ours.
    accept: Option<&'s handshake::Accept>,
    scan: HeadScan,
    /// A byte of it has come.
    has_begun: bool,
    /// The connection was idle for so long that its endpoint may have given up waiting for a request.
    was_idle: bool,
}

/// An attempt over HTTP/1.1, and what is left of its connection.
pub(super) struct Sent {
    pub(super) attempted: Attempted,
    /// The proof that the connection may go back to its pool.
    pub(super) reusable: Option<Reusable>,
    /// The bytes behind the response.
    pub(super) received: Option<Buffer>,
}

/// Sends a request whose head is encoded, and brings the response.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn send_request<H: RequestHead, C: ClientBody, R: Responder>(
    (context, selected): (&mut RequestContext, &Selected),
    encoded: &mut EncodedRequest,
    meta: &RequestMeta,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = Sent> {
    async move {
        let connection = &encoded.connection;
        let exchange = RefCell::new(Exchange::new(encoded.encoder.clone()));
        let policy = selected.route().retries();
        let is_repeatable =
            (connection.is_reused || policy.repeats_sent()) && meta.may_be_repeated(policy);
        let (end, evidence, received) = {
            let committed = Committed {
                context: &*context,
                selected,
            };
            let worker = &*context.worker;
            let idle_timeout = committed.timeouts().silence;
            let stream = || TimedStream::new(&connection.stream, &worker.timers, idle_timeout);
            let head = RefCell::new(head);
            let forget = || **head.borrow_mut() = None;
            let pending = std::mem::take(&mut encoded.head);
            let mut sink = Http1Sink {
                stream: stream(),
                exchange: &exchange,
                worker,
                head: pending,
                has_written: false,
                is_repeatable,
                forget: &forget,
            };
            let stalls = selected.in_flight.endpoint().ack_stalls();
            let memory = (&worker.buffers, stalls);
            let reader = BodyReader::new(stream(), &exchange, memory, None);
            let mut response = Http1Response::new(reader, meta, encoded.accept.as_deref(), worker);
            response.was_idle = connection.idle_ms >= GIVEN_UP_MS;
            let both = (&mut sink, &mut response);
            let end = relay(committed, meta, (client, responder), both, forget).await;
            let has_moved = (sink.has_written, response.has_begun);
            let evidence = evidence(has_moved, connection.is_reused);
            if evidence == Evidence::KeptConnectionEnded {
                note_kept_end(committed, connection.idle_ms, &end);
            }
            (end, evidence, response.reader.into_rest())
        };
        let unread = received.as_ref().map_or(&[][..], Buffer::data);
        let reusable = matches!(end, RelayEnd::Whole).then(|| exchange.into_inner().finish(unread));
        Sent {
            attempted: conclude((context, selected), meta, end, evidence),
            reusable: reusable.flatten(),
            received,
        }
    }
}

/// The evidence of an attempt: if a byte of the request was written, if one of the response came, on which connection.
fn evidence(has_moved: (bool, bool), is_reused: bool) -> Evidence {
    match has_moved {
        (false, false) => Evidence::NotSent,
        (true, false) if is_reused => Evidence::KeptConnectionEnded,
        _ => Evidence::Unknown,
    }
}

/// Learns from a kept connection that ended when its request came: the endpoint keeps none for that long.
#[cold]
fn note_kept_end(committed: Committed<'_>, idle_ms: u64, end: &RelayEnd) {
    if matches!(end, RelayEnd::Upstream(UpstreamError::Closed(_))) {
        let endpoint = committed.selected.in_flight.endpoint();
        let now_ms = committed.context.worker.now_ms();
        endpoint.idle_limit().observe(idle_ms, idle_ms, now_ms);
    }
}

// === impl Http1Sink ===

impl Http1Sink<'_> {
    fn encode(&mut self, frame: &BodyFrame<'_>) -> Result<BodyWriter, WriteError> {
        if self.head.capacity() == 0 {
            self.head = self.worker.take_buffer();
        }
        BodyWriter::new(self.exchange.borrow_mut().request(), &mut self.head, frame)
    }

    fn wrote(&mut self, last: bool) {
        if !self.is_repeatable {
            // It will not be needed again, and an agent may think for minutes.
            (self.forget)();
        }
        self.worker.recycle_buffer(std::mem::take(&mut self.head));
        if last {
            self.exchange.borrow_mut().on_request_sent();
        }
    }
}

impl BodySink for Http1Sink<'_> {
    type Error = UpstreamError;

    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would keep its arguments twice"
    )]
    fn send(&mut self, frame: BodyFrame<'_>) -> impl Future<Output = Result<(), UpstreamError>> {
        async move {
            // The client's side has held the body to its framing already.
            let framed = self
                .encode(&frame)
                .map_err(|_| UpstreamError::Invalid(Rejection::response(Reason::LengthMismatch)))?;
            let mut written = Written::default();
            poll_fn(|cx| {
                let parts = (&self.head[..], frame.data);
                let polled = framed.poll_write(cx, &self.stream, parts, &mut written);
                self.has_written |= written.bytes > 0;
                polled
            })
            .await?;
            self.wrote(frame.last);
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), UpstreamError> {
        if !self.head.is_empty() {
            let mut written = Written::default();
            poll_fn(|cx| {
                let mut head = [IoSlice::new(&self.head)];
                let polled = self.stream.poll_write(cx, &mut head, &mut written);
                self.has_written |= written.bytes > 0;
                polled
            })
            .await?;
            self.wrote(false);
        }
        Ok(())
    }
}

impl RequestSink for Http1Sink<'_> {
    fn keeps_body(&self) -> bool {
        self.is_repeatable
    }

    fn is_untouched(&self) -> bool {
        !self.has_written
    }
}

// === impl Http1Response ===

impl<'s> Http1Response<'s> {
    fn new(
        reader: BodyReader<'s, &'s RefCell<Exchange>>,
        meta: &RequestMeta,
        accept: Option<&'s handshake::Accept>,
        worker: &'s Worker,
    ) -> Self {
        Self {
            reader,
            asked: meta.asked,
            limits: &worker.shared.settings.message,
            accept,
            scan: HeadScan::default(),
            has_begun: false,
            was_idle: false,
        }
    }
}

impl Http1Response<'_> {
    /// Range of the next head in the buffer, once it is whole.
    async fn find_head(&mut self) -> Result<std::ops::Range<usize>, UpstreamError> {
        loop {
            if let Some(buffer) = &mut self.reader.buffer {
                let found = self.scan.response(buffer.data(), self.limits);
                if let Some(range) = found.map_err(UpstreamError::Invalid)? {
                    return Ok(range);
                }
                if buffer.space().is_empty() {
                    // Interim heads that were consumed leave room in front.
                    buffer.compact();
                }
                if buffer.space().is_empty() && !buffer.grow() {
                    let rejection = Rejection::response(Reason::HeadTooLarge);
                    return Err(UpstreamError::Invalid(rejection));
                }
                self.reader.is_at_head = !buffer.is_empty();
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), UpstreamError> {
        if self.reader.fill().await? == 0 {
            return Err(UpstreamError::Closed(None));
        }
        self.has_begun = true;
        Ok(())
    }

    fn validate<R>(
        &mut self,
        range: std::ops::Range<usize>,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, Rejection> {
        let buffer = self.reader.buffer.as_ref().expect("a head was found in it");
        let mut slots = FieldSlots::new();
        let head = ResponseHead::parse(&buffer.data()[range], self.limits, &mut slots)?;
        self.validate_head(&head, look)
    }

    /// The same for the head that the buffer starts with, and its end, if it is whole and valid at first sight.
    fn validate_start<R>(
        &self,
        look: &mut Option<impl FnOnce(&ResponseParts<'_>) -> R>,
    ) -> Option<Result<(R, usize), Rejection>> {
        let buffer = self.reader.buffer.as_ref()?;
        let mut slots = FieldSlots::new();
        let (head, end) = ResponseHead::parse_start(buffer.data(), self.limits, &mut slots)?;
        let looked = self.validate_head(&head, look.take()?);
        Some(looked.map(|looked| (looked, end)))
    }

    fn validate_head<R>(
        &self,
        head: &ResponseHead<'_>,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, Rejection> {
        let facts = head.validate(self.asked, self.limits)?;
        if facts.status == 408 && self.was_idle && !facts.keep_alive {
            return Err(UNSOLICITED);
        }
        let agreement = if facts.is_upgrade {
            self.agree(head)?
        } else {
            Agreement::Passes
        };
        let exchange = self.reader.decoder;
        if facts.is_informational() {
            exchange.borrow_mut().on_informational(self.limits)?;
        } else {
            exchange.borrow_mut().on_response(&facts, self.limits);
        }
        let fields = HeadFields::Http1(head.fields());
        Ok(look(&ResponseParts {
            reason: head.reason(),
            facts: &facts,
            fields,
            agreement,
        }))
    }

    /// The fate of `Sec-WebSocket-Accept`, which has to be the right one where the key was ours.
    fn agree(&self, head: &ResponseHead<'_>) -> Result<Agreement<'static>, Rejection> {
        let Some(accept) = self.accept else {
            return Ok(Agreement::Passes);
        };
        let mut answers = head
            .fields()
            .filter(|field| field.known == KnownField::SecWebSocketAccept);
        match (answers.next(), answers.next()) {
            (Some(answer), None) if answer.value == accept => Ok(Agreement::Replaced(None)),
            _ => Err(Rejection::response(Reason::WrongAccept)),
        }
    }

    /// The error that a response is. An unsolicited one is the end of a kept connection, and no response.
    fn refuse(&mut self, rejection: Rejection) -> UpstreamError {
        if rejection == UNSOLICITED {
            self.has_begun = false;
            return UpstreamError::Closed(None);
        }
        UpstreamError::Invalid(rejection)
    }

    fn consume_head(&mut self, end: usize) {
        let buffer = self.reader.buffer.as_mut().expect("a head was found in it");
        buffer.consume(end);
        // An endpoint may think after an interim head.
        self.reader.is_at_head = buffer.is_empty() && self.reader.decoder.borrow().has_response();
        self.reader.settle();
    }
}

impl BodySource for Http1Response<'_> {
    type Error = UpstreamError;

    fn next_frame(&mut self) -> impl Future<Output = Result<BodyFrame<'_>, UpstreamError>> {
        self.reader.next_piece()
    }

    fn is_ready(&mut self) -> bool {
        self.reader.is_ready()
    }
}

impl UpstreamResponse for Http1Response<'_> {
    async fn head<R>(
        &mut self,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, UpstreamError> {
        let mut look = Some(look);
        if self.reader.buffer.is_none() {
            self.fill().await?;
        }
        if let Some(validated) = self.validate_start(&mut look) {
            let (looked, end) = validated.map_err(|rejection| self.refuse(rejection))?;
            self.consume_head(end);
            return Ok(looked);
        }
        let look = look.expect("a head that was not read was not looked at");
        let range = self.find_head().await?;
        let end = range.end;
        let looked = self.validate(range, look);
        let looked = looked.map_err(|rejection| self.refuse(rejection))?;
        self.scan = HeadScan::default();
        self.consume_head(end);
        Ok(looked)
    }
}
