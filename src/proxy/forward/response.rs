//! The fields of a response on its way to the client.

use crate::message::{Field, KnownField, KnownSet};

use super::super::date;
use super::super::io::{Agreement, FieldSink, HeadFields, ResponseParts};
use super::super::pins::Pins;
use super::super::taken_fields::TakenFields;
use super::RequestId;
use super::text::hex;

/// Writes the fields of a response for the client, but those that are `taken`; the fields of `pins` are left to
/// [`Pins::write_response`].
pub(in crate::proxy) fn write_response(
    out: &mut dyn FieldSink,
    parts: &ResponseParts<'_>,
    taken: TakenFields<'_>,
    pins: Option<Pins<'_>>,
) {
    let mut known = FRAMING.union(parts.facts.nominated.ending());
    if matches!(parts.agreement, Agreement::Replaced(_)) {
        known.insert(KnownField::SecWebSocketAccept);
    }
    let is_ours = |field: &Field<'_>| {
        known.contains(field.known) || parts.facts.nominated.is_other_hop_by_hop(field)
    };
    if taken.is_empty() && pins.is_none() {
        write_fields(out, parts, is_ours);
        return;
    }
    let is_sealed = |field: &Field<'_>| pins.is_some_and(|pins| pins.takes_of_response(field));
    write_fields(out, parts, |field| {
        is_ours(field) || taken.takes(field) || is_sealed(field)
    });
}

/// Writes the fields that are not taken.
#[inline]
fn write_fields(
    out: &mut dyn FieldSink,
    parts: &ResponseParts<'_>,
    takes: impl Fn(&Field<'_>) -> bool,
) {
    match &parts.fields {
        HeadFields::Http1(fields) => {
            for line in fields.clone().lines().filter(|line| !takes(&line.field)) {
                out.raw_line(&line);
            }
        }
        fields @ HeadFields::Http2(_) => {
            for field in fields.clone().filter(|field| !takes(field)) {
                out.field(&field);
            }
        }
    }
}

/// Response fields that are never forwarded: framing, set by the encoder, and those that only the proxy sets.
const FRAMING: KnownSet = KnownSet::of(&[
    KnownField::ContentLength,
    KnownField::TransferEncoding,
    KnownField::XSwitchback,
]);

/// Writes the fields that the proxy adds to a final response.
pub(in crate::proxy) fn write_response_own(
    out: &mut dyn FieldSink,
    parts: &ResponseParts<'_>,
    id: &RequestId,
    expose: Option<(&str, &str)>,
    date: impl FnOnce() -> [u8; date::LENGTH],
) {
    if let Agreement::Replaced(Some(accept)) = parts.agreement {
        out.add("sec-websocket-accept", accept);
    }
    // RFC 9110, section 6.6.1: a recipient that forwards a response without a date adds the time at which it came.
    if !parts.facts.present.contains(KnownField::Date) {
        out.trusted("date", &date());
    }
    if !parts.facts.present.contains(KnownField::XRequestId) {
        match id {
            RequestId::Given(id) => out.add("x-request-id", id.as_bytes()),
            RequestId::Own(number) => out.trusted("x-request-id", &hex(*number)),
        }
    }
    if let Some((name, release)) = expose {
        out.field(&Field::new(name.as_bytes(), release.as_bytes()));
    }
}
