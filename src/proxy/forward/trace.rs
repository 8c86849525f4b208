//! Values of `traceparent` (W3C Trace Context), and the ids of a request.

use super::super::io::FieldSink;
use super::request_id::RequestId;
use super::text::{hex, hex_half};

/// Place of a request in the trace of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Traceparent {
    /// The trace.
    pub(in crate::proxy) trace: u128,
    /// Span of the client.
    pub(in crate::proxy) span: u64,
    /// True if the client records it.
    pub(in crate::proxy) is_sampled: bool,
}

/// Trace fields of a request that is recorded.
pub(in crate::proxy) struct SpanFields {
    /// `traceparent` with our span.
    pub(in crate::proxy) traceparent: [u8; 55],
    /// True if the request is in a trace of its client, so that its `tracestate` passes.
    pub(in crate::proxy) has_parent: bool,
}

impl Traceparent {
    /// Parses a valid value.
    pub(in crate::proxy) fn parse(value: &[u8]) -> Option<Self> {
        if !is_traceparent(value) {
            return None;
        }
        let text = std::str::from_utf8(&value[..55]).ok()?;
        Some(Self {
            trace: u128::from_str_radix(&text[3..35], 16).ok()?,
            span: u64::from_str_radix(&text[36..52], 16).ok()?,
            is_sampled: u8::from_str_radix(&text[53..], 16).ok()? & 1 == 1,
        })
    }
}

/// True if the value is valid in W3C Trace Context: version 00 exactly, later versions at least as long.
pub(super) fn is_traceparent(value: &[u8]) -> bool {
    let is_hex = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let Some((head, rest)) = value.split_at_checked(55) else {
        return false;
    };
    let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let (version, trace, span, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    let is_valid = dashes && [version, trace, span, flags].into_iter().all(is_hex);
    let is_zero = |part: &[u8]| part.iter().all(|&byte| byte == b'0');
    let fits = if version == b"00" {
        rest.is_empty()
    } else {
        rest.is_empty() || rest[0] == b'-'
    };
    is_valid && version != b"ff" && !is_zero(trace) && !is_zero(span) && fits
}

/// Writes the request's id, and our span in its trace if it is recorded, or else the begin of a trace if there is to
/// be one. The sampled flag of that (the last two digits) is not set, since no one has decided to record it.
pub(super) fn write_ids(
    out: &mut impl FieldSink,
    id: &RequestId,
    begin: Option<(u64, u64)>,
    span: Option<&SpanFields>,
) {
    match id {
        RequestId::Given(id) => out.add("x-request-id", id.as_bytes()),
        RequestId::Own(number) => out.trusted("x-request-id", &hex((*number).max(1))),
    }
    if let Some(span) = span {
        return out.trusted("traceparent", &span.traceparent);
    }
    let Some((trace, span)) = begin else {
        return;
    };
    let number = match id {
        RequestId::Given(_) => hex(u128::from(trace) << 64 | u128::from(span.max(1))),
        RequestId::Own(number) => hex((*number).max(1)),
    };
    let mut text = *b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";
    text[3..35].copy_from_slice(&number);
    text[36..52].copy_from_slice(&hex_half(trace.max(1)));
    out.trusted("traceparent", &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_trace_has_two_ids_and_a_flag() {
        let of = |flags: &str| {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            Traceparent::parse(text.as_bytes())
        };
        let place = |is_sampled| Traceparent {
            trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span: 0xb7ad_6b71_6920_3331,
            is_sampled,
        };
        assert_eq!(of("01"), Some(place(true)));
        assert_eq!(of("02"), Some(place(false)));
        assert_eq!(of("0G"), None);
        assert_eq!(Traceparent::parse(b"00-1-2-01"), None);
    }
}
