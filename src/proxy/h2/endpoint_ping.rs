//! Pings of a connection to an endpoint: only while it has streams, and they never end the connection.
//!
//! An endpoint may be busy for as long as `silence` allows, and gRPC servers treat pings as abuse that come more often
//! than every five minutes or without a stream. So an unanswered ping only keeps new streams away.

use std::task::Context;
use std::time::Duration;

use super::connection_io::Http2Io;
use super::pooled_connection::PooledConnection;
use crate::net::Deadline;

/// The pings of one connection, if enabled.
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
    /// Bytes arrived recently.
    Quiet,
    /// A ping waits for its ACK.
    Asked,
    /// A ping was not acknowledged in time.
    Missed,
}

// === impl EndpointPing ===

impl EndpointPing {
    /// Pings after `every` without received bytes, and waits `patience` for the ACK.
    pub(super) fn new(deadline: Deadline, every: Option<Duration>, patience: Duration) -> Self {
        Self {
            deadline,
            every,
            patience,
            seen: 0,
            state: State::Off,
        }
    }

    /// Must be polled with the connection, after its receive. Any received byte is a sign of life.
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
