//! gRPC support: detection, deadlines, and errors of the proxy in the form that gRPC clients expect.
//!
//! A gRPC client reads the status in the trailers, not that of the response, so an error of the proxy is a 200 that
//! consists of one head with `grpc-status` and `grpc-message` ("Trailers-Only").

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// A gRPC status, as far as the proxy sends or reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GrpcStatus(u8);

/// Longest timeout that is accepted: about 30 years. More could overflow arithmetic on clocks.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

// === impl GrpcStatus ===

impl GrpcStatus {
    pub(super) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(super) const INTERNAL: Self = Self(13);
    pub(super) const INVALID_ARGUMENT: Self = Self(3);
    pub(super) const PERMISSION_DENIED: Self = Self(7);
    pub(super) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(super) const UNAUTHENTICATED: Self = Self(16);
    pub(super) const UNAVAILABLE: Self = Self(14);
    pub(super) const UNIMPLEMENTED: Self = Self(12);
    pub(super) const UNKNOWN: Self = Self(2);

    /// The gRPC status for an HTTP status of the proxy's own.
    pub(super) const fn of_http(status: u16) -> Self {
        match status {
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 | 405 => Self::UNIMPLEMENTED,
            408 | 504 => Self::DEADLINE_EXCEEDED,
            413 | 414 | 429 | 431 => Self::RESOURCE_EXHAUSTED,
            400..=499 => Self::INVALID_ARGUMENT,
            502 | 503 => Self::UNAVAILABLE,
            500..=599 => Self::INTERNAL,
            _ => Self::UNKNOWN,
        }
    }

    /// Parses the value of `grpc-status`.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        match value {
            [digit @ b'0'..=b'9'] => Some(Self(digit - b'0')),
            [b'1', digit @ b'0'..=b'6'] => Some(Self(10 + digit - b'0')),
            _ => None,
        }
    }

    /// The value of `grpc-status`.
    pub(super) fn value(self) -> String {
        self.0.to_string()
    }

    /// The equivalent HTTP status, for statistics: 5xx if the service is at fault, 4xx if the caller is.
    /// `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS` are the service's fault.
    pub(super) const fn as_http(self) -> u16 {
        match self.0 {
            0 => 200,
            1 => 499,
            3 | 9 | 11 => 400,
            4 => 504,
            5 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            12 => 405,
            14 => 503,
            16 => 401,
            _ => 500,
        }
    }
}

/// True if the content type is that of gRPC.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    let prefix = b"application/grpc";
    let Some((start, rest)) = content_type.split_at_checked(prefix.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(prefix) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Parses the value of `grpc-timeout`: at most eight digits and a unit.
pub(super) fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    let timeout = match unit {
        b'H' => Duration::from_secs(amount * 3_600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    };
    Some(timeout.min(LONGEST))
}

/// Text encoded for `grpc-message`: `%` and all but printable ASCII as `%XX`.
pub(super) fn message(text: &str) -> String {
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_type_itself_and_its_kin_are_grpc() {
        for text in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC; x=1",
        ] {
            assert!(is_grpc(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/json",
        ] {
            assert!(!is_grpc(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("8n", Some(Duration::from_nanos(8))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(LONGEST)),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("+1S", None),
            ("123456789S", None),
            ("1 S", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(message("no route matches"), "no route matches");
        assert_eq!(message("100 %\n\x7f\u{e4}"), "100 %25%0A%7F%C3%A4");
    }

    #[test]
    fn our_answers_have_a_status_of_their_own() {
        for (http, grpc) in [
            (400, 3),
            (404, 12),
            (408, 4),
            (413, 8),
            (429, 8),
            (502, 14),
            (503, 14),
            (504, 4),
            (500, 13),
        ] {
            assert_eq!(GrpcStatus::of_http(http), GrpcStatus(grpc), "{http}");
        }
    }

    #[test]
    fn every_status_can_be_read_and_has_a_class() {
        for code in 0..=16 {
            let status = GrpcStatus::parse(code.to_string().as_bytes()).unwrap();
            assert_eq!(status.value(), code.to_string());
            let is_fault = matches!(code, 2 | 4 | 13 | 14 | 15);
            assert_eq!(status.as_http() >= 500, is_fault, "{code}");
        }
        for text in ["", "17", "-1", "00", "1x"] {
            assert_eq!(GrpcStatus::parse(text.as_bytes()), None, "{text}");
        }
    }
}
