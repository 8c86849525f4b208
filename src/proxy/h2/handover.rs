//! How a connection that always has streams is given to another worker that waits for one.
//!
//! Where an endpoint may have no more connections, the ones that are idle are closed for those who wait elsewhere. One that
//! is never idle takes new streams for a moment, then none until those that it has are over, and is closed for the first
//! who waits. Streams may last for minutes, and what comes meanwhile shall not wait as long: after a while without an end
//! it takes streams again, and so on by turns.

use std::task::Context;
use std::time::Duration;

use super::pooled_connection::PooledConnection;
use crate::net::Deadline;

/// How long it takes new streams while another worker waits.
const TAKES: Duration = Duration::from_millis(50);
/// How long it takes none.
const HOLDS_BACK: Duration = Duration::from_secs(1);

/// The handover of one connection.
pub(super) struct Handover {
    deadline: Deadline,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No other worker waits.
    Off,
    Takes,
    HoldsBack,
}

// === impl Handover ===

impl Handover {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            state: State::Off,
        }
    }

    /// To be polled with the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, member: &PooledConnection) {
        if !member.is_wanted_elsewhere() {
            if self.state != State::Off {
                self.deadline.clear();
                self.enter(State::Off, member);
            }
            return;
        }
        if self.state == State::Off {
            self.deadline.set_from_now(TAKES);
            self.enter(State::Takes, member);
        }
        while self.deadline.poll_expired(cx).is_ready() {
            if self.state == State::Takes {
                self.deadline.set_from_now(HOLDS_BACK);
                self.enter(State::HoldsBack, member);
            } else {
                self.deadline.set_from_now(TAKES);
                self.enter(State::Takes, member);
            }
        }
    }

    fn enter(&mut self, state: State, member: &PooledConnection) {
        self.state = state;
        member.hold_back(state == State::HoldsBack);
    }
}
