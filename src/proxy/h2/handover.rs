//! Handover of a busy connection's permit to another worker that waits for one.
//!
//! At the connection limit of an endpoint, idle connections are closed for workers that wait. A connection that is
//! never idle accepts new streams for a moment, then none until the current ones are over, and is closed for the first
//! waiter. Streams may last for minutes, and new requests shall not wait as long: after a while without an end it
//! accepts streams again, and so on alternately.

use std::task::Context;
use std::time::Duration;

use super::pooled_connection::PooledConnection;
use crate::net::Deadline;

/// Time for which it accepts new streams while another worker waits.
const TAKES: Duration = Duration::from_millis(50);
/// Time for which it accepts none.
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

    /// Must be polled with the connection.
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
