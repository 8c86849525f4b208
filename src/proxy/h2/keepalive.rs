//! Whether the other side of a quiet connection is still there: a ping, and a while to answer it.

use std::task::Context;
use std::time::Duration;

use h2::{Ping, PingPong};

use super::wire::Wire;
use crate::net::Deadline;

/// What is known of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alive {
    /// It did not answer.
    No,
    /// Nothing says that it is gone.
    Yes,
}

/// Pings a connection when nothing came for a while.
pub(super) struct Keepalive {
    pings: Option<PingPong>,
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
    /// Pings `every` so often while nothing comes, and has `patience` for the answer.
    pub(super) fn new(
        pings: Option<PingPong>,
        deadline: Deadline,
        [every, patience]: [Duration; 2],
    ) -> Self {
        Self {
            pings,
            deadline,
            every,
            patience,
            seen: 0,
            state: State::Started,
        }
    }

    /// To be polled with the connection. Whatever comes is a sign of life.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, wire: &Wire) -> Alive {
        let Some(pings) = &mut self.pings else {
            return Alive::Yes;
        };
        // Takes the answer up, so that the next ping can be sent.
        let _ = pings.poll_pong(cx);
        loop {
            if self.state != State::Started && self.deadline.poll_expired(cx).is_pending() {
                return Alive::Yes;
            }
            let came = wire.received() != self.seen;
            self.seen = wire.received();
            self.state = match self.state {
                State::Asked if !came => return Alive::No,
                State::Listening if !came && pings.send_ping(Ping::opaque()).is_ok() => {
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
