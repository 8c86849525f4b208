//! Prefixed integers (RFC 7541, section 5.1): those below `2^prefix - 1` fit into the first byte,
//! others continue after it.

use super::DecodeError;

/// Limit on bytes after the prefix: five hold 35 bits, more than any meaningful size or index.
const MAX_MORE: u32 = 5;

/// Reads an integer from the front of `input`; its first byte holds `prefix` bits of it.
#[inline]
pub(super) fn read(input: &mut &[u8], prefix: u32) -> Result<usize, DecodeError> {
    let (first, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
    *input = rest;
    let most = u8::MAX >> (8 - prefix);
    let value = first & most;
    if value < most {
        return Ok(usize::from(value));
    }
    read_more(input, most)
}

fn read_more(input: &mut &[u8], most: u8) -> Result<usize, DecodeError> {
    let mut value = u64::from(most);
    for place in 0..MAX_MORE {
        let (byte, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
        *input = rest;
        value += u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| DecodeError::InvalidInteger)?;
            return usize::try_from(value).map_err(|_| DecodeError::InvalidInteger);
        }
    }
    Err(DecodeError::InvalidInteger)
}

/// Appends an integer; `flags` are the bits of the first byte above the prefix.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, flags: u8, prefix: u32, value: usize) {
    let most = u8::MAX >> (8 - prefix);
    match u8::try_from(value) {
        Ok(value) if value < most => out.push(flags | value),
        _ => {
            out.push(flags | most);
            write_more(out, value - usize::from(most));
        }
    }
}

fn write_more(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, appendix C.1.
    #[test]
    fn the_examples_of_the_specification() {
        for (bytes, prefix, value) in [
            (&[0b1110_1010][..], 5, 10),
            (&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, 1337),
            (&[42], 8, 42),
        ] {
            assert_eq!(read(&mut &bytes[..], prefix), Ok(value));
            let mut out = Vec::new();
            let flags = if prefix == 5 { bytes[0] & 0xe0 } else { 0 };
            write(&mut out, flags, prefix, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for prefix in 1..=8 {
            for value in (0..1000).chain([16383, 16384, 1 << 20, u32::MAX as usize]) {
                let mut out = Vec::new();
                write(&mut out, 0, prefix, value);
                out.push(7);
                let mut input = &out[..];
                assert_eq!(read(&mut input, prefix), Ok(value), "{value} {prefix}");
                assert_eq!(input, [7]);
            }
        }
    }

    #[test]
    fn an_integer_has_a_limit_and_an_end() {
        let cases: [(&[u8], Result<usize, DecodeError>); 8] = [
            (&[], Err(DecodeError::Truncated)),
            (&[0xff], Err(DecodeError::Truncated)),
            (&[0xff, 0x80, 0x80], Err(DecodeError::Truncated)),
            // Trailing zeroes are wasteful but legal.
            (&[0xff, 0x80, 0x80, 0x80, 0x80, 0], Ok(127)),
            (
                &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
                Err(DecodeError::InvalidInteger),
            ),
            (&[0xff, 0x80, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX as usize)),
            (
                &[0xff, 0x81, 0xff, 0xff, 0xff, 0x0f],
                Err(DecodeError::InvalidInteger),
            ),
            (&[0xff; 20], Err(DecodeError::InvalidInteger)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(&mut &bytes[..], 7), expected, "{bytes:02x?}");
        }
    }
}
