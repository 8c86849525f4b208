//! Events in Amazon's Embedded Metric Format: JSON objects that `CloudWatch` reads metrics from.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::durations::NewValues;
use crate::telemetry::{
    metric::{Kind, Metric},
    names,
};

/// Most metrics of a directive.
const MOST_METRICS: usize = 100;
/// Values for each bucket of a histogram; with all buckets there are less than the 100 that an array may have.
const VALUES_OF_BUCKET: u64 = 5;

/// Subject of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Route, if it is about one.
    pub(super) route: Option<String>,
    /// Release, if it is about one.
    pub(super) release: Option<String>,
}

/// Metrics of one subject. Labels that are no dimensions are summed over.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Increases of counters, by name.
    pub(super) counts: BTreeMap<String, u64>,
    /// Values of gauges, by name.
    pub(super) gauges: BTreeMap<String, f64>,
    /// New values of histograms, by name.
    pub(super) durations: BTreeMap<String, NewValues>,
}

/// A metric of an event: name, unit and value.
type Member = (String, &'static str, Json);

/// Parts that all events have in common.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Namespace of the metrics.
    pub(super) namespace: String,
    /// Value of the dimension `Service`.
    pub(super) service: String,
}

/// Name of a metric: `switchback_requests_total` is `Requests`.
pub(super) fn metric_name((name, _, _): Metric) -> String {
    let name = name.split_once('_').map_or(name, |(_, rest)| rest);
    let name = name.strip_suffix("_total").unwrap_or(name);
    let name = name.strip_suffix("_seconds").unwrap_or(name);
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(word).collect()
}

/// Name of the count of requests with an outcome that is of interest alone.
pub(super) fn outcome_name(metric: Metric, outcome: &str) -> Option<&'static str> {
    match outcome {
        _ if metric != names::REQUESTS => None,
        "failure" => Some("Failures"),
        "client_error" => Some("ClientErrors"),
        _ => None,
    }
}

/// Units of the metrics that are not counts.
fn unit_of(name: &str) -> &'static str {
    let is_it = |metric: &&Metric| metric_name(**metric) == name;
    match names::ALL.iter().find(is_it) {
        Some((name, kind, _)) if name.ends_with("_bytes_total") => {
            debug_assert_eq!(*kind, Kind::Counter);
            "Bytes"
        }
        Some((name, _, _)) if name.ends_with("_seconds") => "Seconds",
        Some((_, Kind::Counter, _)) => "Count",
        _ => "None",
    }
}

impl Frame {
    /// The events of a subject, each a line; none if it has no metrics.
    pub(super) fn events(&self, subject: &Subject, metrics: &Metrics, now_ms: u64) -> Vec<String> {
        let mut summed: Vec<Member> = Vec::new();
        for (name, count) in &metrics.counts {
            let unit = match name.as_str() {
                "Failures" | "ClientErrors" => "Count",
                name => unit_of(name),
            };
            summed.push((name.clone(), unit, json!(count)));
        }
        for (name, values) in &metrics.durations {
            summed.push((name.clone(), "Seconds", histogram(values)));
        }
        let mut own = Vec::new();
        for (name, value) in metrics.gauges.iter().filter(|(_, value)| value.is_finite()) {
            own.push((name.clone(), unit_of(name), json!(value)));
        }
        if let Some(share) = failure_share(metrics) {
            own.push(("FailureShare".to_owned(), "Percent", json!(share)));
        }
        let with_sum = dimensions(subject, true);
        let alone = dimensions(subject, false);
        let summed = summed.chunks(MOST_METRICS).map(|some| (some, &with_sum));
        let own = own.chunks(MOST_METRICS).map(|some| (some, &alone));
        summed
            .chain(own)
            .map(|(some, dimensions)| self.event(subject, some, dimensions, now_ms))
            .collect()
    }

    fn event(
        &self,
        subject: &Subject,
        members: &[Member],
        dimensions: &Json,
        now_ms: u64,
    ) -> String {
        let defined: Vec<_> = members
            .iter()
            .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
            .collect();
        let mut event = Map::new();
        event.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now_ms,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": dimensions,
                    "Metrics": defined,
                }],
            }),
        );
        event.insert("Service".to_owned(), json!(self.service));
        for (name, value) in [("Route", &subject.route), ("Release", &subject.release)] {
            if let Some(value) = value {
                event.insert(name.to_owned(), json!(value));
            }
        }
        for (name, _, value) in members {
            event.insert(name.clone(), value.clone());
        }
        Json::Object(event).to_string()
    }
}

