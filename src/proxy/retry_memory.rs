//! Memory budget of one worker for the bodies that are buffered for retries.
//!
//! A limit per request does not bound many of them: 64 KiB of a thousand stalled uploads are 64 MiB. Once the budget is
//! used up, a body is sent only once, like one that is too long.

use std::{cell::Cell, rc::Rc};

/// Bytes that one worker buffers for all bodies together: 256 full ones at the default of `limits.retry_body`.
const ROOM: usize = 16 << 20;

/// Free bytes, shared by all requests of one worker.
#[derive(Debug, Clone)]
pub(super) struct RetryMemory(Rc<Cell<usize>>);

/// Bytes reserved for one body; released on drop.
#[derive(Debug)]
pub(super) struct RetryMemoryShare {
    room: RetryMemory,
    taken: usize,
}

impl Default for RetryMemory {
    fn default() -> Self {
        Self(Rc::new(Cell::new(ROOM)))
    }
}

impl RetryMemory {
    /// Creates an empty share, which can grow.
    pub(super) fn share(&self) -> RetryMemoryShare {
        RetryMemoryShare {
            room: self.clone(),
            taken: 0,
        }
    }
}

impl RetryMemoryShare {
    /// Grows the share to this size if the budget allows; it never shrinks.
    pub(super) fn grow_to(&mut self, size: usize) -> bool {
        let more = size.saturating_sub(self.taken);
        let Some(left) = self.room.0.get().checked_sub(more) else {
            return false;
        };
        self.room.0.set(left);
        self.taken += more;
        true
    }
}

impl Drop for RetryMemoryShare {
    fn drop(&mut self) {
        self.room.0.set(self.room.0.get() + self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_bodies_share_one_room_and_give_it_back() {
        let room = RetryMemory::default();
        let (mut first, mut second) = (room.share(), room.share());
        assert!(first.grow_to(ROOM - 10));
        assert!(first.grow_to(5), "a share never shrinks");
        assert!(second.grow_to(10) && !second.grow_to(11));
        drop(first);
        assert!(second.grow_to(ROOM));
        drop(second);
        assert_eq!(room.0.get(), ROOM);
    }
}
