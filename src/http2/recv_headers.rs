//! Receiving header blocks: heads of new streams, heads of responses, and trailers.

use super::connection::Connection;
use super::connection_error::{ConnectionError, broken, protocol, size};
use super::frame::{Code, FrameHead, flag, word};
use super::goaway_state::GoAwayState;
use super::head::{Head, HeadKind, Malformed};
use super::hpack::{BlockLimits, FieldBlock};
use super::recv_state::Block;
use super::role::Role;
use super::stream::{Inbound, Stream};
use crate::message::Reason;

/// Text capacity that is enough for most heads.
const USUAL_TEXT: usize = 512;
const USUAL_FIELDS: usize = 16;

// === impl Connection ===

impl Connection {
    pub(super) fn read_headers(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        if head.stream == 0 {
            return Err(protocol("HEADERS on stream 0"));
        }
        let mut text = payload;
        if head.has(flag::PADDED) {
            let (padding, rest) = text
                .split_first()
                .ok_or_else(|| size("missing pad length"))?;
            let end = rest.len().checked_sub(usize::from(*padding));
            text = &rest[..end.ok_or_else(|| protocol("padding exceeds the frame"))?];
        }
        let mut is_circular = false;
        if head.has(flag::PRIORITY) {
            is_circular = word(text) & 0x7fff_ffff == head.stream;
            text = text.get(5..).ok_or_else(|| size("truncated priority"))?;
        }
        let is_last = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            self.read_block(head.stream, is_last, text)?;
            self.validate_priority(head.stream, is_circular)
        } else {
            self.receiving.block = Some(Block {
                id: head.stream,
                is_last,
                is_circular,
                bytes: text.to_vec(),
            });
            Ok(())
        }
    }

    /// Rejects a stream that depends on itself (RFC 7540, section 5.3.1), the only check on priorities that remains.
    pub(super) fn validate_priority(
        &mut self,
        id: u32,
        is_circular: bool,
    ) -> Result<(), ConnectionError> {
        if is_circular {
            self.check_backlog()?;
            self.reset_counted(id, Code::PROTOCOL_ERROR)?;
        }
        Ok(())
    }

    pub(super) fn read_continuation(
        &mut self,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), ConnectionError> {
        let Some(mut block) = self.receiving.block.take() else {
            return Err(protocol("unexpected CONTINUATION"));
        };
        block.bytes.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            self.read_block(block.id, block.is_last, &block.bytes)?;
            self.validate_priority(block.id, block.is_circular)
        } else {
            self.receiving.block = Some(block);
            Ok(())
        }
    }

    /// Decodes a complete block. Done whatever the state of its stream, since later blocks refer to it.
    fn read_block(&mut self, id: u32, is_last: bool, text: &[u8]) -> Result<(), ConnectionError> {
        let mut fields = FieldBlock::with_capacity(USUAL_TEXT.max(text.len()), USUAL_FIELDS);
        let known = self.streams.by_id(id).filter(|stream| !stream.is_closed());
        let is_server = self.role == Role::Server;
        let is_trailers = known.is_some_and(|stream| is_server || stream.has_final_head);
        let limits = BlockLimits {
            list: if is_trailers {
                self.own.trailers
            } else {
                self.own.header_list as usize
            },
            fields: self.own.fields,
        };
        self.receiving
            .decoder
            .decode(text, limits, &mut fields)
            .map_err(|_| broken(Code::COMPRESSION_ERROR, "invalid header block"))?;
        let known = self.streams.by_id(id).filter(|stream| !stream.is_closed());
        match self.role {
            _ if known.is_some() => self.read_later_block(id, is_last, fields),
            Role::Server => self.open_stream(id, is_last, fields),
            Role::Client if self.is_unopened(id) => Err(protocol("response on an idle stream")),
            // The stream is closed and has no handler.
            Role::Client => Ok(()),
        }
    }

    /// Handles a head on a stream that is not open on the server.
    fn open_stream(
        &mut self,
        id: u32,
        is_last: bool,
        fields: FieldBlock,
    ) -> Result<(), ConnectionError> {
        if id <= self.highest && self.resets.may_have(id) {
            return self.spend(1);
        }
        if id <= self.highest || id.is_multiple_of(2) {
            return Err(protocol("a stream id does not increase"));
        }
        self.highest = id;
        if self.leaving == GoAwayState::Over {
            // It was sent before the peer read our GOAWAY, and more of it may follow.
            self.resets.remember_reset(id);
            return self.spend(1);
        }
        self.last = id;
        let most = self.own.streams as usize + self.own.pending_resets;
        if self.open >= self.own.streams || self.streams.len() >= most {
            return self.reset_counted(id, Code::REFUSED_STREAM);
        }
        let head = match Head::new(fields, HeadKind::Request, is_last) {
            Ok(head) => head,
            Err(Malformed(why)) => return self.reject(id, why),
        };
        let mut stream = Stream::new(id, self.first_window(), i64::from(self.peer.window));
        stream.heads.push_back(head);
        if is_last {
            stream.inbound = Inbound::Ended;
        }
        self.open += 1;
        let key = self.streams.insert(stream);
        self.accepted.push_back(key);
        Ok(())
    }

    /// Handles a head of a response, or trailers.
    fn read_later_block(
        &mut self,
        id: u32,
        is_last: bool,
        fields: FieldBlock,
    ) -> Result<(), ConnectionError> {
        let Some(key) = self.streams.find(id) else {
            return Ok(());
        };
        let is_client = self.role == Role::Client;
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        if stream.inbound != Inbound::Open {
            return self.reset_counted(id, Code::STREAM_CLOSED);
        }
        let is_head = is_client && !stream.has_final_head;
        let of = if is_head {
            HeadKind::Response
        } else {
            HeadKind::Trailers
        };
        let head = match Head::new(fields, of, is_last) {
            Ok(head) => head,
            Err(Malformed(why)) => return self.reject(id, why),
        };
        if is_head {
            if let Err(why) = stream.add_head(head, self.own.informational) {
                return self.reject(id, why);
            }
        } else if is_last {
            stream.trailers = Some(head);
        } else {
            return self.reject(id, Reason::InvalidTrailer);
        }
        if is_last {
            return self.end_inbound(id);
        }
        stream.wake();
        Ok(())
    }

    /// Ends the peer's direction of a stream.
    pub(super) fn end_inbound(&mut self, id: u32) -> Result<(), ConnectionError> {
        let Some(key) = self.streams.find(id) else {
            return Ok(());
        };
        if let Some(stream) = self.streams.get_mut(key)
            && stream.inbound == Inbound::Open
        {
            if stream.expected.is_some_and(|expected| expected > 0) {
                return self.reject(id, Reason::LengthMismatch);
            }
            stream.inbound = Inbound::Ended;
            stream.wake();
            self.reap(key);
        }
        Ok(())
    }
}
