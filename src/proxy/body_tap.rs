//! A copy of the start of a body that passes, for readers that need more than the head.

use std::cell::{Cell, RefCell};

/// The bytes of a body that is no longer than a limit; none of a longer one.
#[derive(Debug)]
pub(super) struct BodyTap {
    bytes: RefCell<Vec<u8>>,
    most: usize,
    is_cut: Cell<bool>,
}

impl BodyTap {
    /// A tap that holds at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            bytes: RefCell::default(),
            most,
            is_cut: Cell::new(false),
        }
    }

    /// Takes the data of the next frame.
    pub(super) fn read(&self, data: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let room = self.most - bytes.len();
        if self.is_cut.get() || data.len() > room {
            // Streams may go on for hours.
            self.is_cut.set(true);
            *bytes = Vec::new();
        } else {
            bytes.extend_from_slice(data);
        }
    }

    /// The bytes, if that is all of the body so far.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        (!self.is_cut.get()).then(|| self.bytes.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_longer_than_the_limit_is_never_whole() {
        let tap = BodyTap::new(4);
        for data in [&b"ab"[..], b"", b"cd"] {
            tap.read(data);
        }
        assert_eq!(tap.whole().as_deref(), Some(&b"abcd"[..]));
        let tap = BodyTap::new(4);
        for data in [&b"abc"[..], b"de", b"f"] {
            tap.read(data);
        }
        assert_eq!(tap.bytes.borrow().capacity(), 0);
        assert_eq!(tap.whole(), None);
    }
}
