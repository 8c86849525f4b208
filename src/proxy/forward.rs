//! Header fields that the proxy adds, drops and rewrites, as slices from one head to the other.
//!
//! Hop-by-hop fields and those nominated by `Connection` are dropped; the encoder of the head sets the framing fields.
//! Forwarding fields of an untrusted peer are overwritten.

use crate::message::{Field, KnownField, KnownSet, Target, Version};
use crate::table::{HeaderRules, Route};

use super::flag_fields::FlagFields;
use super::header_fields::HeaderValues;
use super::io::{FieldSink, HeadFields, RequestParts};
use super::pins::Pins;
use super::settings::PeerInfo;
pub(super) use hops::{hops_left, traced};
pub(super) use joined::join;
use joined::{find, joined_with, push_forwarded};
pub(super) use request_id::RequestId;
pub(super) use response::{write_response, write_response_own};
use text::Address;
pub(super) use text::{hex, hex_half};
pub(super) use trace::{SpanFields, Traceparent};
use trace::{is_traceparent, write_ids};

mod hops;
mod joined;
mod request_id;
mod response;
mod text;
mod trace;

/// Values for the fields of a request that the proxy adds.
pub(super) struct Forwarding<'f> {
    pub(super) peer: PeerInfo,
    pub(super) id: &'f RequestId,
    /// The proxy's name in `Via`; `None` to add nothing.
    pub(super) via: Option<&'f str>,
    /// `Host` to send, if not the client's.
    pub(super) host: Option<&'f str>,
    /// The client's WebSocket key is dropped: the endpoint gets a new one, or needs none.
    pub(super) hides_key: bool,
    /// Two random numbers to start a trace with if the request has none; `None` to start no traces.
    pub(super) trace: Option<(u64, u64)>,
    /// Our own span, which takes the place of the client's in a request that is recorded.
    pub(super) span: Option<&'f SpanFields>,
    /// Pins of the route, whose ids are opened.
    pub(super) pins: Option<Pins<'f>>,
    /// Flags of the route, if it hands some to its endpoints.
    pub(super) flags: Option<FlagFields<'f>>,
    /// Changes of the route, and the values of their variables.
    pub(super) changes: Option<(&'f HeaderRules, HeaderValues<'f>)>,
    /// The response is to be a whole agent card, uncompressed.
    pub(super) is_card: bool,
    /// The client's credentials are not the endpoint's to know.
    pub(super) hides_authorization: bool,
}

// === requests ===

/// Writes the fields of a request for the endpoint. `scratch` is empty, and is used for joined values.
pub(super) fn write_request(
    out: &mut impl FieldSink,
    parts: &RequestParts<'_>,
    forwarding: &Forwarding<'_>,
    scratch: &mut Vec<u8>,
) {
    let authority = parts
        .facts
        .authority
        .as_ref()
        .map(crate::message::Authority::as_str);
    match (forwarding.host, authority) {
        (Some(host), _) => out.add("host", host.as_bytes()),
        (None, Some(host)) => out.trusted("host", host.as_bytes()),
        (None, None) => {}
    }
    let mut seen = HeaderFilter::new(parts, forwarding);
    match &parts.fields {
        HeadFields::Http1(fields) => {
            for line in fields.clone().lines() {
                if !seen.takes(&line.field, parts) {
                    out.raw_line(&line);
                }
            }
        }
        fields @ HeadFields::Http2(_) => {
            for field in fields.clone() {
                if !seen.takes(&field, parts) {
                    out.field(&field);
                }
            }
        }
    }
    if seen.cookies {
        match forwarding.pins {
            None => join(scratch, parts, KnownField::Cookie, b"; "),
            Some(pins) => pins.join_cookies(parts, scratch),
        }
        out.add("cookie", scratch);
    }
    if let Some(pins) = forwarding.pins {
        pins.write_request(parts, out);
    }
    if let Some(flags) = forwarding.flags {
        flags.write(parts, out, scratch);
    }
    if let Some((rules, values)) = &forwarding.changes {
        values.write(rules, out, |_| false);
    }
    write_own(out, parts, forwarding, scratch, authority);
    let begin = forwarding.trace.filter(|_| !seen.has_trace);
    write_ids(out, forwarding.id, begin, forwarding.span);
    if let Some(hops) = seen.hops {
        out.trusted(
            "max-forwards",
            hops.saturating_sub(1).to_string().as_bytes(),
        );
    }
    if forwarding.is_card {
        out.trusted("accept-encoding", b"identity");
    }
    if parts.facts.accepts_trailers {
        out.trusted("te", b"trailers");
    }
}

