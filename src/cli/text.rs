//! Text for people: aligned columns, numbers with units, no terminal control characters.

use std::fmt::Write as _;

use serde_json::Value;

use crate::telemetry::is_unprintable;

/// Rows of cells, shown as columns two spaces apart.
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

/// An untrusted text without terminal control characters.
pub(super) fn clean(text: &str) -> String {
    let plain = |c: char| {
        if is_unprintable(c) { '\u{FFFD}' } else { c }
    };
    text.chars().map(plain).collect()
}

/// Removes empty values from a document: `null`, and tables without entries.
pub(super) fn drop_nothings(value: &mut Value) {
    let is_nothing =
        |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(drop_nothings);
            members.retain(|_, member| !is_nothing(member));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nothings),
        _ => {}
    }
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

/// A share of the whole as percent: exact with up to four decimals, otherwise rounded to as many as distinguish it from
/// 0 and from 100.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let parts = percent * 10_000.0;
    let digits = if (parts - parts.round()).abs() < 0.001 {
        4
    } else if (1.0..99.0).contains(&percent) {
        1
    } else {
        4
    };
    if 0.0 < percent && percent < 0.000_1 {
        return "<0.0001%".to_owned();
    }
    if 99.999_9 < percent && percent < 100.0 {
        return ">99.9999%".to_owned();
    }
    let text = format!("{percent:.digits$}");
    // There are decimals, so trimming stops at the point at the latest.
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}

/// A share with its weight, unless the weights of the route are percents themselves: their sum is 100, or 1,000 and so
/// on with decimals.
pub(super) fn share(share: f64, weight: u64) -> String {
    let percent = percent(share);
    let are_percents = |sum: u64| [100, 1_000, 10_000, 100_000, 1_000_000].contains(&sum);
    if weight == 0 || are_percents(sum_of(share, weight)) {
        return percent;
    }
    format!("{percent} (weight {weight})")
}

/// The sum of weights of which one amounts to a share.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "weights are small, and a cast of what is out of range saturates"
)]
fn sum_of(share: f64, weight: u64) -> u64 {
    (weight as f64 / share).round() as u64
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
        assert_eq!(percent(0.9995), "99.95%");
        assert_eq!(percent(0.123_45), "12.345%");
        assert_eq!(percent(1.0 / 3_000_000.0), "<0.0001%");
        assert_eq!(percent(1.0 - 1.0 / 3_000_000.0), ">99.9999%");
        assert_eq!([percent(0.0), percent(1.0)], ["0%", "100%"]);
    }

    #[test]
    fn weights_are_said_where_they_are_no_percents() {
        assert_eq!(share(0.05, 5), "5%");
        assert_eq!(share(0.0005, 5), "0.05%");
        assert_eq!(share(0.25, 1), "25% (weight 1)");
        assert_eq!(share(0.0, 0), "0%");
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        assert_eq!(
            clean("a\u{1b}[31mb\n\u{202E}c"),
            "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}c"
        );
    }
}
