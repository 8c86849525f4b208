//! Text of others within lines of ours: nothing in it ends a line, moves a cursor or turns the direction of writing.

use std::fmt::{self, Display, Write};

/// True for a character that is more than a sign on paper: controls, line separators, marks that turn the direction.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
        )
}

/// A text with such characters written as `\n` or `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'t>(pub &'t str);

/// A writer that escapes them in whatever is written to it.
pub(super) struct EscapingWriter<W>(pub(super) W);

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
}
