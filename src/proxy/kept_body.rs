//! The body of a request as far as it was read, kept while the request may have to be sent again.

use std::cell::{Cell, RefCell};

use super::kept_room::KeptShare;
use super::seam::Piece;
use super::worker::Worker;

/// What was read of a body. It holds at most `limits.retry_body` and what its worker has room for, and nothing once an
/// answer has begun.
#[derive(Default)]
pub(super) struct KeptBody {
    state: Cell<State>,
    bytes: RefCell<Vec<u8>>,
    // What the bytes take of the worker's room, from the first one on.
    share: RefCell<Option<KeptShare>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    #[default]
    Unread,
    /// Everything that was read is here.
    Kept { is_over: bool },
    /// Something that was read is gone.
    Lost,
}

/// The bytes while they are sent again; they return when this is dropped.
pub(super) struct Lent<'k> {
    body: &'k KeptBody,
    worker: &'k Worker,
    bytes: Vec<u8>,
    is_over: bool,
}

// === impl KeptBody ===

impl KeptBody {
    /// Whether all that was read is still here.
    pub(super) fn is_whole(&self) -> bool {
        self.state.get() != State::Lost
    }

    /// Notes a piece that was read, and keeps it if it `may` be needed again.
    pub(super) fn read(&self, piece: &Piece<'_>, may: bool, worker: &Worker) {
        if !self.is_whole() {
            return;
        }
        let is_nothing = piece.data.is_empty() && piece.trailers.is_none();
        if is_nothing || may && self.append(piece, worker) {
            self.state.set(State::Kept {
                is_over: piece.last,
            });
        } else {
            self.discard(worker);
        }
    }

    /// Takes back a piece that was read and not kept, of which nothing was sent. Nothing else was read before it.
    pub(super) fn put_back(&self, piece: &Piece<'_>, worker: &Worker) {
        if self.is_whole() {
            return;
        }
        if self.append(piece, worker) {
            self.state.set(State::Kept {
                is_over: piece.last,
            });
        } else {
            self.discard(worker);
        }
    }

    /// Lets go of it: it will not be sent again.
    pub(super) fn discard(&self, worker: &Worker) {
        self.state.set(State::Lost);
        worker.give_head(self.bytes.take());
        self.share.take();
    }

    /// What has to be sent first, after an attempt that failed.
    pub(super) fn lend<'k>(&'k self, worker: &'k Worker) -> Option<Lent<'k>> {
        match self.state.get() {
            State::Kept { is_over } => Some(Lent {
                body: self,
                worker,
                bytes: self.bytes.take(),
                is_over,
            }),
            State::Unread | State::Lost => None,
        }
    }

    fn append(&self, piece: &Piece<'_>, worker: &Worker) -> bool {
        let mut bytes = self.bytes.borrow_mut();
        let most = worker.shared.settings.limits.retry_body.0;
        // Trailers are rare in requests, and are not worth a copy.
        if piece.trailers.is_some() || bytes.len() + piece.data.len() > most {
            return false;
        }
        if bytes.capacity() == 0 {
            *bytes = worker.take_head();
        }
        bytes.extend_from_slice(piece.data);
        // What was allocated counts, not what is in use: many small bodies are large together.
        let mut share = self.share.borrow_mut();
        let share = share.get_or_insert_with(|| worker.kept_room.share());
        share.grow_to(bytes.capacity())
    }
}

// === impl Lent ===

impl Lent<'_> {
    /// What to send; nothing if nothing was read but the promise of more.
    pub(super) fn piece(&self) -> Option<Piece<'_>> {
        (self.is_over || !self.bytes.is_empty()).then_some(Piece {
            data: &self.bytes,
            last: self.is_over,
            trailers: None,
        })
    }

    /// Whether that is all of the body.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if self.body.is_whole() {
            self.body.bytes.replace(bytes);
        } else {
            self.worker.give_head(bytes);
        }
    }
}
