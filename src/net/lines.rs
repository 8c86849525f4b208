//! Lines of a stream that comes in pieces.

use std::mem;

use thiserror::Error;

/// Lines, up to a length.
#[derive(Debug)]
pub struct Lines {
    pending: Vec<u8>,
    longest: usize,
}

/// Error of a line with more bytes than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more than {0} bytes")]
pub struct LongLine(pub usize);

impl Lines {
    /// None yet, up to a length.
    pub const fn up_to(longest: usize) -> Self {
        Self {
            pending: Vec::new(),
            longest,
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// If a line is too long.
    pub fn add(&mut self, piece: &[u8]) -> Result<(), LongLine> {
        let unfinished = |bytes: &[u8]| match memchr::memrchr(b'\n', bytes) {
            Some(end) => bytes.len() - end - 1,
            None => bytes.len(),
        };
        let first = memchr::memchr(b'\n', piece).unwrap_or(piece.len());
        let begun = unfinished(&self.pending);
        if begun + first > self.longest || unfinished(piece) > self.longest {
            return Err(LongLine(self.longest));
        }
        self.pending.extend_from_slice(piece);
        Ok(())
    }

    /// Takes the next whole line, without its end. Empty lines are left out.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = memchr::memchr(b'\n', &self.pending)?;
            let rest = self.pending.split_off(end + 1);
            let mut line = mem::replace(&mut self.pending, rest);
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// Takes what has come after the last whole line.
    pub fn take_rest(&mut self) -> Vec<u8> {
        mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Result<Vec<String>, LongLine> {
        let (mut lines, mut found) = (Lines::up_to(8), Vec::new());
        for piece in pieces {
            lines.add(piece)?;
            while let Some(line) = lines.take() {
                found.push(String::from_utf8(line).unwrap());
            }
        }
        Ok(found)
    }

    #[test]
    fn lines_come_whole_and_what_is_cut_off_is_none() {
        let found = lines(&[b"one\ntw", b"o\r\n\n", b"end"]).unwrap();
        assert_eq!(found, ["one", "two"]);
    }

    #[test]
    fn what_has_no_end_yet_is_the_rest() {
        let mut lines = Lines::up_to(8);
        lines.add(b"one\ntw").unwrap();
        assert_eq!(lines.take(), Some(b"one".to_vec()));
        assert_eq!((lines.take(), lines.take_rest()), (None, b"tw".to_vec()));
        assert!(lines.take_rest().is_empty());
    }

    #[test]
    fn a_line_has_a_longest_length() {
        assert_eq!(lines(&[b"12345678\n"]).unwrap(), ["12345678"]);
        for pieces in [
            &[&b"123456789"[..]][..],
            &[b"123456789\n"],
            &[b"1234", b"56789"],
            &[b"12345", b"6789\n"],
            &[b"1\n123456789"],
        ] {
            assert!(matches!(lines(pieces), Err(LongLine(8))), "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn the_lines_do_not_depend_on_the_pieces(
            text in "[a-z\n]{0,40}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (mut lines, mut found) = (Lines::up_to(64), Vec::new());
            for pair in cuts.windows(2) {
                lines.add(&bytes[pair[0]..pair[1]]).unwrap();
                while let Some(line) = lines.take() {
                    found.push(String::from_utf8(line).unwrap());
                }
            }
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let expected: Vec<_> = whole.split('\n').filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
