//! A request on an HTTP/1.1 connection to an endpoint.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::IoSlice;

use crate::http1::{Exchange, FieldSlots, HeadScan, ResponseHead, Reusable, WriteError};
use crate::message::{KnownField, Limits, Reason, Rejection, RequestContextForResponse, handshake};

use super::error::UpstreamError;
use super::http1_body::{BodyReader, BodyWriter, TimedStream, Written};
use super::io::{
    Agreement, BodyFrame, BodySink, BodySource, ClientBody, HeadFields, RequestHead, RequestMeta,
    Responder, ResponseParts, UpstreamResponse,
};
use super::prepare::EncodedRequest;
use super::relay::{RelayEnd, RelayResult, conclude, relay};
use super::request::Upgraded;
use super::request_context::RequestContext;
use super::retry::Evidence;
use super::upload::RequestSink;
use super::worker::Worker;

/// Writes the request: its head, which waits for the first piece of body, then the body.
struct Http1Sink<'s> {
    channel: TimedStream<'s>,
    exchange: &'s RefCell<Exchange>,
    worker: &'s Worker,
    head: Vec<u8>,
    /// Something of the request was written.
    has_written: bool,
    /// What was sent may have to be sent again.
    is_repeatable: bool,
    /// Lets go of the request's head, once it cannot be sent again.
    forget: &'s dyn Fn(),
}

/// Reads the answer.
struct Http1Answer<'s> {
    reader: BodyReader<'s, &'s RefCell<Exchange>>,
    asked: RequestContextForResponse,
    limits: &'s Limits,
    /// The answer to the key of a WebSocket, if it was ours.
    accept: Option<&'s handshake::Accept>,
    scan: HeadScan,
    /// A byte of it has come.
    has_begun: bool,
}

/// Sends a request whose head is encoded, and the answer back. The connection returns to its pool if both were whole.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn send_request<H: RequestHead, C: ClientBody, R: Responder>(
    context: &mut RequestContext,
    meta: &RequestMeta,
    start: &mut EncodedRequest,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> impl Future<Output = RelayResult> {
    async move {
        let encoder = start.encoder.take().expect("a start is used once");
        let connection = start.connection.as_ref().expect("a start has a connection");
        let exchange = RefCell::new(Exchange::new(encoder));
        let is_repeatable = connection.is_reused && meta.is_idempotent;
        let (end, evidence, received) = {
            let worker = std::rc::Rc::clone(&context.worker);
            let silence = idle_timeout(context);
            let channel = || TimedStream::new(&connection.stream, &worker.timers, silence);
            let head = RefCell::new(head);
            let forget = || **head.borrow_mut() = None;
            let mut sink = Http1Sink {
                channel: channel(),
                exchange: &exchange,
                worker: &worker,
                head: std::mem::take(&mut start.head),
                has_written: false,
                is_repeatable,
                forget: &forget,
            };
            let mut answer = Http1Answer {
                reader: BodyReader::new(channel(), &exchange, &worker.buffers, None),
                asked: meta.asked,
                limits: &worker.shared.settings.message,
                accept: start.accept.as_deref(),
                scan: HeadScan::default(),
                has_begun: false,
            };
            let end = relay(
                context,
                meta,
                (client, responder),
                (&mut sink, &mut answer),
                forget,
            )
            .await;
            let evidence = match (sink.has_written, answer.has_begun) {
                (false, false) => Evidence::NotSent,
                (true, false) if connection.is_reused => Evidence::KeptConnectionEnded,
                _ => Evidence::Unknown,
            };
            (end, evidence, answer.reader.into_rest())
        };
        if matches!(end, RelayEnd::Upgraded) {
            let connection = start.connection.take();
            return RelayResult::Upgraded(Box::new(Upgraded::Socket {
                connection: connection.expect("it was not given back"),
                received,
            }));
        }
        if matches!(end, RelayEnd::Whole) {
            let unread = received.as_ref().map_or(&[][..], crate::net::Buffer::data);
            give_back(context, start, exchange.into_inner().finish(unread));
        }
        conclude(context, meta, end, evidence)
    }
}

fn give_back(context: &RequestContext, start: &mut EncodedRequest, proof: Option<Reusable>) {
    let worker = &context.worker;
    if let (Some(proof), Some(connection)) = (proof, start.connection.take()) {
        // The clock was read when the answer began or was last waited for; that long ago makes the wait shorter only.
        let longest = worker.shared.settings.timeouts.endpoint_idle.0;
        worker
            .pools
            .give_back(connection, &proof, longest, worker.cached_now_ms());
    }
}

fn idle_timeout(context: &RequestContext) -> std::time::Duration {
    let selection = context
        .selection
        .as_ref()
        .expect("a conversation follows a selection");
    context
        .worker
        .shared
        .settings
        .for_route(&selection.route().spec().timeouts)
        .silence
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
            // Nobody will look at it again, and an agent may think for minutes.
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
                let polled = framed.poll_write(cx, &self.channel, parts, &mut written);
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
                let polled = self.channel.poll_write(cx, &mut head, &mut written);
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

// === impl Http1Answer ===

impl Http1Answer<'_> {
    /// Where the next head ends in the buffer, once it is whole.
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

    /// Does the same with what the buffer starts with, and says where that head ends, if it is whole and good at first sight.
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

    /// What becomes of the answer to a key, which has to be the right one where the key was ours.
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

    fn consume_head(&mut self, end: usize) {
        let buffer = self.reader.buffer.as_mut().expect("a head was found in it");
        buffer.consume(end);
        self.reader.settle();
    }
}

impl BodySource for Http1Answer<'_> {
    type Error = UpstreamError;

    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, UpstreamError> {
        Ok(self.reader.next_piece().await?)
    }

    fn is_ready(&mut self) -> bool {
        self.reader.is_ready()
    }
}

impl UpstreamResponse for Http1Answer<'_> {
    async fn head<R>(
        &mut self,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, UpstreamError> {
        let mut look = Some(look);
        if self.reader.buffer.is_none() {
            self.fill().await?;
        }
        if let Some(validated) = self.validate_start(&mut look) {
            let (looked, end) = validated.map_err(UpstreamError::Invalid)?;
            self.consume_head(end);
            return Ok(looked);
        }
        let look = look.expect("a head that was not read was not looked at");
        let range = self.find_head().await?;
        let end = range.end;
        let looked = self.validate(range, look).map_err(UpstreamError::Invalid)?;
        self.scan = HeadScan::default();
        self.consume_head(end);
        Ok(looked)
    }
}
