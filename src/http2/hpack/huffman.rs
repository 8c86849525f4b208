//! Reading Huffman's codes (RFC 7541, section 5.2 and appendix B).
//!
//! The codes are canonical, so their lengths say everything: codes of one length follow each other in the order of their
//! symbols, and the first of a length follows from those before. Text mostly has codes of five to seven bits, so the next
//! twelve bits are looked up at once, which is one symbol or two; for a code that is longer than that, its length is
//! searched and its place computed.

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
const FAST_BITS: u32 = 12;
/// How many bits can be looked at after a load, wherever in a byte they start.
const LOADED: usize = 56;
/// How often codes can be looked up after a load.
const ROUND: u32 = 4;
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

/// What the next bits begin with, in 32 bits: two symbols (or one, and a zero), the length of the codes of all of them and
/// of the first, how many there are. Nothing but zeroes stands for a code that is longer than what was looked up.
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
        // The second code is looked up by the bits that are left, with zeroes behind them.
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

/// A string that is being read.
struct Reader<'i> {
    /// It, and whatever comes behind it.
    input: &'i [u8],
    /// The bits that were read.
    at: usize,
    /// The bits that there are.
    end: usize,
}

/// The text so far, and room for all that can come.
struct Text<'o> {
    room: &'o mut [u8],
    length: usize,
}

/// Appends the text that the first `length` bytes of `input` stand for; there are so many.
pub(super) fn decode(input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    // No code has fewer than five bits; and what is put down are always two symbols.
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
                // Only right after a load is there enough of the longest code.
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

    /// The last bits: symbols, and padding of at most seven ones. Behind them ones are put, so that what begins with the
    /// padding is the beginning of the longest code.
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

    /// The next bits, from the top: at least `LOADED`, as far as there are so many.
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

/// The symbol of a code that is not in the table, and the code's length; `None` for the end of a string.
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
    /// Puts both symbols down, of which `count` are meant.
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
        // What comes behind a string has no say.
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
        /// Codes of all lengths, wherever in a byte and in a window they start.
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