/// Fields that the proxy always sets itself.
const ALWAYS_REPLACED: KnownSet = KnownSet::of(&[
    KnownField::Host,
    KnownField::ContentLength,
    KnownField::TransferEncoding,
    KnownField::XSwitchback,
    KnownField::XRequestId,
    KnownField::XForwardedFor,
    KnownField::Forwarded,
]);

/// Fields that the proxy sets itself unless the peer is trusted.
const TRUSTED_PEERS_ONLY: KnownSet = KnownSet::of(&[
    KnownField::XForwarded,
    KnownField::XForwardedHost,
    KnownField::XForwardedPort,
    KnownField::XForwardedProto,
    KnownField::XRealIp,
]);

/// Fields whose value or context decides whether they are dropped.
const CONDITIONAL: KnownSet = KnownSet::of(&[
    KnownField::Cookie,
    KnownField::Expect,
    KnownField::MaxForwards,
    KnownField::Other,
    KnownField::Traceparent,
    KnownField::Tracestate,
]);

/// Fields that ask for a part of the response, for a coding of it or for nothing new: not sent where it may be rewritten.
const OF_A_COPY: KnownSet = KnownSet::of(&[
    KnownField::AcceptEncoding,
    KnownField::IfMatch,
    KnownField::IfModifiedSince,
    KnownField::IfNoneMatch,
    KnownField::IfRange,
    KnownField::IfUnmodifiedSince,
    KnownField::Range,
]);

/// Decides which fields are dropped, and records which were seen.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct HeaderFilter<'f> {
    cookies: bool,
    pins: Option<Pins<'f>>,
    flags: Option<FlagFields<'f>>,
    rules: Option<&'f HeaderRules>,
    /// The route has pins, flags or changes, which take fields.
    takes_more: bool,
    /// Fields whose value or context decides.
    conditional: KnownSet,
    has_trace: bool,
    /// Traces are in use: one starts here if the request has none. Otherwise trace fields pass untouched.
    makes_traces: bool,
    /// Hops left, if counted here.
    hops: Option<u32>,
    /// Fields that are dropped, whatever their value.
    taken: KnownSet,
}

impl<'f> HeaderFilter<'f> {
    fn new(parts: &RequestParts<'_>, forwarding: &Forwarding<'f>) -> Self {
        let mut taken = ALWAYS_REPLACED.union(parts.facts.nominated.ending());
        if !forwarding.peer.is_trusted {
            taken = taken.union(TRUSTED_PEERS_ONLY);
        }
        if forwarding.via.is_some() {
            taken.insert(KnownField::Via);
        }
        if forwarding.hides_key {
            taken.insert(KnownField::SecWebSocketKey);
        }
        if forwarding.is_card {
            taken = taken.union(OF_A_COPY);
        }
        if forwarding.hides_authorization {
            taken.insert(KnownField::Authorization);
        }
        if let Some(span) = forwarding.span {
            taken.insert(KnownField::Traceparent);
            if !span.has_parent {
                taken.insert(KnownField::Tracestate);
            }
        }
        let mut conditional = CONDITIONAL;
        if let Some(pins) = forwarding.pins {
            conditional = conditional.union(pins.known());
        }
        let rules = forwarding.changes.as_ref().map(|(rules, _)| *rules);
        if let Some(rules) = rules {
            conditional = conditional.union(rules.known());
        }
        Self {
            takes_more: forwarding.pins.is_some() || forwarding.flags.is_some() || rules.is_some(),
            rules,
            pins: forwarding.pins,
            flags: forwarding.flags,
            conditional,
            makes_traces: forwarding.trace.is_some() && forwarding.span.is_none(),
            cookies: false,
            has_trace: false,
            hops: None,
            taken,
        }
    }

    /// True if the field is dropped, or replaced by the proxy's own.
    #[inline]
    fn takes(&mut self, field: &Field<'_>, parts: &RequestParts<'_>) -> bool {
        self.taken.contains(field.known)
            || (self.conditional.contains(field.known) && self.drops(field, parts))
    }

