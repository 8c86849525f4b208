//! Detects a client that disconnects while its request is not being read.
//!
//! While the body waits for its endpoint or for a permit, the connection is not read, so its end lies behind unread
//! bytes. The kernel knows of it all the same and is polled a few times a second, only while such a wait lasts: a
//! request that was read to its end is watched by reading on.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::net::{Deadline, Stream, Timers};

/// Interval of the checks.
const EVERY: Duration = Duration::from_millis(300);

/// Watch for the disconnect of one request's client. Free until it is polled.
#[derive(Default)]
pub(super) struct DisconnectWatch(Option<Deadline>);

// === impl DisconnectWatch ===

impl DisconnectWatch {
    /// Ready once the client has closed or reset its connection. Only for times when the connection is not read.
    pub(super) fn poll_left(
        &mut self,
        cx: &mut Context<'_>,
        stream: &Stream,
        timers: &Rc<Timers>,
    ) -> Poll<()> {
        let next = self.0.get_or_insert_with(|| {
            let next = timers.deadline();
            next.set_from_now(EVERY);
            next
        });
        loop {
            ready!(next.poll_expired(cx));
            if stream.is_read_closed() {
                return Poll::Ready(());
            }
            next.set_from_now(EVERY);
        }
    }
}
