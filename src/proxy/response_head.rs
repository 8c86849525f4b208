//! The heads of a response on their way to the client: informational ones, the final one, that of an upgrade.

use std::cell::Cell;

use crate::message::{KnownField, Reason, Rejection, Version, is_of_content};
use crate::net::Tick;
use crate::table::{Guards, HeaderRules, Route};

use super::agent_card::{HeldCard, is_held};
use super::answer_note::note_answer;
use super::body_form::BodyForm;
use super::card_request::CardRequest;
use super::error::UpstreamError;
use super::forward;
use super::io::{
    FieldSink, RequestMeta, Responder, ResponseParts, ResponseStart, UpstreamResponse,
};
use super::observe;
use super::outcome::RelayEnd;
use super::session::Session;
use super::stage::Committed;
use super::work_class::ResponseClass;

/// The kind of a response head.
pub(super) enum Head {
    /// The final one, held back until the agent card that follows is whole.
    Card(Box<HeldCard>),
    /// The final one; `is_events` if server-sent events follow.
    Final { is_events: bool },
    /// An informational one, to be sent at once.
    Informational { to_flush: bool },
    /// The final one of an upgrade.
    Upgrade,
}

/// Passes the heads of a response on, up to the final one.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub(super) fn pass_heads<R: Responder, A: UpstreamResponse>(
    (committed, meta): (Committed<'_>, &RequestMeta),
    response: &mut A,
    responder: &mut R,
    request_is_read: &Cell<bool>,
) -> impl Future<Output = Result<Head, RelayEnd>> {
    async move {
        let bytes_in = &committed.context.bytes_in;
        loop {
            let passed = response
                .head(|parts| {
                    let is_read = request_is_read.get() || meta.is_nearly_read(bytes_in.get());
                    take_head((committed, meta), responder, parts, is_read)
                })
                .await;
            match passed.flatten().map_err(RelayEnd::Upstream)? {
                Head::Informational { to_flush: false } => {}
                Head::Informational { to_flush: true } => {
                    responder.flush().await.map_err(RelayEnd::Client)?;
                }
                head => return Ok(head),
            }
        }
    }
}

