//! Body framing: the decision that protects against request smuggling.
//!
//! A [`RequestFraming`] is created only by [`RequestFraming::decide`], a [`ResponseFraming`] only by
//! [`ResponseFraming::decide`]; body decoders and encoders accept nothing else. Framing fields are never forwarded:
//! they are generated anew from the decision.

use super::{Field, KnownField, Reason, Version, grammar};

/// Framing fields of one head, before the decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct FramingFields<'h> {
    length: Option<&'h [u8]>,
    lengths: u8,
    coding: Option<&'h [u8]>,
    codings: u8,
}

/// Framing of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFraming {
    /// No body.
    None,
    /// A body of this many bytes.
    Length(u64),
    /// Chunked coding.
    Chunked,
}

/// Framing of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body.
    None,
    /// No body; a `GET` would have had one of this length (`HEAD`, 304).
    Announced(u64),
    /// A body of this many bytes.
    Length(u64),
    /// Chunked coding.
    Chunked,
    /// The body ends when the connection is closed.
    UntilClose,
}

enum Coding {
    Absent,
    Chunked,
}

// === impl FramingFields ===

impl<'h> FramingFields<'h> {
    /// Records a framing field.
    pub fn read(&mut self, field: &Field<'h>) {
        match field.known {
            KnownField::ContentLength => {
                self.length = Some(field.value);
                self.lengths = self.lengths.saturating_add(1);
            }
            KnownField::TransferEncoding => {
                self.coding = Some(field.value);
                self.codings = self.codings.saturating_add(1);
            }
            _ => {}
        }
    }

    /// The content length: exactly one field of 1 to 19 digits.
    fn length(&self) -> Result<Option<u64>, Reason> {
        match (self.lengths, self.length) {
            (0, _) | (_, None) => Ok(None),
            (1, Some(text)) => grammar::digits(text)
                .map(Some)
                .ok_or(Reason::InvalidContentLength),
            _ => Err(Reason::DuplicateContentLength),
        }
    }

    /// The transfer coding: exactly one field with the value `chunked`.
    fn coding(&self) -> Result<Coding, Reason> {
        match (self.codings, self.coding) {
            (0, _) | (_, None) => Ok(Coding::Absent),
            (1, Some(text)) if text.eq_ignore_ascii_case(b"chunked") => Ok(Coding::Chunked),
            (1, Some(text)) if grammar::is_token(text) => Err(Reason::UnknownTransferCoding),
            _ => Err(Reason::InvalidTransferEncoding),
        }
    }
}

// === impl RequestFraming ===

impl RequestFraming {
    /// Decides the framing of a request body. `ended` is true if `END_STREAM` was set on the head of an HTTP/2
    /// stream; HTTP/1.1 passes `false`.
    ///
    /// # Errors
    ///
    /// If there is anything but exactly one length or exactly one `chunked`, or `chunked` in HTTP/1.0.
    pub fn decide(
        version: Version,
        fields: &FramingFields<'_>,
        ended: bool,
    ) -> Result<Self, Reason> {
        let coding = fields.coding()?;
        let length = fields.length()?;
        match (version, coding, length) {
            (Version::Http2, Coding::Chunked, _) => Err(Reason::ConnectionField),
            (Version::Http10, Coding::Chunked, _) => Err(Reason::InvalidTransferEncoding),
            (Version::Http11, Coding::Chunked, Some(_)) => Err(Reason::LengthAndTransferEncoding),
            (Version::Http11, Coding::Chunked, None) => Ok(Self::Chunked),
            (Version::Http2, Coding::Absent, Some(1..)) if ended => Err(Reason::LengthMismatch),
            (Version::Http2, Coding::Absent, None) if !ended => Ok(Self::Chunked),
            (_, Coding::Absent, Some(length)) => Ok(Self::Length(length)),
            (_, Coding::Absent, None) => Ok(Self::None),
        }
    }

