//! The synchronous step from a request head to a request that is committed: select, find a connection, encode the head.
//!
//! What follows it without an await is the first write of the head. So a request is always committed by the table that
//! is live at that moment.

use std::sync::Arc;

use crate::fleet::{Endpoint, Health};
use crate::http1::{BodyEncoder, HeadWriter};
use crate::message::{Reason, Rejection, Version, handshake};
use crate::model::{HostHeader, Protocol};
use crate::table::Release;

use super::connect::Connected;
use super::error::{ProxyError, UpstreamError};
use super::forward::{self, Forwarding};
use super::h2 as http2;
use super::io::{FieldSink, RequestParts};
use super::pool::{Connection, PoolKey};
use super::request_context::RequestContext;
use super::select::{QueuePosition, SelectError, SelectInput, Selection, select};

/// What a request does next.
pub(super) enum Prepared {
    /// It needs a connection to the endpoint that was selected.
    Dial,
    /// It is committed once the head is written.
    Http1(EncodedRequest),
    /// It is committed once its stream is opened.
    Http2(Box<http2::Start>),
    /// It waits for a place on this release.
    Wait(Arc<Release>),
}

/// A request on an HTTP/1.1 connection, its head encoded and not yet written.
pub(super) struct EncodedRequest {
    /// Taken out once it goes back to its pool.
    pub(super) connection: Option<Connection>,
    pub(super) head: Vec<u8>,
    pub(super) encoder: Option<BodyEncoder>,
    /// The answer to the key of a WebSocket, if it is ours.
    pub(super) accept: Option<Box<handshake::Accept>>,
}

/// Selects for a request, unless what was selected for it is still right, and prepares its head.
///
/// # Errors
/// What the client is to be told.
pub(super) fn prepare(
    context: &mut RequestContext,
    parts: &RequestParts<'_>,
) -> Result<Prepared, ProxyError> {
    let dialed = context.dialed.take().map(|dialed| *dialed);
    match dialed {
        Some(connected) if context.is_current() => return start(context, parts, connected),
        Some(Connected::Http1(connection)) => {
            let worker = &context.worker;
            let idle = worker.shared.settings.timeouts.endpoint_idle.0;
            worker.pools.put_idle(connection, idle, worker.now_ms());
        }
        // A place on a shared connection is given up by dropping it.
        Some(Connected::Http2(_)) | None => {}
    }
    if context.is_bound() {
        pick_again(context)?;
        return Ok(Prepared::Dial);
    }
    // What was counted for the last selection is not counted beside the next one.
    let position = QueuePosition {
        place: context.selection.take().and_then(Selection::into_place),
        waiting: context.waiting.take().map(|waiting| *waiting),
    };
    let tried = context.attempts.as_ref();
    let choosing = SelectInput {
        preview: context.preview,
        random: context.random,
        tried: tried.map_or(&[], |attempts| &attempts.tried),
    };
    let busy = match select(&context.worker, parts, &choosing, position) {
        Ok(selection) => {
            context.selection = Some(selection);
            check_upgrade(context, parts)?;
            return match open_connection(context) {
                Some(connected) => start(context, parts, connected),
                None => Ok(Prepared::Dial),
            };
        }
        Err(SelectError::Refused(error)) => {
            context.unselected = None;
            return Err(error);
        }
        Err(SelectError::NoEndpoint(decision)) => {
            context.unselected = Some(Box::new(decision));
            return Err(ProxyError::NoEndpoint);
        }
        Err(SelectError::Busy(decision, waiting)) => {
            context.waiting = waiting.map(Box::new);
            decision
        }
    };
    let release = Arc::clone(busy.release());
    context.unselected = Some(Box::new(busy));
    Ok(Prepared::Wait(release))
}

/// Picks an endpoint of the release that a request is bound to.
fn pick_again(context: &mut RequestContext) -> Result<(), ProxyError> {
    let (Some(selection), Some(attempts)) = (&mut context.selection, &context.attempts) else {
        return Err(ProxyError::NoEndpoint);
    };
    // Its release may have left for good meanwhile; what is picked anew would not be told.
    if selection.in_flight.is_aborted() {
        return Err(ProxyError::ReleaseRemoved);
    }
    if selection.pick_again(&context.worker, &attempts.tried) {
        Ok(())
    } else {
        Err(ProxyError::NoEndpoint)
    }
}

/// Refuses an upgrade that the route lets through where the endpoint speaks HTTP/2, which has no words for any but that to a
/// WebSocket: what would get there is a plain request, and its answer no 101.
fn check_upgrade(context: &RequestContext, parts: &RequestParts<'_>) -> Result<(), Rejection> {
    let (Some(to), Some(selection)) = (parts.facts.upgrade, &context.selection) else {
        return Ok(());
    };
    let is_http2 = selection.release().spec().protocol == Protocol::Http2;
    if is_http2 && selection.route().spec().upgrades_to(to) {
        return Err(Rejection::request(Reason::UpgradeUnsupported));
    }
    Ok(())
}

