//! Field block: the decoded fields of one header block.

use crate::message::{KnownField, is_field_value, is_token_byte};

/// Name of a field, classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:status`.
    Status,
    /// `:protocol` (RFC 8441).
    Protocol,
    /// Any other name that starts with a colon.
    UnknownPseudo,
    /// A regular field, classified.
    Field(KnownField),
}

/// One field of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockField<'b> {
    /// Classified name.
    pub name: Name,
    /// Name, in lower case.
    pub text: &'b [u8],
    /// Value.
    pub value: &'b [u8],
}

/// Malformed field: the message is malformed, the compression state is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is empty or has an invalid byte.
    InvalidName,
    /// The value has a control character, or leading or trailing whitespace.
    InvalidValue,
    /// The field list exceeds its size limit.
    TooLong,
    /// There are too many fields.
    TooMany,
    /// The name has an upper-case letter.
    UppercaseName,
}

/// Limits on one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLimits {
    /// Size of the field list: the sum of name, value and 32 for each field (RFC 9113, section 6.5.2).
    pub list: usize,
    /// Number of fields.
    pub fields: usize,
}

/// Fields of one header block, in order, in one buffer.
///
/// It holds only valid fields: a malformed field is left out, and so is everything after a limit is exceeded. So a
/// block may be used only if [`FieldBlock::flaw`] is `None`.
#[derive(Clone, Debug, Default)]
pub struct FieldBlock {
    text: Vec<u8>,
    entries: Vec<Entry>,
    flaw: Option<FieldError>,
    /// Remaining size of the list. Invariant: at most `MAX_LIST`, and 0 once a limit was exceeded.
    room: usize,
    /// Remaining number of fields.
    places: usize,
}

/// Iterator over the fields of a block.
#[derive(Clone, Debug)]
pub struct BlockFields<'b> {
    text: &'b [u8],
    entries: std::slice::Iter<'b, Entry>,
}

/// Position of a field in the text: its name, directly followed by its value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    value: u32,
    end: u32,
    name: Name,
}

/// Overhead of a field in the size of a list and of a table.
pub(super) const OVERHEAD: usize = 32;

/// Upper limit on any list, so that 32 bits are enough for a position in its text.
const MAX_LIST: usize = 1 << 30;

// === impl Name ===

impl Name {
    /// Classifies a name and validates it.
    pub(super) fn of(text: &[u8]) -> (Self, Option<FieldError>) {
        if let [b':', rest @ ..] = text {
            return match Self::of_pseudo(rest) {
                Self::UnknownPseudo => (Self::UnknownPseudo, name_flaw(rest)),
                name => (name, None),
            };
        }
        let known = KnownField::of(text);
        let is_exact = known.as_str().is_some_and(|name| name.as_bytes() == text);
        let flaw = if is_exact { None } else { name_flaw(text) };
        (Self::Field(known), flaw)
    }

    fn of_pseudo(rest: &[u8]) -> Self {
        match rest {
            b"authority" => Self::Authority,
            b"method" => Self::Method,
            b"path" => Self::Path,
            b"protocol" => Self::Protocol,
            b"scheme" => Self::Scheme,
            b"status" => Self::Status,
            _ => Self::UnknownPseudo,
        }
    }
}

/// Class of each byte in a name: valid, or one of the flaws below. The larger one wins.
const NAME_BYTES: [u8; 256] = {
    let mut bytes = [INVALID; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        if is_token_byte(byte) {
            bytes[byte as usize] = if byte.is_ascii_uppercase() {
                UPPERCASE
            } else {
                0
            };
        }
        byte += 1;
    }
    bytes
};
const UPPERCASE: u8 = 1;
const INVALID: u8 = 2;

fn name_flaw(text: &[u8]) -> Option<FieldError> {
    let found = text
        .iter()
        .fold(0, |found, byte| found | NAME_BYTES[usize::from(*byte)]);
    match found {
        0 if !text.is_empty() => None,
        UPPERCASE => Some(FieldError::UppercaseName),
        _ => Some(FieldError::InvalidName),
    }
}

