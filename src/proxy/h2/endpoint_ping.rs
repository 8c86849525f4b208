//! Pings of a connection to an endpoint: only while it has streams, and nothing ends because of them.
//!
//! An endpoint may be busy for as long as `silence` allows, and servers of gRPC count pings as abuse that come more often
//! than every five minutes or without a stream. So a ping that is not answered only keeps new streams away.

use std::task::Context;
use std::time::Duration;

use super::connection_io::Http2Io;
use super::pooled_connection::PooledConnection;
use crate::net::Deadline;

/// The pings of one connection, if there are any.
pub(super) struct EndpointPing {
    deadline: Deadline,
    every: Option<Duration>,
    patience: Duration,
    seen: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No stream is open.
    Off,
    /// Something has come not long ago.
    Quiet,
    /// A ping waits for its answer.
    Asked,
    /// A ping was not answered.
    Missed,
}

// === impl EndpointPing ===

impl EndpointPing {
    /// Pings `every` so often while nothing comes, and has `timeout` for the answer.
    pub(super) fn new(deadline: Deadline, every: Option<Duration>, patience: Duration) -> Self {
        Self {
            deadline,
            every,
            patience,
            seen: 0,
            state: State::Off,
        }
    }

    /// To be polled with the connection, behind what it receives. Whatever comes is a sign of life.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: &Http2Io, member: &PooledConnection) {
        let Some(every) = self.every else {
            return;
        };
        if member.streams() == 0 {
            if self.state != State::Off {
                self.deadline.clear();
                self.state = State::Off;
            }
            return;
        }
        let came = io.received() != self.seen;
        if self.state == State::Off || self.state == State::Missed && came {
            self.start(State::Quiet, every, io);
            member.suspect(false);
        }
        while self.deadline.poll_expired(cx).is_ready() {
            let came = io.received() != self.seen;
            match self.state {
                State::Asked if !came => {
                    member.suspect(true);
                    self.start(State::Missed, every, io);
                }
                State::Quiet | State::Missed if !came => {
                    io.engine().ping();
                    self.start(State::Asked, self.patience, io);
                }
                _ => {
                    member.suspect(false);
                    self.start(State::Quiet, every, io);
                }
            }
        }
    }

    fn start(&mut self, state: State, span: Duration, io: &Http2Io) {
        self.state = state;
        self.seen = io.received();
        self.deadline.set_from_now(span);
    }
}
