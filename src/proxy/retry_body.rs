//! Replay buffer for a request body: the bytes read so far, kept while the request may be retried.

use std::cell::{Cell, RefCell};

use super::io::BodyFrame;
use super::retry_memory::RetryMemoryShare;
use super::worker::Worker;

/// The buffered start of a body. It holds at most `limits.retry_body` and what the worker's retry memory allows, and is
/// emptied once a response has begun.
#[derive(Default)]
pub(super) struct RetryBody {
    state: Cell<State>,
    bytes: RefCell<Vec<u8>>,
    // Reserved in the worker's retry memory, from the first byte on.
    share: RefCell<Option<RetryMemoryShare>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    #[default]
    Unread,
    /// Everything that was read is buffered.
    Kept { is_over: bool },
    /// Something that was read is no longer buffered.
    Lost,
}

/// Lends the bytes to one retry; they return when this is dropped.
pub(super) struct RetryReader<'k> {
    body: &'k RetryBody,
    worker: &'k Worker,
    bytes: Vec<u8>,
    is_over: bool,
}

// === impl RetryBody ===

impl RetryBody {
    /// True if all that was read is still buffered.
    pub(super) fn is_whole(&self) -> bool {
        self.state.get() != State::Lost
    }

    /// Records a frame that was read, and keeps it if it `may` be needed again.
    pub(super) fn read(&self, frame: &BodyFrame<'_>, may: bool, worker: &Worker) {
        if !self.is_whole() {
            return;
        }
        let is_nothing = frame.data.is_empty() && frame.trailers.is_none();
        if is_nothing || may && self.append(frame, worker) {
            self.state.set(State::Kept {
                is_over: frame.last,
            });
        } else {
            self.discard(worker);
        }
    }

    /// True if a whole body of this length can be kept, of which nothing was read yet. Memory is taken as it comes: a
    /// client that announces much and sends nothing takes none.
    pub(super) fn fits(&self, length: u64, worker: &Worker) -> bool {
        let most = worker.shared.settings.limits.retry_body.0;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.state.get() == State::Unread && length <= most
    }

    /// Calls `look` with the bytes that are buffered.
    pub(super) fn look<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.bytes.borrow())
    }

    /// Buffers a frame that was read and not kept, of which nothing was sent. Nothing else was read before it.
    pub(super) fn put_back(&self, frame: &BodyFrame<'_>, worker: &Worker) {
        if self.is_whole() {
            return;
        }
        if self.append(frame, worker) {
            self.state.set(State::Kept {
                is_over: frame.last,
            });
        } else {
            self.discard(worker);
        }
    }

    /// Frees the buffer: the body will not be sent again.
    pub(super) fn discard(&self, worker: &Worker) {
        self.state.set(State::Lost);
        worker.recycle_buffer(self.bytes.take());
        self.share.take();
    }

    /// A copy of the body, if all of it is buffered and no longer than `most`.
    pub(super) fn copy(&self, most: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes.borrow();
        let is_whole = self.state.get() == State::Kept { is_over: true };
        (is_whole && bytes.len() <= most).then(|| bytes.clone())
    }

    /// A copy of what was read, and true if that is the whole body; `None` if a part of it is no longer buffered.
    pub(super) fn start(&self) -> Option<(Vec<u8>, bool)> {
        match self.state.get() {
            State::Unread => Some((Vec::new(), false)),
            State::Kept { is_over } => Some((self.bytes.borrow().clone(), is_over)),
            State::Lost => None,
        }
    }

    /// The bytes that a retry has to send first.
    pub(super) fn lend<'k>(&'k self, worker: &'k Worker) -> Option<RetryReader<'k>> {
        match self.state.get() {
            State::Kept { is_over } => Some(RetryReader {
                body: self,
                worker,
                bytes: self.bytes.take(),
                is_over,
            }),
            State::Unread | State::Lost => None,
        }
    }

    fn append(&self, frame: &BodyFrame<'_>, worker: &Worker) -> bool {
        let mut bytes = self.bytes.borrow_mut();
        let most = worker.shared.settings.limits.retry_body.0;
        // Trailers are rare in requests and not worth a copy.
        if frame.trailers.is_some() || bytes.len() + frame.data.len() > most {
            return false;
        }
        if bytes.capacity() == 0 {
            *bytes = worker.take_buffer();
        }
        bytes.extend_from_slice(frame.data);
        // The allocation counts, not its use: many small bodies are large together.
        let mut share = self.share.borrow_mut();
        let share = share.get_or_insert_with(|| worker.kept_room.share());
        share.grow_to(bytes.capacity())
    }
}

// === impl RetryReader ===

impl RetryReader<'_> {
    /// The frame to send; `None` if nothing was read but the body goes on.
    pub(super) fn frame(&self) -> Option<BodyFrame<'_>> {
        (self.is_over || !self.bytes.is_empty()).then_some(BodyFrame {
            data: &self.bytes,
            last: self.is_over,
            trailers: None,
        })
    }

    /// True if that is the whole body.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Drop for RetryReader<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if self.body.is_whole() {
            self.body.bytes.replace(bytes);
        } else {
            self.worker.recycle_buffer(bytes);
        }
    }
}
