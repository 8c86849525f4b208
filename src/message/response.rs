//! Validation of a response head, in one pass over its fields.

use std::time::Duration;

use super::{
    ConnectionOptions, Field, FramingFields, KnownField, KnownSet, Limits, Method, Reason,
    Rejection, ResponseFraming, ValidatedRequest, Version, grammar,
};

/// Status line, or the pseudo-field that replaces it in HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// Version.
    pub version: Version,
    /// Status.
    pub status: u16,
    /// `END_STREAM` was set on this head; false in HTTP/1.1.
    pub ended: bool,
}

/// Properties of the request that the meaning of its response depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestContextForResponse {
    /// It was a `HEAD`: the response has no body.
    pub head: bool,
    /// It was a WebSocket upgrade: a 101 is allowed.
    pub websocket: bool,
    /// It was another upgrade: a 101 is allowed if the route permits it.
    pub upgrade: bool,
}

/// A validated response head. It exists only for a response that may be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct ValidatedResponse<'h> {
    /// Version of the response.
    pub version: Version,
    /// Status.
    pub status: u16,
    /// Framing of the body.
    pub framing: ResponseFraming,
    /// The connection may be reused for another request once this response was read.
    pub keep_alive: bool,
    /// The connection, or the stream, becomes a tunnel.
    pub is_upgrade: bool,
    /// Idle timeout of the peer's connection, if announced.
    pub idle: Option<Duration>,
    /// Options of `Connection`.
    pub nominated: ConnectionOptions<'h>,
    /// Known fields that are present.
    pub present: KnownSet,
}

// === impl RequestContextForResponse ===

impl From<&ValidatedRequest<'_>> for RequestContextForResponse {
    fn from(facts: &ValidatedRequest<'_>) -> Self {
        Self {
            head: facts.method == Method::Head,
            websocket: facts.websocket,
            upgrade: facts.upgrade.is_some(),
        }
    }
}

// === impl ValidatedResponse ===

impl<'h> ValidatedResponse<'h> {
    /// Validates a response head.
    ///
    /// # Errors
    ///
    /// The first rule that the head violates; the status is always 502.
    pub fn validate(
        line: StatusLine,
        asked: RequestContextForResponse,
        fields: impl IntoIterator<Item = Field<'h>>,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        Self::finish(line, asked, fields, limits).map_err(Rejection::response)
    }

    fn finish(
        line: StatusLine,
        asked: RequestContextForResponse,
        fields: impl IntoIterator<Item = Field<'h>>,
        limits: &Limits,
    ) -> Result<Self, Reason> {
        let mut framing = FramingFields::default();
        let mut nominated = ConnectionOptions::default();
        let mut present = KnownSet::default();
        let (mut idle, mut to) = (None, None);
        for (index, field) in fields.into_iter().enumerate() {
            if index >= limits.response_fields {
                return Err(Reason::TooManyFields);
            }
            present.insert(field.known);
            match field.known {
                KnownField::ContentLength | KnownField::TransferEncoding => framing.read(&field),
                KnownField::Connection => nominated.read(field.value)?,
                KnownField::KeepAlive => idle = idle_of(field.value),
                KnownField::Upgrade => to = Some(field.value.eq_ignore_ascii_case(b"websocket")),
                _ => {}
            }
        }
        check_status(line, asked, to.filter(|_| nominated.upgrade))?;
        let (framing, is_odd) =
            ResponseFraming::decide(line.version, line.status, asked.head, &framing, line.ended)?;
        let persists = match line.version {
            Version::Http10 => nominated.keep_alive && !nominated.close,
            Version::Http11 => !nominated.close,
            Version::Http2 => true,
        };
        let keep_alive =
            persists && !is_odd && framing != ResponseFraming::UntilClose && line.status != 101;
        Ok(Self {
            version: line.version,
            status: line.status,
            framing,
            keep_alive,
            is_upgrade: is_upgrade(line, asked),
            idle,
            nominated,
            present,
        })
    }

