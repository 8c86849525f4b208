//! Writer of the text exposition format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

use super::{
    names::Metric,
    sample::{Buckets, Labels, Sink, Value},
};

/// Text buffer.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(
        &mut self,
        name: &str,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        for (place, (key, value)) in labels.iter().copied().chain(bound).enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            self.0.push_str(key);
            self.0.push_str("=\"");
            self.escaped(value, &['\\', '"', '\n']);
            self.0.push('"');
        }
        if !labels.is_empty() || bound.is_some() {
            self.0.push('}');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, " {value}");
    }

    /// Writes a text, with these characters escaped.
    fn escaped(&mut self, text: &str, special: &[char]) {
        for c in text.chars() {
            if special.contains(&c) {
                self.0.push('\\');
            }
            self.0.push(if c == '\n' { 'n' } else { c });
        }
    }
}

impl Sink for Text {
    fn head(&mut self, (name, kind, help): Metric) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} ");
        self.escaped(help, &['\\', '\n']);
        let _ = writeln!(self.0, "\n# TYPE {name} {}", kind.as_str());
    }

    fn value(&mut self, (name, _, _): Metric, labels: Labels<'_>, value: Value) {
        self.line(name, "", labels, None, value);
    }

    fn histogram(&mut self, (name, _, _): Metric, labels: Labels<'_>, buckets: &Buckets<'_>) {
        for (bound, count) in buckets.cumulative() {
            let bound = if bound.is_finite() {
                bound.to_string()
            } else {
                "+Inf".to_owned()
            };
            self.line(name, "_bucket", labels, Some(&bound), count);
        }
        self.line(name, "_sum", labels, None, buckets.sum);
        self.line(name, "_count", labels, None, buckets.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names;

    #[test]
    fn a_sample_is_one_line_with_its_labels() {
        let mut text = Text::default();
        text.head(names::SPLIT_WEIGHT);
        let labels = [("route", "a\\b\nc"), ("release", "bl\"ue")];
        text.value(names::SPLIT_WEIGHT, &labels, Value::Count(95));
        let lines = text.finish();
        assert!(
            lines.contains("# TYPE switchback_split_weight gauge\n"),
            "{lines}"
        );
        assert!(
            lines.ends_with(
                "switchback_split_weight{route=\"a\\\\b\\nc\",release=\"bl\\\"ue\"} 95\n"
            ),
            "{lines}"
        );
    }
}
