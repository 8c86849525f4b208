//! Pins: ids that an endpoint gives out leave sealed, with the release and the endpoint in them, and come back opened.
//!
//! Nothing is stored: every node with the same keys follows the same pins, before and after a restart. An id that a seal
//! holds is what the endpoint sees, whether or not the request still follows the pin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fleet::McpSessions;
use crate::message::{Field, KnownField, KnownSet, trim};
use crate::model::AgentProtocol;
use crate::seal::{Content, KeyRing, LONGEST_ID, OpenError, Pin, is_sealed};
use crate::table::{PinField, Route, key_of};
use crate::telemetry::names;

use super::io::{FieldSink, RequestParts, ResponseParts};
use super::mcp_start::SessionStart;
use super::settings::ProxySettings;
use super::shared::Shared;

/// The pin that a request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    /// Time of issue, in seconds since 1970.
    issued: u32,
    /// Address of its endpoint.
    pub(super) endpoint: SocketAddr,
    /// Hash of the id, the key of the session.
    pub(super) key: u64,
}

/// Reason why a value does not pin its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinRefusal {
    /// It is older than sessions may be.
    Expired,
    /// Its release is not in the split of the route.
    Foreign,
    /// It was altered, or made for another field.
    Forged,
    /// It looks sealed and is not.
    Malformed,
    /// It is too long to be sealed.
    TooLong,
    /// No key of ours has sealed it.
    UnknownKey,
}

/// Opens the pins of a route in a request, and seals those in its response.
#[derive(Clone, Copy)]
pub(super) struct Pins<'p> {
    fields: &'p [PinField],
    ring: &'p KeyRing,
    /// Sessions whose ids may lead elsewhere by now, on a route to MCP servers.
    sessions: Option<&'p McpSessions>,
}

/// The origin of an id: what its seal will say.
pub(super) struct Minted {
    /// Identity of the release.
    pub(super) release: u64,
    /// Address of the endpoint.
    pub(super) endpoint: SocketAddr,
    /// The pin that the request followed.
    pub(super) pinned: Option<Pinned>,
}

impl Pinned {
    /// The pin of an id that was learned.
    pub(super) fn learned(endpoint: SocketAddr, id: &[u8]) -> Self {
        Self {
            issued: now_seconds(),
            endpoint,
            key: key_of(id),
        }
    }
}

impl<'p> Pins<'p> {
    /// Pins of a route; `None` if it has none.
    #[inline]
    pub(super) fn of(route: &'p Route, shared: &'p Shared) -> Option<Self> {
        let fields = route.pins();
        if fields.is_empty() {
            return None;
        }
        let is_mcp = route.agent_protocol() == Some(AgentProtocol::Mcp);
        Some(Self {
            fields,
            ring: shared.settings.seal.as_deref()?,
            sessions: is_mcp.then_some(&shared.mcp_sessions),
        })
    }

    /// The first pin of a request that leads to a release of the split, with its position. `refused` gets the reasons of
    /// those that do not.
    pub(super) fn find(
        self,
        route: &Route,
        parts: &RequestParts<'_>,
        settings: &ProxySettings,
        mut refused: impl FnMut(PinRefusal),
    ) -> Option<(usize, Pinned)> {
        let texts = self.fields.iter().filter_map(|field| {
            let text = field.value(parts).filter(|text| is_sealed(text))?;
            Some((field, text))
        });
        for (field, text) in texts {
            match self.follow(route, field, text, settings) {
                Ok(found) => return Some(found),
                Err(refusal) => refused(refusal),
            }
        }
        None
    }

    fn follow(
        self,
        route: &Route,
        field: &PinField,
        text: &[u8],
        settings: &ProxySettings,
    ) -> Result<(usize, Pinned), PinRefusal> {
        let mut content = Content::default();
        let current = self.current(text);
        let text = current.as_deref().map_or(text, str::as_bytes);
        let pin = Pin::open(self.ring, field.label(), text, &mut content)?;
        if pin.age(now_seconds()) > settings.session_max_age {
            return Err(PinRefusal::Expired);
        }
        let position = route.split().position_of(pin.release);
        let position = position.ok_or(PinRefusal::Foreign)?;
        let pinned = Pinned {
            issued: pin.issued,
            endpoint: pin.endpoint,
            key: key_of(pin.id),
        };
        Ok((position, pinned))
    }

    /// The id of a session that was moved since its client got `text`.
    fn current(self, text: &[u8]) -> Option<Arc<str>> {
        self.sessions?.current(text)
    }

    // === the request to the endpoint ===

    /// Classes of the request fields that carry them.
    pub(super) fn known(self) -> KnownSet {
        let mut known = KnownSet::default();
        for field in self.fields {
            known.insert(field.known());
        }
        known
    }

    /// True for a header field that is written by [`Pins::write_request`] instead.
    pub(super) fn takes(self, field: &Field<'_>) -> bool {
        self.fields.iter().any(|pin| pin.is_header(field.name))
    }

