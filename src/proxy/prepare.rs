//! The synchronous step from a request head to a request that can be committed: select, find a connection, encode.
//!
//! The first write of the head follows without an await, so a request is committed by the table that is live then.

use std::sync::Arc;

use crate::fleet::McpStream;
use crate::http1::{BodyEncoder, HeadWriter};
use crate::message::{Reason, Rejection, Version, handshake};
use crate::model::{AgentProtocol, HostHeader, MCP_SESSION_FIELD, Protocol, RequestView};

use super::admit::{NotAdmitted, NotAdmittedReason};
use super::card_request::CardRequest;
use super::connect::Connected;
use super::decide::DecisionInput;
use super::error::ProxyError;
use super::error_form::ErrorForm;
use super::flag_fields::FlagFields;
use super::forward::{self, Forwarding};
use super::guarded::hides_authorization;
use super::h2 as http2;
use super::io::{FieldSink, RequestParts};
use super::mcp_start::{SessionStart, opens_session};
use super::mirror_choice;
use super::pins::Pins;
use super::pool::PoolKey;
use super::request_context::RequestContext;
use super::select::{Decision, SelectError, Selected, select};
use super::session_move::{MoveError, SessionMove};
use super::stage::{EncodedRequest, Stage};
use super::worker::Worker;

/// Selects for a request, unless `previous` is still right, and prepares its head. `dialed` is a connection that was
/// opened for `previous`.
pub(super) fn prepare(
    context: &mut RequestContext,
    (previous, dialed): (Option<Selected>, Option<Connected>),
    parts: &RequestParts<'_>,
) -> Stage {
    let previous = match (previous, dialed) {
        (Some(selected), Some(connected)) if context.keeps(&selected) => {
            return encode(context, selected, parts, connected);
        }
        (previous, Some(Connected::Http1(connection))) => {
            let worker = &context.worker;
            let idle = worker.shared.settings.timeouts.endpoint_idle.0;
            worker.pools.put_idle(connection, idle, worker.now_ms());
            previous
        }
        // A stream on a shared connection is given up by dropping it.
        (previous, Some(Connected::Http2(_)) | None) => previous,
    };
    match previous {
        Some(selected) if context.is_bound() => pick_again(context, selected),
        previous => select_anew(context, previous, parts),
    }
}

/// Selects by the live table. What was counted for the last selection is not counted beside the next one.
fn select_anew(
    context: &mut RequestContext,
    previous: Option<Selected>,
    parts: &RequestParts<'_>,
) -> Stage {
    let waiting = context.waiting.take();
    let position = previous
        .map(|selected| Box::new(selected.into_position()))
        .or(waiting);
    let attempts = context.attempts.as_ref();
    let input = DecisionInput {
        preview: context.preview,
        peer: context.peer,
        random: context.random_key,
        session: &context.session,
        guarded: &context.guarded,
        tried: attempts.map_or(&[], |attempts| &attempts.tried),
        falls_back: context.has_fallen_back,
        peeked: context.peeked.as_deref(),
    };
    match select(&context.worker, parts, &input, position) {
        Ok(selected) => {
            if let Some(protocol) = selected.route().agent_protocol() {
                shape_errors(context, Some(protocol), parts);
                context.session_start = SessionStart::of(protocol, parts).map(Box::new);
                context.session_stream = session_stream(&context.worker, protocol, parts);
                let peeked = context.peeked.as_deref();
                context.card = CardRequest::of(selected.route(), parts, context.peer, peeked);
            }
            if selected.route().mirror().is_some() || context.mirrored.is_some() {
                mirror_choice::choose(context, &selected, parts);
            }
            connect_or_dial(context, selected, parts)
        }
        Err(error) => unselected(context, error, parts),
    }
}

/// The stage of a request for which no endpoint was selected.
fn unselected(context: &mut RequestContext, error: SelectError, parts: &RequestParts<'_>) -> Stage {
    match error {
        SelectError::Unread => {
            shape_errors(context, Some(AgentProtocol::A2a), parts);
            Stage::Unread
        }
        SelectError::NotAdmitted(NotAdmitted { route, reason }) => {
            shape_errors(context, route.agent_protocol(), parts);
            context.decide(None, None);
            context.answer_by(route);
            match reason {
                NotAdmittedReason::Answered(error) => Stage::Failed(error, None),
                NotAdmittedReason::Paused(pause) => Stage::Paused(pause),
            }
        }
        SelectError::Refused(error, protocol) => {
            shape_errors(context, protocol, parts);
            context.decide(None, None);
            Stage::Failed(error, None)
        }
        SelectError::Unserved(decision, error) => {
            shape_errors(context, decision.route.agent_protocol(), parts);
            context.decide(Some(decision), None);
            Stage::Failed(error, None)
        }
        SelectError::Moves(decision) => {
            shape_errors(context, decision.route.agent_protocol(), parts);
            begin_anew(context, decision, parts)
        }
        SelectError::Busy(decision, position) => {
            shape_errors(context, decision.route.agent_protocol(), parts);
            context.waiting = Some(position);
            let release = Arc::clone(decision.release());
            context.decide(Some(decision), None);
            Stage::Queued(release)
        }
    }
}

