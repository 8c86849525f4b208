//! Valid bytes of names, values, hosts and targets, as lookup tables built at compile time.

use super::swar::{HIGHS, any_lane, below, equal};

const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
const HOST: [bool; 256] = table(b"-._~");

/// Table of letters, digits and `others`.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let is_alphanumeric = (byte as u8).is_ascii_alphanumeric();
        table[byte] = is_alphanumeric;
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

/// True if the byte is a `tchar` of RFC 9110, section 5.6.2.
pub const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// True if the text is a token: a method, a field name, a connection option, a transfer coding.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .fold(true, |good, &byte| good & is_token_byte(byte))
}

/// True if the text is a valid field value: visible characters, space, tab and bytes above 127; no other control.
pub fn is_field_value(text: &[u8]) -> bool {
    let is_good = |byte: u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
    // A tab is rare, so words are searched for any control, and only a match is checked byte by byte.
    !any_lane(
        text,
        |word| below(word, b' ') | equal(word, 0x7f),
        |byte| !is_good(byte),
    ) || text.iter().all(|&byte| is_good(byte))
}

/// True if the byte may be part of a host name. Percent encoding and sub-delimiters are legal in a URI, but no DNS
/// name has them and implementations rarely agree on them.
pub(super) const fn is_host_byte(byte: u8) -> bool {
    HOST[byte as usize]
}

/// True if all bytes of the text may be part of a request target.
pub fn is_target(text: &[u8]) -> bool {
    let is_odd = |byte: u8| byte <= b' ' || byte >= 0x7f || byte == b'#';
    let odd = |word| below(word, b'!') | equal(word, 0x7f) | equal(word, b'#') | (word & HIGHS);
    !any_lane(text, odd, is_odd)
}

/// The text without surrounding spaces and tabs.
pub fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    match text {
        [first, .., last] if !is_space(first) && !is_space(last) => return text,
        _ => {}
    }
    let Some(first) = text.iter().position(|byte| !is_space(byte)) else {
        return &[];
    };
    let last = text.iter().rposition(|byte| !is_space(byte));
    &text[first..=last.unwrap_or(first)]
}

/// Number with 1 to 19 digits and nothing else.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_separators_spaces_or_controls() {
        assert!(is_token(b"X-Request-Id"));
        assert!(is_token(b"!#$%&'*+-.^_`|~09azAZ"));
        for bad in [
            &b""[..],
            b"a b",
            b"a:b",
            b"a\0",
            b"a\xc3",
            b"a(b",
            b"a,b",
            b"a\"",
            b"a/b",
            b"a\t",
        ] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_value_has_no_controls_but_tab() {
        assert!(is_field_value(b"a b\tc \xff\x80"));
        assert!(is_field_value(b""));
        for byte in (0..32_u8).filter(|&b| b != 9).chain([127]) {
            assert!(!is_field_value(&[b'a', byte, b'b']), "{byte}");
        }
    }

    #[test]
    fn words_and_bytes_say_the_same() {
        let is_good = |byte: u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
        let is_aimed = |byte: u8| byte > b' ' && byte < 0x7f && byte != b'#';
        for length in 1..26 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(
                        is_field_value(&text),
                        is_good(byte),
                        "{byte} at {at} of {length}"
                    );
                    assert_eq!(
                        is_target(&text),
                        is_aimed(byte),
                        "{byte} at {at} of {length}"
                    );
                    text[length - 1 - at] = b'\t';
                    let is_first = text[at] == byte;
                    assert_eq!(
                        is_field_value(&text),
                        !is_first || is_good(byte),
                        "a tab as well"
                    );
                }
            }
        }
    }

    #[test]
    fn digits_are_at_most_nineteen_and_nothing_else() {
        assert_eq!(digits(b"0"), Some(0));
        assert_eq!(
            digits(b"9999999999999999999"),
            Some(9_999_999_999_999_999_999)
        );
        for bad in [
            &b""[..],
            b"+5",
            b"-5",
            b" 5",
            b"5 ",
            b"0x5",
            b"5,5",
            b"10000000000000000000",
            b"5.0",
            b"\xd9\xa5",
        ] {
            assert_eq!(digits(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn trim_takes_spaces_and_tabs_only() {
        assert_eq!(trim(b" \t a b\t"), b"a b");
        assert_eq!(trim(b" \t"), b"");
        assert_eq!(trim(b"\x0ba"), b"\x0ba");
    }
}
