//! Which requests have a fragment in their `:path`, and which trailers have pseudo-fields.
//!
//! The library cuts a path at its `#` before anybody can see it, so a path that no client may send would pass for another;
//! and it drops pseudo-fields of trailers, which make a request malformed, without a word.
//! This follows the header compression (RFC 7541) only as far as that needs: of each entry of the dynamic table it keeps
//! two lengths and three flags, and no text at all.

use std::collections::VecDeque;

/// How many codes of Huffman's there are of each length, 0 to 30; within a length they go up with their symbols.
const CODES: [u32; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19,
    29, 0, 4,
];
/// The symbols of the codes up to twelve bits; what comes after them is nothing that is looked for.
const SYMBOLS: &[u8; 84] =
    b"012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!\"()?'+|#>";

/// The lengths of the names in the static table; two of them are paths, without a fragment.
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];
const STATIC_PATHS: [u64; 2] = [4, 5];
const STATIC_PSEUDO: std::ops::RangeInclusive<u64> = 1..=14;
const PATH: &[u8] = b":path";
/// What an entry costs beside its text.
const OVERHEAD: u64 = 32;

/// The dynamic table of one direction of a connection.
#[derive(Debug)]
pub(super) struct FragmentWatch {
    entries: VecDeque<Entry>,
    size: u64,
    limit: u64,
    most: u64,
}

/// What a block has that the library does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// A path with a fragment.
    pub(super) fragment: bool,
    /// A pseudo-field, whichever.
    pub(super) pseudo: bool,
}

/// A block that does not follow the grammar; the library ends the connection for it as well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Name,
    value: u64,
    has_fragment: bool,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    length: u64,
    is_path: bool,
    is_pseudo: bool,
}

/// A text as far as it is of interest: its length, whether it is `:path`, starts with a colon, or has a `#`.
#[derive(Default)]
struct Text {
    length: u64,
    same: usize,
    has_colon: bool,
    has_fragment: bool,
}

// === impl FragmentWatch ===

impl FragmentWatch {
    /// A table of the size that a connection starts with, which may grow to `most` bytes.
    pub(super) fn new(most: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: 4096,
            most: most.max(4096),
        }
    }

    /// Reads a whole block.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Result<Found, Malformed> {
        let mut found = Found::default();
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                found.note(self.entry(index)?);
            } else if first & 0xc0 == 0x40 {
                let entry = self.literal(&mut block, 6)?;
                found.note(entry);
                self.insert(entry);
            } else if first & 0xe0 == 0x20 {
                self.limit = integer(&mut block, 5)?;
                if self.limit > self.most {
                    return Err(Malformed);
                }
                self.evict();
            } else {
                found.note(self.literal(&mut block, 4)?);
            }
        }
        Ok(found)
    }

    fn entry(&self, index: u64) -> Result<Entry, Malformed> {
        let place = usize::try_from(index).map_err(|_| Malformed)?;
        match place.checked_sub(1).ok_or(Malformed)? {
            place if place < STATIC_NAMES.len() => Ok(Entry {
                name: Name {
                    length: u64::from(STATIC_NAMES[place]),
                    is_path: STATIC_PATHS.contains(&index),
                    is_pseudo: STATIC_PSEUDO.contains(&index),
                },
                value: 0,
                has_fragment: false,
            }),
            place => self
                .entries
                .get(place - STATIC_NAMES.len())
                .copied()
                .ok_or(Malformed),
        }
    }

    fn literal(&self, block: &mut &[u8], prefix: u32) -> Result<Entry, Malformed> {
        let name = match integer(block, prefix)? {
            0 => {
                let text = string(block)?;
                Name {
                    length: text.length,
                    is_path: text.length == PATH.len() as u64 && text.same == PATH.len(),
                    is_pseudo: text.has_colon,
                }
            }
            index => self.entry(index)?.name,
        };
        let value = string(block)?;
        Ok(Entry {
            name,
            value: value.length,
            has_fragment: name.is_path && value.has_fragment,
        })
    }

    fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.limit
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }
}

// === impl Found ===

impl Found {
    fn note(&mut self, entry: Entry) {
        self.fragment |= entry.has_fragment;
        self.pseudo |= entry.name.is_pseudo;
    }
}

// === impl Entry ===

impl Entry {
    fn size(&self) -> u64 {
        self.name.length + self.value + OVERHEAD
    }
}

// === impl Text ===

impl Text {
    fn push(&mut self, byte: u8) {
        let is_same = PATH.get(self.same) == Some(&byte) && self.same as u64 == self.length;
        self.same += usize::from(is_same);
        self.has_colon |= self.length == 0 && byte == b':';
        self.length += 1;
        self.has_fragment |= byte == b'#';
    }

    /// Canonical codes: those of one length are a range, and its start follows from the ranges before.
    fn read_compressed(bytes: &[u8]) -> Self {
        let mut text = Self::default();
        let (mut code, mut length, mut start, mut place) = (0_u32, 0, 0_u32, 0);
        for bit in bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        {
            code = code << 1 | u32::from(bit);
            length += 1;
            start <<= 1;
            let count = CODES.get(length).copied().unwrap_or_default();
            if code.wrapping_sub(start) < count {
                let symbol = usize::try_from(place + code - start).unwrap_or(usize::MAX);
                text.push(SYMBOLS.get(symbol).copied().unwrap_or_default());
                (code, length, start, place) = (0, 0, 0, 0);
            } else {
                start = start.wrapping_add(count);
                place += count;
            }
        }
        text
    }
}

