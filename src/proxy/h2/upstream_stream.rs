//! The endpoint's side of one stream, and a whole request over it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::Response;

use super::head::{FieldList, what_follows};
use super::patience::patiently;
use super::receiver::Incoming;
use super::sender::Outgoing;
use super::upstream_head::Start;
use crate::message::{
    self, Asked, Known, Limits, Rejection, ResponseFacts, ResponseFraming, StatusLine, Version,
};
use crate::model::Outcome;
use crate::net::Deadline;
use crate::proxy::drive::{Driven, End, conclude, drive};
use crate::proxy::error::UpstreamError;
use crate::proxy::grpc::GrpcStatus;
use crate::proxy::seam::{
    Answer, Asking, BodySink, BodySource, ClientBody, HeadFields, Piece, RequestHead, Responder,
    ResponseParts,
};
use crate::proxy::ticket::Ticket;

/// The body on its way to the endpoint.
struct Upload {
    outgoing: Outgoing,
    progress: Deadline,
    patience: Duration,
}

/// The endpoint's answer.
struct Download<'t> {
    response: ResponseFuture,
    incoming: Option<Incoming>,
    has_body: bool,
    informational: usize,
    asked: Asked,
    limits: &'t Limits,
    progress: Deadline,
    patience: Duration,
    grpc: &'t Cell<Option<GrpcStatus>>,
}

/// Sends a request and brings its answer. Its first step, without an await, hands the head to the connection.
pub(in crate::proxy) async fn converse<H, C, R>(
    ticket: &mut Ticket,
    asking: &Asking,
    start: Start,
    head: &mut Option<H>,
    client: &mut C,
    responder: &mut R,
) -> Driven
where
    H: RequestHead,
    C: ClientBody,
    R: Responder,
{
    let Start {
        place,
        request,
        ended,
    } = start;
    let sent = place.requests().send_request(request, ended);
    let (response, stream) = match sent {
        Ok(sent) => sent,
        Err(error) => {
            let error = UpstreamError::Unprocessed(io::Error::other(error));
            return conclude(ticket, End::Upstream(error), true);
        }
    };
    let grpc = Cell::new(None);
    let end = {
        let worker = &ticket.worker;
        let deadline = || worker.timers.deadline();
        let patience = patience(ticket);
        let mut upload = Upload {
            outgoing: Outgoing::new(stream, ended),
            progress: deadline(),
            patience,
        };
        let mut download = Download {
            response,
            incoming: None,
            has_body: true,
            informational: 0,
            asked: asking.asked,
            limits: &worker.shared.settings.message,
            progress: deadline(),
            patience,
            grpc: &grpc,
        };
        let forget = || *head = None;
        drive(
            ticket,
            asking,
            (client, responder),
            (&mut upload, &mut download),
            forget,
        )
        .await
    };
    if asking.is_grpc && matches!(end, End::Whole) {
        note_grpc(ticket, grpc.get());
    }
    // Of a body nothing is kept, so a request that had one cannot be sent again.
    conclude(ticket, end, asking.framing.is_empty())
}

fn patience(ticket: &Ticket) -> Duration {
    let selection = ticket
        .selection
        .as_ref()
        .expect("a request is sent for a selection");
    let timeouts = &selection.route.spec().timeouts;
    ticket.worker.shared.settings.for_route(timeouts).silence
}

/// A call fails by its own status, whatever the status of HTTP says.
fn note_grpc(ticket: &mut Ticket, status: Option<GrpcStatus>) {
    if ticket.status.get() == Some(200) {
        let status = status.unwrap_or(GrpcStatus::UNKNOWN);
        ticket.end(Outcome::Answered(status.as_http()));
    }
}

/// What a failure of the library means.
fn upstream_error(error: h2::Error) -> UpstreamError {
    // RFC 9113, sections 6.8 and 8.7: a stream beyond the last one that a GOAWAY names, and one that was refused, were
    // not processed at all.
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (error.is_go_away() || is_refused) {
        return UpstreamError::Unprocessed(io::Error::other(error));
    }
    let cause = if error.is_io() {
        error.into_io()
    } else {
        Some(io::Error::other(error))
    };
    UpstreamError::Closed(cause)
}

