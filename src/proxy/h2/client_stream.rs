//! The client's side of one stream: its body, and the way back to it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response, StatusCode};

use super::head::{MapSink, frame, what_follows};
use super::patience::patiently;
use super::receiver::Incoming;
use super::sender::{Follows, Outgoing};
use super::wire::Wire;
use crate::message::{self, Rejection};
use crate::net::Deadline;
use crate::proxy::error::{ClientError, ProxyError, UpstreamError};
use crate::proxy::grpc::{self, GrpcStatus};
use crate::proxy::seam::{
    BodySink, BodySource, ClientBody, FieldSink, Piece, Responder, Responding,
};

/// The body of a request, as it comes.
pub(super) struct Body {
    incoming: Incoming,
    wire: Rc<Wire>,
    reply: Rc<RefCell<Reply>>,
    progress: Deadline,
    patience: Duration,
}

/// The way back. If it is dropped before the answer was whole, the stream is reset.
pub(super) struct Way {
    reply: Rc<RefCell<Reply>>,
    head: Option<(Response<()>, bool)>,
    progress: Deadline,
    patience: Duration,
}

/// Tells when the client has left.
pub(super) struct Watch(Rc<RefCell<Reply>>);

/// An answer that cannot be written.
const INVALID: Rejection = Rejection::response(message::Reason::InvalidFieldValue);

/// How far the answer is.
enum Reply {
    Waiting(SendResponse<Bytes>),
    Sending(Outgoing),
}

/// Both sides of a stream. The client may take `patience` for each piece that it sends or reads.
pub(super) fn sides(
    body: RecvStream,
    respond: SendResponse<Bytes>,
    wire: Rc<Wire>,
    deadlines: [Deadline; 2],
    patience: Duration,
) -> (Body, Way, Watch) {
    let reply = Rc::new(RefCell::new(Reply::Waiting(respond)));
    let [reading, writing] = deadlines;
    let body = Body {
        incoming: Incoming::new(body),
        wire,
        reply: Rc::clone(&reply),
        progress: reading,
        patience,
    };
    let watch = Watch(Rc::clone(&reply));
    let way = Way {
        reply,
        head: None,
        progress: writing,
        patience,
    };
    (body, way, watch)
}

/// How long a stream waits for the end of a body whose answer has left.
const LINGER: Duration = Duration::from_secs(1);

// === impl Body ===

impl Body {
    /// Waits for the end of a body of which nothing is left but the end. Many clients send it in a frame of its own, and
    /// take it for an error if the stream is reset before.
    pub(super) async fn end(&mut self) {
        let incoming = &mut self.incoming;
        let end = poll_fn(|cx| incoming.poll_next(cx));
        // Whatever else comes is not wanted any more.
        let _ended = patiently(&self.progress, LINGER, end).await;
    }
}

impl Body {
    /// Whether the body has ended with trailers that make the request malformed (RFC 9113, section 8.1).
    fn has_bad_trailers(&self) -> bool {
        let stream = self.incoming.stream();
        self.incoming.trailers().is_some() && self.wire.take_bad_trailers(stream)
    }
}

impl BodySource for Body {
    type Error = ClientError;

    async fn piece(&mut self) -> Result<Piece<'_>, ClientError> {
        let Self {
            incoming,
            progress,
            patience,
            ..
        } = self;
        let arrival = poll_fn(|cx| incoming.poll_next(cx));
        match patiently(progress, *patience, arrival).await {
            None => Err(ClientError::Silent),
            Some(Err(_)) => Err(ClientError::Gone),
            Some(Ok(())) if self.has_bad_trailers() => {
                self.reply.borrow_mut().reset(Reason::PROTOCOL_ERROR);
                Err(ClientError::Gone)
            }
            Some(Ok(())) => Ok(self.incoming.piece()),
        }
    }

    fn is_ready(&mut self) -> bool {
        self.incoming.is_ready()
    }
}

impl ClientBody for Body {
    async fn gone(&mut self) {
        self.incoming.release();
        poll_fn(|cx| self.reply.borrow_mut().poll_reset(cx)).await;
    }
}

// === impl Watch ===

impl Watch {
    /// Ready once the client has reset the stream, or is gone.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_reset(cx)
    }
}

