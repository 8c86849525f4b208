//! Goodbyes and signs of life: GOAWAY and PING.

use super::connection::Connection;
use super::frame::{Code, FrameHead, flag, kind};

/// The number that a goodbye names while it is not known yet which stream is the last.
const ANY_STREAM: u32 = 0x7fff_ffff;
/// What a ping says that asks whether somebody is there.
const ALIVE: [u8; 8] = *b"are you?";
/// What a ping says whose answer comes after everything that was sent before a goodbye.
const GOODBYE: [u8; 8] = *b"goodbye!";

/// How far our goodbye is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoAwayState {
    No,
    /// The peer was told, and new streams are taken until it has heard.
    Told,
    /// No new stream is taken.
    Over,
}

// === impl Connection ===

impl Connection {
    /// Asks whether the peer is there; whatever it sends is an answer.
    pub fn ping(&mut self) {
        self.write_ping(flag::NONE, ALIVE);
    }

    /// Asks the peer to go. It may finish what it has begun, also what is on its way here.
    pub fn graceful_shutdown(&mut self) {
        if self.leaving == GoAwayState::No && self.broken().is_none() {
            self.leaving = GoAwayState::Told;
            self.write_goaway(ANY_STREAM, Code::NO_ERROR);
            self.write_ping(flag::NONE, GOODBYE);
        }
    }

    /// Takes no stream from here on, whether or not the peer has heard that it is to go.
    pub fn final_goaway(&mut self) {
        if self.leaving == GoAwayState::Told {
            self.leaving = GoAwayState::Over;
            self.write_goaway(self.last, Code::NO_ERROR);
        }
    }

    /// Whether the peer was asked to go.
    pub fn is_leaving(&self) -> bool {
        self.leaving != GoAwayState::No
    }

    /// Whether the peer has been asked to go, has heard it, and has nothing open any more.
    pub fn is_drained(&self) -> bool {
        self.leaving == GoAwayState::Over && self.streams.len() == 0
    }

    /// The answer to a ping of ours.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        if payload == GOODBYE {
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
