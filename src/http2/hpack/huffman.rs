//! Huffman decoding (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical, so code lengths define it: codes of one length are consecutive in symbol order, and
//! the first code of a length follows from the shorter ones. Most text has codes of five to seven bits, so the
//! next twelve bits are looked up at once and yield one or two symbols. For a longer code the length is searched
//! and its position computed.

use super::DecodeError;

/// Code length of each symbol. End-of-string has the last code of 30 bits and must not be sent.
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
const FAST_BITS: u32 = 12;
/// Number of valid bits after a load, at any bit offset.
const LOADED: usize = 56;
/// Number of lookups after a load.
const ROUND: u32 = 4;
/// Number of bits that are examined for a code.
const WORD: u32 = 32;

/// Codes of each length: the end of their range, left-aligned in a word; and the offset from a code to its
/// position among the symbols.
struct Ranges {
    end: [u64; LENGTHS_END],
    offset: [u32; LENGTHS_END],
}

/// Symbols in the order of their codes.
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
    // The rest is end-of-string.
    ranges.end[LONGEST as usize] = 1 << WORD;
    ranges
};

/// Lookup result in 32 bits: two symbols (or one and a zero), the total code length, the length of the first code, and
/// the number of symbols. Zero stands for a code that is longer than the lookup.
#[derive(Clone, Copy)]
struct Codes(u32);

static FAST: [Codes; 1 << FAST_BITS] = {
    let mut fast = [Codes(0); 1 << FAST_BITS];
    let (mut at, mut place) = (0, 0);
    while LENGTHS[SYMBOLS[place] as usize] as u32 <= FAST_BITS {
        let length = LENGTHS[SYMBOLS[place] as usize] as u32;
        let end = at + (1 << (FAST_BITS - length));
        while at < end {
            fast[at] = Codes::new([SYMBOLS[place], 0], length, length, 1);
            at += 1;
        }
        place += 1;
    }
    let mut at = 0;
    while at < fast.len() {
        let first = fast[at];
        // The second code is looked up by the remaining bits, padded with zeroes.
        let second = fast[(at << first.first()) & (fast.len() - 1)];
        let whole = first.first() + second.first();
        if first.count() > 0 && second.count() > 0 && whole <= FAST_BITS {
            let symbols = [first.symbols()[0], second.symbols()[0]];
            fast[at] = Codes::new(symbols, first.first(), whole, 2);
        }
        at += 1;
    }
    fast
};

/// Bit reader over a string.
struct Reader<'i> {
    /// The string, and what follows it.
    input: &'i [u8],
    /// Number of bits read.
    at: usize,
    /// Number of bits in the string.
    end: usize,
}

/// Output buffer, sized for the longest possible text.
struct Text<'o> {
    room: &'o mut [u8],
    length: usize,
}

/// Appends the decoded text of the first `length` bytes of `input`. The caller checks that there are as many.
pub(super) fn decode(input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    // Each code has at least five bits, and two symbols are always stored.
    out.resize(start + length * 8 / 5 + 2, 0);
    let reader = Reader {
        input,
        at: 0,
        end: length * 8,
    };
    let text = Text {
        room: &mut out[start..],
        length: 0,
    };
    let length = reader.read(text)?;
    out.truncate(start + length);
    Ok(())
}

// === impl Codes ===

impl Codes {
    const fn new(symbols: [u8; 2], first: u32, whole: u32, count: u32) -> Self {
        let symbols = u16::from_le_bytes(symbols) as u32;
        Self(symbols | whole << 16 | first << 20 | count << 24)
    }

    #[inline]
    fn of(window: u64) -> Self {
        FAST[(window >> (u64::BITS - FAST_BITS)) as usize]
    }

    const fn symbols(self) -> [u8; 2] {
        let [first, second, ..] = self.0.to_le_bytes();
        [first, second]
    }

    const fn whole(self) -> u32 {
        self.0 >> 16 & 0xf
    }

    const fn first(self) -> u32 {
        self.0 >> 20 & 0xf
    }

