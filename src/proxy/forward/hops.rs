//! Hop limit of `TRACE` and `OPTIONS` (`Max-Forwards`; RFC 9110, section 7.6.2).

use crate::message::{KnownField, KnownSet, Method};

use super::{RequestParts, find};

/// Fields that a `TRACE` response shows: the path that the request took, and nothing secret.
const TRACED: KnownSet = KnownSet::of(&[
    KnownField::Forwarded,
    KnownField::Host,
    KnownField::MaxForwards,
    KnownField::Traceparent,
    KnownField::UserAgent,
    KnownField::Via,
    KnownField::XForwardedFor,
]);

/// Number of further hops allowed for a `TRACE` or an `OPTIONS`; `None` for other methods and without the field.
pub(in crate::proxy) fn hops_left(parts: &RequestParts<'_>) -> Option<u32> {
    if !matches!(parts.facts.method, Method::Options | Method::Trace) {
        return None;
    }
    let value = find(parts, KnownField::MaxForwards)?;
    let is_number = (1..=9).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let digits = value.iter().filter(|_| is_number);
    is_number.then(|| digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

/// The request as received, as the response to a `TRACE` that goes no further; `None` for another method.
pub(in crate::proxy) fn traced(parts: &RequestParts<'_>) -> Option<Box<[u8]>> {
    if parts.facts.method != Method::Trace {
        return None;
    }
    let mut text = [b"TRACE ", parts.facts.target.path, b" HTTP/1.1\r\n"].concat();
    let fields = parts.fields.clone();
    for field in fields.filter(|field| TRACED.contains(field.known)) {
        text.extend([field.name, b": ", field.value, b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    Some(text.into())
}