/// Lets the session of a request begin anew on a release. A request does so once.
fn begin_anew(context: &mut RequestContext, decision: Decision, parts: &RequestParts<'_>) -> Stage {
    let has_moved = std::mem::replace(&mut context.has_moved, true);
    let session = match parts.header(MCP_SESSION_FIELD) {
        // The table has changed since.
        _ if has_moved => Err(MoveError::Unavailable),
        None => Err(MoveError::Unknown),
        Some(id) => {
            let sessions = &context.worker.shared.mcp_sessions;
            Ok(SessionMove::new(sessions, decision.release().name(), id))
        }
    };
    context.decide(Some(decision), None);
    match session {
        Ok(session) => Stage::Moving(Box::new(session)),
        Err(error) => Stage::Failed(ProxyError::SessionLost(error), None),
    }
}

/// The stream of its session that a request opens, if it is such a GET.
fn session_stream(
    worker: &Worker,
    protocol: AgentProtocol,
    parts: &RequestParts<'_>,
) -> Option<Box<McpStream>> {
    if protocol != AgentProtocol::Mcp || parts.method != b"GET" {
        return None;
    }
    let id = parts.header(MCP_SESSION_FIELD)?;
    let current = worker.shared.mcp_sessions.current(id);
    let id = current.as_deref().map_or(id, str::as_bytes);
    Some(Box::new(worker.shared.mcp_streams.open(id)))
}

/// Sets the form that our own errors have on the route.
#[inline]
fn shape_errors(
    context: &mut RequestContext,
    protocol: Option<AgentProtocol>,
    parts: &RequestParts<'_>,
) {
    if let Some(protocol) = protocol {
        context.error_form = ErrorForm::of(protocol, parts);
        context.opens_session = protocol == AgentProtocol::Mcp && opens_session(parts);
    }
}

/// Picks another endpoint of the release that a request is bound to.
fn pick_again(context: &mut RequestContext, mut selected: Selected) -> Stage {
    // Its release may have left for good meanwhile.
    if let Some(cut) = selected.work.cut() {
        return Stage::Failed(ProxyError::ReleaseLeft(cut), Some(selected));
    }
    let attempts = context.attempts.get_or_insert_default();
    let (worker, session) = (&context.worker, &context.session);
    let picked = match selected.pick_again(worker, &attempts.tried, session) {
        Err(ProxyError::NoEndpoint) if attempts.retry_full() => {
            selected.pick_again(worker, &attempts.tried, session)
        }
        picked => picked,
    };
    if let Err(error) = picked {
        return Stage::Failed(error, Some(selected));
    }
    note(context, &selected);
    Stage::Selected(selected)
}

fn note(context: &mut RequestContext, selected: &Selected) {
    let endpoint = selected.in_flight.endpoint().address();
    context.decide(Some(selected.decision.clone()), Some(endpoint));
}

fn connect_or_dial(
    context: &mut RequestContext,
    selected: Selected,
    parts: &RequestParts<'_>,
) -> Stage {
    note(context, &selected);
    if let Err(rejection) = check_upgrade(&selected, parts) {
        return Stage::Failed(rejection.into(), Some(selected));
    }
    match open_connection(context, &selected) {
        Some(connected) => encode(context, selected, parts, connected),
        None => Stage::Selected(selected),
    }
}

/// Refuses an upgrade that the route allows where the endpoint speaks HTTP/2, which knows none but that to a WebSocket: the
/// endpoint would get a plain request, and its response would be no 101.
fn check_upgrade(selected: &Selected, parts: &RequestParts<'_>) -> Result<(), Rejection> {
    let Some(to) = parts.facts.upgrade else {
        return Ok(());
    };
    let is_http2 = selected.release().spec().protocol == Protocol::Http2;
    if is_http2 && selected.route().spec().upgrades_to(to) {
        return Err(Rejection::request(Reason::UpgradeUnsupported));
    }
    Ok(())
}

