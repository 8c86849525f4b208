//! SIMD within a register: eight bytes at once (Anderson, "Bit Twiddling Hacks": `hasless`, `haszero`).
//!
//! A match sets the highest bit of its byte. The lowest set bit is exact; bytes above it may be false matches.

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// Highest bit of each byte.
pub const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Non-zero if a byte of the word is below `limit`, which is at most 128.
#[inline]
pub const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Non-zero if a byte of the word equals `wanted`.
#[inline]
pub const fn equal(word: u64, wanted: u8) -> u64 {
    below(word ^ (ONES * wanted as u64), 1)
}

/// Index of the first match in a non-zero result.
#[inline]
pub const fn first(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// Position of the first match at or after `from`; `odd` tests words, `is_odd` bytes. The end of
/// the text if there is none.
#[inline]
pub fn find(
    text: &[u8],
    from: usize,
    odd: impl Fn(u64) -> u64,
    is_odd: impl Fn(u8) -> bool,
) -> usize {
    let mut rest = text.get(from..).unwrap_or_default();
    while let Some((chunk, after)) = rest.split_first_chunk() {
        match odd(u64::from_le_bytes(*chunk)) {
            0 => rest = after,
            found => return text.len() - rest.len() + first(found),
        }
    }
    let at = text.len() - rest.len();
    at + rest
        .iter()
        .position(|&byte| is_odd(byte))
        .unwrap_or(rest.len())
}

/// True if `odd` matches in a word of the text, or `is_odd` in a byte of a text shorter than a word. The last word
/// overlaps the previous one, so that no bytes are left over.
#[inline]
pub fn any_lane(text: &[u8], odd: impl Fn(u64) -> u64, is_odd: impl Fn(u8) -> bool) -> bool {
    let Some(last) = text.last_chunk() else {
        return text.iter().any(|&byte| is_odd(byte));
    };
    let (words, _) = text.as_chunks();
    let found = words.iter().map(|word| odd(u64::from_le_bytes(*word)));
    found.fold(odd(u64::from_le_bytes(*last)), |all, one| all | one) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_is_found_wherever_it_is() {
        for length in 0..30 {
            for at in 0..=length {
                let mut text = vec![b'a'; length];
                // Above a match, the next higher byte is a false match.
                for (byte, place) in [(b':', at), (b':' ^ 1, at + 1)] {
                    if let Some(slot) = text.get_mut(place) {
                        *slot = byte;
                    }
                }
                for from in 0..=at {
                    let found = find(&text, from, |word| equal(word, b':'), |byte| byte == b':');
                    assert_eq!(found, at, "{} from {from}", text.escape_ascii());
                }
            }
        }
        assert_eq!(find(b"ab", 7, |word| word, |_| true), 2);
    }
}
