//! Reads and writes HTTP/1.1 bodies on a connection, with idle timeouts and buffers that are held only while full.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::fleet::AckStalls;
use crate::http1::{
    BodyDecoder, BodyEncoder, ChunkFraming, Decoded, Exchange, Trailers, WriteError,
};
use crate::message::Rejection;
use crate::net::{Buffer, BufferPool, BufferSize};

use super::io::{BodyFrame, TrailerFields};
pub(super) use super::timed_stream::{IoError, TimedStream, Written};

/// Data up to this length is copied next to its framing and written as one slice: cheaper than a vectored write.
const COALESCE_MAX: usize = 2048;

/// Finds the data of a body; on the upstream side the state of the exchange does so.
pub(super) trait BodyDecode {
    fn decode(&mut self, input: &[u8]) -> Result<Decoded, Rejection>;
    fn finish_eof(&mut self) -> Result<(), Rejection>;
    fn is_done(&self) -> bool;
    fn is_inside(&self) -> bool;
    fn trailers(&self) -> Option<Box<Trailers>>;
}

/// Reads one body, and the bytes before and after it, from a connection.
pub(super) struct BodyReader<'s, D> {
    pub(super) channel: TimedStream<'s>,
    pub(super) decoder: D,
    pub(super) buffer: Option<Buffer>,
    /// The last read ended in a head, or right behind one that announces a body.
    pub(super) is_at_head: bool,
    buffers: &'s Rc<BufferPool>,
    stalls: &'s AckStalls,
    /// Bytes of the buffer that belong to the last returned frame.
    taken: usize,
    size: BufferSize,
    trailers: Option<Box<Trailers>>,
    /// Error found after the data that was returned last.
    broken: Option<Rejection>,
}

struct Found {
    data: Range<usize>,
    consumed: usize,
    end: bool,
    broken: Option<Rejection>,
}

/// A framed part of a body, after pending bytes in `out`: all of it in `out` if short, else framing around the data.
pub(super) struct BodyWriter {
    framing: ChunkFraming,
    /// Bytes of `out` from here on follow the data.
    split: usize,
    is_long: bool,
}

// === impl BodyWriter ===

impl BodyWriter {
    pub(super) fn new(
        encoder: &mut BodyEncoder,
        out: &mut Vec<u8>,
        frame: &BodyFrame<'_>,
    ) -> Result<Self, WriteError> {
        let framing = encoder.frame(frame.data.len())?;
        let is_long = frame.data.len() > COALESCE_MAX;
        if !is_long {
            if framing.is_bare() {
                out.extend_from_slice(frame.data);
            } else {
                out.extend_from_slice(framing.before());
                out.extend_from_slice(frame.data);
                out.extend_from_slice(framing.after());
            }
        }
        let split = out.len();
        if frame.last {
            match frame.trailers {
                None => encoder.finish(out, []),
                Some(trailers) => encoder.finish(out, trailers.allowed()),
            }?;
        }
        Ok(Self {
            framing,
            split,
            is_long,
        })
    }

    /// Writes `out` and `data`.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        channel: &TimedStream<'_>,
        (out, data): (&[u8], &[u8]),
        written: &mut Written,
    ) -> Poll<Result<(), IoError>> {
        if !self.is_long {
            return channel.poll_write(cx, &mut [IoSlice::new(out)], written);
        }
        let (head, tail) = out.split_at(self.split);
        let (before, after) = (self.framing.before(), self.framing.after());
        let mut slices = [head, before, data, after, tail].map(IoSlice::new);
        channel.poll_write(cx, &mut slices, written)
    }
}

// === impl BodyReader ===

impl<'s, D: BodyDecode> BodyReader<'s, D> {
    /// Creates a reader for a body that starts with the bytes in `buffer`.
    pub(super) fn new(
        channel: TimedStream<'s>,
        decoder: D,
        (buffers, stalls): (&'s Rc<BufferPool>, &'s AckStalls),
        buffer: Option<Buffer>,
    ) -> Self {
        Self {
            channel,
            decoder,
            buffer: buffer.filter(|buffer| !buffer.is_empty()),
            is_at_head: false,
            buffers,
            stalls,
            taken: 0,
            size: BufferSize::Small,
            trailers: None,
            broken: None,
        }
    }

    /// The same, where the head has been read already. Not set afterwards: a future keeps room for what was borrowed.
    pub(super) fn behind_head(mut self) -> Self {
        self.is_at_head = self.buffer.is_none();
        self
    }

