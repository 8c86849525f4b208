//! Exporters: they send what the page for Prometheus shows to other monitoring tools.
//!
//! Each is a task of its own in the control plane. It reads a snapshot of all metrics on a thread that may block and
//! sends it without holding anything; what its tool does not take in time is dropped and counted.
//!
//! - `datadog`: under it `dogstatsd` (the format) with `payloads`, and `datagrams` (the sockets)
//! - `cloudwatch`: under it `emf` (the format) and `writer` (the thread that writes)
//! - `opentelemetry`: under it `otlp_metrics`, `otlp_spans`, `otlp_logs` and `otlp` (the format), `series`, and `collector` with its `outbox`
//! - under them: `deltas`, `durations`, and the `source` with its `notice`s

mod cloudwatch;
mod collector;
mod datadog;
mod datagrams;
mod deltas;
mod dogstatsd;
mod durations;
mod emf;
mod notice;
mod opentelemetry;
mod otlp;
mod otlp_logs;
mod otlp_metrics;
mod otlp_spans;
mod outbox;
mod payloads;
mod series;
mod source;
mod writer;

pub use self::{
    cloudwatch::{CloudwatchSettings, run_cloudwatch},
    collector::Collector,
    datadog::{DatadogSettings, run_datadog},
    datagrams::DatagramTarget,
    notice::{Notice, NoticeKind, NoticeLevel},
    opentelemetry::{
        OpentelemetrySettings, run_opentelemetry, run_opentelemetry_events,
        run_opentelemetry_traces,
    },
    series::Temporality,
    source::ExportSource,
    writer::LineTarget,
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{dogstatsd, emf};
    use crate::telemetry::names::{self, Kind, Metric};

    const GRAFANA: &str = include_str!("../../../docker/grafana/dashboards/switchback.json");
    const DATADOG: [&str; 2] = [
        include_str!("../../../docker/datadog/dashboard.json"),
        include_str!("../../../docker/datadog/monitors.json"),
    ];
    const CLOUDWATCH: &str = include_str!("../../../docker/cloudwatch/dashboard.json");

    /// Words of a text with this beginning.
    fn words<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let words = text.split(|c| !is_part(c));
        words.filter(|word| word.starts_with(start)).collect()
    }

    /// The names of all metrics, with those of the parts of histograms.
    fn known(name: fn(Metric) -> String, parts: &[&str]) -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        for metric in names::ALL {
            known.insert(name(*metric));
            if metric.1 == Kind::Histogram {
                known.extend(parts.iter().map(|part| name(*metric) + part));
            }
        }
        known
    }

    fn none_is_unknown(named: &BTreeSet<&str>, known: &BTreeSet<String>) {
        assert!(named.len() > 8, "{named:?}");
        let unknown: Vec<_> = named
            .iter()
            .filter(|name| !known.contains(**name))
            .collect();
        assert!(unknown.is_empty(), "there is no {unknown:?}");
    }

    #[test]
    fn the_dashboard_of_grafana_names_metrics_that_exist() {
        let board: Value = serde_json::from_str(GRAFANA).unwrap();
        let ids: Vec<_> = board["panels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["id"])
            .collect();
        let unique: BTreeSet<_> = ids.iter().map(|id| id.as_u64()).collect();
        assert_eq!(unique.len(), ids.len());
        let known = known(|metric| metric.0.to_owned(), &["_bucket", "_sum", "_count"]);
        none_is_unknown(&words(GRAFANA, concat!("switchback", '_')), &known);
    }

    #[test]
    fn the_dashboard_and_the_monitors_of_datadog_name_metrics_that_exist() {
        let mut known = known(dogstatsd::metric_name, &[".count", ".sum"]);
        known.insert("switchback.ready".to_owned());
        let mut named = BTreeSet::new();
        for text in DATADOG {
            serde_json::from_str::<Value>(text).unwrap();
            named.extend(words(text, "switchback."));
        }
        none_is_unknown(&named, &known);
    }

    #[test]
    fn the_dashboard_of_cloudwatch_names_metrics_that_exist() {
        let board: Value = serde_json::from_str(CLOUDWATCH).unwrap();
        let mut named = BTreeSet::new();
        for widget in board["widgets"].as_array().unwrap() {
            for metric in widget["properties"]["metrics"].as_array().unwrap() {
                let searched = metric[0]["expression"].as_str();
                let searched = searched.and_then(|text| text.split('"').nth(1));
                named.extend(searched.or_else(|| metric[1].as_str()));
            }
        }
        let mut known = known(emf::metric_name, &[]);
        known.extend(["ClientErrors", "Failures", "FailureShare"].map(str::to_owned));
        none_is_unknown(&named, &known);
    }
}