/// A connection to the endpoint that was selected, if there is one that can take a request now.
fn open_connection(context: &RequestContext) -> Option<Connected> {
    let attempts = context.attempts.as_ref();
    if attempts.is_some_and(|attempts| attempts.newer_than.is_some()) {
        return None;
    }
    let selection = context.selection.as_ref()?;
    let (worker, spec) = (&context.worker, selection.release().spec());
    let endpoint = selection.in_flight.endpoint();
    let key = PoolKey::new(endpoint, spec);
    match spec.protocol {
        // Who may not open another one comes before those who come later.
        Protocol::Http1
            if spec.limits.connections_per_endpoint.is_some()
                && endpoint.connection_places().waiting() > 0 =>
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

fn start(
    context: &RequestContext,
    parts: &RequestParts<'_>,
    connected: Connected,
) -> Result<Prepared, ProxyError> {
    match connected {
        Connected::Http1(connection) => {
            let mut head = context.worker.take_buffer();
            let mut accept = None;
            let encoder = write_head(context, parts, &mut head, &mut accept)?;
            Ok(Prepared::Http1(EncodedRequest {
                connection: Some(connection),
                head,
                encoder: Some(encoder),
                accept,
            }))
        }
        Connected::Http2(place) => {
            http2::start(context, parts, place).map(|start| Prepared::Http2(Box::new(start)))
        }
    }
}

fn write_head(
    context: &RequestContext,
    parts: &RequestParts<'_>,
    head: &mut Vec<u8>,
    accept: &mut Option<Box<handshake::Accept>>,
) -> Result<BodyEncoder, ProxyError> {
    let selection = context
        .selection
        .as_ref()
        .expect("a head is written for a selection");
    let path = forward::path(&parts.facts.target, selection.route());
    let mut writer = HeadWriter::request(head, parts.method, path, parts.facts.target.query);
    write_fields(context, parts, &mut writer);
    if parts.facts.websocket {
        writer
            .add("connection", "upgrade")
            .add("upgrade", "websocket");
        if parts.facts.version == Version::Http2 {
            let (high, low) = (context.worker.random(), context.worker.random());
            let key = handshake::key(u128::from(high) << 64 | u128::from(low));
            writer.add("sec-websocket-key", key);
            *accept = Some(Box::new(handshake::accept(&key)));
        }
    } else if let Some(protocol) = parts.facts.upgrade
        && selection.route().spec().upgrades_to(protocol)
    {
        writer.add("connection", "upgrade").add("upgrade", protocol);
    } else if parts.facts.accepts_trailers {
        writer.add("connection", "te");
    }
    // Everything was checked when it was read, so this is a rule that the reader does not have.
    writer
        .finish(parts.facts.framing)
        .map_err(|_| Rejection::request(Reason::InvalidFieldValue).into())
}

/// Writes all fields of a request but those of its framing and of its connection.
pub(super) fn write_fields(
    context: &RequestContext,
    parts: &RequestParts<'_>,
    out: &mut impl FieldSink,
) {
    let selection = context
        .selection
        .as_ref()
        .expect("fields are written for a selection");
    let worker = &context.worker;
    let host = match selection.route().spec().host_header {
        HostHeader::Preserve if parts.facts.authority.is_some() => None,
        HostHeader::Preserve | HostHeader::Endpoint => {
            Some(selection.in_flight.endpoint().url().authority())
        }
    };
    let settings = &worker.shared.settings;
    let forwarding = Forwarding {
        peer: context.peer,
        id: &context.id,
        via: settings.sends_via.then_some(&settings.via),
        host: host.as_deref(),
        hides_key: parts.facts.websocket
            && (parts.facts.version == Version::Http2
                || selection.release().spec().protocol == Protocol::Http2),
        trace: settings
            .makes_traces
            .then(|| (worker.random(), worker.random())),
    };
    let mut scratch = worker.take_buffer();
    forward::write_request(out, parts, &forwarding, &mut scratch);
    worker.recycle_buffer(scratch);
}

/// Whether no endpoint would be tried after the one that was selected.
pub(super) fn is_last_endpoint(context: &RequestContext) -> bool {
    let Some(selection) = &context.selection else {
        return true;
    };
    let tried = context.attempts.as_ref();
    let tried = tried.map_or(&[][..], |attempts| &attempts.tried);
    let selected = selection.in_flight.endpoint().address();
    let endpoints = selection.release().roster().endpoints();
    let is_out = |other: &Arc<Endpoint>| {
        other.address() == selected
            || other.health() == Health::Unhealthy
            || tried.contains(&other.address())
    };
    tried.len() >= context.worker.shared.settings.limits.retries as usize
        || endpoints.iter().all(is_out)
}

/// What a failure to connect means for the endpoint and for the request: another endpoint, or an answer.
pub(super) fn note_connect_failure(
    context: &mut RequestContext,
    error: UpstreamError,
) -> Result<(), ProxyError> {
    let Some(selection) = &context.selection else {
        return Err(ProxyError::Upstream(error));
    };
    let endpoint = Arc::clone(selection.in_flight.endpoint());
    let roster = Arc::clone(selection.release().roster());
    if error.is_refusal() {
        endpoint.refused(context.worker.now_ms());
    }
    context.count_failed_attempt(error.failure(), &error);
    let others = context.worker.shared.settings.limits.retries as usize;
    let tried = &mut context.attempts.get_or_insert_default().tried;
    tried.push(endpoint.address());
    let is_last = tried.len() > others
        || roster
            .endpoints()
            .iter()
            .all(|other| tried.contains(&other.address()));
    if is_last {
        return Err(ProxyError::Upstream(error));
    }
    Ok(())
}
