//! Fields that are allowed in trailers.
//!
//! A recipient that merges trailers into the head would let them override it, so fields for framing, routing,
//! authentication or content description are dropped there (RFC 9110, section 6.5.1).

use super::{Field, KnownField, KnownSet, is_flag_field};

const FORBIDDEN: KnownSet = KnownSet::of(&[
    KnownField::Accept,
    KnownField::AcceptEncoding,
    KnownField::Age,
    KnownField::CacheControl,
    KnownField::ContentRange,
    KnownField::Date,
    KnownField::Expect,
    KnownField::Expires,
    KnownField::GrpcTimeout,
    KnownField::IfMatch,
    KnownField::IfModifiedSince,
    KnownField::IfNoneMatch,
    KnownField::IfRange,
    KnownField::IfUnmodifiedSince,
    KnownField::Location,
    KnownField::MaxForwards,
    KnownField::Range,
    KnownField::RetryAfter,
    KnownField::SecWebSocketAccept,
    KnownField::SecWebSocketKey,
    KnownField::SecWebSocketVersion,
    KnownField::Trailer,
    KnownField::UserAgent,
    KnownField::Vary,
    KnownField::Warning,
    KnownField::WwwAuthenticate,
]);

/// True if the field is forwarded as a trailer; otherwise it is dropped silently.
pub fn is_trailer_allowed(field: &Field<'_>) -> bool {
    let known = field.known;
    if known == KnownField::GrpcStatus {
        return true;
    }
    !(FORBIDDEN.contains(known)
        || known.is_hop_by_hop()
        || known.is_protected()
        || is_flag_field(field.name)
        || field.name.contains(&b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_cannot_frame_route_or_authenticate() {
        for name in [
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "Connection",
            "Authorization",
            "Cookie",
            "Set-Cookie",
            "TE",
            "Trailer",
            "Content-Type",
            "Content-Encoding",
            "X-Forwarded-For",
            "Forwarded",
            "X-Real-IP",
            "Upgrade",
            "Mcp-Session-Id",
            "X-Switchback-Release",
            "X_Real_IP",
            "Expect",
            "Range",
        ] {
            assert!(
                !is_trailer_allowed(&Field::new(name.as_bytes(), b"")),
                "{name}"
            );
        }
        for name in [
            "grpc-status",
            "grpc-message",
            "Digest",
            "Server-Timing",
            "ETag",
            "x-checksum",
        ] {
            assert!(
                is_trailer_allowed(&Field::new(name.as_bytes(), b"")),
                "{name}"
            );
        }
    }
}
