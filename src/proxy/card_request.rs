//! Requests for agent cards, on routes whose cards are rewritten.

use crate::message::{KnownField, Method, trim};
use crate::model::PublicUrl;
use crate::table::Route;

use super::body_form::Peeked;
use super::forward;
use super::io::RequestParts;
use super::requested_url::requested;
use super::settings::PeerInfo;

/// Ends of paths that lead to a card: the current and the earlier address, and those of the extended card.
const PATHS: [&[u8]; 4] = [
    b"/.well-known/agent-card.json",
    b"/.well-known/agent.json",
    b"/extendedAgentCard",
    b"/v1/card",
];

/// A request for a card.
#[derive(Debug, Clone)]
pub(super) struct CardRequest {
    /// The URL that the card is to name.
    pub(super) public: PublicUrl,
    pub(super) form: CardForm,
    /// Entity tags of the client's `If-None-Match`, as it sent them.
    if_none_match: Vec<u8>,
}

/// Form of a request for a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CardForm {
    /// A call over JSON-RPC.
    Call,
    /// A `GET` of its address.
    Get,
    /// A `HEAD` of its address.
    Head,
}

impl CardRequest {
    /// `None` for all other requests, and for one that does not say under which host it reached the proxy.
    #[inline]
    pub(super) fn of(
        route: &Route,
        parts: &RequestParts<'_>,
        peer: PeerInfo,
        peeked: Option<&Peeked>,
    ) -> Option<Box<Self>> {
        if !route.rewrites_cards() {
            return None;
        }
        let form = form(parts, peeked)?;
        let spec = route.spec();
        let public = match &spec.public_url {
            Some(public) => public.clone(),
            None => requested(parts, peer)?,
        };
        let mut if_none_match = Vec::new();
        forward::join(&mut if_none_match, parts, KnownField::IfNoneMatch, b",");
        Some(Box::new(Self {
            public: public.below(spec.stripped_prefix().unwrap_or_default()),
            form,
            if_none_match,
        }))
    }

    /// True if the client has the response with this entity tag already (RFC 9110, section 13.1.2).
    pub(super) fn has(&self, tag: &[u8]) -> bool {
        let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
        let mut known = self.if_none_match.split(|&byte| byte == b',').map(trim);
        self.form == CardForm::Get
            && known.any(|known| known == b"*" || opaque(known) == opaque(tag))
    }
}

fn form(parts: &RequestParts<'_>, peeked: Option<&Peeked>) -> Option<CardForm> {
    if peeked.is_some_and(|peeked| peeked.is_for_card) {
        return Some(CardForm::Call);
    }
    let form = match parts.facts.method {
        Method::Get => CardForm::Get,
        Method::Head => CardForm::Head,
        _ => return None,
    };
    let path = parts.facts.target.path;
    PATHS.iter().any(|end| path.ends_with(end)).then_some(form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Limits;
    use crate::proxy::http1_client::validate;

    fn on<R>(head: &str, look: impl FnOnce(&RequestParts<'_>) -> R) -> R {
        validate(head.as_bytes(), &Limits::default(), look).unwrap()
    }

    #[test]
    fn cards_are_requested_at_their_addresses() {
        let of = |line: &str| {
            on(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"), |parts| {
                form(parts, None)
            })
        };
        assert_eq!(of("GET /.well-known/agent-card.json"), Some(CardForm::Get));
        assert_eq!(
            of("GET /agents/a/.well-known/agent.json?x=1"),
            Some(CardForm::Get)
        );
        assert_eq!(
            of("HEAD /.well-known/agent-card.json"),
            Some(CardForm::Head)
        );
        assert_eq!(of("GET /a/extendedAgentCard"), Some(CardForm::Get));
        assert_eq!(of("GET /v1/card"), Some(CardForm::Get));
        for other in [
            "POST /.well-known/agent-card.json",
            "GET /.well-known/agent-card.json/x",
            "GET /agent-card.json",
            "GET /?/.well-known/agent-card.json",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn the_entity_tag_of_the_client_is_compared_weakly() {
        let request = |tags: &str, form| CardRequest {
            public: "https://a.test".parse().unwrap(),
            form,
            if_none_match: tags.into(),
        };
        let has = |tags, tag: &str| request(tags, CardForm::Get).has(tag.as_bytes());
        assert!(has("\"a\", W/\"b\"", "\"b\"") && has("\"a\"", "W/\"a\"") && has("*", "\"x\""));
        assert!(!has("\"a\"", "\"b\"") && !has("", "\"b\"") && !has("a", "\"a\""));
        assert!(
            !request("*", CardForm::Head).has(b"\"a\"")
                && !request("*", CardForm::Call).has(b"\"a\"")
        );
    }
}
