//! Encoder for tests that uses the whole format: all representations, a dynamic table, compressed strings.
//!
//! It is simple on purpose, and shares only the code lengths and the static table with the code under test.

use std::sync::LazyLock;

use super::huffman::LENGTHS;
use super::table::STATIC;

/// Bit writer.
#[derive(Default)]
pub(super) struct Bits {
    bits: Vec<bool>,
}

/// Representation of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// 0: plain, 1: never indexed, 2: indexed.
    pub(super) kind: u8,
    /// True if a table entry with the same name is used, and one with the same value as well.
    pub(super) uses_rows: bool,
    pub(super) compresses_name: bool,
    pub(super) compresses_value: bool,
}

/// Encoder with the peer's table.
#[derive(Debug)]
pub(super) struct Reference {
    /// Newest first.
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    limit: usize,
}

/// Code and length of each symbol, by enumeration.
static CODES: LazyLock<Vec<(u32, u8)>> = LazyLock::new(|| {
    let mut order: Vec<u8> = (0..=255).collect();
    order.sort_by_key(|symbol| (LENGTHS[usize::from(*symbol)], *symbol));
    let mut codes = vec![(0, 0); 256];
    let (mut code, mut length) = (0, 0);
    for symbol in order {
        let longer = LENGTHS[usize::from(symbol)];
        code <<= longer - length;
        length = longer;
        codes[usize::from(symbol)] = (code, length);
        code += 1;
    }
    codes
});

// === impl Bits ===

impl Bits {
    pub(super) fn push(&mut self, code: u32, length: u8) {
        let bits = (0..length).rev().map(|at| code >> at & 1 == 1);
        self.bits.extend(bits);
    }

    pub(super) fn symbol(&mut self, symbol: u8) {
        let (code, length) = CODES[usize::from(symbol)];
        self.push(code, length);
    }

    pub(super) fn pad(mut self) -> Vec<u8> {
        self.bits.resize(self.bits.len().next_multiple_of(8), true);
        let bytes = self
            .bits
            .chunks(8)
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
        bytes.collect()
    }
}

/// Huffman-encodes a text.
pub(super) fn huffman(text: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    for byte in text {
        bits.symbol(*byte);
    }
    bits.pad()
}

// === impl Reference ===

impl Reference {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            rows: Vec::new(),
            limit,
        }
    }

    /// Number of dynamic entries and their size.
    pub(super) fn size(&self) -> usize {
        self.rows
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32)
            .sum()
    }

    pub(super) fn resize(&mut self, out: &mut Vec<u8>, limit: usize) {
        integer(out, 0x20, 5, limit);
        self.limit = limit;
        self.evict();
    }

    fn evict(&mut self) {
        while self.size() > self.limit {
            self.rows.pop();
        }
    }

    fn all(&self) -> Vec<(&[u8], &[u8])> {
        let fixed = STATIC.iter().map(|row| row.text.split_at(row.name_length));
        let rows = self.rows.iter();
        fixed
            .chain(rows.map(|(name, value)| (&name[..], &value[..])))
            .collect()
    }

    pub(super) fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8], style: Style) {
        let all = self.all();
        let whole = all.iter().position(|row| *row == (name, value));
        let named = all.iter().rposition(|row| row.0 == name);
        if let (true, Some(place)) = (style.uses_rows, whole) {
            return integer(out, 0x80, 7, place + 1);
        }
        let (flags, prefix) = [(0x00, 4), (0x10, 4), (0x40, 6)][usize::from(style.kind % 3)];
        if let Some(place) = named.filter(|_| style.uses_rows) {
            integer(out, flags, prefix, place + 1);
        } else {
            integer(out, flags, prefix, 0);
            string(out, name, style.compresses_name);
        }
        string(out, value, style.compresses_value);
        if flags == 0x40 {
            self.rows.insert(0, (name.to_vec(), value.to_vec()));
            self.evict();
        }
    }
}

fn string(out: &mut Vec<u8>, text: &[u8], compresses: bool) {
    if compresses {
        let bytes = huffman(text);
        integer(out, 0x80, 7, bytes.len());
        out.extend(bytes);
    } else {
        integer(out, 0, 7, text.len());
        out.extend(text);
    }
}

/// The pseudo code of RFC 7541, section 5.1.
fn integer(out: &mut Vec<u8>, flags: u8, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        return out.push(flags | low(value));
    }
    out.push(flags | low(most));
    let mut left = value - most;
    while left >= 128 {
        out.push(low(left % 128 + 128));
        left /= 128;
    }
    out.push(low(left));
}

fn low(value: usize) -> u8 {
    value.to_le_bytes()[0]
}
