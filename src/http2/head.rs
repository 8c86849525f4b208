//! Heads: field blocks with validated pseudo-fields (RFC 9113, section 8.3).

use super::hpack::{BlockFields, FieldBlock, FieldError, Name};
use crate::message::{Field, KnownField, KnownSet, Reason};

/// A head, or a trailer section.
#[derive(Debug)]
pub struct Head {
    block: FieldBlock,
    /// Number of pseudo-fields; they come first.
    pseudo: usize,
    is_too_long: bool,
    is_last: bool,
    /// Has a `:protocol`.
    is_extended: bool,
}

/// Pseudo-fields of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestPseudo<'h> {
    /// `:method`.
    pub method: &'h [u8],
    /// `:scheme`; empty for CONNECT without a `:protocol`.
    pub scheme: &'h [u8],
    /// `:path`; empty for CONNECT without a `:protocol`.
    pub path: &'h [u8],
    /// `:authority`, if present.
    pub authority: Option<&'h [u8]>,
}

/// Regular fields of a head, in order.
#[derive(Clone, Debug)]
pub struct Fields<'h>(BlockFields<'h>);

/// The head is malformed: its stream is reset with `PROTOCOL_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) Reason);

/// A pseudo-field is missing, repeated or unknown.
const NOT_WHOLE: Malformed = Malformed(Reason::InvalidStartLine);

/// Connection-specific fields, which HTTP/2 forbids (RFC 9113, section 8.2.2). In heads they are rejected by the
/// validation of messages; trailers are validated only here.
const OF_CONNECTIONS: KnownSet = KnownSet::of(&[
    KnownField::Connection,
    KnownField::KeepAlive,
    KnownField::ProxyConnection,
    KnownField::Te,
    KnownField::TransferEncoding,
    KnownField::Upgrade,
]);

/// Type of message or section that a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadKind {
    Request,
    Response,
    Trailers,
}

// === impl Head ===

impl Head {
    /// Validates the pseudo-fields of a block; `is_last` if it ends its direction of the stream.
    pub(super) fn new(block: FieldBlock, of: HeadKind, is_last: bool) -> Result<Self, Malformed> {
        let is_too_long = match block.flaw() {
            None => false,
            // An incomplete list cannot be validated; a list that is too long is refused with a status.
            Some(FieldError::TooLong | FieldError::TooMany) if of == HeadKind::Request => true,
            Some(flaw) => return Err(Malformed(reason(flaw, of))),
        };
        let mut seen = Seen::default();
        let mut pseudo = 0;
        for (at, field) in block.iter().enumerate() {
            match field.name {
                Name::Field(known)
                    if of == HeadKind::Trailers && OF_CONNECTIONS.contains(known) =>
                {
                    return Err(Malformed(Reason::InvalidTrailer));
                }
                Name::Field(_) => {}
                _ if at > pseudo => return Err(NOT_WHOLE),
                name => {
                    seen.note(name, field.value)?;
                    pseudo += 1;
                }
            }
        }
        if is_too_long || seen.is_whole(of) {
            Ok(Self {
                block,
                pseudo,
                is_too_long,
                is_last,
                is_extended: seen.protocol,
            })
        } else {
            Err(NOT_WHOLE)
        }
    }

