//! The trailer section of a chunked body.

use crate::message::{Field, Limits, Reason, is_trailer_allowed, trim};

/// A validated trailer section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers {
    section: Vec<u8>,
    line: usize,
}

// === impl Trailers ===

impl Trailers {
    /// Appends one byte; true if it was the last.
    pub(super) fn push(&mut self, byte: u8, limit: usize) -> Result<bool, Reason> {
        if self.section.len() >= limit {
            return Err(Reason::TrailersTooLarge);
        }
        self.section.push(byte);
        if byte != b'\n' {
            return Ok(false);
        }
        let line = &self.section[self.line..];
        self.line = self.section.len();
        match line {
            b"\r\n" => self.check().map(|()| true),
            [b' ' | b'\t', ..] => Err(Reason::InvalidTrailer),
            [.., b'\r', b'\n'] => Ok(false),
            _ => Err(Reason::InvalidTrailer),
        }
    }

    fn check(&self) -> Result<(), Reason> {
        let mut slots = [httparse::EMPTY_HEADER; Limits::MAX_FIELDS];
        match httparse::parse_headers(&self.section, &mut slots) {
            Ok(httparse::Status::Complete((length, _))) if length == self.section.len() => Ok(()),
            Err(httparse::Error::TooManyHeaders) => Err(Reason::TrailersTooLarge),
            _ => Err(Reason::InvalidTrailer),
        }
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.section
            .split(|&byte| byte == b'\n')
            .filter_map(|line| {
                let colon = memchr::memchr(b':', line)?;
                let value = line[colon + 1..].strip_suffix(b"\r").unwrap_or_default();
                Some(Field::new(&line[..colon], trim(value)))
            })
    }

    /// The fields that may be forwarded.
    pub fn allowed(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields().filter(is_trailer_allowed)
    }
}
