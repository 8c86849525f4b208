//! Agent cards on their way to the client: one that names an endpoint of its route gets the URL of the proxy instead.
//!
//! A card is held back until it is whole; one that is too long passes. The endpoint was asked for the whole card,
//! uncompressed and without conditions: what a client has may be from before the last change of the route. A card that
//! was rewritten has an entity tag of its own, a hash of its bytes, and the conditions of clients are compared here.

use sha2::{Digest as _, Sha256};

use crate::message::{Field, KnownField, ResponseFraming};
use crate::model::{CardRewrite, EndpointUrl, is_endpoint, rewrite_card};
use crate::telemetry::names;

use super::body_form::BodyForm;
use super::card_log::CardLeft;
use super::card_request::{CardForm, CardRequest};
use super::forward::hex;
use super::io::{
    BodyFrame, FieldSink, RelayError, Responder, ResponseParts, ResponseStart, UpstreamResponse,
};
use super::learn::LearningSource;
use super::outcome::RelayEnd;
use super::relay_body::relay_body;
use super::select::Selected;
use super::stage::Committed;

/// Longest card that is rewritten.
const LONGEST: usize = 256 * 1024;

/// Fields about the bytes of a card, which are others once it is rewritten; `Last-Modified` knows nothing of the route.
const ABOUT_BYTES: [&str; 7] = [
    "accept-ranges",
    "content-digest",
    "content-md5",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
];

/// The head of a response with a card, which is not sent yet.
pub(super) struct HeldCard {
    request: CardRequest,
    status: u16,
    reason: Box<[u8]>,
    framing: ResponseFraming,
    request_is_read: bool,
    fields: Vec<(Box<str>, Box<[u8]>)>,
}

/// True if a response is held back until its card is whole. What could be a card and is not counts.
pub(super) fn is_held(committed: Committed<'_>, parts: &ResponseParts<'_>) -> bool {
    if parts.facts.status != 200 || !committed.selected.route().rewrites_cards() {
        return false;
    }
    if parts.facts.present.contains(KnownField::ContentEncoding) {
        note_left(committed, CardLeft::Encoded);
        return false;
    }
    let is_json = BodyForm::of(parts) == Some(BodyForm::Json);
    let is_long =
        matches!(parts.facts.framing, ResponseFraming::Length(length) if length > LONGEST as u64);
    if is_json && is_long {
        note_left(committed, CardLeft::TooLarge);
    }
    is_json && !is_long
}

/// Reads a card, and sends it as it is to be.
pub(super) async fn relay_card<R: Responder, A: UpstreamResponse>(
    committed: Committed<'_>,
    mut held: Box<HeldCard>,
    response: &mut A,
    responder: &mut R,
) -> RelayEnd {
    let mut body = Vec::new();
    let mut is_whole = false;
    while !is_whole && body.len() <= LONGEST {
        match response.next_frame().await {
            Err(error) => return RelayEnd::Upstream(error),
            Ok(frame) => {
                body.extend_from_slice(frame.data);
                is_whole = frame.last;
            }
        }
    }
    if body.len() > LONGEST {
        note_left(committed, CardLeft::TooLarge);
        if !is_whole {
            return pass_on((committed, &held), &body, response, responder).await;
        }
    } else {
        body = held.rewrite(committed, body);
    }
    if let Err(end) = held.begin(committed, responder) {
        return end;
    }
    let whole = BodyFrame {
        data: &body,
        last: true,
        trailers: None,
    };
    let bytes_out = &committed.context.bytes_out;
    bytes_out.set(bytes_out.get() + body.len() as u64);
    let sent = responder.send(whole).await;
    sent.map_or_else(RelayEnd::Client, |()| RelayEnd::Whole)
}

