//! Search for the expected text in the body of a check's response. No clock, no network.

use memchr::memmem;

/// Number of bytes of a body that are searched.
const MOST: usize = 64 * 1024;

/// Incremental search in a body.
#[derive(Debug)]
pub(super) struct BodyMatch<'a> {
    wanted: &'a [u8],
    /// Bytes received so far.
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

    /// Adds the next bytes of the body. `Some` once the result is known: the text was found,
    /// or can no longer be found.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<bool> {
        // A match may begin in earlier bytes.
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
