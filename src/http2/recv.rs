//! Receive side of a connection: frames in order, each validated before any of it is used.

use super::connection::{Connection, PREFACE};
use super::connection_error::{ConnectionError, broken, protocol, size};
use super::frame::{Code, FrameHead, HEAD, flag, kind};
use super::recv_state::{Block, Stage};
use super::role::Role;

/// Limit on frames that are buffered whole, whatever the setting: only DATA is processed in parts.
const LONGEST_WHOLE: u32 = 192 * 1_024;
/// Limit on the part of an oversized block that is read before the connection ends.
const LONGEST_SPARE: usize = 1 << 20;

// === impl Connection ===

impl Connection {
    /// Consumes one unit from the front of `rest`; false if it is incomplete.
    pub(super) fn step(&mut self, rest: &mut &[u8]) -> Result<bool, ConnectionError> {
        match &mut self.receiving.stage {
            Stage::Preface => self.read_preface(rest),
            Stage::Frame => self.read_frame(rest),
            Stage::Data(_) => self.read_data(rest),
            Stage::Skip(left) => {
                let n = rest.len().min(*left as usize);
                *rest = &rest[n..];
                *left -= u32::try_from(n).expect("no more than `left`");
                let is_over = *left == 0;
                if is_over {
                    self.receiving.stage = Stage::Frame;
                }
                Ok(is_over)
            }
        }
    }

    fn read_preface(&mut self, rest: &mut &[u8]) -> Result<bool, ConnectionError> {
        let n = rest.len().min(PREFACE.len());
        if rest[..n] != PREFACE[..n] {
            return Err(protocol("missing connection preface"));
        }
        if n < PREFACE.len() {
            return Ok(false);
        }
        *rest = &rest[n..];
        self.receiving.stage = Stage::Frame;
        Ok(true)
    }

    fn read_frame(&mut self, rest: &mut &[u8]) -> Result<bool, ConnectionError> {
        let Some(head) = FrameHead::parse(rest) else {
            return Ok(false);
        };
        self.check(head)?;
        let length = head.length as usize;
        match head.kind {
            kind::DATA => {
                *rest = &rest[HEAD..];
                self.begin_data(head)?;
            }
            kind::HEADERS..=kind::CONTINUATION => {
                let Some(payload) = rest[HEAD..].get(..length) else {
                    return Ok(false);
                };
                *rest = &rest[HEAD + length..];
                self.spend_on(head)?;
                self.read_payload(head, payload)?;
            }
            _ => {
                *rest = &rest[HEAD..];
                self.spend_on(head)?;
                if length > 0 {
                    self.receiving.stage = Stage::Skip(head.length);
                }
            }
        }
        Ok(true)
    }

    /// Validates what can be validated before the payload has arrived.
    fn check(&self, head: FrameHead) -> Result<(), ConnectionError> {
        if head.length > self.own.frame {
            return Err(size("a frame exceeds the maximum frame size"));
        }
        let is_settings = head.kind == kind::SETTINGS && !head.has(flag::ACK);
        if !self.receiving.has_settings && !is_settings {
            return Err(protocol("the first frame is not SETTINGS"));
        }
        let is_next = |block: &Block| head.kind == kind::CONTINUATION && head.stream == block.id;
        match &self.receiving.block {
            Some(block) if !is_next(block) => {
                return Err(protocol("a header block is interrupted"));
            }
            None if head.kind == kind::CONTINUATION => {
                return Err(protocol("unexpected CONTINUATION"));
            }
            _ => {}
        }
        let before = self.receiving.block.as_ref();
        let before = before.map_or(0, |block| block.bytes.len());
        if matches!(head.kind, kind::HEADERS | kind::CONTINUATION)
            && before + head.length as usize > self.longest_block()
        {
            return Err(broken(
                Code::ENHANCE_YOUR_CALM,
                "a header block is too long",
            ));
        }
        let is_whole = matches!(head.kind, kind::HEADERS..=kind::CONTINUATION);
        if is_whole && head.length > LONGEST_WHOLE {
            return Err(size("a frame other than DATA is too long"));
        }
        let wanted = match head.kind {
            kind::PRIORITY => 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => 4,
            kind::PING => 8,
            kind::GOAWAY => head.length.max(8),
            _ => return Ok(()),
        };
        if head.length == wanted {
            Ok(())
        } else {
            Err(size("a frame has an invalid length for its type"))
        }
    }

    /// Longest block to read: the list limit, and a quarter for its encoding. A longer one may be read and
    /// discarded, so that one oversized head fails only its own stream. The connection to an endpoint
    /// carries streams of many clients.
    fn longest_block(&self) -> usize {
        let list = self.own.header_list as usize;
        let times = match self.role {
            Role::Server => 4,
            Role::Client => 16,
        };
        let spare = list.saturating_mul(times).min(LONGEST_SPARE);
        list.saturating_add(list / 4).max(spare)
    }

    fn spend_on(&mut self, head: FrameHead) -> Result<(), ConnectionError> {
        let cost = match head.kind {
            kind::HEADERS => 0,
            kind::PING if !head.has(flag::ACK) => self.receiving.charge(),
            kind::WINDOW_UPDATE => self.receiving.charge(),
            _ => 1,
        };
        if cost == 0 || self.role == Role::Client {
            return Ok(());
        }
        self.spend(cost)
    }

    fn read_payload(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), ConnectionError> {
        match head.kind {
            kind::HEADERS => self.read_headers(head, payload),
            kind::CONTINUATION => self.read_continuation(head, payload),
            kind::PRIORITY => self.read_priority(head, payload),
            kind::RST_STREAM => self.read_reset(head, payload),
            kind::SETTINGS => self.read_settings(head, payload),
            kind::PING => self.read_ping(head, payload),
            kind::GOAWAY => self.read_goaway(head, payload),
            kind::WINDOW_UPDATE => self.read_window(head, payload),
            _ => Err(protocol("unexpected PUSH_PROMISE")),
        }
    }
}