fn take_head<R: Responder>(
    (committed, meta): (Committed<'_>, &RequestMeta),
    responder: &mut R,
    parts: &ResponseParts<'_>,
    request_is_read: bool,
) -> Result<Head, UpstreamError> {
    let Committed { context, selected } = committed;
    let release = selected.release().name().as_str();
    let exposed = committed.exposed();
    let pins = committed.pins();
    if parts.facts.is_informational() {
        let to_flush = responder.send_informational(parts.facts.status, |out| {
            forward::write_response(out, parts, committed.taken(), pins);
        });
        return Ok(Head::Informational { to_flush });
    }
    observe::responded(context, selected, parts, context.request_is_read.get());
    let status = parts.facts.status;
    if status >= 502 && context.gives_up(selected, status, meta) {
        return Err(UpstreamError::Status(status));
    }
    let expose = exposed.map(|name| (name, release));
    let worker = &context.worker;
    let now = worker.timers.now();
    let mut responding = ResponseStart {
        status: parts.facts.status,
        reason: parts.reason,
        upgrade: upgrade(parts, selected.route())?,
        framing: parts.facts.framing,
        request_is_read,
    };
    let card = context.card.as_deref();
    let card = card.filter(|_| is_held(committed, parts));
    if let Some(guarded) = context.guarded.get() {
        let rules = selected.route().guards().and_then(Guards::compression);
        // What the route writes of the content is of the bytes that come from the endpoint.
        let writes = |rules: &HeaderRules| rules.written().any(|(name, _)| is_of_content(name));
        let is_free = rules.is_none() || !selected.route().response_headers().is_some_and(writes);
        let may = (parts, card.is_none() && is_free);
        responding.framing = guarded.code(&worker.compressors, rules, may);
    }
    if let Some(card) = card {
        return Ok(hold(committed, parts, card, &responding));
    }
    let status = responder.respond(&responding, |out| {
        forward::write_response(out, parts, committed.taken(), pins);
        forward::write_response_own(out, parts, &context.id, expose, || worker.date());
        write_session(committed, parts, out);
    })?;
    Ok(note_head(committed, parts, (status, now)))
}

/// Holds back the head of a card.
#[cold]
fn hold(
    committed: Committed<'_>,
    parts: &ResponseParts<'_>,
    card: &CardRequest,
    responding: &ResponseStart<'_>,
) -> Head {
    let Committed { context, selected } = committed;
    let exposed = committed.exposed();
    let expose = exposed.map(|name| (name, selected.release().name().as_str()));
    let held = HeldCard::new(card, responding, |out| {
        forward::write_response(out, parts, committed.taken(), committed.pins());
        let date = || context.worker.date();
        forward::write_response_own(out, parts, &context.id, expose, date);
        write_session(committed, parts, out);
    });
    Head::Card(Box::new(held))
}

/// Notes what a final head says that was sent with this status.
#[inline]
fn note_head(
    Committed { context, selected }: Committed<'_>,
    parts: &ResponseParts<'_>,
    (status, now): (u16, Tick),
) -> Head {
    if selected.route().agent_protocol().is_some() {
        let session = context.session.get();
        let learns = BodyForm::of(parts);
        context.session.set(Session { learns, ..session });
    }
    context.status.set(Some(status));
    if let Some(mirrored) = &context.mirrored {
        mirrored.begin_answer(parts.fields.clone());
    }
    if status == 421 {
        let route = selected.route().spec().name.as_str();
        let release = selected.release().name().as_str();
        let endpoint = selected.in_flight.endpoint().address();
        let misdirected = &context.worker.shared.misdirected;
        misdirected.explain(context.worker.cached_now_ms(), route, release, endpoint);
    }
    let class = ResponseClass::of(parts.facts, || {
        let mut fields = parts.fields.clone();
        let field = fields.find(|field| field.known == KnownField::ContentType)?;
        Some(field.value)
    });
    if class != ResponseClass::UNARY {
        selected.work.set_class(class);
    }
    if !class.is_events {
        context.first_byte.set(Some(now));
    }
    if parts.facts.is_upgrade {
        Head::Upgrade
    } else {
        Head::Final {
            is_events: class.is_events,
        }
    }
}

/// Writes the fields about the decision and the session, on routes that have them.
#[inline]
fn write_session(committed: Committed<'_>, parts: &ResponseParts<'_>, out: &mut dyn FieldSink) {
    let Committed { context, selected } = committed;
    let route = selected.route();
    if route.says_more() {
        write_more(committed, parts, out);
    }
    if !route.has_sessions() {
        return;
    }
    let session = context.session.get();
    session.write_cookie(route, context.random_key, out);
    if let Some(pins) = committed.pins() {
        let start = context.session_start.as_deref();
        pins.write_response(parts, (&selected.minted(session), start), out);
    }
}

/// Writes what the route says of the decision beside the name of the release, for pages of other origins and of the coding,
/// and notes the answer for feedback.
fn write_more(committed: Committed<'_>, parts: &ResponseParts<'_>, out: &mut dyn FieldSink) {
    let Committed { context, selected } = committed;
    if let Some(rules) = selected.route().response_headers() {
        let values = context.header_values(&selected.decision);
        values.write(rules, out, |_| false);
    }
    if selected.route().spec().expose_decision {
        selected.decision.write(out);
    }
    if selected.route().takes_feedback() {
        note_answer(committed, out);
    }
    if let Some(guarded) = committed.context.guarded.get() {
        guarded.write_cors(out);
        guarded.write_coding(parts, selected.route().response_headers(), out);
    }
}

/// The protocol that follows an upgrade: a WebSocket, or another one that the client asked for and the route allows.
#[inline]
fn upgrade<'h>(
    parts: &ResponseParts<'h>,
    route: &Route,
) -> Result<Option<&'h [u8]>, UpstreamError> {
    if !parts.facts.is_upgrade {
        return Ok(None);
    }
    if parts.facts.version == Version::Http2 {
        return Ok(Some(b"websocket"));
    }
    let mut fields = parts.fields.clone();
    let protocol = fields.find(|field| field.known == KnownField::Upgrade);
    let protocol = protocol.map(|field| field.value).unwrap_or_default();
    if protocol.eq_ignore_ascii_case(b"websocket") {
        return Ok(Some(b"websocket"));
    }
    let is_allowed = route.spec().upgrades_to(protocol);
    let refused = || UpstreamError::Invalid(Rejection::response(Reason::UnsolicitedUpgrade));
    is_allowed.then_some(Some(protocol)).ok_or_else(refused)
}
