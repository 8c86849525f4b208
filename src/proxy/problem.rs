//! The answers that are ours: a small problem document, the reason, the request's id, and nothing from inside.

use std::io::Write as _;

use crate::http1::canonical_reason;
use crate::message::ResponseFraming;

use super::error::ProxyError;
use super::exchange::Finished;
use super::forward::RequestId;
use super::seam::{Asking, FieldSink, Piece, Responder, Responding};
use super::ticket::Ticket;

/// Answers in place of an endpoint. The connection goes on if the request was read to its end.
pub(super) async fn answer_problem<R: Responder>(
    ticket: &mut Ticket,
    asking: Asking,
    error: &ProxyError,
    responder: &mut R,
) -> Finished {
    let body = problem(error, &ticket.id);
    let length = body.len() as u64;
    let framing = if asking.asked.head {
        ResponseFraming::Announced(length)
    } else {
        ResponseFraming::Length(length)
    };
    let is_client_error = matches!(error, ProxyError::Refused(_));
    let responding = Responding {
        status: error.status(),
        reason: b"",
        framing,
        request_is_read: asking.framing.is_empty() && !is_client_error,
    };
    if responder
        .respond(&responding, |out| write_fields(out, error, &ticket.id))
        .is_err()
    {
        return Finished::Cut;
    }
    ticket.status.set(Some(error.status()));
    let data = if asking.asked.head { &[][..] } else { &body };
    match responder
        .send(Piece {
            data,
            last: true,
            trailers: None,
        })
        .await
    {
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