    /// True if not a single byte of body follows.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

// === impl ResponseFraming ===

impl ResponseFraming {
    /// Decides the framing of a response body; true if the fields are too ambiguous to reuse the connection.
    /// `to_head` is true if the request was a `HEAD`; `ended` as in [`RequestFraming::decide`].
    ///
    /// # Errors
    ///
    /// If there are two lengths or an invalid one, a coding that is not exactly `chunked`, or `chunked` in HTTP/1.0.
    pub fn decide(
        version: Version,
        status: u16,
        to_head: bool,
        fields: &FramingFields<'_>,
        ended: bool,
    ) -> Result<(Self, bool), Reason> {
        let coding = fields.coding()?;
        let length = fields.length()?;
        let is_chunked = matches!(coding, Coding::Chunked);
        match version {
            Version::Http10 if is_chunked => return Err(Reason::InvalidTransferEncoding),
            Version::Http2 if is_chunked => return Err(Reason::ConnectionField),
            _ => {}
        }
        let is_odd = is_chunked && length.is_some();
        let framing = match (status, length) {
            // Neither may have a body or a framing field (RFC 9110, 8.6); what follows belongs to no response.
            (100..=199 | 204, length) => {
                return Ok((Self::None, is_chunked || matches!(length, Some(1..))));
            }
            (304, Some(length)) if !is_chunked => Self::Announced(length),
            (304, _) => Self::None,
            (_, Some(length)) if to_head && !is_chunked => Self::Announced(length),
            // A `GET` would have had a body up to the end of the connection, which some servers send all the same.
            _ if to_head => return Ok((Self::None, is_odd || !(is_chunked || ended))),
            _ if is_chunked => Self::Chunked,
            (_, Some(1..)) if ended => return Err(Reason::LengthMismatch),
            (_, Some(length)) => Self::Length(length),
            _ if ended => Self::Length(0),
            _ if version == Version::Http2 => Self::Chunked,
            _ => Self::UntilClose,
        };
        Ok((framing, is_odd))
    }

    /// Framing towards a client of `version`: HTTP/1.0 has no chunks; in HTTP/1.1 a truncated body must be visible.
    #[must_use]
    pub const fn toward(self, version: Version) -> Self {
        match (version, self) {
            (Version::Http10, Self::Chunked) => Self::UntilClose,
            (Version::Http11 | Version::Http2, Self::UntilClose) => Self::Chunked,
            (_, framing) => framing,
        }
    }

    /// True if not a single byte of body follows.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Announced(_) | Self::Length(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{Http2, Http10, Http11};

    fn fields(lines: &[(&'static str, &'static str)]) -> FramingFields<'static> {
        let mut fields = FramingFields::default();
        for (name, value) in lines {
            fields.read(&Field::new(name.as_bytes(), value.as_bytes()));
        }
        fields
    }

    fn request(
        version: Version,
        lines: &[(&'static str, &'static str)],
    ) -> Result<RequestFraming, Reason> {
        RequestFraming::decide(version, &fields(lines), false)
    }

    const CL: &str = "Content-Length";
    const TE: &str = "Transfer-Encoding";

    #[test]
    fn a_request_has_one_length_or_is_chunked() {
        assert_eq!(request(Http11, &[]), Ok(RequestFraming::None));
        assert_eq!(request(Http11, &[(CL, "0")]), Ok(RequestFraming::Length(0)));
        assert_eq!(
            request(Http10, &[(CL, "0007")]),
            Ok(RequestFraming::Length(7))
        );
        assert_eq!(
            request(Http11, &[(TE, "chunked")]),
            Ok(RequestFraming::Chunked)
        );
        assert_eq!(
            request(Http11, &[(TE, "CHUNKED")]),
            Ok(RequestFraming::Chunked)
        );
    }

    #[test]
    fn odd_lengths_are_refused() {
        for text in [
            "",
            "+5",
            "-1",
            "5, 5",
            "5,6",
            "0x5",
            "5 5",
            "18446744073709551621",
            "1e3",
            "5.0",
            "\u{665}",
        ] {
            assert_eq!(
                request(Http11, &[(CL, text)]),
                Err(Reason::InvalidContentLength),
                "{text}"
            );
        }
        for twice in [["5", "5"], ["5", "6"], ["5", ""]] {
            let lines = [(CL, twice[0]), ("content-length", twice[1])];
            assert_eq!(request(Http11, &lines), Err(Reason::DuplicateContentLength));
        }
    }

