//! State machine for the bytes between the data of chunks, one byte at a time (RFC 9112, section 7.1).

use crate::message::{Reason, is_field_value, is_token_byte};

/// Position of the next byte in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkState {
    /// In the size, after so many digits.
    Size(u8),
    /// After the size and so many spaces. Servers that write a size of fixed width pad it with them; no parser reads a
    /// meaning into them, and the chunk is encoded anew.
    Gap(u8),
    /// In an extension.
    Extension(Extension),
    /// After the CR of the size line.
    SizeFeed,
    /// In the data.
    Data,
    /// After the data.
    DataReturn,
    /// After the data and a CR.
    DataFeed,
    /// At the start of the trailer section.
    Trailers,
    /// After a CR at the start of the trailer section.
    LastFeed,
    /// In the trailer section.
    TrailerLine,
    /// After the body.
    Done,
}

/// Position of the next byte in a chunk extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// After the `;`.
    Start,
    /// In the name.
    Name,
    /// After the name or value and a space.
    Gap {
        /// A value may follow.
        after_name: bool,
    },
    /// After the `=`.
    Equals,
    /// In a value.
    Value,
    /// In a value in quotes.
    Quoted,
    /// After a `\` in a value in quotes.
    Escaped,
    /// After the second quote.
    Closed,
}

/// Maximum number of digits of a size, leading zeros included, and of spaces after it. The value has to fit 64 bits,
/// however many digits there are.
const MAX_WIDTH: u8 = 32;

// === impl ChunkState ===

impl ChunkState {
    /// The state after `byte`, for all states other than data and trailers; `size` is the size read so far.
    pub(super) fn step(self, byte: u8, size: &mut u64) -> Result<Self, Reason> {
        match (self, byte) {
            (Self::Size(1..) | Self::Gap(_), b'\r') => Ok(Self::SizeFeed),
            (Self::Size(1..) | Self::Gap(_), b';') => Ok(Self::Extension(Extension::Start)),
            (Self::Size(1..), b' ' | b'\t') => Ok(Self::Gap(1)),
            (Self::Gap(spaces), b' ' | b'\t') if spaces < MAX_WIDTH => Ok(Self::Gap(spaces + 1)),
            (Self::Size(digits), _) if digits < MAX_WIDTH && *size <= u64::MAX >> 4 => {
                let digit = char::from(byte).to_digit(16).ok_or(Reason::InvalidChunk)?;
                *size = (*size << 4) | u64::from(digit);
                Ok(Self::Size(digits + 1))
            }
            (Self::Extension(extension), _) => extension.step(byte),
            (Self::SizeFeed, b'\n') if *size == 0 => Ok(Self::Trailers),
            (Self::SizeFeed, b'\n') => Ok(Self::Data),
            (Self::DataReturn, b'\r') => Ok(Self::DataFeed),
            (Self::DataFeed, b'\n') => Ok(Self::Size(0)),
            (Self::LastFeed, b'\n') => Ok(Self::Done),
            _ => Err(Reason::InvalidChunk),
        }
    }
}

// === impl Extension ===

impl Extension {
    fn step(self, byte: u8) -> Result<ChunkState, Reason> {
        let next = match (self, byte) {
            (Self::Name | Self::Value | Self::Closed | Self::Gap { .. }, b'\r') => {
                return Ok(ChunkState::SizeFeed);
            }
            (Self::Name | Self::Value | Self::Closed | Self::Gap { .. }, b';') => Self::Start,
            (Self::Name | Self::Gap { after_name: true }, b'=') => Self::Equals,
            (Self::Name, b' ' | b'\t') => Self::Gap { after_name: true },
            (Self::Value | Self::Closed, b' ' | b'\t') => Self::Gap { after_name: false },
            (Self::Start | Self::Equals | Self::Gap { .. }, b' ' | b'\t') => self,
            (Self::Start | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::Equals, b'"') => Self::Quoted,
            (Self::Equals | Self::Value, _) if is_token_byte(byte) => Self::Value,
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_field_value(&[byte]) => Self::Quoted,
            _ => return Err(Reason::InvalidChunk),
        };
        Ok(ChunkState::Extension(next))
    }
}