/// Validates a value.
pub(super) fn value_flaw(text: &[u8]) -> Option<FieldError> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_sound = is_field_value(text) && !is_space(text.first()) && !is_space(text.last());
    (!is_sound).then_some(FieldError::InvalidValue)
}

// === impl FieldBlock ===

impl FieldBlock {
    /// Creates an empty block without an allocation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty block with capacity for this many bytes of text and this many fields.
    pub fn with_capacity(text: usize, fields: usize) -> Self {
        Self {
            text: Vec::with_capacity(text),
            entries: Vec::with_capacity(fields),
            ..Self::default()
        }
    }

    /// Removes the fields and keeps the memory.
    pub fn clear(&mut self) {
        self.start(BlockLimits { list: 0, fields: 0 });
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no fields.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Iterates over the fields in order.
    pub fn iter(&self) -> BlockFields<'_> {
        BlockFields {
            text: &self.text,
            entries: self.entries.iter(),
        }
    }

    /// First error that makes the message malformed.
    pub const fn flaw(&self) -> Option<FieldError> {
        self.flaw
    }

    /// Clears the block and sets its limits.
    pub(super) fn start(&mut self, limits: BlockLimits) {
        self.text.clear();
        self.entries.clear();
        self.flaw = None;
        self.room = limits.list.min(MAX_LIST);
        self.places = limits.fields;
    }

    /// True once a limit is reached: nothing can be added.
    pub(super) const fn is_full(&self) -> bool {
        self.room < OVERHEAD
    }

    /// Adds a field whose name is the first `name_length` bytes of `text`.
    #[inline]
    pub(super) fn add(
        &mut self,
        text: &[u8],
        name_length: usize,
        name: Name,
        flaw: Option<FieldError>,
    ) {
        if self.takes(text.len(), flaw) {
            let start = self.text.len();
            self.text.extend_from_slice(text);
            self.note(start, name_length, name);
        }
    }

    /// Buffer for a text that is decoded in place, until [`FieldBlock::add_draft`] accepts or rejects it.
    pub(super) const fn draft(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Adds the field whose text starts at `start`, or removes the text again. `length` is the size that counts
    /// towards the list, even if the text is missing.
    #[inline]
    pub(super) fn add_draft(
        &mut self,
        start: usize,
        length: usize,
        name_length: usize,
        name: Name,
        flaw: Option<FieldError>,
    ) {
        if self.takes(length, flaw) {
            self.note(start, name_length, name);
        } else {
            self.text.truncate(start);
        }
    }

    /// True if a field is valid and within the limits; it then counts towards them.
    #[inline]
    fn takes(&mut self, length: usize, flaw: Option<FieldError>) -> bool {
        let left = self.room.checked_sub(length.saturating_add(OVERHEAD));
        if let (Some(room), true, None) = (left, self.places > 0, flaw) {
            self.room = room;
            self.places -= 1;
            return true;
        }
        self.refuse(left, flaw);
        false
    }

    #[cold]
    fn refuse(&mut self, left: Option<usize>, flaw: Option<FieldError>) {
        let beyond = match left {
            None => Some(FieldError::TooLong),
            Some(_) if self.places == 0 => Some(FieldError::TooMany),
            Some(_) => None,
        };
        self.flaw = self.flaw.or(flaw).or(beyond);
        self.room = left.filter(|_| beyond.is_none()).unwrap_or_default();
        self.places = self.places.saturating_sub(1);
    }

    #[inline]
    fn note(&mut self, start: usize, name_length: usize, name: Name) {
        self.entries.push(Entry {
            start: small(start),
            value: small(start + name_length),
            end: small(self.text.len()),
            name,
        });
    }
}

impl<'b> IntoIterator for &'b FieldBlock {
    type Item = BlockField<'b>;
    type IntoIter = BlockFields<'b>;

