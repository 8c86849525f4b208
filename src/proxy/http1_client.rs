//! The client's side of a request over HTTP/1.1: its head, its body, and the response to it.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::http1::{
    BodyDecoder, BodyEncoder, FieldSlots, HeadWriter, RequestHead as Head, WriteError,
};
use crate::message::{
    KnownField, Limits, Reason, Rejection, RequestContextForResponse, ResponseFraming, Version,
};
use crate::net::{Buffer, BufferSize};

use super::error::{ClientError, UpstreamError};
use super::grpc;
use super::http1_body::{BodyReader, BodyWriter, TimedStream, Written};
use super::io::{
    BodyFrame, BodySink, BodySource, ClientBody, DRAINED, FieldSink, HeadFields, RequestHead,
    RequestMeta, RequestParts, Responder, ResponseStart,
};
use super::worker::Worker;

/// Bytes of a validated request head.
pub(super) struct Http1Head<'w> {
    buffer: Buffer,
    range: std::ops::Range<usize>,
    limits: &'w Limits,
}

/// Reads the body of a request, and afterwards waits for the client's disconnect.
pub(super) struct Http1Client<'s> {
    pub(super) reader: BodyReader<'s, BodyDecoder>,
    pub(super) worker: &'s Worker,
    /// True while this reader waits for the disconnect; otherwise another watch has to.
    pub(super) is_watched: &'s Cell<bool>,
}

/// Timeout for draining an unwanted body to keep the connection usable.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// Writes the response.
pub(super) struct Http1Responder<'s> {
    channel: TimedStream<'s>,
    worker: &'s Worker,
    version: Version,
    /// True if the connection may carry another request, as far as is known.
    pub(super) keep_alive: bool,
    encoder: Option<BodyEncoder>,
    /// Encoded bytes of an interim or final head that were not fully written.
    out: Vec<u8>,
    /// Progress of that write: an interrupted write continues from here and never starts again.
    left: Written,
    /// Offset of the final head in it, while none of that can have been written.
    unsent: Option<usize>,
}

