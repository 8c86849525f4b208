//! Moves an MCP session: the proxy begins it anew, for its client, on the release that its route selects now.
//!
//! The 404 that the specification has for a lost session brings most clients to a halt (Python `mcp` 2.3 and the
//! TypeScript client 2.4 keep the dead id). So the proxy repeats the `initialize` request that it has kept, with the
//! header fields of the request at hand, and tells the server that the client is ready. The client keeps its id; where
//! it leads to is noted in [`McpSessions`](crate::fleet::McpSessions).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::fleet::{McpMove, McpMoveGuard, McpSession};
use crate::http1::HeadWriter;
use crate::message::{Field, KnownField, KnownSet, RequestFraming};
use crate::model::{MCP_SESSION_FIELD, McpAgreement, ReleaseName};
use crate::telemetry::names;

use super::error::ProxyError;
use super::event_stream::events;
use super::forward;
use super::http1_client::validate;
use super::internal_request::{InternalError, InternalRequest, InternalResponse};
use super::io::{RequestHead, RequestParts};
use super::mcp_start::{LONGEST_RESPONSE, count_evicted};
use super::session_move::{MoveError, SessionMove};
use super::worker::Worker;

/// Timeout for a move.
const MOVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Notification that ends the start of a session.
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Moves a session, or waits until another request has done so. The request is to be selected for again.
///
/// `send` sends a request of our own and returns the whole response.
pub(super) async fn move_session<H: RequestHead>(
    worker: &Worker,
    session: &SessionMove,
    head: &H,
    send: impl AsyncFn(InternalRequest) -> Result<InternalResponse, InternalError>,
) -> Result<(), ProxyError> {
    let deadline = worker.timers.deadline();
    deadline.set_from_now(MOVE_TIMEOUT);
    let moving = async {
        loop {
            match worker.shared.mcp_sessions.start_move(&session.id) {
                McpMove::Moved(_) => return Ok(()),
                McpMove::Moving(moving) => moving.ended().await,
                McpMove::Unknown => return Err(MoveError::Unknown),
                McpMove::Start(kept, guard) => {
                    let template = head.look(|parts| template(parts, &kept, &session.release));
                    let template = template.ok_or(MoveError::Refused)?;
                    return begin_anew(worker, &send, (template, &session.known_as), kept, guard)
                        .await
                        .inspect(|()| {
                            count("moved");
                            worker.shared.mcp_streams.end(&session.id);
                        });
                }
            }
        }
    };
    let moved = tokio::select! {
        biased;
        moved = moving => moved,
        () = deadline.expired() => Err(MoveError::Timeout),
    };
    moved
        .inspect_err(|error| count(error.as_str()))
        .map_err(ProxyError::SessionLost)
}

fn count(result: &'static str) {
    metrics::counter!(names::MCP_SESSIONS_MOVED.0, "result" => result).increment(1);
}

/// Sends `initialize` and the notification that follows it.
async fn begin_anew(
    worker: &Worker,
    send: &impl AsyncFn(InternalRequest) -> Result<InternalResponse, InternalError>,
    (head, known_as): (Vec<u8>, &[u8]),
    kept: McpSession,
    guard: McpMoveGuard<'_>,
) -> Result<(), MoveError> {
    let send = async |head: Vec<u8>, body: Bytes| {
        let request = InternalRequest {
            head,
            body,
            most: LONGEST_RESPONSE,
        };
        let response = send(request).await.map_err(|error| match error {
            InternalError::Incomplete => MoveError::Unavailable,
            InternalError::Invalid(_) => MoveError::Refused,
        })?;
        let is_ours = response.value("x-switchback-reason").is_some();
        match response.status {
            200..300 => Ok(response),
            // The release has left meanwhile, say.
            _ if is_ours => Err(MoveError::Unavailable),
            408 | 429 | 502..=504 => Err(MoveError::Unavailable),
            _ => Err(MoveError::Refused),
        }
    };
    let response = send(head.clone(), kept.initialize.clone()).await?;
    let (id, agreement) = begun(&response).ok_or(MoveError::Refused)?;
    if !agreement.covers(&kept.agreement) {
        return Err(MoveError::Less);
    }
    let ready = ready(worker, &head, id, &agreement).ok_or(MoveError::Refused)?;
    send(ready, Bytes::from_static(INITIALIZED)).await?;
    let session = McpSession {
        initialize: kept.initialize,
        agreement: Arc::new(agreement),
    };
    count_evicted(guard.moved(known_as, id, session));
    Ok(())
}

