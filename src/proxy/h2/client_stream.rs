//! The client's side of one stream: its body, and the way back to it.

use std::future::poll_fn;
use std::time::Duration;

use super::head::{BlockSink, frame};
use super::hold::Hold;
use super::incoming::Incoming;
use super::patience::patiently;
use crate::http2::Code;
use crate::message::{self, Rejection};
use crate::net::Deadline;
use crate::proxy::error::{ClientError, ProxyError, UpstreamError};
use crate::proxy::grpc::{self, GrpcStatus};
use crate::proxy::seam::{
    BodySink, BodySource, ClientBody, FieldSink, Piece, Responder, Responding,
};
use crate::proxy::worker::Worker;

/// The body of a request, as it comes.
pub(super) struct Body<'s> {
    hold: &'s Hold,
    incoming: Incoming,
    /// What comes behind the head is a WebSocket's, and none of the request's.
    is_socket: bool,
    progress: Deadline,
    patience: Duration,
}

/// The way back. If it is dropped before the answer was whole, the stream is reset.
pub(super) struct Way<'s> {
    hold: &'s Hold,
    worker: &'s Worker,
    /// A head that waits, and whether it is all there is.
    head: Option<(Vec<u8>, bool)>,
    /// What comes behind the head is sent by a tunnel.
    is_handed_over: bool,
    progress: Deadline,
    patience: Duration,
}

/// An answer that cannot be written.
const INVALID: Rejection = Rejection::response(message::Reason::InvalidFieldValue);

/// How long a stream waits for the end of a body whose answer has left.
const LINGER: Duration = Duration::from_secs(1);

/// Both sides of a stream. The client may take `patience` for each piece that it sends or reads.
pub(super) fn sides<'s>(
    hold: &'s Hold,
    worker: &'s Worker,
    [reading, writing]: [Deadline; 2],
    (patience, is_socket): (Duration, bool),
) -> (Body<'s>, Way<'s>) {
    let body = Body {
        hold,
        incoming: Incoming::default(),
        is_socket,
        progress: reading,
        patience,
    };
    let way = Way {
        hold,
        worker,
        head: None,
        is_handed_over: false,
        progress: writing,
        patience,
    };
    (body, way)
}

// === impl Body ===

impl Body<'_> {
    /// Waits for the end of a body of which nothing is left but the end. Many clients send it in a frame of its own, and
    /// take it for an error if the stream is reset before.
    pub(super) async fn end(&mut self) {
        let (incoming, hold) = (&mut self.incoming, self.hold);
        let end = poll_fn(|cx| incoming.poll_next(hold, cx));
        // Whatever else comes is not wanted any more.
        let _ended = patiently(&self.progress, LINGER, end).await;
    }
}

impl BodySource for Body<'_> {
    type Error = ClientError;

    async fn piece(&mut self) -> Result<Piece<'_>, ClientError> {
        if self.is_socket {
            return Ok(Piece {
                data: b"",
                last: true,
                trailers: None,
            });
        }
        let (incoming, hold) = (&mut self.incoming, self.hold);
        let arrival = poll_fn(|cx| incoming.poll_next(hold, cx));
        match patiently(&self.progress, self.patience, arrival).await {
            None => Err(ClientError::Silent),
            Some(Err(_)) => Err(ClientError::Gone),
            Some(Ok(())) => Ok(self.incoming.piece()),
        }
    }

    fn is_ready(&mut self) -> bool {
        self.is_socket || self.incoming.is_ready(self.hold)
    }
}

impl ClientBody for Body<'_> {
    async fn gone(&mut self) {
        self.incoming.release(self.hold);
        poll_fn(|cx| self.hold.poll_broken(cx)).await;
    }
}

// === impl Way ===

impl Way<'_> {
    /// Whether the answer was handed over to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.hold.is_over()
    }

    /// Leaves the stream to a tunnel, its head having left.
    pub(super) fn hand_over(mut self) {
        self.is_handed_over = true;
    }

    /// Starts the answer if its head waits; `is_all` if nothing comes after it.
    fn start(&mut self, is_all: bool) -> Result<(), ClientError> {
        let Some((block, is_over)) = self.head.take() else {
            return Ok(());
        };
        let sent = self.hold.send_head(&block, is_over || is_all);
        self.worker.give_head(block);
        sent.map_err(|_| ClientError::Gone)
    }

    /// Encodes a head; nothing if it cannot be.
    fn encode(
        &self,
        status: u16,
        fields: impl FnOnce(&mut dyn FieldSink),
        end: impl FnOnce(&mut BlockSink<'_>) -> bool,
    ) -> Option<(Vec<u8>, bool)> {
        let mut block = self.worker.take_head();
        let mut sink = BlockSink::new(&mut block);
        sink.status(status);
        fields(&mut sink);
        let is_over = end(&mut sink);
        let is_valid = sink.is_valid;
        is_valid.then_some((block, is_over))
    }
}

impl BodySink for Way<'_> {
    type Error = ClientError;

    async fn send(&mut self, piece: Piece<'_>) -> Result<(), ClientError> {
        let is_all = piece.last && piece.data.is_empty() && piece.trailers.is_none();
        self.start(is_all)?;
        let sending = self.hold.send(piece, (&self.progress, self.patience));
        match sending.await {
            None => Err(ClientError::Silent),
            Some(sent) => sent.map_err(|_| ClientError::Gone),
        }
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        self.start(false)
    }

    fn is_gathered(&self) -> bool {
        true
    }
}

impl Responder for Way<'_> {
    fn inform(&mut self, status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> bool {
        // An informational head may be left out, and is where the client reads too slowly for what it has asked for.
        if self.hold.engine().is_full() {
            return false;
        }
        let Some((block, _)) = self.encode(status, fields, |_| false) else {
            return false;
        };
        let is_sent = self.hold.send_head(&block, false).is_ok();
        self.worker.give_head(block);
        is_sent
    }

    fn respond(
        &mut self,
        response: &Responding<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<u16, UpstreamError> {
        let framing = response.framing;
        let (status, is_tunnel) = match response.upgrade {
            // HTTP/2 knows no 101 (RFC 8441, section 5).
            Some(_) if response.status == 101 => (200, true),
            upgrade => (response.status, upgrade.is_some()),
        };
        let head = self.encode(status, fields, |sink| !is_tunnel && frame(sink, framing));
        self.head = Some(head.ok_or(UpstreamError::Invalid(INVALID))?);
        Ok(status)
    }

    fn take_back(&mut self) -> bool {
        let taken = self.head.take();
        taken
            .map(|(block, _)| self.worker.give_head(block))
            .is_some()
    }

    fn break_off(&mut self, why: &ProxyError) {
        if self.start(false).is_ok() {
            let (status, message) = (GrpcStatus::of_http(why.status()), why.to_string());
            let mut trailers = Vec::new();
            let mut sink = BlockSink::new(&mut trailers);
            sink.add("grpc-status", status.value().as_bytes());
            sink.add("grpc-message", grpc::message(&message).as_bytes());
            self.hold.end_with(&trailers);
        }
    }
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        if !self.is_whole() && !self.is_handed_over {
            self.hold.reset(Code::INTERNAL_ERROR);
        }
    }
}
