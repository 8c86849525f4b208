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
use super::pool::{Connection, PoolKey};
use super::seam::{FieldSink, RequestParts};
use super::select::{Choosing, QueuePosition, Selection, Unselected, select};
use super::ticket::Ticket;

/// What a request does next.
pub(super) enum Begun {
    /// It needs a connection to the endpoint that was selected.
    Dial,
    /// It is committed once the head is written.
    Http1(Http1Start),
    /// It is committed once its stream is opened.
    Http2(Box<http2::Start>),
    /// It waits for a place on this release.
    Wait(Arc<Release>),
}

/// A request on an HTTP/1.1 connection, its head encoded and not yet written.
pub(super) struct Http1Start {
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
pub(super) fn begin(ticket: &mut Ticket, parts: &RequestParts<'_>) -> Result<Begun, ProxyError> {
    let spare = ticket.spare.take().map(|spare| *spare);
    match spare {
        Some(connected) if ticket.is_current() => return start(ticket, parts, connected),
        Some(Connected::Http1(connection)) => {
            let worker = &ticket.worker;
            let idle = worker.shared.settings.timeouts.endpoint_idle.0;
            worker.pools.park(connection, idle, worker.now_ms());
        }
        // A place on a shared connection is given up by dropping it.
        Some(Connected::Http2(_)) | None => {}
    }
    if ticket.is_bound() {
        pick_again(ticket)?;
        return Ok(Begun::Dial);
    }
    // What was counted for the last selection is not counted beside the next one.
    let position = QueuePosition {
        place: ticket.selection.take().and_then(Selection::into_place),
        waiting: ticket.waiting.take().map(|waiting| *waiting),
    };
    let tried = ticket.attempts.as_ref();
    let choosing = Choosing {
        preview: ticket.preview,
        draw: ticket.draw,
        tried: tried.map_or(&[], |attempts| &attempts.tried),
    };
    let busy = match select(&ticket.worker, parts, &choosing, position) {
        Ok(selection) => {
            ticket.selection = Some(selection);
            check_upgrade(ticket, parts)?;
            return match open_connection(ticket) {
                Some(connected) => start(ticket, parts, connected),
                None => Ok(Begun::Dial),
            };
        }
        Err(Unselected::Refused(error)) => {
            ticket.unselected = None;
            return Err(error);
        }
        Err(Unselected::NoEndpoint(decision)) => {
            ticket.unselected = Some(Box::new(decision));
            return Err(ProxyError::NoEndpoint);
        }
        Err(Unselected::Busy(decision, waiting)) => {
            ticket.waiting = waiting.map(Box::new);
            decision
        }
    };
    let release = Arc::clone(busy.release());
    ticket.unselected = Some(Box::new(busy));
    Ok(Begun::Wait(release))
}

/// Picks an endpoint of the release that a request is bound to.
fn pick_again(ticket: &mut Ticket) -> Result<(), ProxyError> {
    let (Some(selection), Some(attempts)) = (&mut ticket.selection, &ticket.attempts) else {
        return Err(ProxyError::NoEndpoint);
    };
    // Its release may have left for good meanwhile; what is picked anew would not be told.
    if selection.in_flight.is_ended() {
        return Err(ProxyError::ReleaseRemoved);
    }
    if selection.pick_again(&ticket.worker, &attempts.tried) {
        Ok(())
    } else {
        Err(ProxyError::NoEndpoint)
    }
}

/// Refuses an upgrade that the route lets through where the endpoint speaks HTTP/2, which has no words for any but that to a
/// WebSocket: what would get there is a plain request, and its answer no 101.
fn check_upgrade(ticket: &Ticket, parts: &RequestParts<'_>) -> Result<(), Rejection> {
    let (Some(to), Some(selection)) = (parts.facts.upgrade, &ticket.selection) else {
        return Ok(());
    };
    let is_http2 = selection.release().spec().protocol == Protocol::Http2;
    if is_http2 && selection.route().spec().upgrades_to(to) {
        return Err(Rejection::request(Reason::UpgradeUnsupported));
    }
    Ok(())
}

/// A connection to the endpoint that was selected, if there is one that can take a request now.
fn open_connection(ticket: &Ticket) -> Option<Connected> {
    let attempts = ticket.attempts.as_ref();
    if attempts.is_some_and(|attempts| attempts.newer_than.is_some()) {
        return None;
    }
    let selection = ticket.selection.as_ref()?;
    let (worker, spec) = (&ticket.worker, selection.release().spec());
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
            .take(key, worker.recent_ms())
            .map(Connected::Http1),
        Protocol::Http2 => worker.http2.take(key).map(Connected::Http2),
    }
}

