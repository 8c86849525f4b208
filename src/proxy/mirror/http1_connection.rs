//! A connection of HTTP/1.1 that carries copies, one after the other.

use std::io;

use super::failure::{CopyAnswer, SendError};
use super::json_body::JsonBody;
use crate::http1::{BodyDecoder, FieldSlots, HeadScan, ResponseHead};
use crate::message::{Limits, RequestContextForResponse, ResponseFraming};
use crate::net::Stream;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// A connection, and a buffer of what came and was not read yet.
pub(super) struct Http1Connection {
    stream: Stream,
    received: Vec<u8>,
}

/// The start of an answer.
struct Start {
    status: u16,
    framing: ResponseFraming,
    keep_alive: bool,
}

impl Http1Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.received.is_empty() && self.stream.is_idle()
    }

    /// Sends a request and reads its answer, at most `most` bytes of the body.
    pub(super) async fn exchange(
        &mut self,
        (head, body): (&[u8], &[u8]),
        (is_head, most): (bool, u64),
        mut json: Option<&mut JsonBody>,
    ) -> Result<CopyAnswer, SendError> {
        self.write(head, body).await?;
        let start = self.head(is_head, json.as_deref_mut()).await?;
        let (bytes, is_whole) = self.body((start.framing, most), json).await?;
        Ok(CopyAnswer {
            status: start.status,
            bytes,
            is_reusable: is_whole && start.keep_alive,
        })
    }

    async fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), SendError> {
        let mut slices = [io::IoSlice::new(head), io::IoSlice::new(body)];
        let written = self.stream.write_all_vectored(&mut slices).await;
        written.map_err(|_| SendError::Ended)
    }

    /// The head of the final answer.
    async fn head(
        &mut self,
        is_head: bool,
        mut json: Option<&mut JsonBody>,
    ) -> Result<Start, SendError> {
        let limits = Limits::default();
        let asked = RequestContextForResponse {
            head: is_head,
            ..RequestContextForResponse::default()
        };
        let mut is_first = true;
        loop {
            let found = HeadScan::default().response(&self.received, &limits);
            let Some(range) = found.map_err(|_| SendError::BROKEN)? else {
                if self.receive().await? == 0 {
                    let is_empty = is_first && self.received.is_empty();
                    return Err(if is_empty {
                        SendError::Ended
                    } else {
                        SendError::BROKEN
                    });
                }
                continue;
            };
            is_first = false;
            let mut slots = FieldSlots::new();
            let head = ResponseHead::parse(&self.received[range.clone()], &limits, &mut slots);
            let head = head.map_err(|_| SendError::BROKEN)?;
            let facts = head.validate(asked, &limits);
            let facts = facts.map_err(|_| SendError::BROKEN)?;
            if let Some(json) = json.as_deref_mut() {
                json.begin(head.fields());
            }
            let start = Start {
                status: facts.status,
                framing: facts.framing,
                keep_alive: facts.keep_alive,
            };
            self.received.drain(..range.end);
            if start.status >= 200 {
                return Ok(start);
            }
        }
    }

    /// Reads the body: its length, and true if that is all of it.
    async fn body(
        &mut self,
        (framing, most): (ResponseFraming, u64),
        mut json: Option<&mut JsonBody>,
    ) -> Result<(u64, bool), SendError> {
        let mut decoder = BodyDecoder::response(framing, &Limits::default());
        let mut bytes = 0;
        loop {
            let decoded = decoder.decode(&self.received);
            let decoded = decoded.map_err(|_| SendError::BROKEN)?;
            bytes += decoded.data.len() as u64;
            if let Some(json) = json.as_deref_mut() {
                json.read(&self.received[decoded.data.clone()]);
            }
            self.received.drain(..decoded.consumed);
            if decoded.end {
                return Ok((bytes, true));
            }
            if bytes > most {
                return Ok((most, false));
            }
            let is_drained = decoded.consumed == 0 || self.received.is_empty();
            if is_drained && self.receive().await.map_err(|_| SendError::BROKEN)? == 0 {
                return if framing == ResponseFraming::UntilClose {
                    Ok((bytes, true))
                } else {
                    Err(SendError::BROKEN)
                };
            }
        }
    }

    /// Reads what has come; 0 at the end of the connection.
    async fn receive(&mut self) -> Result<usize, SendError> {
        loop {
            let readable = self.stream.readable().await;
            readable.map_err(|_| SendError::Ended)?;
            match self.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if self.received.is_empty() => return Err(SendError::Ended),
                Err(_) => return Err(SendError::BROKEN),
                Ok(length) => return Ok(length),
            }
        }
    }

    fn try_receive(&mut self) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let length = self.stream.try_read(&mut chunk)?;
        self.received.extend_from_slice(&chunk[..length]);
        Ok(length)
    }
}
