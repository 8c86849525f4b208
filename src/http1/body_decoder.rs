//! Decoder for bodies: reads one out of a buffer, to its end and not a byte further.

use std::ops::Range;

use super::chunk::ChunkState;
use super::trailers::Trailers;
use crate::message::{Limits, Reason, RequestFraming, ResponseFraming};

/// Decoder for one body. It is created from a framing only, and stores no data.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    kind: Kind,
    /// Remaining bytes of the body, or of the chunk.
    left: u64,
    extensions: u32,
    trailer_limit: u32,
    trailers: Option<Box<Trailers>>,
}

/// Result of one decoding step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Number of input bytes that are consumed, data included.
    pub consumed: usize,
    /// Range of the data in the input; if not empty, it ends where `consumed` ends.
    pub data: Range<usize>,
    /// The body is over; what follows belongs to the next message.
    pub end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chunked(ChunkState),
    Length,
    UntilClose,
}

// === impl BodyDecoder ===

impl BodyDecoder {
    /// Creates a decoder for the body of a request.
    pub fn request(framing: RequestFraming, limits: &Limits) -> Self {
        match framing {
            RequestFraming::None => Self::new(Kind::Length, 0, limits),
            RequestFraming::Length(length) => Self::new(Kind::Length, length, limits),
            RequestFraming::Chunked => Self::new(Kind::Chunked(ChunkState::Size(0)), 0, limits),
        }
    }

    /// Creates a decoder for the body of a response.
    pub fn response(framing: ResponseFraming, limits: &Limits) -> Self {
        match framing {
            ResponseFraming::None | ResponseFraming::Announced(_) => {
                Self::new(Kind::Length, 0, limits)
            }
            ResponseFraming::Length(length) => Self::new(Kind::Length, length, limits),
            ResponseFraming::Chunked => Self::new(Kind::Chunked(ChunkState::Size(0)), 0, limits),
            ResponseFraming::UntilClose => Self::new(Kind::UntilClose, 0, limits),
        }
    }

    fn new(kind: Kind, left: u64, limits: &Limits) -> Self {
        let capped = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let (extensions, trailer_limit) =
            (capped(limits.chunk_extensions), capped(limits.trailers));
        Self {
            kind,
            left,
            extensions,
            trailer_limit,
            trailers: None,
        }
    }

    /// Decodes `input` up to the end of the next run of data, or to the end of the body. Call it again with the rest
    /// until nothing is consumed or the body ends.
    ///
    /// # Errors
    ///
    /// A chunk or trailer that violates the grammar or its limit. The body must then be aborted: the data decoded so
    /// far is incomplete, and the connection cannot be used any more.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Reason> {
        match self.kind {
            Kind::Length => {
                let data = 0..self.take(input.len());
                Ok(Decoded {
                    consumed: data.end,
                    data,
                    end: self.left == 0,
                })
            }
            Kind::UntilClose => Ok(Decoded {
                consumed: input.len(),
                data: 0..input.len(),
                end: false,
            }),
            Kind::Chunked(state) => self.decode_chunks(state, input),
        }
    }

    fn decode_chunks(&mut self, mut state: ChunkState, input: &[u8]) -> Result<Decoded, Reason> {
        let mut at = 0;
        let mut data = 0..0;
        while at < input.len() && state != ChunkState::Done && data.is_empty() {
            if state == ChunkState::Data {
                data = at..at + self.take(input.len() - at);
                at = data.end;
                state = if self.left == 0 {
                    ChunkState::DataReturn
                } else {
                    state
                };
            } else {
                state = self.step(state, input[at])?;
                at += 1;
            }
            self.kind = Kind::Chunked(state);
        }
        Ok(Decoded {
            consumed: at,
            data,
            end: state == ChunkState::Done,
        })
    }

    fn step(&mut self, state: ChunkState, byte: u8) -> Result<ChunkState, Reason> {
        match state {
            ChunkState::Trailers if byte == b'\r' => Ok(ChunkState::LastFeed),
            ChunkState::Trailers | ChunkState::TrailerLine => {
                let trailers = self.trailers.get_or_insert_default();
                let is_last = trailers.push(byte, self.trailer_limit as usize)?;
                Ok(if is_last {
                    ChunkState::Done
                } else {
                    ChunkState::TrailerLine
                })
            }
            ChunkState::Extension(_) => {
                self.extensions = self
                    .extensions
                    .checked_sub(1)
                    .ok_or(Reason::ExtensionsTooLarge)?;
                state.step(byte, &mut self.left)
            }
            state => state.step(byte, &mut self.left),
        }
    }

    fn take(&mut self, available: usize) -> usize {
        let taken = usize::try_from(self.left).map_or(available, |left| left.min(available));
        self.left -= taken as u64;
        taken
    }

    /// True if the body has ended.
    pub fn is_done(&self) -> bool {
        match self.kind {
            Kind::Length => self.left == 0,
            Kind::Chunked(state) => state == ChunkState::Done,
            Kind::UntilClose => false,
        }
    }

    /// True if what comes next is the rest of something that has begun: of a declared length, of a chunk, or of the end.
    /// Between chunks a peer may think.
    pub fn is_inside(&self) -> bool {
        match self.kind {
            Kind::Length => self.left > 0,
            Kind::Chunked(state) => !matches!(state, ChunkState::Size(0) | ChunkState::Done),
            Kind::UntilClose => false,
        }
    }

    /// Remaining bytes of the body, if its length was declared.
    pub fn left(&self) -> Option<u64> {
        match self.kind {
            Kind::Length => Some(self.left),
            Kind::Chunked(ChunkState::Done) => Some(0),
            Kind::Chunked(_) | Kind::UntilClose => None,
        }
    }

    /// True if the body has an end of its own, other than that of the connection.
    pub fn is_delimited(&self) -> bool {
        self.kind != Kind::UntilClose
    }

    /// Handles the end of the connection.
    ///
    /// # Errors
    ///
    /// `CutBody` if the body had not ended.
    pub fn finish_eof(&self) -> Result<(), Reason> {
        if self.is_done() || !self.is_delimited() {
            Ok(())
        } else {
            Err(Reason::CutBody)
        }
    }

    /// The trailer section, once the body has ended, if there was one.
    pub fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_deref().filter(|_| self.is_done())
    }
}

#[cfg(test)]
mod tests;