    /// True if another response follows this one.
    pub const fn is_informational(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// True if the status accepts the requested upgrade. Over HTTP/2 any success does (RFC 8441, section 5).
const fn is_upgrade(line: StatusLine, asked: RequestContextForResponse) -> bool {
    let is_success = line.status / 100 == 2;
    line.status == 101 || asked.websocket && is_success && matches!(line.version, Version::Http2)
}

/// Checks that a status is allowed. If it accepts an upgrade: true if to a WebSocket.
fn check_status(
    line: StatusLine,
    asked: RequestContextForResponse,
    to: Option<bool>,
) -> Result<(), Reason> {
    let is_wanted = match to {
        Some(true) => asked.websocket,
        Some(false) => asked.upgrade,
        None => false,
    };
    match line.status {
        101 if line.version == Version::Http11 && is_wanted => Ok(()),
        101 => Err(Reason::UnsolicitedUpgrade),
        100..=599 => Ok(()),
        _ => Err(Reason::InvalidStatus),
    }
}

/// `timeout` parameter of a `Keep-Alive` field.
fn idle_of(value: &[u8]) -> Option<Duration> {
    value.split(|&byte| byte == b',').find_map(|parameter| {
        let (name, seconds) = grammar::trim(parameter).split_at_checked(8)?;
        let seconds =
            grammar::digits(seconds).filter(|_| name.eq_ignore_ascii_case(b"timeout="))?;
        Some(Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: RequestContextForResponse = RequestContextForResponse {
        head: false,
        websocket: false,
        upgrade: false,
    };
    const UPGRADE: RequestContextForResponse = RequestContextForResponse {
        head: false,
        websocket: true,
        upgrade: false,
    };

    fn validate(
        version: Version,
        status: u16,
        asked: RequestContextForResponse,
        lines: &[(&'static str, &'static str)],
    ) -> Result<ValidatedResponse<'static>, Reason> {
        let fields = lines
            .iter()
            .map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()));
        let line = StatusLine {
            version,
            status,
            ended: false,
        };
        ValidatedResponse::validate(line, asked, fields, &Limits::default()).map_err(|rejection| {
            assert_eq!(rejection.status, 502);
            rejection.reason
        })
    }

    #[test]
    fn a_connection_is_kept_only_if_the_end_is_known_and_nothing_is_odd() {
        type Case = (Version, u16, &'static [(&'static str, &'static str)], bool);
        let cases: [Case; 11] = [
            (Version::Http11, 200, &[("Content-Length", "5")], true),
            (
                Version::Http11,
                200,
                &[("Transfer-Encoding", "chunked")],
                true,
            ),
            (Version::Http11, 204, &[], true),
            (Version::Http11, 304, &[("Content-Length", "5")], true),
            (Version::Http11, 200, &[], false),
            (
                Version::Http11,
                200,
                &[("Content-Length", "5"), ("Connection", "x, Close")],
                false,
            ),
            (
                Version::Http11,
                200,
                &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
                false,
            ),
            (Version::Http11, 204, &[("Content-Length", "5")], false),
            (Version::Http10, 200, &[("Content-Length", "5")], false),
            (
                Version::Http10,
                200,
                &[("Content-Length", "5"), ("Connection", "keep-alive")],
                true,
            ),
            (Version::Http10, 200, &[("Connection", "keep-alive")], false),
        ];
        for (version, status, lines, expected) in cases {
            assert_eq!(
                validate(version, status, GET, lines).unwrap().keep_alive,
                expected,
                "{status} {lines:?}"
            );
        }
    }

    #[test]
    fn an_upgrade_comes_only_when_it_was_asked_for() {
        let lines = [("Upgrade", "WebSocket"), ("Connection", "Upgrade")];
        let facts = validate(Version::Http11, 101, UPGRADE, &lines).unwrap();
        assert!(facts.is_upgrade && !facts.is_informational() && !facts.keep_alive);
        let refused = Err(Reason::UnsolicitedUpgrade);
        assert_eq!(
            validate(Version::Http11, 101, GET, &lines).map(|_| ()),
            refused
        );
        assert_eq!(
            validate(Version::Http11, 101, UPGRADE, &lines[..1]).map(|_| ()),
            refused
        );
        assert_eq!(
            validate(
                Version::Http11,
                101,
                UPGRADE,
                &[("Upgrade", "h2c"), lines[1]]
            )
            .map(|_| ()),
            refused
        );
        assert_eq!(
            validate(Version::Http10, 101, UPGRADE, &lines).map(|_| ()),
            refused
        );
    }

    #[test]
    fn over_http2_any_success_is_consent_to_a_websocket() {
        for (version, status, asked, expected) in [
            (Version::Http2, 200, UPGRADE, true),
            (Version::Http2, 204, UPGRADE, true),
            (Version::Http2, 200, GET, false),
            (Version::Http2, 302, UPGRADE, false),
            (Version::Http2, 103, UPGRADE, false),
            (Version::Http11, 200, UPGRADE, false),
        ] {
            let facts = validate(version, status, asked, &[]).unwrap();
            assert_eq!(facts.is_upgrade, expected, "{version:?} {status}");
        }
    }

    #[test]
    fn a_status_has_three_digits_below_600() {
        for status in [0, 99, 600, 999] {
            assert_eq!(
                validate(Version::Http11, status, GET, &[]).map(|_| ()),
                Err(Reason::InvalidStatus)
            );
        }
        assert!(
            validate(Version::Http11, 103, GET, &[])
                .unwrap()
                .is_informational()
        );
    }

    #[test]
    fn the_peer_says_how_long_it_waits() {
        for (value, seconds) in [
            ("timeout=5", Some(5)),
            ("max=100, Timeout=60", Some(60)),
            ("timeout=5s", None),
            ("timeout", None),
            ("", None),
        ] {
            let facts = validate(Version::Http11, 200, GET, &[("Keep-Alive", value)]).unwrap();
            assert_eq!(facts.idle, seconds.map(Duration::from_secs), "{value}");
        }
    }
}
