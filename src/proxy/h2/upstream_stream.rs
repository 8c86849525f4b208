//! The endpoint's side of one stream, and a whole request over it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use super::recv_body::RecvBody;
use super::stream_handle::{StreamHandle, Unsent};
use super::timeout::with_timeout;
use super::upstream_head::Start;
use crate::http2::{self, StreamError};
use crate::message::{
    self, KnownField, Limits, Rejection, RequestContextForResponse, ResponseFraming, StatusLine,
    ValidatedResponse, Version, handshake,
};
use crate::model::Outcome;
use crate::net::Deadline;
use crate::proxy::error::UpstreamError;
use crate::proxy::grpc::GrpcStatus;
use crate::proxy::io::{
    Agreement, BodyFrame, BodySink, BodySource, ClientBody, HeadFields, RequestHead, RequestMeta,
    Responder, ResponseParts, UpstreamResponse,
};
use crate::proxy::outcome::{Attempted, RelayEnd, conclude};
use crate::proxy::relay::relay;
use crate::proxy::request_context::RequestContext;
use crate::proxy::retry::Evidence;
use crate::proxy::select::Selected;
use crate::proxy::stage::Committed;
use crate::proxy::upload::RequestSink;

/// Trailers of a request that its endpoint does not take.
const TRAILERS_TOO_LARGE: Rejection = Rejection::request(message::Reason::TrailersTooLarge);

/// The body on its way to the endpoint.
struct Upload<'t> {
    handle: &'t StreamHandle,
    /// It has trailers that the endpoint does not take.
    has_large_trailers: bool,
    /// It asks for a WebSocket: the end of the head is not that of our direction.
    is_socket: bool,
    progress: Deadline,
    idle_timeout: Duration,
}

/// The endpoint's response.
struct Download<'t> {
    handle: &'t StreamHandle,
    incoming: RecvBody,
    has_body: bool,
    /// A head has come, whatever it was.
    has_begun: bool,
    asked: RequestContextForResponse,
    /// The `Sec-WebSocket-Accept` for the client's key.
    accept: Option<&'t handshake::Accept>,
    limits: &'t Limits,
    progress: Deadline,
    idle_timeout: Duration,
    grpc: &'t Cell<Option<GrpcStatus>>,
}

/// An attempt over HTTP/2, and its stream.
pub(in crate::proxy) struct Sent {
    pub(in crate::proxy) attempted: Attempted,
    /// The stream, if one was opened.
    pub(in crate::proxy) handle: Option<StreamHandle>,
}

/// Sends a request and brings its response. Its first step, without an await, hands the head to the connection.
pub(in crate::proxy) async fn send_request<H: RequestHead, C: ClientBody, R: Responder>(
    (context, selected): (&mut RequestContext, &Selected),
    start: &mut Start,
    meta: &RequestMeta,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> Sent {
    let opened = start.stream.open(&start.block, start.is_over);
    context
        .worker
        .recycle_buffer(std::mem::take(&mut start.block));
    let handle = match opened {
        Ok(handle) => handle,
        Err(gone) => {
            let end = RelayEnd::Upstream(UpstreamError::Unprocessed(cause(gone)));
            return Sent {
                attempted: conclude((context, selected), meta, end, Evidence::NotSent),
                handle: None,
            };
        }
    };
    let grpc = Cell::new(None);
    let (end, has_begun) = {
        let committed = Committed {
            context: &*context,
            selected,
        };
        let mut upload = Upload::new(committed, meta, &handle);
        let mut download =
            Download::new(committed, meta, &handle, (start.accept.as_deref(), &grpc));
        let both = (&mut upload, &mut download);
        let forget = || *head = None;
        let end = relay(committed, meta, (client, responder), both, forget).await;
        (end, download.has_begun)
    };
    if meta.is_grpc && matches!(end, RelayEnd::Whole) {
        note_grpc(context, grpc.get());
    }
    let is_stale = start.stream.is_kept() && handle.is_lost();
    let evidence = evidence(&end, has_begun, is_stale);
    Sent {
        attempted: conclude((context, selected), meta, end, evidence),
        handle: Some(handle),
    }
}

/// The evidence that the end of a stream is. A stale connection was kept, and has ended without a frame about the stream.
fn evidence(end: &RelayEnd, has_begun: bool, is_stale: bool) -> Evidence {
    match end {
        RelayEnd::Upstream(UpstreamError::Unprocessed(_)) if !has_begun => Evidence::Refused,
        RelayEnd::Upstream(UpstreamError::Closed(_)) if !has_begun && is_stale => {
            Evidence::KeptConnectionEnded
        }
        _ => Evidence::Unknown,
    }
}

/// A call fails by its own status, whatever the status of HTTP says.
fn note_grpc(context: &mut RequestContext, status: Option<GrpcStatus>) {
    if context.status.get() == Some(200) {
        let status = status.unwrap_or(GrpcStatus::UNKNOWN);
        context.end(Outcome::Answered(status.as_http()));
    }
}

/// The error that the end of a stream is.
fn upstream_error(gone: StreamError) -> UpstreamError {
    if let Some(reason) = gone.invalid {
        return UpstreamError::Invalid(Rejection::response(reason));
    }
    // RFC 9113, sections 6.8 and 8.7: a stream beyond the last one that a GOAWAY names, and one that was refused, were
    // not processed at all.
    if gone.is_unprocessed {
        UpstreamError::Unprocessed(cause(gone))
    } else {
        UpstreamError::Closed(Some(cause(gone)))
    }
}

fn cause(gone: StreamError) -> io::Error {
    io::Error::other(format!("the stream ended: {}", gone.code))
}

// === impl Upload ===

impl<'t> Upload<'t> {
    fn new(committed: Committed<'_>, meta: &RequestMeta, handle: &'t StreamHandle) -> Self {
        Self {
            handle,
            has_large_trailers: false,
            is_socket: meta.asked.websocket,
            progress: committed.context.worker.timers.deadline(),
            idle_timeout: committed.timeouts().silence,
        }
    }
}

impl BodySink for Upload<'_> {
    type Error = UpstreamError;

    async fn send(&mut self, frame: BodyFrame<'_>) -> Result<(), UpstreamError> {
        if self.is_socket {
            return Ok(());
        }
        let sending = self.handle.send(frame, (&self.progress, self.idle_timeout));
        match sending.await {
            None => Err(UpstreamError::IdleTimeout),
            Some(sent) => sent.map_err(|unsent| match unsent {
                Unsent::Gone(gone) => upstream_error(gone),
                Unsent::TrailersTooLarge => {
                    self.has_large_trailers = true;
                    UpstreamError::Invalid(TRAILERS_TOO_LARGE)
                }
            }),
        }
    }

    async fn flush(&mut self) -> Result<(), UpstreamError> {
        Ok(())
    }

    fn is_buffered(&self) -> bool {
        true
    }
}

