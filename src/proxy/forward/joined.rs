//! Values of a field of a request, joined, and the element that the proxy adds to them.

use crate::message::KnownField;

use super::super::io::RequestParts;
use super::text::Address;

/// One element of `Forwarded` (RFC 7239).
pub(super) fn push_forwarded(
    out: &mut Vec<u8>,
    address: &Address,
    authority: Option<&str>,
    scheme: &str,
) {
    out.extend_from_slice(if address.is_v6 { b"for=\"[" } else { b"for=" });
    out.extend_from_slice(address.text());
    if address.is_v6 {
        out.extend_from_slice(b"]\"");
    }
    if let Some(host) = authority {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\"");
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme.as_bytes());
}

/// Joins all values of a field in `scratch`, if `keep`, and appends the proxy's own.
pub(super) fn joined_with(
    scratch: &mut Vec<u8>,
    parts: &RequestParts<'_>,
    known: KnownField,
    keep: bool,
    own: impl FnOnce(&mut Vec<u8>),
) {
    scratch.clear();
    if keep && parts.facts.present.contains(known) {
        join(scratch, parts, known, b", ");
        if !scratch.is_empty() {
            scratch.extend_from_slice(b", ");
        }
    }
    own(scratch);
}

/// Joins all values of a field in `scratch`.
pub(in crate::proxy) fn join(
    scratch: &mut Vec<u8>,
    parts: &RequestParts<'_>,
    known: KnownField,
    separator: &[u8],
) {
    scratch.clear();
    for field in parts
        .fields
        .clone()
        .filter(|field| field.known == known && !field.value.is_empty())
    {
        if !scratch.is_empty() {
            scratch.extend_from_slice(separator);
        }
        scratch.extend_from_slice(field.value);
    }
}

pub(super) fn find<'h>(parts: &RequestParts<'h>, known: KnownField) -> Option<&'h [u8]> {
    parts
        .fields
        .clone()
        .find(|field| field.known == known)
        .map(|field| field.value)
}
