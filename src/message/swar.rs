//! Looking at eight bytes at once (Anderson, "Bit Twiddling Hacks": `hasless`, `haszero`).
//!
//! What these find has the highest bit of its byte set. The lowest bit that is set is exact; above it there may be bytes
//! that only seem to be found.

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// The highest bit of each byte.
pub const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Not zero if a byte of the word is below `limit`, which is at most 128.
#[inline]
pub const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Not zero if a byte of the word is `wanted`.
#[inline]
pub const fn equal(word: u64, wanted: u8) -> u64 {
    below(word ^ (ONES * wanted as u64), 1)
}

/// Which byte of a word was found first, in what is not zero.
#[inline]
pub const fn first(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// Where the first byte at or after `from` is that `odd` finds in words and `is_odd` in bytes; the end if there is none.
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

/// Whether `odd` finds something in a word of the text; in a text shorter than a word, whether `is_odd` does in a byte.
/// The last word overlaps the one before it, so that nothing is left over.
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
                // Behind a byte that is found, the next higher one seems to be.
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