fn start(
    ticket: &Ticket,
    parts: &RequestParts<'_>,
    connected: Connected,
) -> Result<Begun, ProxyError> {
    match connected {
        Connected::Http1(connection) => {
            let mut head = ticket.worker.take_head();
            let mut accept = None;
            let encoder = write_head(ticket, parts, &mut head, &mut accept)?;
            Ok(Begun::Http1(Http1Start {
                connection: Some(connection),
                head,
                encoder: Some(encoder),
                accept,
            }))
        }
        Connected::Http2(place) => {
            http2::start(ticket, parts, place).map(|start| Begun::Http2(Box::new(start)))
        }
    }
}

fn write_head(
    ticket: &Ticket,
    parts: &RequestParts<'_>,
    head: &mut Vec<u8>,
    accept: &mut Option<Box<handshake::Accept>>,
) -> Result<BodyEncoder, ProxyError> {
    let selection = ticket
        .selection
        .as_ref()
        .expect("a head is written for a selection");
    let path = forward::path(&parts.facts.target, selection.route());
    let mut writer = HeadWriter::request(head, parts.method, path, parts.facts.target.query);
    write_fields(ticket, parts, &mut writer);
    if parts.facts.websocket {
        writer
            .add("connection", "upgrade")
            .add("upgrade", "websocket");
        if parts.facts.version == Version::Http2 {
            let (high, low) = (ticket.worker.draw(), ticket.worker.draw());
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
pub(super) fn write_fields(ticket: &Ticket, parts: &RequestParts<'_>, out: &mut impl FieldSink) {
    let selection = ticket
        .selection
        .as_ref()
        .expect("fields are written for a selection");
    let worker = &ticket.worker;
    let host = match selection.route().spec().host_header {
        HostHeader::Preserve if parts.facts.authority.is_some() => None,
        HostHeader::Preserve | HostHeader::Endpoint => {
            Some(selection.in_flight.endpoint().url().authority())
        }
    };
    let settings = &worker.shared.settings;
    let forwarding = Forwarding {
        peer: ticket.peer,
        id: &ticket.id,
        via: settings.sends_via.then_some(&settings.via),
        host: host.as_deref(),
        hides_key: parts.facts.websocket
            && (parts.facts.version == Version::Http2
                || selection.release().spec().protocol == Protocol::Http2),
        trace: settings
            .makes_traces
            .then(|| (worker.draw(), worker.draw())),
    };
    let mut scratch = worker.take_head();
    forward::write_request(out, parts, &forwarding, &mut scratch);
    worker.give_head(scratch);
}

/// Whether no endpoint would be tried after the one that was selected.
pub(super) fn is_last_endpoint(ticket: &Ticket) -> bool {
    let Some(selection) = &ticket.selection else {
        return true;
    };
    let tried = ticket.attempts.as_ref();
    let tried = tried.map_or(&[][..], |attempts| &attempts.tried);
    let selected = selection.in_flight.endpoint().address();
    let endpoints = selection.release().roster().endpoints();
    let is_out = |other: &Arc<Endpoint>| {
        other.address() == selected
            || other.health() == Health::Unhealthy
            || tried.contains(&other.address())
    };
    tried.len() >= ticket.worker.shared.settings.limits.retries as usize
        || endpoints.iter().all(is_out)
}

/// What a failure to connect means for the endpoint and for the request: another endpoint, or an answer.
pub(super) fn note_connect_failure(
    ticket: &mut Ticket,
    error: UpstreamError,
) -> Result<(), ProxyError> {
    let Some(selection) = &ticket.selection else {
        return Err(ProxyError::Upstream(error));
    };
    let endpoint = Arc::clone(selection.in_flight.endpoint());
    let roster = Arc::clone(selection.release().roster());
    if error.is_refusal() {
        endpoint.refused(ticket.worker.now_ms());
    }
    ticket.count_failed_attempt(error.failure(), &error);
    let others = ticket.worker.shared.settings.limits.retries as usize;
    let tried = &mut ticket.attempts.get_or_insert_default().tried;
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
