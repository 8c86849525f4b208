//! Reader of DER, as far as the facts of a certificate need it.

/// Elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct DerReader<'d>(&'d [u8]);

/// Tag of a sequence.
pub(super) const SEQUENCE: u8 = 0x30;

impl<'d> DerReader<'d> {
    pub(super) const fn new(bytes: &'d [u8]) -> Self {
        Self(bytes)
    }

    /// The next element: its tag and its content. `None` at the end, and where the bytes are no DER.
    pub(super) fn element(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // Four bytes of length are more than any certificate has.
            let count = usize::from(first & 0x7f);
            let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
            let length = digits
                .iter()
                .fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
            (length, &rest[count..])
        };
        let content = rest.get(..length)?;
        self.0 = &rest[length..];
        Some((tag, content))
    }

    /// The content of the next element, which has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (found, content) = self.element()?;
        (found == tag).then_some(content)
    }

    /// The elements in the next one, which is a sequence.
    pub(super) fn sequence(&mut self) -> Option<Self> {
        self.expect(SEQUENCE).map(Self)
    }

    /// Skips the next element if it has this tag.
    pub(super) fn skip(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.element();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_one_after_the_other_and_no_further_than_they_go() {
        let mut reader = DerReader::new(&[0x30, 3, 2, 1, 5, 4, 0x81, 2, 7, 8, 2, 9, 1]);
        let mut inner = reader.sequence().unwrap();
        assert_eq!(inner.expect(2), Some(&[5][..]));
        assert_eq!(inner.element(), None);
        assert_eq!(reader.element(), Some((4, &[7, 8][..])));
        assert_eq!(reader.element(), None, "it is longer than what is there");
        for bad in [
            &[0x30, 0x80, 0, 0][..],
            &[2, 0x85, 0, 0, 0, 0, 1, 7],
            &[2, 0x84, 255, 255, 255, 255],
            &[2],
        ] {
            assert_eq!(DerReader::new(bad).element(), None);
        }
    }
}