// === impl Way ===

impl Way {
    /// Whether the answer was handed over to its end.
    pub(super) fn is_whole(&self) -> bool {
        matches!(&*self.reply.borrow(), Reply::Sending(outgoing) if outgoing.is_done())
    }

    /// Starts the answer if its head waits; `is_all` if nothing comes after it.
    fn start(&mut self, is_all: bool) -> Result<(), ClientError> {
        let Some((head, ended)) = self.head.take() else {
            return Ok(());
        };
        let is_over = ended || is_all;
        let mut reply = self.reply.borrow_mut();
        let Reply::Waiting(respond) = &mut *reply else {
            return Err(ClientError::Gone);
        };
        let stream = respond
            .send_response(head, is_over)
            .map_err(|_| ClientError::Gone)?;
        *reply = Reply::Sending(Outgoing::new(stream, is_over));
        Ok(())
    }
}

impl BodySink for Way {
    type Error = ClientError;

    async fn send(&mut self, piece: Piece<'_>) -> Result<(), ClientError> {
        let follows = what_follows(&piece);
        let is_all = piece.data.is_empty() && matches!(follows, Follows::Nothing(None));
        self.start(is_all)?;
        match &mut *self.reply.borrow_mut() {
            Reply::Waiting(_) => return Err(ClientError::Gone),
            Reply::Sending(outgoing) => outgoing.take(piece.data, follows),
        }
        let reply = &self.reply;
        let leaving = poll_fn(|cx| reply.borrow_mut().poll_send(cx));
        match patiently(&self.progress, self.patience, leaving).await {
            None => Err(ClientError::Silent),
            Some(sent) => sent.map_err(|_| ClientError::Gone),
        }
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        self.start(false)
    }
}

impl Responder for Way {
    fn inform(&mut self, status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> bool {
        let Some((response, _)) = head(status, fields) else {
            return false;
        };
        match &mut *self.reply.borrow_mut() {
            Reply::Waiting(respond) => respond.send_informational(response).is_ok(),
            Reply::Sending(_) => false,
        }
    }

    fn respond(
        &mut self,
        response: &Responding<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<(), UpstreamError> {
        let (mut head, is_valid) = head(response.status, fields).unwrap_or_default();
        if !is_valid {
            return Err(UpstreamError::Invalid(INVALID));
        }
        let is_over = frame(head.headers_mut(), response.framing);
        self.head = Some((head, is_over));
        Ok(())
    }

    fn break_off(&mut self, why: &ProxyError) {
        let is_started = self.start(false).is_ok();
        if let Reply::Sending(outgoing) = &mut *self.reply.borrow_mut()
            && is_started
        {
            let (status, message) = (GrpcStatus::of_http(why.status()), why.to_string());
            let mut trailers = HeaderMap::new();
            let mut sink = MapSink::new(&mut trailers);
            sink.add("grpc-status", status.value().as_bytes());
            sink.add("grpc-message", grpc::message(&message).as_bytes());
            outgoing.end_with(trailers);
        }
    }
}

fn head(status: u16, fields: impl FnOnce(&mut dyn FieldSink)) -> Option<(Response<()>, bool)> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::from_u16(status).ok()?;
    let mut map = HeaderMap::new();
    let mut sink = MapSink::new(&mut map);
    fields(&mut sink);
    let is_valid = sink.is_valid;
    *head.headers_mut() = map;
    Some((head, is_valid))
}

impl Drop for Way {
    fn drop(&mut self) {
        self.reply.borrow_mut().reset(Reason::INTERNAL_ERROR);
    }
}

// === impl Reply ===

impl Reply {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        match self {
            Self::Waiting(_) => Poll::Ready(Ok(())),
            Self::Sending(outgoing) => outgoing.poll_send(cx),
        }
    }

    /// Breaks the answer off, if it is not whole.
    fn reset(&mut self, reason: Reason) {
        match self {
            Self::Waiting(respond) => respond.send_reset(reason),
            Self::Sending(outgoing) if !outgoing.is_done() => outgoing.reset(reason),
            Self::Sending(_) => {}
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Waiting(respond) => respond.poll_reset(cx).map(|_| ()),
            Self::Sending(outgoing) => outgoing.poll_reset(cx),
        }
    }
}