    /// True if `END_STREAM` was set on its frame.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// True if the list exceeds its limit; only its start is kept.
    pub fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Pseudo-fields of a request.
    pub fn request(&self) -> RequestPseudo<'_> {
        let mut pseudo = RequestPseudo::default();
        for field in self.block.iter().take(self.pseudo) {
            match field.name {
                Name::Method => pseudo.method = field.value,
                Name::Scheme => pseudo.scheme = field.value,
                Name::Path => pseudo.path = field.value,
                Name::Authority => pseudo.authority = Some(field.value),
                _ => {}
            }
        }
        pseudo
    }

    /// `:protocol` of an extended CONNECT (RFC 8441, section 4).
    pub fn protocol(&self) -> Option<&[u8]> {
        if !self.is_extended {
            return None;
        }
        let mut pseudo = self.block.iter().take(self.pseudo);
        let protocol = pseudo.find(|field| field.name == Name::Protocol);
        protocol.map(|field| field.value)
    }

    /// Status of a response: three digits, validated.
    pub fn status(&self) -> u16 {
        let first = self.block.iter().next();
        first
            .and_then(|field| status(field.value))
            .unwrap_or_default()
    }

    /// Regular fields, without the pseudo-fields.
    pub fn fields(&self) -> Fields<'_> {
        let mut fields = self.block.iter();
        for _ in 0..self.pseudo {
            fields.next();
        }
        Fields(fields)
    }
}

/// Maps a field error to the reason for the rejection.
const fn reason(flaw: FieldError, of: HeadKind) -> Reason {
    match (flaw, of) {
        (FieldError::TooLong, HeadKind::Trailers) => Reason::TrailersTooLarge,
        (FieldError::TooLong, _) => Reason::HeadTooLarge,
        (FieldError::TooMany, _) => Reason::TooManyFields,
        (FieldError::InvalidName | FieldError::UppercaseName, _) => Reason::InvalidFieldName,
        (FieldError::InvalidValue, _) => Reason::InvalidFieldValue,
    }
}

/// Three digits, the first of which is not zero.
fn status(value: &[u8]) -> Option<u16> {
    let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = value else {
        return None;
    };
    Some(
        value
            .iter()
            .fold(0, |all, digit| all * 10 + u16::from(digit - b'0')),
    )
}

/// Pseudo-fields seen so far, and constraints between them.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Seen {
    method: bool,
    scheme: bool,
    path: bool,
    authority: bool,
    protocol: bool,
    status: Option<u16>,
    is_connect: bool,
}

impl Seen {
    /// Records a pseudo-field. Each may come once, and those with a meaning are not empty.
    fn note(&mut self, name: Name, value: &[u8]) -> Result<(), Malformed> {
        let seen = match name {
            Name::Method if !value.is_empty() => {
                self.is_connect = value == b"CONNECT";
                &mut self.method
            }
            Name::Scheme if !value.is_empty() => &mut self.scheme,
            Name::Path if !value.is_empty() => &mut self.path,
            Name::Authority => &mut self.authority,
            Name::Protocol if !value.is_empty() => &mut self.protocol,
            Name::Status if self.status.is_none() => {
                self.status = Some(status(value).ok_or(Malformed(Reason::InvalidStatus))?);
                return Ok(());
            }
            _ => return Err(NOT_WHOLE),
        };
        if std::mem::replace(seen, true) {
            return Err(NOT_WHOLE);
        }
        Ok(())
    }

    fn is_whole(&self, of: HeadKind) -> bool {
        let is_any = self.method || self.scheme || self.path || self.authority || self.protocol;
        match of {
            // RFC 8441, section 4: it has a target like any other request, and is valid with CONNECT only.
            HeadKind::Request if self.protocol => {
                self.is_connect && self.scheme && self.path && self.status.is_none()
            }
            HeadKind::Request if self.is_connect => {
                self.authority && !self.scheme && !self.path && self.status.is_none()
            }
            HeadKind::Request => self.method && self.scheme && self.path && self.status.is_none(),
            // RFC 9113, section 8.6: HTTP/2 has no 101.
            HeadKind::Response => !is_any && self.status.is_some_and(|status| status != 101),
            HeadKind::Trailers => !is_any && self.status.is_none(),
        }
    }
}

// === impl Fields ===

impl<'h> Iterator for Fields<'h> {
    type Item = Field<'h>;

    #[inline]
    fn next(&mut self) -> Option<Field<'h>> {
        loop {
            let field = self.0.next()?;
            if let Name::Field(known) = field.name {
                return Some(Field {
                    known,
                    name: field.text,
                    value: field.value,
                });
            }
        }
    }
}
