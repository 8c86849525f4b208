//! Reader of the page of the recorder: rare events as samples, for exporters.
//!
//! The recorder of `metrics-exporter-prometheus` gives its values as a page only. Its names and labels are words of ours,
//! and a page has a few hundred lines, so reading it back every few seconds costs nothing.

use super::{
    names::{self, Kind, Metric, bounds_of},
    sample::{Buckets, Sink, Value},
};

/// Line of a page: a name, with the suffix of a histogram perhaps, labels and a value.
struct Line<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: &'a str,
}

/// Histogram whose lines are being read.
#[derive(Default)]
struct Collected {
    counts: Vec<u64>,
    sum: f64,
}

/// Gives a sink all samples of a page. Lines with a name or a value that is none of ours are left out.
pub(super) fn read(page: &str, sink: &mut dyn Sink) {
    let mut collected = Collected::default();
    for text in page.lines() {
        if let Some(head) = text.strip_prefix("# TYPE ") {
            let name = head.split(' ').next();
            if let Some(metric) = name.and_then(find) {
                sink.head(metric);
            }
        } else if let Some(line) = Line::read(text) {
            pass(&line, &mut collected, sink);
        }
    }
}

fn pass(line: &Line<'_>, collected: &mut Collected, sink: &mut dyn Sink) {
    match find(line.name) {
        Some(metric) => {
            if let Some(value) = value_of(metric, line.value) {
                sink.value(metric, &line.labels(), value);
            }
        }
        None => pass_histogram(line, collected, sink),
    }
}

/// Collects the lines of a histogram; its count, the last of them, gives it to the sink.
fn pass_histogram(line: &Line<'_>, collected: &mut Collected, sink: &mut dyn Sink) {
    let Some((name, part)) = line.name.rsplit_once('_') else {
        return;
    };
    match (find(name), part) {
        (Some(_), "bucket") => collected.counts.extend(line.value.parse::<u64>()),
        (Some(_), "sum") => collected.sum = line.value.parse().unwrap_or_default(),
        (Some(metric), "count") => {
            let whole = std::mem::take(collected);
            let counts = whole.single_counts();
            let buckets = Buckets {
                bounds: bounds_of(metric.0),
                counts: &counts,
                sum: whole.sum,
            };
            sink.histogram(metric, &line.labels(), &buckets);
        }
        _ => {}
    }
}

fn value_of((_, kind, _): Metric, text: &str) -> Option<Value> {
    match kind {
        Kind::Counter => text.parse().ok().map(Value::Count),
        Kind::Gauge | Kind::Histogram => text.parse().ok().map(Value::Real),
    }
}

fn find(name: &str) -> Option<Metric> {
    names::ALL.iter().find(|metric| metric.0 == name).copied()
}

impl<'a> Line<'a> {
    /// The parts of a line; none of a comment or an empty one.
    fn read(text: &'a str) -> Option<Self> {
        let (series, value) = text.rsplit_once(' ').filter(|_| !text.starts_with('#'))?;
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, labels_in(rest.strip_suffix('}')?)?),
            None => (series, Vec::new()),
        };
        Some(Self {
            name,
            labels,
            value,
        })
    }

    fn labels(&self) -> Vec<(&str, &str)> {
        let labels = self.labels.iter().filter(|(name, _)| *name != "le");
        labels
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// Names and values of labels, such as `a="b",c="d"`.
fn labels_in(mut text: &str) -> Option<Vec<(&str, String)>> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        found.push((name, value));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(found)
}

/// A value up to its closing quote, without the escapes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

impl Collected {
    /// The number of values in each bucket; a page has those at or below each bound.
    fn single_counts(&self) -> Vec<u64> {
        let before = std::iter::once(&0).chain(&self.counts);
        let pairs = self.counts.iter().zip(before);
        pairs
            .map(|(count, before)| count.saturating_sub(*before))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{metrics::recorder, text::Text};

    /// The lines of a page that are no comments, sorted.
    fn samples(page: &str) -> Vec<String> {
        let lines = page
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn all_samples_of_the_page_are_read_back() {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            for reason in ["no_route", "no_route", "a \"b\\c\"\n{x} 7"] {
                metrics::counter!(names::REJECTED.0, "reason" => reason).increment(1);
            }
            metrics::gauge!(names::DRIFT.0).set(0.5);
            for kind in ["a", "b"] {
                let swap = metrics::histogram!(names::SWAP_SECONDS.0, "kind" => kind);
                for seconds in [0.001, 0.002, 9.0] {
                    swap.record(seconds);
                }
            }
            metrics::histogram!(names::REQUEST_SECONDS.0).record(0.2);
        });
        let page = recorder.handle().render();
        let mut text = Text::default();
        read(&page, &mut text);
        let read = text.finish();
        assert_eq!(samples(&read), samples(&page));
        let lines = |name: &str| bounds_of(name).len() + 3;
        let histograms = 2 * lines(names::SWAP_SECONDS.0) + lines(names::REQUEST_SECONDS.0);
        assert_eq!(samples(&page).len(), 3 + histograms);
        assert_eq!(read.matches("# TYPE").count(), 4);
    }

    #[test]
    fn what_is_no_sample_of_ours_is_left_out() {
        let mut text = Text::default();
        let page = "# TYPE other counter\nother 1\nswitchback_drift x\nswitchback_drift{a=\"b 1\nswitchback_drift\n\n";
        read(page, &mut text);
        assert_eq!(text.finish(), "");
    }
}
