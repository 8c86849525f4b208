//! Forms of bodies that may hold ids of agents: which of them are looked at, before and after the decision.

use crate::message::{Field, KnownField, RequestFraming};
use crate::model::AgentProtocol;

use super::io::{RequestParts, ResponseParts};

/// Longest body of a request that is read before the decision.
const LONGEST: u64 = 64 * 1024;

/// Form of a body that is learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// Server-sent events, each with a message.
    Events,
    /// One message.
    Json,
}

/// The result of a look at the body of a request.
#[derive(Default)]
pub(super) struct Peeked {
    /// The id of a task or a context in it.
    pub(super) id: Option<String>,
    /// It is a call for an agent card.
    pub(super) is_for_card: bool,
}

impl Peeked {
    /// True if the body of the request may name its session, and is to be read first: a message of A2A. A client
    /// that waits for a 100 has not sent it yet.
    #[inline]
    pub(super) fn is_wanted(protocol: Option<AgentProtocol>, parts: &RequestParts<'_>) -> bool {
        if protocol != Some(AgentProtocol::A2a) {
            return false;
        }
        let is_short = matches!(parts.facts.framing, RequestFraming::Length(1..=LONGEST));
        let mut fields = parts.fields.clone();
        is_short
            && parts.method == b"POST"
            && !parts.facts.expects_continue
            && fields.any(|field| is_content_type(&field) && is_json(field.value))
    }
}

impl BodyForm {
    /// The form of a response that may hand out ids; `None` if it cannot.
    pub(super) fn of(parts: &ResponseParts<'_>) -> Option<Self> {
        let is_success = (200..300).contains(&parts.facts.status);
        if !is_success || parts.facts.present.contains(KnownField::ContentEncoding) {
            return None;
        }
        let mut fields = parts.fields.clone();
        let value = fields.find(is_content_type)?.value;
        if starts_with(value, b"text/event-stream") {
            Some(Self::Events)
        } else {
            is_json(value).then_some(Self::Json)
        }
    }
}

fn is_content_type(field: &Field<'_>) -> bool {
    field.known == KnownField::ContentType
}

fn is_json(media_type: &[u8]) -> bool {
    starts_with(media_type, b"application/json") || starts_with(media_type, b"application/a2a+json")
}

fn starts_with(value: &[u8], text: &[u8]) -> bool {
    let start = value.get(..text.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(text))
}
