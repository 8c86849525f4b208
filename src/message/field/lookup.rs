//! Perfect hash table of the known field names, built at compile time.

use super::names::{KnownField, NAMES};

/// Length that holds every known name, so that comparing two takes a few instructions and no call.
pub(super) const PADDED: usize = 32;

/// A name in lower case as words, padded with zeroes.
pub(super) type Padded = [u64; PADDED / 8];

/// Number of slots in [`TABLE`], a power of two.
pub(super) const SLOTS: usize = 256;

/// Slot of a name in the table.
#[inline]
pub(super) const fn slot(first: u64, second: u64, length: usize, factor: u64) -> usize {
    let mixed = first ^ second.rotate_left(29) ^ length as u64;
    (mixed.wrapping_mul(factor) >> 56) as usize & (SLOTS - 1)
}

/// Odd factor that gives each name its own slot, found at compile time.
pub(super) const FACTOR: u64 = {
    let mut factor: u64 = 0x9e37_79b9_7f4a_7c15;
    while !separates(factor) {
        factor = factor.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(2) | 1;
    }
    factor
};

pub(super) const fn separates(factor: u64) -> bool {
    let mut taken = [false; SLOTS];
    let mut index = 0;
    while index < NAMES.len() {
        let text = NAMES[index].0.as_bytes();
        let name = padded(text);
        let slot = slot(name[0], name[1], text.len(), factor);
        if taken[slot] {
            return false;
        }
        taken[slot] = true;
        index += 1;
    }
    true
}

/// A name in its slot; an empty slot holds the empty name, which is unknown.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) known: KnownField,
    pub(super) length: usize,
    pub(super) text: Padded,
}

pub(super) static TABLE: [Entry; SLOTS] = {
    let empty = Entry {
        known: KnownField::Other,
        length: 0,
        text: [0; PADDED / 8],
    };
    let mut table = [empty; SLOTS];
    let mut index = 0;
    while index < NAMES.len() {
        let (text, known) = NAMES[index];
        let name = padded(text.as_bytes());
        table[slot(name[0], name[1], text.len(), FACTOR)] = Entry {
            known,
            length: text.len(),
            text: name,
        };
        index += 1;
    }
    table
};

pub(super) const fn padded(text: &[u8]) -> Padded {
    let mut words = [0; PADDED / 8];
    let mut at = 0;
    while at < words.len() {
        words[at] = word(text, at * 8);
        at += 1;
    }
    words
}

/// Eight bytes of the text, padded with zeroes.
pub(super) const fn word(text: &[u8], from: usize) -> u64 {
    let mut word = [0; 8];
    let mut at = 0;
    while at < 8 {
        if from + at < text.len() {
            word[at] = text[from + at];
        }
        at += 1;
    }
    u64::from_le_bytes(word)
}

/// Prefixes of the families, with their lengths.
pub(super) const FAMILIES: [(Padded, usize, KnownField); 3] = [
    (padded(b"mcp-"), 4, KnownField::Mcp),
    (padded(b"x-forwarded-"), 12, KnownField::XForwarded),
    (padded(b"x-switchback-"), 13, KnownField::XSwitchback),
];

/// Masks that select the bytes of a name in padded form, by its length.
pub(super) const MASKS: [Padded; PADDED + 1] = {
    let mut masks = [[0; PADDED / 8]; PADDED + 1];
    let mut length = 0;
    while length <= PADDED {
        masks[length] = padded([0xff; PADDED].split_at(length).0);
        length += 1;
    }
    masks
};

/// Lower case of a word. Bytes from 0x40 on get the lower-case bit; those that are no letters become other bytes, but
/// none that may appear in a name.
#[inline]
pub(super) const fn lower_case(word: u64) -> u64 {
    const LETTERS: u64 = u64::from_le_bytes([0x40; 8]);
    word | ((word & LETTERS) >> 1)
}

/// First letters of the families.
pub(super) const M: u64 = b'm' as u64;
pub(super) const X: u64 = b'x' as u64;