    fn into_iter(self) -> BlockFields<'b> {
        self.iter()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the text of a block is shorter than `MAX_LIST`"
)]
const fn small(place: usize) -> u32 {
    place as u32
}

// === impl BlockFields ===

impl<'b> Iterator for BlockFields<'b> {
    type Item = BlockField<'b>;

    #[inline]
    fn next(&mut self) -> Option<BlockField<'b>> {
        let entry = self.entries.next()?;
        Some(BlockField {
            name: entry.name,
            text: &self.text[entry.start as usize..entry.value as usize],
            value: &self.text[entry.value as usize..entry.end as usize],
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for BlockFields<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_classified_and_judged() {
        let other = Name::Field(KnownField::Other);
        let cases: [(&[u8], Name, Option<FieldError>); 16] = [
            (b":method", Name::Method, None),
            (b":scheme", Name::Scheme, None),
            (b":authority", Name::Authority, None),
            (b":path", Name::Path, None),
            (b":status", Name::Status, None),
            (b":protocol", Name::Protocol, None),
            (
                b":Path",
                Name::UnknownPseudo,
                Some(FieldError::UppercaseName),
            ),
            (b":paths", Name::UnknownPseudo, None),
            (b":", Name::UnknownPseudo, Some(FieldError::InvalidName)),
            (
                b"::path",
                Name::UnknownPseudo,
                Some(FieldError::InvalidName),
            ),
            (b"cookie", Name::Field(KnownField::Cookie), None),
            (
                b"Cookie",
                Name::Field(KnownField::Cookie),
                Some(FieldError::UppercaseName),
            ),
            (b"x-any_thing.9", other, None),
            (b"", other, Some(FieldError::InvalidName)),
            (b"a b", other, Some(FieldError::InvalidName)),
            (b"\xc3\xa4", other, Some(FieldError::InvalidName)),
        ];
        for (text, name, flaw) in cases {
            assert_eq!(Name::of(text), (name, flaw), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn values_have_no_controls_and_no_spaces_around_them() {
        for sound in [&b""[..], b"a", b"a b", b"a\tb", b"\xff"] {
            assert_eq!(value_flaw(sound), None);
        }
        for odd in [
            &b" "[..],
            b"\t",
            b" a",
            b"a ",
            b"a\t",
            b"a\r",
            b"a\nb",
            b"a\0b",
            b"\x7f",
        ] {
            assert_eq!(value_flaw(odd), Some(FieldError::InvalidValue));
        }
    }

    #[test]
    fn a_block_ends_at_its_limits() {
        let mut block = FieldBlock::new();
        let name = Name::Field(KnownField::Other);
        let limits = BlockLimits {
            list: 70,
            fields: 2,
        };
        block.start(limits);
        block.add(b"ab", 1, name, None);
        block.add(b"abcd", 2, name, None);
        assert_eq!(
            (block.len(), block.flaw(), block.is_full()),
            (2, None, true)
        );
        block.add(b"", 0, name, None);
        assert_eq!((block.len(), block.flaw()), (2, Some(FieldError::TooLong)));

        block.start(BlockLimits {
            list: 999,
            ..limits
        });
        (0..3).for_each(|_| block.add(b"ab", 1, name, None));
        assert_eq!((block.len(), block.flaw()), (2, Some(FieldError::TooMany)));
        assert!(block.is_full());

        block.start(limits);
        block.add(b"ab", 1, name, Some(FieldError::InvalidValue));
        assert_eq!(
            (block.len(), block.flaw()),
            (0, Some(FieldError::InvalidValue))
        );
        assert!(!block.is_full());
        block.add(&[b'a'; 40], 1, name, None);
        assert_eq!(
            (block.len(), block.flaw()),
            (0, Some(FieldError::InvalidValue))
        );
        block.clear();
        assert_eq!((block.flaw(), block.iter().len()), (None, 0));
    }
}