/// A head, and the body behind it unless it is an informational one.
type Arrived = (Response<()>, Option<RecvStream>);

/// The next head: informational ones, then the final one with the body.
fn poll_head(
    response: &mut ResponseFuture,
    cx: &mut Context<'_>,
) -> Poll<Result<Arrived, h2::Error>> {
    if let Poll::Ready(Some(informational)) = response.poll_informational(cx) {
        return Poll::Ready(informational.map(|head| (head, None)));
    }
    let (parts, body) = ready!(Pin::new(response).poll(cx))?.into_parts();
    Poll::Ready(Ok((Response::from_parts(parts, ()), Some(body))))
}

// === impl Upload ===

impl BodySink for Upload {
    type Error = UpstreamError;

    async fn send(&mut self, piece: Piece<'_>) -> Result<(), UpstreamError> {
        self.outgoing.take(piece.data, what_follows(&piece));
        let outgoing = &mut self.outgoing;
        let leaving = poll_fn(|cx| outgoing.poll_send(cx));
        match patiently(&self.progress, self.patience, leaving).await {
            None => Err(UpstreamError::Silent),
            Some(sent) => sent.map_err(upstream_error),
        }
    }

    async fn flush(&mut self) -> Result<(), UpstreamError> {
        Ok(())
    }
}

// === impl Download ===

impl Download<'_> {
    fn note_grpc(&self, fields: &FieldList) {
        let status = fields.iter().find(|field| field.known == Known::GrpcStatus);
        if let Some(status) = status.and_then(|field| GrpcStatus::parse(field.value)) {
            self.grpc.set(Some(status));
        }
    }
}

impl Answer for Download<'_> {
    async fn head<R>(
        &mut self,
        look: impl FnOnce(&ResponseParts<'_>) -> R,
    ) -> Result<R, UpstreamError> {
        let response = &mut self.response;
        let arrival = poll_fn(|cx| poll_head(response, cx));
        let arrival = patiently(&self.progress, self.patience, arrival).await;
        let (head, body) = arrival
            .ok_or(UpstreamError::Silent)?
            .map_err(upstream_error)?;
        let (parts, ()) = head.into_parts();
        let line = StatusLine {
            version: Version::Http2,
            status: parts.status.as_u16(),
            ended: body.as_ref().is_some_and(RecvStream::is_end_stream),
        };
        let fields = FieldList::new(parts.headers);
        let facts = ResponseFacts::judge(line, self.asked, fields.iter(), self.limits)
            .map_err(UpstreamError::Invalid)?;
        match body {
            Some(body) => {
                self.note_grpc(&fields);
                self.incoming = Some(Incoming::new(body));
                self.has_body = !matches!(
                    facts.framing,
                    ResponseFraming::None | ResponseFraming::Announced(_)
                );
            }
            None => self.informational += 1,
        }
        if self.informational > self.limits.informational {
            let reason = message::Reason::TooManyInformational;
            return Err(UpstreamError::Invalid(Rejection::response(reason)));
        }
        Ok(look(&ResponseParts {
            reason: b"",
            facts: &facts,
            fields: HeadFields::Http2(fields.iter()),
        }))
    }
}

impl BodySource for Download<'_> {
    type Error = UpstreamError;

    async fn piece(&mut self) -> Result<Piece<'_>, UpstreamError> {
        let Some(incoming) = self.incoming.as_mut().filter(|_| self.has_body) else {
            return Ok(Piece {
                data: b"",
                last: true,
                trailers: None,
            });
        };
        let arrival = poll_fn(|cx| incoming.poll_next(cx));
        match patiently(&self.progress, self.patience, arrival).await {
            None => return Err(UpstreamError::Silent),
            Some(arrived) => arrived.map_err(upstream_error)?,
        }
        let incoming = self.incoming.as_ref().expect("a piece has just arrived");
        if let Some(trailers) = incoming.trailers() {
            self.note_grpc(trailers);
        }
        Ok(incoming.piece())
    }

    fn is_ready(&mut self) -> bool {
        match &mut self.incoming {
            Some(incoming) if self.has_body => incoming.is_ready(),
            _ => true,
        }
    }
}