/// The id and the agreement of a session that was begun.
fn begun(response: &InternalResponse) -> Option<(&str, McpAgreement)> {
    let id = std::str::from_utf8(response.value(MCP_SESSION_FIELD)?).ok()?;
    let agreement = McpAgreement::parse(&response.body);
    let agreement = agreement
        .or_else(|| events(&response.body).find_map(|event| McpAgreement::parse(&event)))?;
    Some((id, agreement))
}

/// Head of the `initialize` request: that of the request at hand, to another release.
fn template(parts: &RequestParts<'_>, kept: &McpSession, release: &ReleaseName) -> Option<Vec<u8>> {
    let own = [("x-switchback-release", release.as_str().as_bytes())];
    head(parts, &own, kept.initialize.len())
}

/// Head of the notification, which the id leads to the release.
fn ready(
    worker: &Worker,
    initialize: &[u8],
    id: &str,
    agreement: &McpAgreement,
) -> Option<Vec<u8>> {
    let own = [
        (MCP_SESSION_FIELD, id.as_bytes()),
        ("mcp-protocol-version", agreement.version().as_bytes()),
    ];
    let limits = &worker.shared.settings.message;
    let write = |parts: &RequestParts<'_>| head(parts, &own, INITIALIZED.len());
    validate(initialize, limits, write).ok().flatten()
}

/// Head of a JSON request with the fields of another one, except for those about its body and its connection.
fn head(parts: &RequestParts<'_>, own: &[(&'static str, &[u8])], length: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    let target = &parts.facts.target;
    let mut writer = HeadWriter::request(&mut out, b"POST", target.path, target.query);
    if let Some(authority) = &parts.facts.authority {
        writer.add("host", authority.as_str().as_bytes());
    }
    for field in parts.fields.clone() {
        if !is_replaced(&field) && !parts.facts.nominated.is_other_hop_by_hop(&field) {
            writer.field(&field);
        }
    }
    // HTTP/2 may split it (RFC 9113, section 8.2.3).
    if parts.facts.present.contains(KnownField::Cookie) {
        let mut cookies = Vec::new();
        forward::join(&mut cookies, parts, KnownField::Cookie, b"; ");
        writer.add("cookie", &cookies);
    }
    writer
        .add("content-type", b"application/json")
        .add("accept", b"application/json, text/event-stream");
    for (name, value) in own {
        writer.add(name, value);
    }
    let length = u64::try_from(length).unwrap_or_default();
    writer.finish(RequestFraming::Length(length)).ok()?;
    Some(out)
}

/// Fields that say something about one request alone, and those that are written anew.
const OF_ONE_REQUEST: KnownSet = KnownSet::of(&[
    KnownField::Accept,
    KnownField::AcceptEncoding,
    KnownField::Connection,
    KnownField::ContentEncoding,
    KnownField::ContentLength,
    KnownField::ContentType,
    KnownField::Cookie,
    KnownField::Expect,
    KnownField::Host,
    KnownField::Http2Settings,
    KnownField::IdempotencyKey,
    KnownField::IfMatch,
    KnownField::IfModifiedSince,
    KnownField::IfNoneMatch,
    KnownField::IfRange,
    KnownField::IfUnmodifiedSince,
    KnownField::KeepAlive,
    KnownField::Mcp,
    KnownField::ProxyConnection,
    KnownField::Range,
    KnownField::SecWebSocketKey,
    KnownField::SecWebSocketVersion,
    KnownField::Te,
    KnownField::Trailer,
    KnownField::TransferEncoding,
    KnownField::Upgrade,
    KnownField::XSwitchback,
]);

fn is_replaced(field: &Field<'_>) -> bool {
    OF_ONE_REQUEST.contains(field.known) || field.name.eq_ignore_ascii_case(b"last-event-id")
}
