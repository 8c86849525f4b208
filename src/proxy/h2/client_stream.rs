//! The client's side of one stream: the request body and the writer of the response.

use std::future::poll_fn;
use std::time::Duration;

use super::head::{BlockSink, frame};
use super::recv_body::RecvBody;
use super::stream_handle::StreamHandle;
use super::timeout::with_timeout;
use crate::http2::Code;
use crate::message::{self, Rejection};
use crate::net::Deadline;
use crate::proxy::error::{ClientError, ProxyError, UpstreamError};
use crate::proxy::grpc::{self, GrpcStatus};
use crate::proxy::io::{
    BodyFrame, BodySink, BodySource, ClientBody, FieldSink, Responder, ResponseStart,
};
use crate::proxy::worker::Worker;

/// Reader of a request's body.
pub(super) struct RequestBody<'s> {
    handle: &'s StreamHandle,
    incoming: RecvBody,
    /// The data after the head belongs to a WebSocket, not to the request.
    is_socket: bool,
    progress: Deadline,
    patience: Duration,
}

/// Writer of the response. If it is dropped before the response is complete, the stream is reset.
pub(super) struct ResponseWriter<'s> {
    handle: &'s StreamHandle,
    worker: &'s Worker,
    /// A pending head, and whether it ends the stream.
    head: Option<(Vec<u8>, bool)>,
    /// A tunnel sends the data after the head.
    is_handed_over: bool,
    progress: Deadline,
    patience: Duration,
}

/// A response that cannot be encoded.
const INVALID: Rejection = Rejection::response(message::Reason::InvalidFieldValue);

/// Timeout for the end of a body whose response was sent.
const LINGER: Duration = Duration::from_secs(1);

/// Both sides of a stream. `timeout` applies to each frame that the client sends or reads.
pub(super) fn split<'s>(
    handle: &'s StreamHandle,
    worker: &'s Worker,
    [reading, writing]: [Deadline; 2],
    (patience, is_socket): (Duration, bool),
) -> (RequestBody<'s>, ResponseWriter<'s>) {
    let body = RequestBody {
        handle,
        incoming: RecvBody::default(),
        is_socket,
        progress: reading,
        patience,
    };
    let writer = ResponseWriter {
        handle,
        worker,
        head: None,
        is_handed_over: false,
        progress: writing,
        patience,
    };
    (body, writer)
}

// === impl RequestBody ===

impl RequestBody<'_> {
    /// Waits for the end of a body of which only the end is missing. Many clients send it in a frame of its own, and
    /// treat an earlier reset of the stream as an error.
    pub(super) async fn end(&mut self) {
        let (incoming, handle) = (&mut self.incoming, self.handle);
        let end = poll_fn(|cx| incoming.poll_next(handle, cx));
        // Anything else is discarded.
        let _ended = with_timeout(&self.progress, LINGER, end).await;
    }
}

impl BodySource for RequestBody<'_> {
    type Error = ClientError;

    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, ClientError> {
        if self.is_socket {
            return Ok(BodyFrame {
                data: b"",
                last: true,
                trailers: None,
            });
        }
        let (incoming, handle) = (&mut self.incoming, self.handle);
        let arrival = poll_fn(|cx| incoming.poll_next(handle, cx));
        match with_timeout(&self.progress, self.patience, arrival).await {
            None => Err(ClientError::Silent),
            Some(Err(_)) => Err(ClientError::Gone),
            Some(Ok(())) => Ok(self.incoming.frame()),
        }
    }

    fn is_ready(&mut self) -> bool {
        self.is_socket || self.incoming.is_ready(self.handle)
    }
}

impl ClientBody for RequestBody<'_> {
    async fn closed(&mut self) {
        self.incoming.release(self.handle);
        poll_fn(|cx| self.handle.poll_broken(cx)).await;
    }
}

// === impl ResponseWriter ===

impl ResponseWriter<'_> {
    /// True if the response was sent to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.handle.is_over()
    }

    /// Leaves the stream to a tunnel; the head was sent.
    pub(super) fn hand_over(mut self) {
        self.is_handed_over = true;
    }

    /// Sends a pending head; `is_all` if nothing follows it.
    fn start(&mut self, is_all: bool) -> Result<(), ClientError> {
        let Some((block, is_over)) = self.head.take() else {
            return Ok(());
        };
        let sent = self.handle.send_head(&block, is_over || is_all);
        self.worker.recycle_buffer(block);
        sent.map_err(|_| ClientError::Gone)
    }

    /// Encodes a head; `None` if that fails.
    fn encode(
        &self,
        status: u16,
        fields: impl FnOnce(&mut dyn FieldSink),
        end: impl FnOnce(&mut BlockSink<'_>) -> bool,
    ) -> Option<(Vec<u8>, bool)> {
        let mut block = self.worker.take_buffer();
        let mut sink = BlockSink::new(&mut block);
        sink.status(status);
        fields(&mut sink);
        let is_over = end(&mut sink);
        let is_valid = sink.is_valid;
        is_valid.then_some((block, is_over))
    }
}

impl BodySink for ResponseWriter<'_> {
    type Error = ClientError;

    async fn send(&mut self, frame: BodyFrame<'_>) -> Result<(), ClientError> {
        let is_all = frame.last && frame.data.is_empty() && frame.trailers.is_none();
        self.start(is_all)?;
        let sending = self.handle.send(frame, (&self.progress, self.patience));
        match sending.await {
            None => Err(ClientError::Silent),
            Some(sent) => sent.map_err(|_| ClientError::Gone),
        }
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        self.start(false)
    }

    fn is_buffered(&self) -> bool {
        true
    }
}

impl Responder for ResponseWriter<'_> {
    fn send_informational(&mut self, status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> bool {
        // An informational head is optional, and is dropped where the client reads too slowly.
        if self.handle.engine().is_full() {
            return false;
        }
        let Some((block, _)) = self.encode(status, fields, |_| false) else {
            return false;
        };
        let is_sent = self.handle.send_head(&block, false).is_ok();
        self.worker.recycle_buffer(block);
        is_sent
    }

    fn respond(
        &mut self,
        response: &ResponseStart<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<u16, UpstreamError> {
        let framing = response.framing;
        let (status, is_tunnel) = match response.upgrade {
            // HTTP/2 has no 101 (RFC 8441, section 5).
            Some(_) if response.status == 101 => (200, true),
            upgrade => (response.status, upgrade.is_some()),
        };
        let head = self.encode(status, fields, |sink| !is_tunnel && frame(sink, framing));
        self.head = Some(head.ok_or(UpstreamError::Invalid(INVALID))?);
        Ok(status)
    }

    fn retract(&mut self) -> bool {
        let taken = self.head.take();
        taken
            .map(|(block, _)| self.worker.recycle_buffer(block))
            .is_some()
    }

    fn abort(&mut self, why: &ProxyError) {
        if self.start(false).is_ok() {
            let (status, message) = (GrpcStatus::of_http(why.status()), why.to_string());
            let mut trailers = Vec::new();
            let mut sink = BlockSink::new(&mut trailers);
            sink.add("grpc-status", status.value().as_bytes());
            sink.add("grpc-message", grpc::message(&message).as_bytes());
            self.handle.end_with(&trailers);
        }
    }

    fn append(&mut self, last: &[u8]) {
        if self.start(false).is_ok() {
            self.handle.append(last);
        }
    }
}

impl Drop for ResponseWriter<'_> {
    fn drop(&mut self) {
        if !self.is_whole() && !self.is_handed_over {
            self.handle.reset(Code::INTERNAL_ERROR);
        }
    }
}
