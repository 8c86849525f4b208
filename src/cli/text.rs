//! Text for people: columns that line up, numbers with units, and nothing that a terminal would obey.

use std::fmt::Write as _;

use crate::telemetry::is_unprintable;

/// Rows of cells that are shown as columns, two spaces apart.
pub(super) struct Columns(Vec<Vec<String>>);

impl Columns {
    pub(super) fn titled(titles: &[&str]) -> Self {
        Self(vec![titles.iter().map(ToString::to_string).collect()])
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    pub(super) fn shown(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.0 {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.0 {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                let pad = width - cell.chars().count();
                let _ = write!(line, "{cell}{:pad$}  ", "");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A text of somebody else, without anything that a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    let plain = |c: char| {
        if is_unprintable(c) { '\u{FFFD}' } else { c }
    };
    text.chars().map(plain).collect()
}

/// `38 µs`, `1.2 ms`.
pub(super) fn microseconds(count: u64) -> String {
    if count < 1_000 {
        return format!("{count} µs");
    }
    format!("{}.{} ms", count / 1_000, count % 1_000 / 100)
}

/// `1 request`, `2 requests`.
pub(super) fn count(count: u64, one: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {one}s")
    }
}

/// A share of the whole, as per cent with as many digits as it takes to tell it from nothing and from all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let whole = (percent - percent.round()).abs() < 0.005 && !(99.5..100.0).contains(&percent);
    let digits = if whole {
        0
    } else if (1.0..99.0).contains(&percent) {
        1
    } else {
        3
    };
    format!("{percent:.digits$}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters() {
        let mut columns = Columns::titled(&["A", "LONG"]);
        columns.row(vec!["µµµ".into(), "x".into()]);
        assert_eq!(columns.shown(), "A    LONG\nµµµ  x\n");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(microseconds(38), "38 µs");
        assert_eq!(microseconds(1_250), "1.2 ms");
        assert_eq!(count(1, "request"), "1 request");
        assert_eq!(count(0, "request"), "0 requests");
        assert_eq!(percent(0.95), "95%");
        assert_eq!(percent(1.0 / 3.0), "33.3%");
        assert_eq!(percent(0.000_05), "0.005%");
        assert_eq!(percent(0.9995), "99.950%");
        assert_eq!(percent(1.0), "100%");
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        assert_eq!(
            clean("a\u{1b}[31mb\n\u{202E}c"),
            "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}c"
        );
    }
}