/// Parses and validates a head, and calls `look` with it.
pub(super) fn validate<R>(
    bytes: &[u8],
    limits: &Limits,
    look: impl FnOnce(&RequestParts<'_>) -> R,
) -> Result<R, Rejection> {
    let mut slots = FieldSlots::new();
    let head = Head::parse(bytes, limits, &mut slots)?;
    validate_head(&head, limits, look)
}

/// Does the same for the head at the start of `bytes`, and returns where it ends; `None` if the fast path does not
/// apply.
pub(super) fn validate_start<R>(
    bytes: &[u8],
    limits: &Limits,
    look: impl FnOnce(&RequestParts<'_>) -> R,
) -> Option<Result<(R, usize), Rejection>> {
    let mut slots = FieldSlots::new();
    let (head, end) = Head::parse_start(bytes, limits, &mut slots)?;
    Some(validate_head(&head, limits, look).map(|looked| (looked, end)))
}

#[inline]
fn validate_head<R>(
    head: &Head<'_>,
    limits: &Limits,
    look: impl FnOnce(&RequestParts<'_>) -> R,
) -> Result<R, Rejection> {
    let facts = head.validate(limits)?;
    let fields = HeadFields::Http1(head.fields());
    Ok(look(&RequestParts {
        method: head.line().method,
        facts: &facts,
        fields,
    }))
}

// === impl RequestParts ===

impl<'h> RequestParts<'h> {
    /// Properties of the request that outlive its head.
    pub(super) fn meta(&self) -> RequestMeta {
        let is_grpc = self.facts.content_type.is_some_and(grpc::is_grpc);
        let timeout = || self.value(KnownField::GrpcTimeout);
        RequestMeta {
            framing: self.facts.framing,
            expects_continue: self.facts.expects_continue,
            asked: RequestContextForResponse::from(self.facts),
            is_idempotent: self.facts.method.is_idempotent(),
            has_idempotency_key: self.facts.present.contains(KnownField::IdempotencyKey),
            is_grpc,
            within: is_grpc.then(timeout).flatten().and_then(grpc::timeout),
        }
    }

    /// Value of the first field of that name.
    pub(super) fn value(&self, known: KnownField) -> Option<&'h [u8]> {
        let is_there = self.facts.present.contains(known);
        let mut fields = self.fields.clone();
        is_there
            .then(|| fields.find(|field| field.known == known))
            .flatten()
            .map(|field| field.value)
    }
}

// === impl Http1Head ===

impl<'w> Http1Head<'w> {
    pub(super) const fn new(
        buffer: Buffer,
        range: std::ops::Range<usize>,
        limits: &'w Limits,
    ) -> Self {
        Self {
            buffer,
            range,
            limits,
        }
    }
}

impl RequestHead for Http1Head<'_> {
    fn look<R>(&self, look: impl FnOnce(&RequestParts<'_>) -> R) -> R {
        validate(&self.buffer.data()[self.range.clone()], self.limits, look)
            .expect("the same bytes were found to be good before")
    }
}

// === impl Http1Client ===

impl Http1Client<'_> {
    /// True if the request was read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.reader.decoder_is_done()
    }

    /// Drains the rest of an unwanted body, unless it is large.
    pub(super) async fn drain(&mut self) {
        let deadline = self.worker.timers.deadline();
        deadline.set_from_now(DRAINED_WITHIN);
        let read = async {
            let mut left = DRAINED;
            while !self.reader.decoder_is_done() {
                let Ok(frame) = self.reader.next_piece::<ClientError>().await else {
                    return;
                };
                match left.checked_sub(frame.data.len() as u64) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        tokio::select! {
            biased;
            () = read => {}
            () = deadline.expired() => {}
        }
    }
}

impl BodySource for Http1Client<'_> {
    type Error = ClientError;

    fn next_frame(&mut self) -> impl Future<Output = Result<BodyFrame<'_>, ClientError>> {
        self.reader.next_piece()
    }

    fn is_ready(&mut self) -> bool {
        self.reader.is_ready()
    }
}

impl ClientBody for Http1Client<'_> {
    async fn closed(&mut self) {
        let watched = Watched::new(self.is_watched);
        self.reader.settle();
        loop {
            if self.reader.channel.stream.readable().await.is_err() {
                return;
            }
            let buffers = &self.worker.buffers;
            let buffer = self
                .reader
                .buffer
                .get_or_insert_with(|| buffers.take(BufferSize::Small));
            if buffer.space().is_empty() {
                // Pipelined requests fill the read-ahead buffer.
                drop(watched);
                return pending().await;
            }
            match self.reader.channel.stream.try_read(buffer.space()) {
                Ok(0) => return,
                Ok(read) => buffer.filled(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.reader.settle(),
                Err(_) => return,
            }
        }
    }
}

/// Marks the client as watched until dropped.
struct Watched<'s>(&'s Cell<bool>);

