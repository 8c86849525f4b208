//! Encoder for bodies: the framing around each run of data, and the end.

use super::line_writer::{WriteError, field_name_error, write_line};
use crate::message::{Field, RequestFraming, ResponseFraming, is_trailer_allowed};

/// Encoder for one body. The writer of the head that declared the framing creates it, so that both agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyEncoder {
    kind: Kind,
    left: u64,
}

/// Framing around one run of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkFraming {
    head: [u8; 18],
    start: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chunked,
    Done,
    Length,
    UntilClose,
}

// === impl BodyEncoder ===

impl BodyEncoder {
    pub(super) const fn request(framing: RequestFraming) -> Self {
        match framing {
            RequestFraming::None => Self {
                kind: Kind::Done,
                left: 0,
            },
            RequestFraming::Length(left) => Self {
                kind: Kind::Length,
                left,
            },
            RequestFraming::Chunked => Self {
                kind: Kind::Chunked,
                left: 0,
            },
        }
    }

    pub(super) const fn response(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None | ResponseFraming::Announced(_) => Self {
                kind: Kind::Done,
                left: 0,
            },
            ResponseFraming::Length(left) => Self {
                kind: Kind::Length,
                left,
            },
            ResponseFraming::Chunked => Self {
                kind: Kind::Chunked,
                left: 0,
            },
            ResponseFraming::UntilClose => Self {
                kind: Kind::UntilClose,
                left: 0,
            },
        }
    }

    /// The framing around the next `length` bytes of data; the caller writes all three in this order.
    ///
    /// # Errors
    ///
    /// `BodyTooLong` for data beyond the framing.
    pub fn frame(&mut self, length: usize) -> Result<ChunkFraming, WriteError> {
        match self.kind {
            // A chunk of size zero would be the last one.
            _ if length == 0 => Ok(ChunkFraming::NONE),
            Kind::Chunked => Ok(ChunkFraming::chunk(length)),
            Kind::Length => {
                self.left = self
                    .left
                    .checked_sub(length as u64)
                    .ok_or(WriteError::BodyTooLong)?;
                Ok(ChunkFraming::NONE)
            }
            Kind::UntilClose => Ok(ChunkFraming::NONE),
            Kind::Done => Err(WriteError::BodyTooLong),
        }
    }

    /// Writes the end of the body. Trailers that may not be forwarded are dropped, and all of them if the framing
    /// allows none.
    ///
    /// # Errors
    ///
    /// `BodyTooShort` if data is missing; an invalid trailer. The body must then be aborted.
    pub fn finish<'f>(
        &mut self,
        out: &mut Vec<u8>,
        trailers: impl IntoIterator<Item = Field<'f>>,
    ) -> Result<(), WriteError> {
        match self.kind {
            Kind::Length if self.left > 0 => return Err(WriteError::BodyTooShort),
            Kind::Chunked => write_last_chunk(out, trailers)?,
            Kind::Length | Kind::UntilClose | Kind::Done => {}
        }
        self.kind = Kind::Done;
        Ok(())
    }

    /// True if the whole body has been framed; with a known length, after its last byte.
    pub const fn is_complete(&self) -> bool {
        match self.kind {
            Kind::Done => true,
            Kind::Length => self.left == 0,
            Kind::Chunked | Kind::UntilClose => false,
        }
    }

    /// True if the peer can detect that a body truncated here is incomplete: a plain close is enough.
    pub const fn truncation_is_visible(&self) -> bool {
        !matches!(self.kind, Kind::UntilClose) && !self.is_complete()
    }
}

fn write_last_chunk<'f>(
    out: &mut Vec<u8>,
    trailers: impl IntoIterator<Item = Field<'f>>,
) -> Result<(), WriteError> {
    let start = out.len();
    out.extend_from_slice(b"0\r\n");
    for field in trailers {
        if !field.known.is_framing() && is_trailer_allowed(&field) {
            field_name_error(&field)
                .map_or(Ok(()), Err)
                .and_then(|()| write_line(out, field.name, field.value))
                .inspect_err(|_| out.truncate(start))?;
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

// === impl ChunkFraming ===

impl ChunkFraming {
    const NONE: Self = Self {
        head: [0; 18],
        start: 18,
    };

    fn chunk(length: usize) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut head = *b"________________\r\n";
        let (mut start, mut rest) = (16, length);
        while rest > 0 {
            start -= 1;
            head[start] = HEX[rest % 16];
            rest /= 16;
        }
        Self {
            head,
            start: u8::try_from(start).expect("a size has at most 16 digits"),
        }
    }

    /// True if nothing surrounds the data.
    pub const fn is_bare(&self) -> bool {
        self.start as usize == self.head.len()
    }

    /// The bytes before the data.
    pub fn before(&self) -> &[u8] {
        &self.head[usize::from(self.start)..]
    }

    /// The bytes after the data.
    pub fn after(&self) -> &'static [u8] {
        if self.before().is_empty() {
            b""
        } else {
            b"\r\n"
        }
    }
}

#[cfg(test)]
mod tests;