    const fn count(self) -> usize {
        (self.0 >> 24) as usize
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn read(mut self, mut text: Text<'_>) -> Result<usize, DecodeError> {
        while self.at + LOADED <= self.end {
            let mut window = self.load();
            let mut codes = Codes::of(window);
            if codes.count() == 0 {
                // Only directly after a load are there enough bits for the longest code.
                let (symbol, length) = long(window).ok_or(DecodeError::InvalidHuffman)?;
                text.put([symbol, 0], 1);
                self.at += length as usize;
                continue;
            }
            for _ in 0..ROUND {
                text.put(codes.symbols(), codes.count());
                self.at += codes.whole() as usize;
                window <<= codes.whole();
                codes = Codes::of(window);
                if codes.count() == 0 {
                    break;
                }
            }
        }
        self.finish(text)
    }

    /// Decodes the last bits: symbols, and up to seven padding bits, which are ones. Ones are appended, so that the
    /// padding looks like the start of the longest code.
    fn finish(self, mut text: Text<'_>) -> Result<usize, DecodeError> {
        let mut left =
            u32::try_from(self.end - self.at).map_err(|_| DecodeError::InvalidHuffman)?;
        let mut window = self.load() | u64::MAX >> left;
        while left > 0 {
            let codes = Codes::of(window);
            let (symbols, count, length) = if codes.count() == 0 {
                if left <= FAST_BITS {
                    break;
                }
                match long(window) {
                    Some((symbol, length)) => ([symbol, 0], 1, length),
                    None => return Err(DecodeError::InvalidHuffman),
                }
            } else if codes.whole() <= left {
                (codes.symbols(), codes.count(), codes.whole())
            } else {
                (codes.symbols(), 1, codes.first())
            };
            if length > left {
                break;
            }
            text.put(symbols, count);
            window <<= length;
            left -= length;
        }
        let is_padding = left < 8 && window.leading_ones() >= left;
        is_padding
            .then_some(text.length)
            .ok_or(DecodeError::InvalidHuffman)
    }

    /// Loads the next bits, left-aligned: at least `LOADED`, if there are as many.
    #[inline]
    fn load(&self) -> u64 {
        let rest = self.input.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_be_bytes(*word),
            None => load_last(rest),
        };
        word << (self.at % 8)
    }
}

fn load_last(rest: &[u8]) -> u64 {
    let bytes = rest.iter().zip((0..u64::BITS).step_by(8));
    bytes.fold(0, |word, (byte, place)| {
        word | u64::from(*byte) << (56 - place)
    })
}

/// Decodes a code that is not in the lookup table: symbol and length; `None` for end-of-string.
fn long(window: u64) -> Option<(u8, u32)> {
    let word = window >> WORD;
    let mut length = FAST_BITS + 1;
    while word >= RANGES.end[length as usize] {
        length += 1;
    }
    let code = u32::try_from(word >> (WORD - length)).ok()?;
    let place = code.wrapping_add(RANGES.offset[length as usize]);
    Some((*SYMBOLS.get(place as usize)?, length))
}

// === impl Text ===

impl Text<'_> {
    /// Stores both symbols and advances by `count`.
    #[inline]
    fn put(&mut self, symbols: [u8; 2], count: usize) {
        let room = self
            .room
            .get_mut(self.length..)
            .and_then(<[u8]>::first_chunk_mut);
        *room.expect("no code has fewer than five bits") = symbols;
        self.length += count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference;
    use super::*;

    fn text(input: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut out = b"before".to_vec();
        let decoded = decode(input, input.len(), &mut out);
        // Bytes after a string do not matter.
        for behind in [[0; 9], [0xff; 9]] {
            let mut again = b"before".to_vec();
            let more = [input, &behind].concat();
            assert_eq!(decode(&more, input.len(), &mut again), decoded);
            assert!(decoded.is_err() || again == out);
        }
        decoded.map(|()| out.split_off(6))
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

    proptest! {
        /// Codes of all lengths at all offsets within a byte and a window.
        #[test]
        fn short_and_long_codes_mix(
            plain in prop::collection::vec(prop_oneof![6 => b' '..b'{', 1 => any::<u8>()], 0..200)
        ) {
            prop_assert_eq!(text(&reference::huffman(&plain)), Ok(plain));
        }
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
            // Two padding bits that are zero, after "X-".
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
