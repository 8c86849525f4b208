//! The answers that are ours: a small problem document, the reason, the request's id, and nothing from inside.

use std::io::Write as _;

use crate::http1::canonical_reason;
use crate::message::ResponseFraming;

use super::error::ProxyError;
use super::exchange::Finished;
use super::forward::RequestId;
use super::grpc::{self, GrpcStatus};
use super::seam::{Asking, FieldSink, Piece, Responder, Responding};
use super::ticket::Ticket;

/// Answers in place of an endpoint. The connection goes on if the request was read to its end.
pub(super) async fn answer_problem<R: Responder>(
    ticket: &mut Ticket,
    asking: Asking,
    error: &ProxyError,
    responder: &mut R,
) -> Finished {
    let started = if asking.is_grpc {
        start_grpc(&ticket.id, error, responder)
    } else {
        start(
            &ticket.id,
            asking.asked.head,
            asking.framing.is_empty(),
            error,
            responder,
        )
    };
    let Some(body) = started else {
        return Finished::Cut;
    };
    ticket.status.set(Some(error.status()));
    finish(&body, responder).await
}

/// Answers a request whose head was refused, where others go on beside it.
pub(super) async fn answer_refused<R: Responder>(
    id: &RequestId,
    error: &ProxyError,
    responder: &mut R,
) -> Finished {
    match start(id, false, false, error, responder) {
        Some(body) => finish(&body, responder).await,
        None => Finished::Cut,
    }
}

/// Writes the head of the answer, and hands out its body.
fn start<R: Responder>(
    id: &RequestId,
    to_head: bool,
    request_is_read: bool,
    error: &ProxyError,
    responder: &mut R,
) -> Option<Vec<u8>> {
    let body = problem(error, id);
    let length = body.len() as u64;
    let responding = Responding {
        status: error.status(),
        reason: b"",
        framing: if to_head {
            ResponseFraming::Announced(length)
        } else {
            ResponseFraming::Length(length)
        },
        request_is_read: request_is_read && !matches!(error, ProxyError::Refused(_)),
    };
    let started = responder.respond(&responding, |out| write_fields(out, error, id));
    started
        .ok()
        .map(|()| if to_head { Vec::new() } else { body })
}

/// The same for a client that speaks gRPC: one head, which says how the call ended.
fn start_grpc<R: Responder>(
    id: &RequestId,
    error: &ProxyError,
    responder: &mut R,
) -> Option<Vec<u8>> {
    let responding = Responding {
        status: 200,
        reason: b"",
        framing: ResponseFraming::None,
        request_is_read: false,
    };
    let status = GrpcStatus::of_http(error.status());
    let started = responder.respond(&responding, |out| {
        out.add("content-type", b"application/grpc");
        out.add("grpc-status", status.value().as_bytes());
        out.add("grpc-message", grpc::message(&error.to_string()).as_bytes());
        out.add("x-switchback-reason", error.reason().as_str().as_bytes());
        out.add("x-request-id", id.to_string().as_bytes());
    });
    started.ok().map(|()| Vec::new())
}

async fn finish<R: Responder>(body: &[u8], responder: &mut R) -> Finished {
    let piece = Piece {
        data: body,
        last: true,
        trailers: None,
    };
    match responder.send(piece).await {
        Ok(()) => Finished::Whole,
        Err(_) => Finished::Cut,
    }
}

/// The fields of such an answer.
pub(super) fn write_fields(out: &mut dyn FieldSink, error: &ProxyError, id: &RequestId) {
    out.add("content-type", b"application/problem+json");
    out.add("cache-control", b"no-store");
    out.add("x-switchback-reason", error.reason().as_str().as_bytes());
    out.add("x-request-id", id.to_string().as_bytes());
    if let Some(seconds) = error.retry_after() {
        out.add("retry-after", seconds.as_bytes());
    }
}

/// The document (RFC 9457). Everything in it is from closed lists, but the id, which has no character to escape.
pub(super) fn problem(error: &ProxyError, id: &RequestId) -> Vec<u8> {
    let (status, reason) = (error.status(), error.reason().as_str());
    let title = canonical_reason(status);
    let mut body = Vec::with_capacity(160);
    // Writing to memory cannot fail.
    let _ = writeln!(
        body,
        r#"{{"type":"about:blank","title":"{title}","status":{status},"reason":"{reason}","request_id":"{id}"}}"#
    );
    body
}