    /// True if cookies carry pins.
    pub(super) fn takes_cookies(self) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|pin| pin.known() == KnownField::Cookie)
    }

    /// Writes the header fields with pins, opened.
    pub(super) fn write_request(self, parts: &RequestParts<'_>, out: &mut impl FieldSink) {
        for field in parts.fields.clone() {
            let mut pins = self.fields.iter();
            let Some(pin) = pins.find(|pin| pin.is_header(field.name)) else {
                continue;
            };
            if parts.facts.nominated.is_other_hop_by_hop(&field) {
                continue;
            }
            let mut content = Content::default();
            let value = self.opened(pin, field.value, &mut content);
            out.field(&Field { value, ..field });
        }
    }

    /// Writes all cookies of a request as one field's value, those with pins opened.
    pub(super) fn join_cookies(self, parts: &RequestParts<'_>, joined: &mut Vec<u8>) {
        joined.clear();
        let fields = parts.fields.clone();
        let fields = fields.filter(|field| field.known == KnownField::Cookie);
        for pair in fields.flat_map(|field| field.value.split(|&byte| byte == b';')) {
            let pair = trim(pair);
            if pair.is_empty() {
                continue;
            }
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            let (name, value) = halves(pair);
            let mut pins = self.fields.iter();
            match (value, pins.find(|pin| pin.is_cookie(name))) {
                (Some(value), Some(pin)) => {
                    let mut content = Content::default();
                    let value = self.opened(pin, value, &mut content);
                    joined.extend_from_slice(&pair[..=name.len()]);
                    joined.extend_from_slice(value);
                }
                _ => joined.extend_from_slice(pair),
            }
        }
    }

    /// The id in a sealed value; any other value as it is.
    fn opened<'v>(self, pin: &PinField, value: &'v [u8], content: &'v mut Content) -> &'v [u8] {
        if !is_sealed(value) {
            return value;
        }
        let current = self.current(value);
        let text = current.as_deref().map_or(value, str::as_bytes);
        match Pin::open(self.ring, pin.label(), text, content) {
            Ok(pin) => pin.id,
            Err(_) => value,
        }
    }

    // === the response to the client ===

    /// True for a field of a response that is written by [`Pins::write_response`] instead.
    pub(super) fn takes_of_response(self, field: &Field<'_>) -> bool {
        self.pin_of_response(field).is_some()
    }

    fn pin_of_response(self, field: &Field<'_>) -> Option<&'p PinField> {
        let cookie = (field.known == KnownField::SetCookie).then(|| halves(field.value).0);
        self.fields.iter().find(|pin| match cookie {
            Some(name) => pin.is_cookie(trim(name)),
            None => pin.is_header(field.name),
        })
    }

    /// Writes the fields with ids of a response, sealed.
    pub(super) fn write_response(
        self,
        parts: &ResponseParts<'_>,
        (minted, start): (&Minted, Option<&SessionStart>),
        out: &mut dyn FieldSink,
    ) {
        for field in parts.fields.clone() {
            let Some(pin) = self.pin_of_response(&field) else {
                continue;
            };
            if parts.facts.nominated.is_other_hop_by_hop(&field) {
                continue;
            }
            if field.known == KnownField::SetCookie {
                self.write_cookie(pin, &field, minted, out);
            } else {
                self.seal(pin, field.value, minted, |value| {
                    if let Some(start) = start {
                        start.note(field.name, value);
                    }
                    out.field(&Field { value, ..field });
                });
            }
        }
    }

    fn write_cookie(
        self,
        pin: &PinField,
        field: &Field<'_>,
        minted: &Minted,
        out: &mut dyn FieldSink,
    ) {
        let end = memchr::memchr(b';', field.value).unwrap_or(field.value.len());
        let (pair, attributes) = field.value.split_at(end);
        let (name, value) = halves(pair);
        self.seal(pin, trim(value.unwrap_or_default()), minted, |value| {
            let cookie = [name, b"=", value, attributes].concat();
            out.field(&Field {
                value: &cookie,
                ..*field
            });
        });
    }

    /// Calls `write` with the sealed text of an id; with the id itself if it is empty or too long.
    fn seal(self, pin: &PinField, id: &[u8], minted: &Minted, mut write: impl FnMut(&[u8])) {
        // An id that comes back unchanged keeps its text: a client need not notice that it was sent again.
        let same = minted.pinned.filter(|pinned| pinned.key == key_of(id));
        let text = Pin {
            issued: same.map_or_else(now_seconds, |pinned| pinned.issued),
            release: minted.release,
            endpoint: same.map_or(minted.endpoint, |pinned| pinned.endpoint),
            id,
        }
        .seal(self.ring, pin.label());
        if let Some(text) = text {
            return write(&text);
        }
        if id.len() > LONGEST_ID {
            PinRefusal::TooLong.count();
        }
        write(id);
    }
}

/// Name and value of a cookie; the value is `None` without a `=`.
fn halves(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let pair = &pair[..memchr::memchr(b';', pair).unwrap_or(pair.len())];
    match memchr::memchr(b'=', pair) {
        Some(equals) => (&pair[..equals], Some(&pair[equals + 1..])),
        None => (pair, None),
    }
}

/// Seconds since 1970.
pub(super) fn now_seconds() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u32::try_from(now.as_secs()).unwrap_or(u32::MAX))
}

// === impl PinRefusal ===

impl PinRefusal {
    /// Counts it.
    pub(super) fn count(self) {
        metrics::counter!(names::PINS_REFUSED.0, "reason" => self.as_str()).increment(1);
    }

    /// Label of the metric.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Foreign => "foreign",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::UnknownKey => "unknown_key",
        }
    }
}

impl From<OpenError> for PinRefusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Forged => Self::Forged,
            OpenError::Malformed => Self::Malformed,
            OpenError::UnknownKey => Self::UnknownKey,
        }
    }
}
