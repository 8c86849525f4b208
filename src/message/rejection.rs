//! Reasons for rejecting a message: a closed list, so that it can be a metric label, with the status of each.

use std::fmt;

/// A rejected message: the reason and the status of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    /// Status of the response to the client.
    pub status: u16,
    /// Reason for the rejection.
    pub reason: Reason,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $status:literal,)*) => {
        /// Reason for rejecting a message. The variants are in alphabetical order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All reasons, for a metric that shows zeroes as well.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Name in logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Status of the response to a rejected request.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

reasons! {
    /// A path whose normal form would select another route.
    AmbiguousPath = "ambiguous_path" => 400,
    /// A body longer than the route allows.
    BodyTooLarge = "body_too_large" => 413,
    /// `CONNECT`, which is not supported.
    ConnectRefused = "connect_refused" => 405,
    /// A connection-specific field of HTTP/1.1 in an HTTP/2 message.
    ConnectionField = "connection_field" => 400,
    /// The body ended before its framing said so.
    CutBody = "cut_body" => 400,
    /// Two `Content-Length` fields, equal or not.
    DuplicateContentLength = "duplicate_content_length" => 400,
    /// Two `Host` fields.
    DuplicateHost = "duplicate_host" => 400,
    /// An expectation other than `100-continue`.
    ExpectationFailed = "expectation_failed" => 417,
    /// Chunk extensions above their limit.
    ExtensionsTooLarge = "extensions_too_large" => 400,
    /// A head above its limit.
    HeadTooLarge = "head_too_large" => 431,
    /// A chunk that does not follow the grammar.
    InvalidChunk = "invalid_chunk" => 400,
    /// A `Connection` field that is not a list of tokens.
    InvalidConnection = "invalid_connection" => 400,
    /// A `Content-Length` that is not 1 to 19 digits.
    InvalidContentLength = "invalid_content_length" => 400,
    /// A `%` without two hexadecimal digits, or `%00`, in the path.
    InvalidEscape = "invalid_escape" => 400,
    /// A field line without a colon, or with a name that is no token.
    InvalidFieldName = "invalid_field_name" => 400,
    /// A control character in a field value.
    InvalidFieldValue = "invalid_field_value" => 400,
    /// A host that is no valid DNS name or address.
    InvalidHost = "invalid_host" => 400,
    /// A bare CR or LF, a folded field, or unexpected empty lines.
    InvalidLineEnd = "invalid_line_end" => 400,
    /// A method that is no token.
    InvalidMethod = "invalid_method" => 400,
    /// A start line that is not three parts separated by single spaces.
    InvalidStartLine = "invalid_start_line" => 400,
    /// A status that is not three digits from 100 to 599.
    InvalidStatus = "invalid_status" => 400,
    /// A target in none of the forms, or with an invalid byte.
    InvalidTarget = "invalid_target" => 400,
    /// A trailer field that does not follow the grammar.
    InvalidTrailer = "invalid_trailer" => 400,
    /// A `Transfer-Encoding` that is not exactly `chunked`.
    InvalidTransferEncoding = "invalid_transfer_encoding" => 400,
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthAndTransferEncoding = "length_and_transfer_encoding" => 400,
    /// A `Content-Length` that does not match the HTTP/2 stream.
    LengthMismatch = "length_mismatch" => 400,
    /// The request has passed this proxy before.
    Loop = "loop" => 508,
    /// A method above its limit.
    MethodTooLong = "method_too_long" => 501,
    /// No `Host`.
    MissingHost = "missing_host" => 400,
    /// The head did not arrive in time.
    RequestTimeout = "request_timeout" => 408,
    /// A target above its limit.
    TargetTooLong = "target_too_long" => 414,
    /// More fields than the limit.
    TooManyFields = "too_many_fields" => 431,
    /// More informational responses than the limit.
    TooManyInformational = "too_many_informational" => 400,
    /// More unknown names in `Connection` than the limit.
    TooManyNominations = "too_many_nominations" => 400,
    /// A trailer section above its limit.
    TrailersTooLarge = "trailers_too_large" => 431,
    /// A `_` in a field name.
    UnderscoreName = "underscore_name" => 400,
    /// A single transfer coding other than `chunked`.
    UnknownTransferCoding = "unknown_transfer_coding" => 501,
    /// A 101 that was not requested.
    UnsolicitedUpgrade = "unsolicited_upgrade" => 400,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    UnsupportedVersion = "unsupported_version" => 505,
    /// An upgrade that the protocol of the endpoint does not support.
    UpgradeUnsupported = "upgrade_unsupported" => 501,
    /// A WebSocket upgrade with a body.
    UpgradeWithBody = "upgrade_with_body" => 400,
    /// A `Sec-WebSocket-Accept` that does not match the key.
    WrongAccept = "wrong_accept" => 400,
}

// === impl Rejection ===

impl Rejection {
    /// A rejected request: the client gets the status of the reason.
    pub const fn request(reason: Reason) -> Self {
        Self {
            status: reason.status(),
            reason,
        }
    }

    /// A rejected response: the client gets 502, whatever the reason.
    pub const fn response(reason: Reason) -> Self {
        Self {
            status: 502,
            reason,
        }
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::request(reason)
    }
}

// === impl Reason ===

impl std::error::Error for Reason {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
