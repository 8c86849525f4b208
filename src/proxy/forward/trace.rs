//! Validation of `traceparent` values.

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
