//! Lines of `DogStatsD`, the protocol of Datadog's agent: one value a line, of the types `c`, `g` and `d`, without sample
//! rates. Not every receiver understands more.

use std::fmt::{Display, Write as _};

use super::notice::Notice;
use crate::telemetry::{metric::Metric, names, sample::Labels};

/// Longest tag in characters; Datadog cuts longer ones.
const LONGEST_TAG: usize = 200;
/// Longest title and text of an event in characters, so that it fits into the smallest datagram.
const LONGEST_TITLE: usize = 100;
const LONGEST_TEXT: usize = 500;

/// Name of a metric in Datadog: `switchback_requests_total` is `switchback.requests`.
pub(super) fn metric_name((name, _, _): Metric) -> String {
    let name = name.strip_suffix("_total").unwrap_or(name);
    name.replacen('_', ".", 1)
}

/// Name of a tag for a label. `version` is the unified tag of the service itself.
fn tag_name(metric: Metric, label: &str) -> &str {
    match label {
        "version" if metric == names::BUILD_INFO => "build_version",
        "version" => "release_version",
        label => label,
    }
}

/// Tags of a sample, joined by commas: those of the process, and its labels.
pub(super) fn tags(common: &str, metric: Metric, labels: Labels<'_>) -> String {
    let mut tags = common.to_owned();
    for (label, value) in labels {
        push_tag(&mut tags, tag_name(metric, label), value);
    }
    tags
}

/// Adds a tag; one without a value is left out.
pub(super) fn push_tag(tags: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    if !tags.is_empty() {
        tags.push(',');
    }
    let rest = LONGEST_TAG.saturating_sub(name.chars().count() + 1);
    tags.push_str(name);
    tags.push(':');
    tags.extend(value.chars().take(rest).map(tag_character));
}

/// A character in a tag: what Datadog does not take, and all that has a meaning in the protocol, is a `_`.
fn tag_character(c: char) -> char {
    let is_kept = c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.' | '/');
    if is_kept { c } else { '_' }
}

/// A line of a metric. `kind` is `c`, `g` or `d`.
pub(super) fn metric_line(name: &str, value: impl Display, kind: char, tags: &str) -> String {
    let mut line = format!("{name}:{value}|{kind}");
    push_tags(&mut line, tags);
    line
}

/// A line of an event.
pub(super) fn event_line(notice: &Notice, common: &str) -> String {
    let (title, text) = (
        event_text(&notice.title, LONGEST_TITLE),
        event_text(&notice.text, LONGEST_TEXT),
    );
    let mut tags = common.to_owned();
    for (label, value) in &notice.labels {
        push_tag(&mut tags, label, value);
    }
    let mut line = format!(
        "_e{{{},{}}}:{title}|{text}|d:{}|t:{}|s:switchback",
        title.len(),
        text.len(),
        notice.at_ms / 1000,
        notice.level.as_str(),
    );
    push_tags(&mut line, &tags);
    line
}

/// A line of the service check for readiness.
pub(super) fn readiness_line(is_ready: bool, common: &str) -> String {
    let mut line = format!("_sc|switchback.ready|{}", if is_ready { 0 } else { 2 });
    push_tags(&mut line, common);
    line
}

fn push_tags(line: &mut String, tags: &str) {
    if !tags.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(line, "|#{tags}");
    }
}

/// Text of an event: newlines are escaped, other control characters are spaces.
fn event_text(text: &str, longest: usize) -> String {
    let mut escaped = String::new();
    for c in text.chars().take(longest) {
        match c {
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::export::notice::{NoticeKind, NoticeLevel};

    #[test]
    fn names_have_the_prefix_of_a_namespace_and_no_suffix_of_a_type() {
        assert_eq!(metric_name(names::REQUESTS), "switchback.requests");
        assert_eq!(
            metric_name(names::REQUEST_SECONDS),
            "switchback.request_duration_seconds"
        );
        let names: Vec<_> = names::ALL
            .iter()
            .map(|metric| metric_name(*metric))
            .collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "two metrics have one name");
    }

    #[test]
    fn the_version_of_a_release_is_not_that_of_the_service() {
        let labels = [("release", "blue"), ("version", "1.2")];
        assert_eq!(
            tags("service:proxy,version:7", names::REQUESTS, &labels),
            "service:proxy,version:7,release:blue,release_version:1.2"
        );
        assert_eq!(
            tags("", names::BUILD_INFO, &[("version", "0.1.0")]),
            "build_version:0.1.0"
        );
    }

    #[test]
    fn nothing_in_a_tag_ends_it_or_its_line() {
        let labels = [("release", "a|b,c#d\ne f@é"), ("reason", "")];
        let tags = tags("", names::REQUESTS, &labels);
        assert_eq!(tags, "release:a_b_c_d_e_f_é");
        let long = "x".repeat(500);
        let tags = super::tags("", names::REQUESTS, &[("release", &long)]);
        assert_eq!(tags.len(), 200);
    }

    #[test]
    fn a_line_has_one_value_and_its_tags_if_there_are_any() {
        assert_eq!(metric_line("a.b", 3, 'c', "x:y"), "a.b:3|c|#x:y");
        assert_eq!(metric_line("a.b", 0.5, 'd', ""), "a.b:0.5|d");
    }

    #[test]
    fn an_event_counts_the_bytes_of_its_escaped_text() {
        let notice = Notice {
            kind: NoticeKind::Revision,
            title: "rollback\tto é".to_owned(),
            text: "one\ntwo|x".to_owned(),
            at_ms: 1_700_000_000_999,
            level: NoticeLevel::Warning,
            labels: vec![("revision", "7".to_owned())],
        };
        assert_eq!(
            event_line(&notice, "env:prod"),
            "_e{14,10}:rollback to é|one\\ntwo|x|d:1700000000|t:warning|s:switchback|#env:prod,revision:7"
        );
        let long = Notice {
            title: "t".repeat(200),
            text: "é\n".repeat(2000),
            ..notice
        };
        assert!(event_line(&long, "").len() < 1432);
    }

    #[test]
    fn readiness_is_a_service_check() {
        assert_eq!(readiness_line(true, ""), "_sc|switchback.ready|0");
        assert_eq!(
            readiness_line(false, "env:a"),
            "_sc|switchback.ready|2|#env:a"
        );
    }
}