/// The dimension sets of a subject: its own, and that of the service if the metrics can be summed.
fn dimensions(subject: &Subject, has_sum: bool) -> Json {
    let mut own = vec!["Service"];
    own.extend(subject.route.as_ref().map(|_| "Route"));
    own.extend(subject.release.as_ref().map(|_| "Release"));
    if has_sum && own.len() > 1 {
        return json!([own, ["Service"]]);
    }
    json!([own])
}

/// Percents of the requests that have failed; none without requests.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than 53 bits"
)]
fn failure_share(metrics: &Metrics) -> Option<f64> {
    let requests = *metrics.counts.get("Requests").filter(|count| **count > 0)?;
    let failures = metrics.counts.get("Failures").copied().unwrap_or(0);
    Some(100.0 * failures as f64 / requests as f64)
}

/// Values with their counts. A bucket is shown by up to five values, spread evenly.
fn histogram(all: &NewValues) -> Json {
    let (mut values, mut counts) = (Vec::new(), Vec::new());
    for bucket in 0..all.counts.len() {
        let of_bucket = all.only(bucket);
        let count = of_bucket.count();
        let many = count.min(VALUES_OF_BUCKET);
        for (place, value) in (0..many).zip(of_bucket.spread(many)) {
            values.push(value);
            counts.push(count / many + u64::from(place < count % many));
        }
    }
    json!({
        "Min": values.first(),
        "Max": values.last(),
        "Count": all.count(),
        "Sum": all.sum,
        "Values": values,
        "Counts": counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            namespace: "switchback".to_owned(),
            service: "proxy".to_owned(),
        }
    }

    fn subject(route: &str, release: &str) -> Subject {
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Subject {
            route: name(route),
            release: name(release),
        }
    }

    #[test]
    fn no_metric_is_named_like_a_dimension_or_another_metric() {
        let mut names: Vec<_> = names::ALL
            .iter()
            .map(|metric| metric_name(*metric))
            .collect();
        names.extend(["Failures", "ClientErrors", "FailureShare"].map(str::to_owned));
        assert!(
            names.len() <= MOST_METRICS,
            "one event holds all of a subject"
        );
        names.extend(["Service", "Route", "Release", "_aws"].map(str::to_owned));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(metric_name(names::REQUEST_SECONDS), "RequestDuration");
    }

    #[test]
    fn an_event_has_its_dimensions_as_members_and_sums_for_the_service() {
        let metrics = Metrics {
            counts: [("Requests".to_owned(), 40), ("Failures".to_owned(), 10)].into(),
            gauges: [
                ("SplitWeight".to_owned(), 5.0),
                ("Drift".to_owned(), f64::NAN),
            ]
            .into(),
            ..Metrics::default()
        };
        let events = frame().events(&subject("chat", "blue"), &metrics, 7);
        let [sums, own]: [Json; 2] = events
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let directive = &sums["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            directive["Dimensions"],
            json!([["Service", "Route", "Release"], ["Service"]])
        );
        assert_eq!(sums["_aws"]["Timestamp"], 7);
        assert_eq!(
            (&sums["Route"], &sums["Requests"]),
            (&json!("chat"), &json!(40))
        );
        assert_eq!(
            own["_aws"]["CloudWatchMetrics"][0],
            json!({
                "Namespace": "switchback",
                "Dimensions": [["Service", "Route", "Release"]],
                "Metrics": [
                    { "Name": "SplitWeight", "Unit": "None" },
                    { "Name": "FailureShare", "Unit": "Percent" },
                ],
            })
        );
        assert_eq!(own["FailureShare"], 25.0);
        assert!(
            frame()
                .events(&subject("", ""), &Metrics::default(), 7)
                .is_empty()
        );
    }

    #[test]
    fn a_histogram_keeps_its_count_and_has_at_most_a_hundred_values() {
        let bounds = &crate::stats::BOUNDS_SECONDS;
        let counts: Vec<u64> = (0..=bounds.len() as u64).map(|n| n * 7).collect();
        let all = NewValues {
            bounds,
            counts,
            sum: 3.5,
        };
        let shown = histogram(&all);
        let values = shown["Values"].as_array().unwrap();
        assert!(values.len() <= 100);
        let counts = shown["Counts"].as_array().unwrap();
        let sum: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!((sum, counts.len()), (all.count(), values.len()));
        assert_eq!((&shown["Sum"], &shown["Count"]), (&json!(3.5), &json!(sum)));
        assert_eq!(shown["Max"], 600.0);
    }

    #[test]
    fn units_are_those_of_the_metric() {
        for (metric, unit) in [
            (names::REQUESTS, "Count"),
            (names::REQUEST_BYTES, "Bytes"),
            (names::REQUEST_SECONDS, "Seconds"),
            (names::LIVE_REVISION, "None"),
        ] {
            assert_eq!(unit_of(&metric_name(metric)), unit, "{}", metric.0);
        }
    }
}
