//! The Huffman code of HPACK (RFC 7541, appendix B), which is canonical: the lengths of the codes say everything.
//!
//! The table stands here a second time on purpose: the tests check the proxy by a reading of their own.

/// The length of the code of each byte, and of the end of string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
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
    30,
];

/// Decodes a string; what is left at its end is padding.
pub(super) fn decode(bytes: &[u8]) -> Vec<u8> {
    let (mut text, mut code, mut length) = (Vec::new(), 0_u32, 0_u8);
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(symbol) = symbol(code, length) {
            text.push(symbol);
            (code, length) = (0, 0);
        }
    }
    text
}

fn symbol(code: u32, length: u8) -> Option<u8> {
    let mut first = 0_u32;
    for shorter in 1..=length {
        let same = LENGTHS.iter().map(|own| u32::from(*own == shorter));
        let count: u32 = same.sum();
        if shorter == length {
            let index = code.checked_sub(first).filter(|index| *index < count)?;
            let mut same = (0..=255_u8).filter(|byte| LENGTHS[usize::from(*byte)] == length);
            return same.nth(index as usize);
        }
        first = (first + count) << 1;
    }
    None
}

#[test]
fn the_example_of_the_rfc_is_decoded() {
    let text = [
        0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    assert_eq!(decode(&text), b"www.example.com");
    assert_eq!(decode(&[0x64, 0x02]), b"302");
}