fn string(block: &mut &[u8]) -> Result<Text, Malformed> {
    let is_compressed = block.first().ok_or(Malformed)? & 0x80 != 0;
    let length = usize::try_from(integer(block, 7)?).map_err(|_| Malformed)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(Malformed)?;
    *block = rest;
    if is_compressed {
        return Ok(Text::read_compressed(bytes));
    }
    let mut text = Text::default();
    for byte in bytes {
        text.push(*byte);
    }
    Ok(text)
}

/// An integer of which the first byte holds `prefix` bits (RFC 7541, section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<u64, Malformed> {
    let (first, mut rest) = block.split_first().ok_or(Malformed)?;
    let most = (1_u64 << prefix) - 1;
    let mut value = u64::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first().ok_or(Malformed)?;
            rest = after;
            value += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 28 {
                return Err(Malformed);
            }
        }
    }
    *block = rest;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_fragment(watch: &mut FragmentWatch, block: &[u8]) -> bool {
        watch.read(block).unwrap().fragment
    }

    #[test]
    fn a_pseudo_field_is_found_however_it_is_written() {
        let compressed: &[u8] = &[&[0x00, 0x84][..], &compress(b":path"), &[1, b'/']].concat();
        for (block, expected) in [
            (&[0x82][..], true),
            (&literal(0x01, &[b"a"]), true),
            (&literal(0x00, &[b":any", b"1"]), true),
            (compressed, true),
            (&literal(0x00, &[b"a:", b":"]), false),
            (&[0x0f, 0x00, 0x00], false),
        ] {
            let found = FragmentWatch::new(4096).read(block).unwrap();
            assert_eq!(found.pseudo, expected, "{block:02x?}");
        }
        let mut watch = FragmentWatch::new(4096);
        assert!(watch.read(&literal(0x40, &[b":any", b"1"])).unwrap().pseudo);
        assert!(watch.read(&[0xbe]).unwrap().pseudo);
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The examples of RFC 7541, appendices C.3 and C.4: the size of the table after each request.
    #[test]
    fn the_table_is_that_of_the_specification() {
        let plain = [
            ("828684410f7777772e6578616d706c652e636f6d", 57),
            ("828684be58086e6f2d6361636865", 110),
            (
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
                164,
            ),
        ];
        let compressed = [
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", 57),
            ("828684be5886a8eb10649cbf", 110),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", 164),
        ];
        for requests in [plain, compressed] {
            let mut watch = FragmentWatch::new(4096);
            for (block, size) in requests {
                assert!(!has_fragment(&mut watch, &hex(block)));
                assert_eq!(watch.size, size, "{block}");
            }
        }
    }

    fn literal(first: u8, texts: &[&[u8]]) -> Vec<u8> {
        let mut block = vec![first];
        for text in texts {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text);
        }
        block
    }

    #[test]
    fn a_fragment_is_found_however_it_is_written() {
        let compressed: &[u8] = &[&[0x04][..], &[0x85], &compress(b"/ab#c")].concat();
        for block in [
            &literal(0x04, &[b"/a#b"])[..],
            &literal(0x14, &[b"#"]),
            &literal(0x44, &[b"/a#b"]),
            &literal(0x00, &[b":path", b"/a#b"]),
            &literal(0x40, &[b":path", b"/a#b"]),
            compressed,
        ] {
            let mut watch = FragmentWatch::new(4096);
            assert!(has_fragment(&mut watch, block), "{block:02x?}");
        }
        for block in [
            &literal(0x04, &[b"/a"])[..],
            &literal(0x00, &[b"x-a", b"#"]),
            &literal(0x00, &[b":path-", b"#"]),
            &literal(0x00, &[b"x:path", b"#"]),
            &[0x84],
        ] {
            let mut watch = FragmentWatch::new(4096);
            assert!(!has_fragment(&mut watch, block), "{block:02x?}");
        }
    }

    /// Huffman's codes, made from the same two tables.
    fn compress(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let wanted = SYMBOLS.iter().position(|symbol| symbol == byte).unwrap();
            let (mut start, mut place) = (0_usize, 0);
            for (length, count) in CODES.iter().enumerate() {
                let count = *count as usize;
                if wanted < place + count {
                    let code = start + wanted - place;
                    bits.extend((0..length).rev().map(|at| code >> at & 1));
                    break;
                }
                start = (start + count) << 1;
                place += count;
            }
        }
        bits.resize(bits.len().next_multiple_of(8), 1);
        bits.chunks(8)
            .map(|byte| {
                byte.iter()
                    .fold(0, |all, bit| all << 1 | u8::try_from(*bit).unwrap())
            })
            .collect()
    }

    #[test]
    fn an_indexed_path_keeps_its_fragment_until_it_is_evicted() {
        let mut watch = FragmentWatch::new(4096);
        assert!(has_fragment(&mut watch, &literal(0x44, &[b"/#"])));
        assert!(has_fragment(&mut watch, &[0xbe]));
        // Its name alone says nothing about another value.
        assert!(!has_fragment(&mut watch, &[0x7e, 2, b'/', b'a']));
        assert!(has_fragment(&mut watch, &[0xbf]));
        assert!(!has_fragment(&mut watch, &[0x20]));
        assert_eq!(watch.size, 0);
        assert_eq!(watch.read(&[0xbe]), Err(Malformed));
    }

    #[test]
    fn what_is_cut_or_beyond_the_table_is_malformed() {
        for block in [
            "80",
            "be",
            "04",
            "0405",
            "00",
            "40",
            "ff",
            "ffffffffffffff",
            "3fffff7f",
        ] {
            assert_eq!(
                FragmentWatch::new(4096).read(&hex(block)),
                Err(Malformed),
                "{block}"
            );
        }
    }
}