/// Sends a body of which only the start was read as it is.
async fn pass_on<R: Responder, A: UpstreamResponse>(
    (committed, held): (Committed<'_>, &HeldCard),
    start: &[u8],
    response: &mut A,
    responder: &mut R,
) -> RelayEnd {
    if let Err(end) = held.begin(committed, responder) {
        return end;
    }
    let context = committed.context;
    context
        .bytes_out
        .set(context.bytes_out.get() + start.len() as u64);
    if let Err(error) = responder.send(BodyFrame::more(start)).await {
        return RelayEnd::Client(error);
    }
    let moved = (context, None);
    let taken = || committed.taken();
    let mut response = LearningSource::new(response, committed, None);
    let turns = &context.worker.turns;
    match relay_body(&mut response, responder, taken, moved, turns).await {
        Ok(()) => RelayEnd::Whole,
        Err(RelayError::Source(error)) => RelayEnd::Upstream(error),
        Err(RelayError::Sink(error)) => RelayEnd::Client(error),
    }
}

impl HeldCard {
    /// Holds a head back.
    pub(super) fn new(
        request: &CardRequest,
        start: &ResponseStart<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Self {
        let mut held = Self {
            request: request.clone(),
            status: start.status,
            reason: start.reason.into(),
            framing: start.framing,
            request_is_read: start.request_is_read,
            fields: Vec::new(),
        };
        fields(&mut held.fields);
        held
    }

    /// Sends the head.
    fn begin<R: Responder>(
        &self,
        committed: Committed<'_>,
        responder: &mut R,
    ) -> Result<(), RelayEnd> {
        let start = ResponseStart {
            status: self.status,
            reason: &self.reason,
            upgrade: None,
            framing: self.framing,
            request_is_read: self.request_is_read,
        };
        let sent = responder.respond(&start, |out| {
            for (name, value) in &self.fields {
                out.field(&Field::new(name.as_bytes(), value));
            }
        });
        let context = committed.context;
        context.status.set(Some(sent.map_err(RelayEnd::Upstream)?));
        context.first_byte.set(Some(context.worker.timers.now()));
        Ok(())
    }

    /// Rewrites a whole body, and adapts the head to it.
    fn rewrite(&mut self, committed: Committed<'_>, body: Vec<u8>) -> Vec<u8> {
        if self.request.form == CardForm::Head {
            // The fields of a `GET` depend on the card, which is not here.
            self.remove(&ABOUT_BYTES);
            self.framing = ResponseFraming::None;
            return Vec::new();
        }
        let is_own = |named: &EndpointUrl| names_endpoint(committed.selected, named);
        let body = match rewrite_card(&body, &self.request.public, is_own) {
            CardRewrite::Rewritten(card) => {
                count("rewritten");
                self.retag(&card);
                card
            }
            CardRewrite::Signed => {
                note_left(committed, CardLeft::Signed);
                body
            }
            CardRewrite::Unchanged => {
                count("unchanged");
                body
            }
            CardRewrite::Invalid => {
                count("invalid");
                body
            }
        };
        self.framing = ResponseFraming::Length(body.len() as u64);
        if self.tag().is_some_and(|tag| self.request.has(tag)) {
            self.status = 304;
            self.reason = Box::default();
            self.framing = ResponseFraming::None;
            self.remove(&["content-type"]);
            return Vec::new();
        }
        body
    }

    /// Replaces what the head says about the bytes.
    fn retag(&mut self, card: &[u8]) {
        self.remove(&ABOUT_BYTES);
        if self.request.form == CardForm::Get {
            let hash = Sha256::digest(card);
            let mut start = [0; 16];
            start.copy_from_slice(&hash[..16]);
            let tag = [b"\"", &hex(u128::from_be_bytes(start))[..], b"\""].concat();
            self.fields.push(("etag".into(), tag.into()));
        }
    }

    fn remove(&mut self, names: &[&str]) {
        self.fields
            .retain(|(own, _)| !names.iter().any(|name| own.eq_ignore_ascii_case(name)));
    }

    fn tag(&self) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("etag"));
        found.map(|(_, value)| &**value)
    }
}

/// True if `named` is an endpoint of the route, of any release: the one that answered, or one that is there now.
fn names_endpoint(selected: &Selected, named: &EndpointUrl) -> bool {
    let own = selected.in_flight.endpoint();
    let releases = selected.route().split().entries().iter();
    let mut rosters = releases.map(|entry| entry.release().roster().endpoints());
    is_endpoint(named, own.url(), own.address())
        || rosters.any(|roster| {
            let mut endpoints = roster.iter();
            endpoints.any(|other| is_endpoint(named, other.url(), other.address()))
        })
}

fn note_left(committed: Committed<'_>, why: CardLeft) {
    count(why.as_str());
    let (worker, selected) = (&committed.context.worker, committed.selected);
    let route = selected.route().spec().name.as_str();
    let release = selected.release().name().as_str();
    let log = &worker.shared.card_log;
    log.explain(worker.cached_now_ms(), (route, release), why);
}

fn count(result: &'static str) {
    metrics::counter!(names::AGENT_CARDS.0, "result" => result).increment(1);
}