    fn drops(&mut self, field: &Field<'_>, parts: &RequestParts<'_>) -> bool {
        if self.takes_more && self.is_of_route(field) {
            return true;
        }
        match field.known {
            KnownField::Other => parts.facts.nominated.is_other_hop_by_hop(field),
            // HTTP/2 may split it (RFC 9113, section 8.2.3).
            KnownField::Cookie
                if parts.facts.version == Version::Http2
                    || self.pins.is_some_and(Pins::takes_cookies) =>
            {
                self.cookies = true;
                true
            }
            KnownField::Expect => !parts.facts.expects_continue,
            KnownField::MaxForwards => {
                self.hops = hops_left(parts);
                self.hops.is_some()
            }
            KnownField::Traceparent if self.makes_traces => {
                let passes = !self.has_trace && is_traceparent(field.value);
                self.has_trace |= passes;
                !passes
            }
            KnownField::Tracestate if self.makes_traces => {
                !find(parts, KnownField::Traceparent).is_some_and(is_traceparent)
            }
            _ => false,
        }
    }

    /// True if the pins, the flags or the changes of the route take the field.
    #[inline(never)]
    fn is_of_route(&self, field: &Field<'_>) -> bool {
        let known = field.known;
        known != KnownField::Cookie && self.pins.is_some_and(|pins| pins.takes(field))
            || known == KnownField::Other && self.flags.is_some_and(|flags| flags.takes(field))
            || self.rules.is_some_and(|rules| rules.takes(field))
    }
}

fn write_own(
    out: &mut impl FieldSink,
    parts: &RequestParts<'_>,
    forwarding: &Forwarding<'_>,
    scratch: &mut Vec<u8>,
    authority: Option<&str>,
) {
    let (peer, present) = (forwarding.peer, parts.facts.present);
    let address = peer.client.ip().to_canonical();
    let scheme = if peer.is_secure { "https" } else { "http" };
    let passes = |known| peer.is_trusted && present.contains(known);

    let address = Address::of(address);
    if passes(KnownField::XForwardedFor) {
        joined_with(scratch, parts, KnownField::XForwardedFor, true, |scratch| {
            scratch.extend_from_slice(address.text());
        });
        out.add("x-forwarded-for", scratch);
    } else {
        out.trusted("x-forwarded-for", address.text());
    }
    if !passes(KnownField::XRealIp) {
        out.trusted("x-real-ip", address.text());
    }
    if !passes(KnownField::XForwardedProto) {
        out.trusted("x-forwarded-proto", scheme.as_bytes());
    }
    if let Some(host) = authority.filter(|_| !passes(KnownField::XForwardedHost)) {
        out.trusted("x-forwarded-host", host.as_bytes());
    }
    let keep = peer.is_trusted;
    joined_with(scratch, parts, KnownField::Forwarded, keep, |scratch| {
        push_forwarded(scratch, &address, authority, scheme);
    });
    if passes(KnownField::Forwarded) {
        out.add("forwarded", scratch);
    } else {
        out.trusted("forwarded", scratch);
    }
    if let Some(via) = forwarding.via {
        write_via(out, parts, via, scratch);
    }
}

fn write_via(out: &mut impl FieldSink, parts: &RequestParts<'_>, via: &str, scratch: &mut Vec<u8>) {
    joined_with(scratch, parts, KnownField::Via, true, |scratch| {
        scratch.extend_from_slice(match parts.facts.version {
            Version::Http10 => b"1.0 ",
            Version::Http11 => b"1.1 ",
            Version::Http2 => b"2 ",
        });
        scratch.extend_from_slice(via.as_bytes());
    });
    if parts.facts.present.contains(KnownField::Via) {
        out.add("via", scratch);
    } else {
        out.trusted("via", scratch);
    }
}

/// The path for the endpoint: the received one without the prefix that the route strips.
pub(super) fn path<'h>(target: &Target<'h>, route: &Route) -> &'h [u8] {
    let Some(prefix) = route.spec().stripped_prefix() else {
        return target.path;
    };
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match target.path.strip_prefix(prefix.as_bytes()) {
        Some(rest @ [b'/', ..]) => rest,
        Some([]) => b"/",
        _ => target.path,
    }
}

#[cfg(test)]
mod tests;