    #[test]
    fn codings_other_than_exactly_chunked_are_refused() {
        for text in [
            "",
            "chunked, chunked",
            ",chunked",
            "chunked,",
            "gzip, chunked",
            "chunked, gzip",
            "chunked;a=b",
            "\"chunked\"",
            "chunked\u{b}",
            "chunked chunked",
        ] {
            assert_eq!(
                request(Http11, &[(TE, text)]),
                Err(Reason::InvalidTransferEncoding),
                "{text}"
            );
        }
        for text in ["gzip", "identity", "xchunked", "chunked1"] {
            assert_eq!(
                request(Http11, &[(TE, text)]),
                Err(Reason::UnknownTransferCoding),
                "{text}"
            );
        }
        let twice = [(TE, "chunked"), (TE, "chunked")];
        assert_eq!(
            request(Http11, &twice),
            Err(Reason::InvalidTransferEncoding)
        );
        assert_eq!(
            request(Http10, &twice[..1]),
            Err(Reason::InvalidTransferEncoding)
        );
        assert_eq!(request(Http2, &twice[..1]), Err(Reason::ConnectionField));
    }

    #[test]
    fn both_are_refused_in_either_order() {
        let both = [(CL, "5"), (TE, "chunked")];
        assert_eq!(
            request(Http11, &both),
            Err(Reason::LengthAndTransferEncoding)
        );
        assert_eq!(
            request(Http11, &[both[1], both[0]]),
            Err(Reason::LengthAndTransferEncoding)
        );
    }

    #[test]
    fn a_stream_that_ended_agrees_with_its_length() {
        let decide = |lines: &[_], ended| RequestFraming::decide(Http2, &fields(lines), ended);
        assert_eq!(decide(&[], true), Ok(RequestFraming::None));
        assert_eq!(decide(&[], false), Ok(RequestFraming::Chunked));
        assert_eq!(decide(&[(CL, "5")], false), Ok(RequestFraming::Length(5)));
        assert_eq!(decide(&[(CL, "5")], true), Err(Reason::LengthMismatch));
        assert_eq!(decide(&[(CL, "0")], true), Ok(RequestFraming::Length(0)));
    }

    #[test]
    fn a_response_is_framed_by_request_status_and_fields() {
        use ResponseFraming::{Announced, Chunked, Length, None, UntilClose};
        type Case = (
            u16,
            bool,
            &'static [(&'static str, &'static str)],
            (ResponseFraming, bool),
        );
        let cases: [Case; 16] = [
            (200, false, &[], (UntilClose, false)),
            (200, false, &[(CL, "5")], (Length(5), false)),
            (200, false, &[(TE, "chunked")], (Chunked, false)),
            (200, false, &[(CL, "5"), (TE, "chunked")], (Chunked, true)),
            (200, true, &[(CL, "5")], (Announced(5), false)),
            (200, true, &[(TE, "chunked")], (None, false)),
            (200, true, &[(CL, "5"), (TE, "chunked")], (None, true)),
            (200, true, &[], (None, true)),
            (304, false, &[(CL, "5")], (Announced(5), false)),
            (304, false, &[], (None, false)),
            (304, false, &[(TE, "chunked")], (None, false)),
            (204, false, &[], (None, false)),
            (204, false, &[(CL, "0")], (None, false)),
            (204, false, &[(CL, "5")], (None, true)),
            (204, false, &[(TE, "chunked")], (None, true)),
            (100, false, &[], (None, false)),
        ];
        for (status, to_head, lines, expected) in cases {
            let decided = ResponseFraming::decide(Http11, status, to_head, &fields(lines), false);
            assert_eq!(decided, Ok(expected), "{status} {to_head} {lines:?}");
        }
    }

    #[test]
    fn odd_response_framing_is_refused() {
        let decide = |version, lines: &[_]| {
            ResponseFraming::decide(version, 200, false, &fields(lines), false)
        };
        assert_eq!(
            decide(Http11, &[(CL, "-1")]),
            Err(Reason::InvalidContentLength)
        );
        assert_eq!(
            decide(Http11, &[(CL, "5"), (CL, "5")]),
            Err(Reason::DuplicateContentLength)
        );
        assert_eq!(
            decide(Http11, &[(TE, "gzip, chunked")]),
            Err(Reason::InvalidTransferEncoding)
        );
        assert_eq!(
            decide(Http10, &[(TE, "chunked")]),
            Err(Reason::InvalidTransferEncoding)
        );
    }

    #[test]
    fn a_client_sees_where_a_body_was_cut_if_it_can() {
        use ResponseFraming::{Chunked, Length, UntilClose};
        assert_eq!(UntilClose.toward(Http11), Chunked);
        assert_eq!(UntilClose.toward(Http10), UntilClose);
        assert_eq!(Chunked.toward(Http10), UntilClose);
        assert_eq!(Length(5).toward(Http10), Length(5));
    }
}