    /// See [`super::io::BodySource::next_frame`].
    pub(super) async fn next_piece<E: From<IoError>>(&mut self) -> Result<BodyFrame<'_>, E> {
        let (data, last) = loop {
            self.settle();
            if let Some(found) = self.decode_buffered()? {
                break found;
            }
            if self.fill().await? == 0 {
                self.decoder
                    .finish_eof()
                    .map_err(|_| IoError::Closed(None))?;
                break (0..0, true);
            }
        };
        if last {
            self.trailers = self.decoder.trailers();
        }
        let bytes = self.buffer.as_ref().map_or(&[][..], Buffer::data);
        Ok(BodyFrame {
            data: &bytes[data],
            last,
            trailers: self
                .trailers
                .as_deref()
                .filter(|_| last)
                .map(TrailerFields::from),
        })
    }

    /// See [`super::io::BodySource::is_ready`].
    pub(super) fn is_ready(&self) -> bool {
        self.decoder.is_done()
            || self.broken.is_some()
            || self
                .buffer
                .as_ref()
                .is_some_and(|buffer| buffer.len() > self.taken)
    }

    /// True if the body was read to its end.
    pub(super) fn decoder_is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Bytes that were read beyond the end of the body.
    pub(super) fn into_rest(mut self) -> Option<Buffer> {
        self.settle();
        self.buffer
    }

    /// Releases the last frame, and the buffer if it is empty then.
    pub(super) fn settle(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(std::mem::take(&mut self.taken));
            if buffer.is_empty() {
                self.buffer = None;
            }
        }
    }

    /// Decodes the buffered data, coalesced so that one read makes one frame.
    fn decode_buffered(&mut self) -> Result<Option<(Range<usize>, bool)>, IoError> {
        if let Some(broken) = self.broken {
            return Err(IoError::Invalid(broken));
        }
        if self.decoder.is_done() {
            return Ok(Some((0..0, true)));
        }
        let Some(buffer) = &mut self.buffer else {
            return Ok(None);
        };
        let found = decode_buffered(buffer, &mut self.decoder).map_err(IoError::Invalid)?;
        self.taken = found.consumed;
        self.broken = found.broken;
        let is_piece = found.end || !found.data.is_empty();
        Ok(is_piece.then_some((found.data, found.end)))
    }

    /// Waits for bytes, then takes a buffer, then reads: returns the number of bytes, 0 at the end.
    pub(super) async fn fill(&mut self) -> Result<usize, IoError> {
        self.settle();
        loop {
            let is_inside = self.is_at_head || self.decoder.is_inside();
            self.channel
                .readable(is_inside.then_some(self.stalls))
                .await?;
            let buffer = self
                .buffer
                .get_or_insert_with(|| self.buffers.take(self.size));
            match self.channel.stream.try_read(buffer.space()) {
                Ok(read) => {
                    buffer.filled(read);
                    self.is_at_head = false;
                    self.adapt(read);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.settle(),
                Err(error) => return Err(IoError::Closed(Some(error))),
            }
        }
    }

    /// Grows the read size for bodies that fill small reads.
    fn adapt(&mut self, read: usize) {
        if read == self.size.bytes() {
            self.size = self.buffers.for_body(self.size.larger());
        } else if read <= BufferSize::Small.bytes() / 2 {
            self.size = BufferSize::Small;
        }
    }
}

/// Decodes all buffered bytes of the body; the data of several chunks is coalesced. An error after data is reported
/// with the next call.
fn decode_buffered(buffer: &mut Buffer, decoder: &mut impl BodyDecode) -> Result<Found, Rejection> {
    let mut found = Found {
        data: 0..0,
        consumed: 0,
        end: false,
        broken: None,
    };
    while found.consumed < buffer.len() && !found.end {
        let at = found.consumed;
        let decoded = match decoder.decode(&buffer.data()[at..]) {
            Ok(decoded) => decoded,
            Err(broken) if found.data.is_empty() => return Err(broken),
            Err(broken) => {
                found.broken = Some(broken);
                found.consumed = buffer.len();
                break;
            }
        };
        let run = at + decoded.data.start..at + decoded.data.end;
        if found.data.is_empty() {
            found.data = run;
        } else if !run.is_empty() {
            let length = run.len();
            buffer.data_mut().copy_within(run, found.data.end);
            found.data.end += length;
        }
        found.end = decoded.end;
        found.consumed += decoded.consumed;
        if decoded.consumed == 0 {
            break;
        }
    }
    Ok(found)
}

// === impl BodyDecode ===

impl BodyDecode for BodyDecoder {
    fn decode(&mut self, input: &[u8]) -> Result<Decoded, Rejection> {
        Self::decode(self, input).map_err(Rejection::request)
    }

    fn finish_eof(&mut self) -> Result<(), Rejection> {
        Self::finish_eof(self).map_err(Rejection::request)
    }

    fn is_done(&self) -> bool {
        Self::is_done(self)
    }

    fn is_inside(&self) -> bool {
        Self::is_inside(self)
    }

    fn trailers(&self) -> Option<Box<Trailers>> {
        Self::trailers(self).cloned().map(Box::new)
    }
}

impl BodyDecode for &RefCell<Exchange> {
    fn decode(&mut self, input: &[u8]) -> Result<Decoded, Rejection> {
        self.borrow_mut().decode(input)
    }

    fn finish_eof(&mut self) -> Result<(), Rejection> {
        self.borrow_mut().finish_eof()
    }

    fn is_done(&self) -> bool {
        self.borrow().response_is_read()
    }

    fn is_inside(&self) -> bool {
        self.borrow().is_inside_response()
    }

    fn trailers(&self) -> Option<Box<Trailers>> {
        self.borrow().trailers().cloned().map(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Limits, RequestFraming};

    fn gathered(input: &[u8]) -> (Vec<u8>, usize, bool) {
        let pool = BufferPool::new(BufferSize::Large);
        let mut buffer = pool.take(BufferSize::Small);
        assert!(buffer.append(input));
        let mut decoder = BodyDecoder::request(RequestFraming::Chunked, &Limits::default());
        let found = decode_buffered(&mut buffer, &mut decoder).unwrap();
        (
            buffer.data()[found.data].to_vec(),
            found.consumed,
            found.end,
        )
    }

    #[test]
    fn chunks_of_one_read_become_one_piece_and_nothing_beyond_the_end_is_taken() {
        let body = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let mut input = body.to_vec();
        input.extend(b"GET / HTTP/1.1\r\n");
        assert_eq!(gathered(&input), (b"abcde".to_vec(), body.len(), true));
    }

    #[test]
    fn half_a_chunk_is_handed_out_and_half_a_size_is_not_lost() {
        assert_eq!(gathered(b"5\r\nab"), (b"ab".to_vec(), 5, false));
        assert_eq!(gathered(b"1\r\na\r\n1"), (b"a".to_vec(), 7, false));
        assert_eq!(gathered(b"5"), (Vec::new(), 1, false));
    }
}