impl RequestSink for Upload<'_> {
    fn keeps_body(&self) -> bool {
        true
    }

    fn is_untouched(&self) -> bool {
        false
    }

    fn refused(&self) -> Option<Rejection> {
        self.has_large_trailers.then_some(TRAILERS_TOO_LARGE)
    }
}

// === impl Download ===

impl<'t> Download<'t> {
    fn new(
        committed: Committed<'t>,
        meta: &RequestMeta,
        handle: &'t StreamHandle,
        (accept, grpc): (Option<&'t handshake::Accept>, &'t Cell<Option<GrpcStatus>>),
    ) -> Self {
        let worker = &committed.context.worker;
        Self {
            handle,
            incoming: RecvBody::default(),
            has_body: true,
            has_begun: false,
            asked: meta.asked,
            accept,
            limits: &worker.shared.settings.message,
            progress: worker.timers.deadline(),
            idle_timeout: committed.timeouts().silence,
            grpc,
        }
    }
}

impl Download<'_> {
    fn note_grpc(&self, head: &http2::Head) {
        let mut fields = head.fields();
        let status = fields.find(|field| field.known == KnownField::GrpcStatus);
        if let Some(status) = status.and_then(|field| GrpcStatus::parse(field.value)) {
            self.grpc.set(Some(status));
        }
    }

    /// Notes what a head means for what comes behind it.
    fn note(
        &mut self,
        head: &http2::Head,
        facts: &ValidatedResponse<'_>,
    ) -> Result<(), UpstreamError> {
        // How many informational ones there may be, the connection knows.
        if facts.is_informational() || facts.is_upgrade {
            return Ok(());
        }
        // Of a WebSocket that was refused nothing follows.
        if self.asked.websocket {
            self.handle.finish();
        }
        self.note_grpc(head);
        self.has_body = !matches!(
            facts.framing,
            ResponseFraming::None | ResponseFraming::Announced(_)
        );
        if let ResponseFraming::Length(length) = facts.framing
            && !self.handle.engine().expect(self.handle.key(), length)
        {
            let rejection = Rejection::response(message::Reason::LengthMismatch);
            return Err(UpstreamError::Invalid(rejection));
        }
        Ok(())
    }
}

impl UpstreamResponse for Download<'_> {
    async fn head<R>(
        &mut self,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, UpstreamError> {
        let handle = self.handle;
        let arrival = poll_fn(|cx| handle.engine().poll_head(handle.key(), cx));
        let arrival = with_timeout(&self.progress, self.idle_timeout, arrival).await;
        let head = arrival
            .ok_or(UpstreamError::IdleTimeout)?
            .map_err(upstream_error)?;
        self.has_begun = true;
        let line = StatusLine {
            version: Version::Http2,
            status: head.status(),
            ended: head.is_last(),
        };
        let facts = ValidatedResponse::validate(line, self.asked, head.fields(), self.limits)
            .map_err(UpstreamError::Invalid)?;
        self.note(&head, &facts)?;
        Ok(look(&ResponseParts {
            reason: b"",
            facts: &facts,
            fields: HeadFields::Http2(head.fields()),
            agreement: if facts.is_upgrade {
                Agreement::Replaced(self.accept)
            } else {
                Agreement::Passes
            },
        }))
    }
}

impl BodySource for Download<'_> {
    type Error = UpstreamError;

    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, UpstreamError> {
        if !self.has_body {
            return Ok(BodyFrame {
                data: b"",
                last: true,
                trailers: None,
            });
        }
        let (incoming, handle) = (&mut self.incoming, self.handle);
        let arrival = poll_fn(|cx| incoming.poll_next(handle, cx));
        match with_timeout(&self.progress, self.idle_timeout, arrival).await {
            None => return Err(UpstreamError::IdleTimeout),
            Some(arrived) => arrived.map_err(upstream_error)?,
        }
        if let Some(trailers) = self.incoming.trailers() {
            self.note_grpc(trailers);
        }
        Ok(self.incoming.frame())
    }

    fn is_ready(&mut self) -> bool {
        !self.has_body || self.incoming.is_ready(self.handle)
    }
}
