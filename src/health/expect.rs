//! The text that must stand in the body of a check's answer. No clock, no network.

use memchr::memmem;

/// How much of a body is looked at.
const MOST: usize = 64 * 1024;

/// A search in a body that comes piece by piece.
#[derive(Debug)]
pub(super) struct BodyMatch<'a> {
    wanted: &'a [u8],
    /// What came so far.
    seen: Vec<u8>,
}

// === impl BodyMatch ===

impl<'a> BodyMatch<'a> {
    pub(super) const fn new(wanted: &'a str) -> Self {
        Self {
            wanted: wanted.as_bytes(),
            seen: Vec::new(),
        }
    }

    /// Takes a piece of the body. `Some` once it is decided: the text was found, or cannot be found any more.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<bool> {
        // A match may begin in what came before.
        let from = self.seen.len().saturating_sub(self.wanted.len());
        let room = MOST - self.seen.len();
        self.seen.extend_from_slice(&piece[..piece.len().min(room)]);
        if memmem::find(&self.seen[from..], self.wanted).is_some() {
            return Some(true);
        }
        (self.seen.len() == MOST).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_across_pieces_and_only_near_the_front() {
        let mut body = BodyMatch::new("ready");
        assert_eq!(body.push(b"not re"), None);
        assert_eq!(body.push(b"ad"), None);
        assert_eq!(body.push(b"y"), Some(true));
        let mut body = BodyMatch::new("ready");
        assert_eq!(body.push(&vec![b'x'; MOST - 2]), None);
        assert_eq!(body.push(b"ready"), Some(false));
    }
}
