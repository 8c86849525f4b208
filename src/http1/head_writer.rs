//! Writer for heads: start line, fields and framing, each validated here or by the parser that read it.

use super::body_encoder::BodyEncoder;
use super::line_writer::{LINE_END, WriteError, field_name_error, write_line};
use super::start_line::HeaderLine;
use super::status::canonical_reason;
use crate::message::swar::{equal, find};
use crate::message::{
    Field, KnownField, RequestFraming, ResponseFraming, is_field_value, is_target, is_token, trim,
};

/// Appends one head to a buffer. After an error nothing more is written, and [`HeadWriter::finish`] removes the head
/// again and returns the error.
#[must_use = "a head is complete only once it was finished"]
#[derive(Debug)]
pub struct HeadWriter<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    error: Option<WriteError>,
}

/// Framing of the message that a head is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Of a request.
    Request(RequestFraming),
    /// Of a response.
    Response(ResponseFraming),
}

const DIGITS: &[u8; 10] = b"0123456789";

// === impl HeadWriter ===

impl<'o> HeadWriter<'o> {
    /// Starts an HTTP/1.1 request.
    pub fn request(out: &'o mut Vec<u8>, method: &[u8], path: &[u8], query: Option<&[u8]>) -> Self {
        let is_valid = is_token(method)
            && !path.is_empty()
            && is_target(path)
            && query.is_none_or(is_target)
            && find(path, 0, |word| equal(word, b'?'), |byte| byte == b'?') == path.len();
        let writer = Self::start(out, is_valid);
        if writer.error.is_none() {
            writer.out.extend_from_slice(method);
            writer.out.extend_from_slice(b" ");
            writer.out.extend_from_slice(path);
            if let Some(query) = query {
                writer.out.extend_from_slice(b"?");
                writer.out.extend_from_slice(query);
            }
            writer.out.extend_from_slice(b" HTTP/1.1\r\n");
        }
        writer
    }

    /// Starts an HTTP/1.1 response. An empty or invalid reason is replaced by the standard one of the status.
    pub fn response(out: &'o mut Vec<u8>, status: u16, reason: &[u8]) -> Self {
        let writer = Self::start(out, (100..=599).contains(&status));
        if writer.error.is_none() {
            let digit = |unit: u16| DIGITS[usize::from(status / unit % 10)];
            let digits = [digit(100), digit(10), digit(1), b' '];
            writer.out.extend_from_slice(b"HTTP/1.1 ");
            writer.out.extend_from_slice(&digits);
            if reason.is_empty() || !is_field_value(reason) {
                let canonical = canonical_reason(status).as_bytes();
                writer.out.extend_from_slice(canonical);
            } else {
                writer.out.extend_from_slice(reason);
            }
            writer.out.extend_from_slice(LINE_END);
        }
        writer
    }

    fn start(out: &'o mut Vec<u8>, is_valid: bool) -> Self {
        let start = out.len();
        Self {
            out,
            start,
            error: (!is_valid).then_some(WriteError::InvalidStartLine),
        }
    }

    /// Writes a field whose name is computed or configured.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.field(&Field::new(name.as_bytes(), value.as_ref()))
    }

    /// Writes a field of the proxy's own with a constant name: a token, and no framing field.
    pub fn constant(&mut self, name: &'static str, value: impl AsRef<[u8]>) -> &mut Self {
        let name = name.as_bytes();
        debug_assert!(is_token(name) && !KnownField::of(name).is_framing());
        self.checked(None, name, value.as_ref())
    }

    /// Writes a field as [`HeadWriter::constant`] does, with a value that is known to be valid: constants, numbers and
    /// checked hosts.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "with its name known, it is a few instructions"
    )]
    pub fn own(&mut self, name: &'static str, value: &[u8]) -> &mut Self {
        let name = name.as_bytes();
        debug_assert!(is_token(name) && !KnownField::of(name).is_framing());
        debug_assert!(is_field_value(value) && trim(value) == value);
        if self.error.is_none() {
            self.out.extend_from_slice(name);
            self.out.extend_from_slice(b": ");
            self.out.extend_from_slice(value);
            self.out.extend_from_slice(LINE_END);
        }
        self
    }

    /// Writes a received field whose name and value the parser has validated: as one copy, if its raw line has the form
    /// that would be written.
    #[inline]
    pub fn line(&mut self, line: &HeaderLine<'_>) -> &mut Self {
        match line.whole {
            Some(whole) if !line.field.known.is_framing() => {
                if self.error.is_none() {
                    self.out.extend_from_slice(whole);
                }
                self
            }
            _ => self.field(&line.field),
        }
    }

    /// Writes a received field.
    pub fn field(&mut self, field: &Field<'_>) -> &mut Self {
        let error = if field.known.is_framing() {
            Some(WriteError::FramingField)
        } else {
            field_name_error(field)
        };
        self.checked(error, field.name, field.value)
    }

    fn checked(&mut self, error: Option<WriteError>, name: &[u8], value: &[u8]) -> &mut Self {
        if self.error.is_none() {
            self.error = error.or_else(|| write_line(self.out, name, value).err());
        }
        self
    }

    /// Writes the framing and the empty line, and returns the encoder of the body.
    ///
    /// # Errors
    ///
    /// The first error; the buffer is then as it was before.
    pub fn finish(mut self, framing: impl Into<Framing>) -> Result<BodyEncoder, WriteError> {
        if let Some(error) = self.error {
            self.out.truncate(self.start);
            return Err(error);
        }
        let framing = framing.into();
        self.write_framing(framing);
        self.out.extend_from_slice(LINE_END);
        Ok(match framing {
            Framing::Request(framing) => BodyEncoder::request(framing),
            Framing::Response(framing) => BodyEncoder::response(framing),
        })
    }

    fn write_framing(&mut self, framing: Framing) {
        match framing {
            Framing::Request(RequestFraming::None)
            | Framing::Response(ResponseFraming::None | ResponseFraming::UntilClose) => {}
            Framing::Request(RequestFraming::Chunked)
            | Framing::Response(ResponseFraming::Chunked) => {
                self.out
                    .extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
            Framing::Request(RequestFraming::Length(length))
            | Framing::Response(
                ResponseFraming::Length(length) | ResponseFraming::Announced(length),
            ) => {
                let mut digits = itoa::Buffer::new();
                self.out.extend_from_slice(b"content-length: ");
                self.out.extend_from_slice(digits.format(length).as_bytes());
                self.out.extend_from_slice(LINE_END);
            }
        }
    }
}

// === impl Framing ===

impl From<RequestFraming> for Framing {
    fn from(framing: RequestFraming) -> Self {
        Self::Request(framing)
    }
}

impl From<ResponseFraming> for Framing {
    fn from(framing: ResponseFraming) -> Self {
        Self::Response(framing)
    }
}

#[cfg(test)]
mod tests;
