//! Whether the other side of a quiet connection is still there: a ping, and a while to answer it.

use std::task::Context;
use std::time::Duration;

use super::connection_io::Http2Io;
use crate::net::Deadline;

/// What is known of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PingState {
    /// It did not answer.
    No,
    /// Nothing says that it is gone.
    Yes,
}

/// Pings a connection when nothing came for a while.
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
    /// Pings `every` so often while nothing comes, and has `timeout` for the answer.
    pub(super) fn new(deadline: Deadline, [every, patience]: [Duration; 2]) -> Self {
        Self {
            deadline,
            every,
            patience,
            seen: 0,
            state: State::Started,
        }
    }

    /// To be polled with the connection. Whatever comes is a sign of life.
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
