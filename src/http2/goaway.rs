//! GOAWAY and PING.

use super::connection::Connection;
use super::frame::{Code, FrameHead, flag, kind};
use super::goaway_state::GoAwayState;

/// Last stream id of a first GOAWAY, while the last stream is not known yet.
const ANY_STREAM: u32 = 0x7fff_ffff;
/// Payload of a liveness PING.
const ALIVE: [u8; 8] = *b"are you?";
/// Payload of the PING after a first GOAWAY: its ack follows all that the peer sent before it read the GOAWAY.
const SHUTDOWN_PING: [u8; 8] = *b"goodbye!";

// === impl Connection ===

impl Connection {
    /// Sends a liveness PING; any frame counts as a sign of life.
    pub fn ping(&mut self) {
        self.write_ping(flag::NONE, ALIVE);
    }

    /// Sends a first GOAWAY. The peer may finish its streams, and those on their way here.
    pub fn graceful_shutdown(&mut self) {
        if self.leaving == GoAwayState::No && self.broken().is_none() {
            self.leaving = GoAwayState::Told;
            self.write_goaway(ANY_STREAM, Code::NO_ERROR);
            self.write_ping(flag::NONE, SHUTDOWN_PING);
        }
    }

    /// Sends the final GOAWAY. New streams are ignored from here on, whether or not the peer has read the first one.
    pub fn final_goaway(&mut self) {
        if self.leaving == GoAwayState::Told {
            self.leaving = GoAwayState::Over;
            self.write_goaway(self.last, Code::NO_ERROR);
        }
    }

    /// True once a GOAWAY was sent.
    pub fn is_leaving(&self) -> bool {
        self.leaving != GoAwayState::No
    }

    /// True if a GOAWAY was sent, the peer has read it, and no stream is open.
    pub fn is_drained(&self) -> bool {
        self.leaving == GoAwayState::Over && self.streams.len() == 0
    }

    /// Handles the ack of one of our PINGs.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        if payload == SHUTDOWN_PING {
            self.final_goaway();
        }
    }

    pub(super) fn write_goaway(&mut self, last: u32, code: Code) {
        let out = self.sending.out();
        FrameHead {
            length: 8,
            kind: kind::GOAWAY,
            flags: flag::NONE,
            stream: 0,
        }
        .write(out);
        out.extend_from_slice(&last.to_be_bytes());
        out.extend_from_slice(&code.0.to_be_bytes());
        self.notify();
    }

    pub(super) fn write_ping(&mut self, flags: u8, payload: [u8; 8]) {
        let out = self.sending.out();
        FrameHead {
            length: 8,
            kind: kind::PING,
            flags,
            stream: 0,
        }
        .write(out);
        out.extend_from_slice(&payload);
        self.notify();
    }
}
