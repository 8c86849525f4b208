//! Escaping of foreign text in log lines: it cannot end a line, move the cursor or change the text direction.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write},
    io,
};

/// True for a character with an effect beyond printing: controls, line separators, bidirectional marks.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
        )
}

/// Text with such characters escaped as `\n` or `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'t>(pub &'t str);

/// Writer that escapes them in all its input.
pub(super) struct EscapingWriter<W>(pub(super) W);

/// Writer of JSON lines, in which such characters are escaped as in JSON.
#[derive(Debug)]
pub(super) struct JsonLines<W>(pub(super) W);

/// JSON with such characters written as `\u2028`. serde leaves most of them as they are, and
/// they occur in strings only.
pub(super) fn escape_json(json: &[u8]) -> Cow<'_, [u8]> {
    // One pass over all bytes: every escaped character has a byte from 0x7F on, and 0xFF is in no text.
    let high = |found: u8, byte: &u8| found | byte.wrapping_add(1);
    if json.iter().fold(0, high) & 0x80 == 0 {
        return Cow::Borrowed(json);
    }
    let text = String::from_utf8_lossy(json);
    let mut escaped = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if c >= '\u{7F}' && is_unprintable(c) {
            // Writing to memory cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped.into_bytes())
}

impl<W: io::Write> io::Write for JsonLines<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        self.0.write_all(&escape_json(json))?;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EscapingWriter(f).write_str(self.0)
    }
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = text;
        while let Some(at) = plain.find(is_unprintable) {
            let (before, rest) = plain.split_at(at);
            self.0.write_str(before)?;
            let mut rest = rest.chars();
            for escaped in rest.by_ref().take(1).flat_map(char::escape_default) {
                self.0.write_char(escaped)?;
            }
            plain = rest.as_str();
        }
        self.0.write_str(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_or_moves_a_cursor() {
        let text = Escaped("ä\nb\u{1b}[2J\r\u{202E}c\u{2028}\u{85}\u{7f}\t");
        assert_eq!(
            text.to_string(),
            r"ä\nb\u{1b}[2J\r\u{202e}c\u{2028}\u{85}\u{7f}\t"
        );
        assert_eq!(Escaped("plain text").to_string(), "plain text");
    }

    #[test]
    fn json_says_the_same_and_stays_one_line() {
        let text = "ä\n\u{2028}\u{2029}\u{85}\u{7f}\u{202E}\u{2066}\u{61C}\u{FEFF}😀";
        let json = serde_json::to_vec(text).unwrap();
        let escaped = String::from_utf8(escape_json(&json).into_owned()).unwrap();
        assert!(!escaped.contains(is_unprintable), "{escaped}");
        assert!(escaped.contains("ä") && escaped.contains("😀"));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert!(matches!(escape_json(b"{\"a\":1}\n"), Cow::Borrowed(_)));
    }
}
