//! Memory for copies: of requests in flight, of copies that wait and of those under way, of all workers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes for all copies.
const ROOM: usize = 64 << 20;

/// Bytes in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// Bytes of one copy; given back on drop.
#[derive(Debug)]
pub(super) struct RoomShare {
    room: Room,
    taken: usize,
}

impl Room {
    /// An empty share, which can grow.
    pub(super) fn share(&self) -> RoomShare {
        RoomShare {
            room: self.clone(),
            taken: 0,
        }
    }
}

impl RoomShare {
    /// An empty share of the same room.
    pub(super) fn beside(&self) -> Self {
        self.room.share()
    }

    /// Grows the share to this size if there is room; it never shrinks.
    pub(super) fn grow_to(&mut self, size: usize) -> bool {
        let more = size.saturating_sub(self.taken);
        if more == 0 {
            return true;
        }
        let used = &self.room.0;
        if used.fetch_add(more, Ordering::Relaxed).saturating_add(more) > ROOM {
            used.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.taken += more;
        true
    }
}

impl Drop for RoomShare {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_one_room_and_give_it_back() {
        let room = Room::default();
        let (mut one, mut other) = (room.share(), room.share());
        assert!(one.grow_to(ROOM - 10) && one.grow_to(5));
        assert!(other.grow_to(10) && !other.grow_to(11));
        drop(one);
        assert!(other.grow_to(ROOM));
        drop(other);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
