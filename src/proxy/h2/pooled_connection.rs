//! A shared HTTP/2 connection to an endpoint, and the permit for one stream on it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::connection_io::Http2Io;
use super::stream_handle::StreamHandle;
use crate::fleet::{ConcurrencyLimit, ConnectionBudget};
use crate::http2::StreamError;

/// Maximum number of streams on one connection, whatever the peer allows: one socket is one queue.
pub(super) const MOST_STREAMS: usize = 1_000;

/// One connection.
pub(super) struct PooledConnection {
    pub(super) io: Rc<Http2Io>,
    pub(super) number: u64,
    /// Connection limit of the endpoint, in which this one counts.
    pub(super) places: Arc<ConcurrencyLimit>,
    pub(super) budget: Arc<ConnectionBudget>,
    pub(super) worker: usize,
    pub(super) streams: Cell<usize>,
    pub(super) is_closed: Cell<bool>,
    /// The endpoint has not acknowledged a ping: it gets no new streams until it sends something.
    pub(super) is_suspect: Cell<bool>,
    /// It takes no new streams, so that its permit goes to another worker.
    pub(super) is_held_back: Cell<bool>,
    // Wakes the connection's task when the number of streams falls to zero or rises from it.
    pub(super) task: RefCell<Option<Waker>>,
}

/// Permit for one stream on a connection, counted until dropped.
pub(in crate::proxy) struct PooledStream {
    pub(super) member: Rc<PooledConnection>,
    /// The connection was not opened for this request, nor while it waited.
    pub(super) is_kept: bool,
}

// === impl PooledConnection ===

impl PooledConnection {
    /// True if new streams may be opened: the peer has sent no GOAWAY.
    pub(super) fn is_open(&self) -> bool {
        !self.is_closed.get() && self.io.engine().allows_more()
    }

    pub(super) fn has_room(&self) -> bool {
        if self.is_held_back.get() {
            return false;
        }
        let allowed = self.io.engine().allowed();
        self.streams.get() < allowed.min(MOST_STREAMS)
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    pub(super) fn suspect(&self, is_suspect: bool) {
        self.is_suspect.set(is_suspect);
    }

    /// True if it can be closed without loss: it has no streams and will get none.
    pub(super) fn is_useless(&self) -> bool {
        self.streams.get() == 0 && (!self.is_open() || self.is_suspect.get())
    }

    /// Registers the task to wake when its streams end.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        *self.task.borrow_mut() = Some(cx.waker().clone());
    }

    /// Stops or resumes accepting new streams; when it resumes, waiters on this worker are woken.
    pub(super) fn hold_back(&self, is_held_back: bool) {
        let was_held_back = self.is_held_back.replace(is_held_back);
        if was_held_back && !is_held_back {
            self.welcome();
        }
    }

    /// Wakes the requests on this worker that wait for a connection: they may open streams here, even before earlier
    /// waiters of other workers.
    pub(super) fn welcome(&self) {
        if self.places.waiting() > 0 {
            self.places.wake_all_of(self.worker);
        }
    }

    /// True if its endpoint is at the connection limit and the first waiter is on another worker.
    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        self.places.is_first_elsewhere(self.worker)
    }

    /// True if it is to be closed now that it has no streams, because another worker waits for it. A first waiter on
    /// this worker is woken, to take it.
    pub(super) fn is_for_another_worker(&self) -> bool {
        let is_wanted = self.places.waiting() > 0 && !self.places.wake_first_of(self.worker);
        is_wanted || self.budget.waiting() > 0
    }

    pub(super) fn count(&self, streams: usize) {
        self.streams.set(streams);
        if self.places.waiting() > 0 {
            // A request that waits for a connection may use this stream's permit.
            self.places.wake_first_of(self.worker);
        }
        if streams <= 1 {
            self.wake();
        }
    }

    pub(super) fn wake_if_wanted(&self) {
        if self.streams.get() == 0 || self.is_held_back.get() || self.is_wanted_elsewhere() {
            self.wake();
        }
    }

    pub(super) fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }
}

// === impl PooledStream ===

impl PooledStream {
    pub(super) fn new(member: Rc<PooledConnection>, is_kept: bool) -> Self {
        member.count(member.streams.get() + 1);
        Self { member, is_kept }
    }

    /// True if the connection existed before the request.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// True if the endpoint accepts CONNECT with a `:protocol`.
    pub(super) fn takes_protocols(&self) -> bool {
        self.member.io.engine().takes_protocols()
    }

    /// Longest field list that the endpoint accepts.
    pub(super) fn longest_list(&self) -> usize {
        self.member.io.engine().longest_list()
    }

    /// Opens the stream with an encoded head; `is_over` if it ends the stream.
    pub(super) fn open(&self, block: &[u8], is_over: bool) -> Result<StreamHandle, StreamError> {
        let io = &self.member.io;
        let key = io.engine().open(block, is_over)?;
        Ok(StreamHandle::new(Rc::clone(io), key, is_over))
    }
}

impl Drop for PooledStream {
    fn drop(&mut self) {
        self.member.count(self.member.streams.get() - 1);
    }
}