/// A connection to the selected endpoint, if there is one that can take a request now.
fn open_connection(context: &RequestContext, selected: &Selected) -> Option<Connected> {
    let attempts = context.attempts.as_ref();
    if attempts.is_some_and(|attempts| attempts.newer_than.is_some()) {
        return None;
    }
    let (worker, spec) = (&context.worker, selected.release().spec());
    let endpoint = selected.in_flight.endpoint();
    let key = PoolKey::new(endpoint, spec);
    match spec.protocol {
        // A request that waits because no other connection may be opened comes before later ones.
        Protocol::Http1
            if spec.limits.connections_per_endpoint.is_some()
                && endpoint.connection_limit().waiting() > 0 =>
        {
            None
        }
        Protocol::Http1 => worker
            .pools
            .take(key, worker.cached_now_ms())
            .map(Connected::Http1),
        Protocol::Http2 => worker.http2.take(key).map(Connected::Http2),
    }
}

fn encode(
    context: &RequestContext,
    selected: Selected,
    parts: &RequestParts<'_>,
    connected: Connected,
) -> Stage {
    match connected {
        Connected::Http1(connection) => {
            let mut head = context.worker.take_buffer();
            match write_head(context, &selected, parts, &mut head) {
                Ok((encoder, accept)) => {
                    let encoded = EncodedRequest {
                        connection,
                        head,
                        encoder,
                        accept,
                    };
                    Stage::Http1(selected, encoded)
                }
                Err(error) => Stage::Failed(error, Some(selected)),
            }
        }
        Connected::Http2(stream) => match http2::start(context, &selected, parts, stream) {
            Ok(start) => Stage::Http2(selected, Box::new(start)),
            Err(error) => Stage::Failed(error, Some(selected)),
        },
    }
}

/// The expected `Sec-WebSocket-Accept`, where the key is ours.
type ExpectedAccept = Option<Box<handshake::Accept>>;

fn write_head(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    head: &mut Vec<u8>,
) -> Result<(BodyEncoder, ExpectedAccept), ProxyError> {
    let mut accept = None;
    let path = forward::path(&parts.facts.target, selected.route());
    let mut writer = HeadWriter::request(head, parts.method, path, parts.facts.target.query);
    write_fields(context, selected, parts, &mut writer);
    if parts.facts.websocket {
        writer
            .add("connection", "upgrade")
            .add("upgrade", "websocket");
        if parts.facts.version == Version::Http2 {
            let (high, low) = (context.worker.random(), context.worker.random());
            let key = handshake::key(u128::from(high) << 64 | u128::from(low));
            writer.add("sec-websocket-key", key);
            accept = Some(Box::new(handshake::accept(&key)));
        }
    } else if let Some(protocol) = parts.facts.upgrade
        && selected.route().spec().upgrades_to(protocol)
    {
        writer.add("connection", "upgrade").add("upgrade", protocol);
    } else if parts.facts.accepts_trailers {
        writer.add("connection", "te");
    }
    // Everything was checked when it was read, so this is a rule that the reader does not have.
    let encoder = writer
        .finish(parts.facts.framing)
        .map_err(|_| Rejection::request(Reason::InvalidFieldValue))?;
    Ok((encoder, accept))
}

/// Writes all fields of a request but those of its framing and of its connection.
pub(super) fn write_fields(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    out: &mut impl FieldSink,
) {
    let worker = &context.worker;
    let host = match selected.route().host_header() {
        HostHeader::Preserve if parts.facts.authority.is_some() => None,
        HostHeader::Preserve | HostHeader::Endpoint => {
            Some(selected.in_flight.endpoint().url().authority())
        }
    };
    let settings = &worker.shared.settings;
    let span = context.span.as_ref();
    let span = span.and_then(|span| span.send(worker.timers.now()));
    let forwarding = Forwarding {
        peer: context.peer,
        id: &context.id,
        via: settings.sends_via.then_some(&settings.via),
        host: host.as_deref(),
        hides_key: parts.facts.websocket
            && (parts.facts.version == Version::Http2
                || selected.release().spec().protocol == Protocol::Http2),
        trace: settings
            .makes_traces
            .then(|| (worker.random(), worker.random())),
        span: span.as_ref(),
        pins: Pins::of(selected.route(), &worker.shared),
        flags: selected
            .route()
            .flags()
            .map(|flags| FlagFields::new(flags, selected.decision.flags)),
        changes: selected.route().request_headers().map(|rules| {
            (
                rules,
                context.request_header_values(&selected.decision, parts),
            )
        }),
        is_card: context.card.is_some(),
        hides_authorization: hides_authorization(&context.guarded),
    };
    let mut scratch = worker.take_buffer();
    forward::write_request(out, parts, &forwarding, &mut scratch);
    worker.recycle_buffer(scratch);
}