impl<'s> Watched<'s> {
    fn new(is_watched: &'s Cell<bool>) -> Self {
        is_watched.set(true);
        Self(is_watched)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

// === impl Http1Responder ===

impl<'s> Http1Responder<'s> {
    pub(super) fn new(
        channel: TimedStream<'s>,
        worker: &'s Worker,
        version: Version,
        keep_alive: bool,
    ) -> Self {
        let out = worker.take_buffer();
        Self {
            channel,
            worker,
            version,
            keep_alive,
            encoder: None,
            out,
            left: Written::default(),
            unsent: None,
        }
    }

    /// Removes written bytes from `out`: what is encoded next is appended to the rest.
    fn settle(&mut self) {
        let left = std::mem::take(&mut self.left);
        if left.bytes > 0 {
            self.out.drain(..left.bytes);
        }
    }

    /// Records that all of `out` was written.
    fn wrote(&mut self) {
        self.left = Written::default();
        self.worker.recycle_buffer(std::mem::take(&mut self.out));
    }

    /// True if the client could take a truncated response for a complete one.
    pub(super) fn truncation_is_hidden(&self) -> bool {
        self.encoder
            .as_ref()
            .is_some_and(|encoder| !encoder.is_complete() && !encoder.truncation_is_visible())
    }

    fn encode(&mut self, frame: &BodyFrame<'_>) -> Result<BodyWriter, WriteError> {
        if self.out.capacity() == 0 {
            self.out = self.worker.take_buffer();
        }
        let encoder = self.encoder.as_mut().ok_or(WriteError::BodyTooLong)?;
        BodyWriter::new(encoder, &mut self.out, frame)
    }

    fn write_connection(&self, writer: &mut HeadWriter<'_>, upgrade: Option<&[u8]>) {
        if let Some(protocol) = upgrade {
            writer.add("connection", "upgrade").add("upgrade", protocol);
        } else if !self.keep_alive {
            writer.add("connection", "close");
        } else if self.version == Version::Http10 {
            writer.add("connection", "keep-alive");
        }
    }
}

impl Responder for Http1Responder<'_> {
    fn send_informational(&mut self, status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> bool {
        if self.version == Version::Http10 {
            return false;
        }
        let mut writer = HeadWriter::response(&mut self.out, status, b"");
        fields(&mut writer);
        writer.finish(ResponseFraming::None).is_ok()
    }

    fn respond(
        &mut self,
        response: &ResponseStart<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<u16, UpstreamError> {
        let framing = response.framing.toward(self.version);
        // An early success goes on beside the request; after an error the rest of the request is not read.
        self.keep_alive &= (response.request_is_read || response.status < 400)
            && framing != ResponseFraming::UntilClose
            && response.upgrade.is_none()
            && !self.worker.is_draining();
        self.settle();
        let mut out = std::mem::take(&mut self.out);
        let start = out.len();
        let (status, framing) = match response.upgrade {
            Some(_) => (101, ResponseFraming::None),
            None => (response.status, framing),
        };
        let mut writer = HeadWriter::response(&mut out, status, response.reason);
        fields(&mut writer);
        self.write_connection(&mut writer, response.upgrade);
        let finished = writer.finish(framing);
        self.out = out;
        let unwritable = |_| UpstreamError::Invalid(Rejection::response(Reason::InvalidFieldValue));
        self.encoder = Some(finished.map_err(unwritable)?);
        self.unsent = Some(start);
        Ok(status)
    }

    fn retract(&mut self) -> bool {
        let Some(start) = self.unsent.take() else {
            return false;
        };
        self.out.truncate(start);
        self.encoder = None;
        true
    }

    fn append(&mut self, last: &[u8]) {
        self.settle();
        if let Ok(framed) = self.encode(&BodyFrame::more(last)) {
            let mut cx = Context::from_waker(Waker::noop());
            let parts = (&self.out[..], last);
            // The connection ends either way.
            let _ = framed.poll_write(&mut cx, &self.channel, parts, &mut Written::default());
        }
    }
}

impl BodySink for Http1Responder<'_> {
    type Error = ClientError;

    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would keep its arguments twice"
    )]
    fn send(&mut self, frame: BodyFrame<'_>) -> impl Future<Output = Result<(), ClientError>> {
        async move {
            // A body that does not fit its head was framed by the proxy: it is visibly truncated.
            let framed = self.encode(&frame).map_err(|_| ClientError::Gone)?;
            self.unsent = None;
            let mut written = Written::default();
            poll_fn(|cx| {
                let parts = (&self.out[..], frame.data);
                framed.poll_write(cx, &self.channel, parts, &mut written)
            })
            .await?;
            self.wrote();
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        if !self.out.is_empty() {
            self.unsent = None;
            let (channel, out, left) = (&self.channel, &self.out, &mut self.left);
            poll_fn(|cx| channel.poll_write(cx, &mut [IoSlice::new(out)], left)).await?;
            self.wrote();
        }
        Ok(())
    }
}

impl Drop for Http1Responder<'_> {
    fn drop(&mut self) {
        self.worker.recycle_buffer(std::mem::take(&mut self.out));
    }
}
