//! Looking out for a client that leaves while nobody reads from it.
//!
//! A client whose body waits for its endpoint, or for a place, is not read, so the end of its connection lies behind bytes
//! that nobody wants yet. The system knows of it all the same, and is asked a few times a second, for as long as this
//! lasts and no longer: a request that is read to its end is watched by reading on.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::net::{Deadline, Stream, Timers};

/// How often the system is asked.
const EVERY: Duration = Duration::from_millis(300);

/// Looks out for the client of one request. It costs nothing until it is polled.
#[derive(Default)]
pub(super) struct DisconnectWatch(Option<Deadline>);

// === impl DisconnectWatch ===

impl DisconnectWatch {
    /// Ready once the client has ended or reset its connection. To be polled only while nobody reads from it.
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
