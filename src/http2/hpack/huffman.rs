//! Reading Huffman's codes (RFC 7541, section 5.2 and appendix B).
//!
//! The codes are canonical, so their lengths say everything: codes of one length follow each other in the order of their
//! symbols, and the first of a length follows from those before. Codes up to ten bits, which is nearly all there is in
//! text, are looked up by the next ten bits; for a longer one its length is searched and its place computed.

use super::DecodeError;

/// The length of each symbol's code. The end of a string has the last of those with 30 bits and may not be sent.
#[rustfmt::skip]
pub(super) const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LONGEST: u32 = 30;
const LENGTHS_END: usize = LONGEST as usize + 1;
const FAST_BITS: u32 = 10;
/// The bits that are looked at for a code.
const WORD: u32 = 32;

/// The codes of each length: what comes behind the last, at the top of a word; and what leads from a code to its place
/// among the symbols.
struct Ranges {
    end: [u64; LENGTHS_END],
    offset: [u32; LENGTHS_END],
}

/// The symbols in the order of their codes.
const SYMBOLS: [u8; 256] = {
    let mut symbols = [0; 256];
    let mut place = 0;
    let mut length = 0;
    while length < LENGTHS_END {
        let mut symbol: u8 = 0;
        loop {
            if LENGTHS[symbol as usize] as usize == length {
                symbols[place] = symbol;
                place += 1;
            }
            if symbol == u8::MAX {
                break;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

static RANGES: Ranges = {
    let mut ranges = Ranges {
        end: [0; LENGTHS_END],
        offset: [0; LENGTHS_END],
    };
    let (mut code, mut place, mut length) = (0_u32, 0_u32, 1);
    while length < LENGTHS_END {
        code <<= 1;
        ranges.offset[length] = place.wrapping_sub(code);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        ranges.end[length] = (code as u64) << (WORD as usize - length);
        length += 1;
    }
    // What is left is the end of a string.
    ranges.end[LONGEST as usize] = 1 << WORD;
    ranges
};

/// By the next bits: a symbol and the length of its code, or zero for a code that is longer.
static FAST: [(u8, u8); 1 << FAST_BITS] = {
    let mut fast = [(0, 0); 1 << FAST_BITS];
    let (mut at, mut place) = (0, 0);
    while LENGTHS[SYMBOLS[place] as usize] as u32 <= FAST_BITS {
        let symbol = SYMBOLS[place];
        let length = LENGTHS[symbol as usize];
        let end = at + (1 << (FAST_BITS - length as u32));
        while at < end {
            fast[at] = (symbol, length);
            at += 1;
        }
        place += 1;
    }
    fast
};

/// The bits of a string that are still to be read.
struct Bits<'i> {
    /// The next ones, from the top.
    window: u64,
    /// How many of them count.
    count: u32,
    rest: &'i [u8],
}

/// Appends the text that `input` stands for.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    // No code has fewer than five bits.
    out.resize(start + input.len() * 8 / 5, 0);
    let room = &mut out[start..];
    let length = Bits {
        window: 0,
        count: 0,
        rest: input,
    }
    .decode(room)?;
    out.truncate(start + length);
    Ok(())
}

// === impl Bits ===

impl Bits<'_> {
    fn decode(mut self, room: &mut [u8]) -> Result<usize, DecodeError> {
        let size = room.len();
        let mut room = room.iter_mut();
        loop {
            self.refill();
            if self.count < LONGEST {
                break;
            }
            while self.count >= LONGEST {
                let (symbol, length) = self.next();
                self.skip(length);
                let symbol = symbol.ok_or(DecodeError::InvalidHuffman)?;
                *room.next().expect("no code has fewer than five bits") = symbol;
            }
        }
        self.finish(&mut room)?;
        Ok(size - room.len())
    }

    /// The last bits: symbols, and padding of at most seven ones. Behind them ones are put, so that what begins with the
    /// padding is the beginning of the longest code.
    fn finish(mut self, room: &mut std::slice::IterMut<'_, u8>) -> Result<(), DecodeError> {
        self.window |= u64::MAX >> self.count;
        while self.count > 0 {
            let (symbol, length) = self.next();
            if length > self.count {
                break;
            }
            self.skip(length);
            let symbol = symbol.ok_or(DecodeError::InvalidHuffman)?;
            *room.next().expect("no code has fewer than five bits") = symbol;
        }
        let is_padding = self.count < 8 && self.window.leading_ones() >= self.count;
        is_padding.then_some(()).ok_or(DecodeError::InvalidHuffman)
    }

    /// Reads bytes until at least 56 bits count, or there are no more bytes.
    fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk() {
            // Bits beyond those that count are those that come next, so that reading them again changes nothing.
            self.window |= u64::from_be_bytes(*word) >> self.count;
            let taken = (63 - self.count) >> 3;
            self.rest = &self.rest[taken as usize..];
            self.count += 8 * taken;
            return;
        }
        while self.count < 56
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.window |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    /// The next symbol and the length of its code; no symbol at the end of a string.
    #[inline]
    fn next(&self) -> (Option<u8>, u32) {
        let (symbol, length) = FAST[(self.window >> (u64::BITS - FAST_BITS)) as usize];
        if length != 0 {
            return (Some(symbol), u32::from(length));
        }
        self.next_long()
    }

    fn next_long(&self) -> (Option<u8>, u32) {
        let word = self.window >> WORD;
        let mut length = FAST_BITS + 1;
        while word >= RANGES.end[length as usize] {
            length += 1;
        }
        let code = (word >> (WORD - length)) as u32;
        let place = code.wrapping_add(RANGES.offset[length as usize]);
        (SYMBOLS.get(place as usize).copied(), length)
    }

    #[inline]
    fn skip(&mut self, length: u32) {
        self.window <<= length;
        self.count -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    fn text(input: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut out = b"before".to_vec();
        decode(input, &mut out)?;
        assert!(out.starts_with(b"before"));
        Ok(out.split_off(6))
    }

    #[test]
    fn every_byte_is_read_at_every_place() {
        for byte in 0..=255 {
            for before in 0..20 {
                for behind in 0..12 {
                    let plain = [vec![b'a'; before], vec![byte], vec![b'~'; behind]].concat();
                    assert_eq!(text(&reference::huffman(&plain)), Ok(plain));
                }
            }
        }
        let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
        assert_eq!(text(&reference::huffman(&all)), Ok(all));
        assert_eq!(text(&[]), Ok(vec![]));
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        // "a" is 00011.
        assert_eq!(text(&[0b0001_1111]), Ok(b"a".to_vec()));
        for odd in [
            &[0b0001_1110][..],
            &[0b0001_1011],
            &[0b0001_1000],
            &[0b0001_1111, 0xff],
            &[0xff],
            &[0xff, 0xff],
            &[0xff, 0xff, 0xff],
            // Two bits of padding that are not set, behind "X-".
            &[0b1111_1100, 0b0101_1000],
        ] {
            assert_eq!(text(odd), Err(DecodeError::InvalidHuffman), "{odd:02x?}");
        }
    }

    #[test]
    fn the_end_of_a_string_is_not_sent() {
        for (before, behind) in [(0, 0), (0, 9), (3, 0), (8, 20), (1, 4)] {
            let mut bits = reference::Bits::default();
            (0..before).for_each(|_| bits.symbol(b'a'));
            bits.push(0x3fff_ffff, 30);
            (0..behind).for_each(|_| bits.symbol(b'a'));
            assert_eq!(text(&bits.pad()), Err(DecodeError::InvalidHuffman));
        }
    }
}
