//! Keepalive of a client's connection: pings it when idle, and waits for the ACK.

use std::task::Context;
use std::time::Duration;

use super::connection_io::Http2Io;
use crate::net::Deadline;

/// State of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PingState {
    /// A ping was not acknowledged in time.
    No,
    /// Nothing indicates that it is gone.
    Yes,
}

/// Pings a connection that received nothing for a while.
pub(super) struct Keepalive {
    deadline: Deadline,
    every: Duration,
    patience: Duration,
    seen: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Started,
    Listening,
    Asked,
}

// === impl Keepalive ===

impl Keepalive {
    /// Pings after `every` without received bytes, and waits `patience` for the ACK.
    pub(super) fn new(deadline: Deadline, [every, patience]: [Duration; 2]) -> Self {
        Self {
            deadline,
            every,
            patience,
            seen: 0,
            state: State::Started,
        }
    }

    /// Must be polled with the connection. Any received byte is a sign of life.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: &Http2Io) -> PingState {
        loop {
            if self.state != State::Started && self.deadline.poll_expired(cx).is_pending() {
                return PingState::Yes;
            }
            let came = io.received() != self.seen;
            self.seen = io.received();
            self.state = match self.state {
                State::Asked if !came => return PingState::No,
                State::Listening if !came => {
                    io.engine().ping();
                    self.deadline.set_from_now(self.patience);
                    State::Asked
                }
                _ => {
                    self.deadline.set_from_now(self.every);
                    State::Listening
                }
            };
        }
    }
}
