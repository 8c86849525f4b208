//! Writer of the text exposition format of Prometheus, version 0.0.4, with the exporter's own formatting functions.

use std::fmt::Display;

use metrics_exporter_prometheus::formatting::{
    sanitize_description, sanitize_label_value, write_help_line, write_type_line,
};

use super::names::Metric;
use crate::stats::HistogramSnapshot;

/// Text buffer.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Writes the help and type of a metric.
    pub(super) fn head(&mut self, (name, kind, help): Metric) {
        write_help_line(&mut self.0, name, None, None, &sanitize_description(help));
        write_type_line(&mut self.0, name, None, None, kind.as_str());
    }

    /// Writes a sample of a counter or gauge.
    pub(super) fn sample(
        &mut self,
        (name, _, _): Metric,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        self.line(name, "", labels, None, value);
    }

    /// Writes all samples of a histogram.
    pub(super) fn histogram(
        &mut self,
        (name, _, _): Metric,
        labels: &[(&str, &str)],
        histogram: &HistogramSnapshot,
    ) {
        for (bound, count) in histogram.cumulative() {
            let bound = if bound.is_finite() {
                bound.to_string()
            } else {
                "+Inf".to_owned()
            };
            self.line(name, "_bucket", labels, Some(&bound), count);
        }
        self.line(name, "_sum", labels, None, histogram.sum_seconds());
        self.line(name, "_count", labels, None, histogram.count());
    }

    fn line(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(&str, &str)],
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
            self.0.push_str(&sanitize_label_value(value));
            self.0.push('"');
        }
        if !labels.is_empty() || bound.is_some() {
            self.0.push('}');
        }
        self.0.push(' ');
        self.0.push_str(&value.to_string());
        self.0.push('\n');
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
        text.sample(
            names::SPLIT_WEIGHT,
            &[("route", "chat"), ("release", "bl\"ue")],
            95,
        );
        let lines = text.finish();
        assert!(
            lines.contains("# TYPE switchback_split_weight gauge\n"),
            "{lines}"
        );
        assert!(
            lines.ends_with("switchback_split_weight{route=\"chat\",release=\"bl\\\"ue\"} 95\n"),
            "{lines}"
        );
    }
}
