//! Recorder of rare events, and the page for Prometheus.

use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{
    names::{self, Kind},
    text::Text,
    traffic,
};
use crate::{fleet::Fleet, stats::BOUNDS_SECONDS, table::LiveTable};

/// Bounds for durations of micro- to milliseconds: swaps and convergence.
const SHORT_SECONDS: [f64; 12] = [
    0.000_001, 0.000_005, 0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5,
];

/// Recorder of the process: there can be only one, created by the first caller.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Renders all metrics at the time of a scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: PrometheusHandle,
    table: Arc<LiveTable>,
    fleet: Arc<Fleet>,
}

impl Metrics {
    /// Metrics of a table and a fleet, with the process's recorder.
    pub fn new(table: Arc<LiveTable>, fleet: Arc<Fleet>) -> Self {
        let recorder = RECORDER.get_or_init(install).clone();
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        metrics::gauge!(names::BUILD_INFO.0, &labels).set(1.0);
        Self {
            recorder,
            table,
            fleet,
        }
    }

    /// Metrics in the text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = Text::default();
        traffic::write(&mut text, &self.table, &self.fleet);
        let mut page = text.finish();
        page.push_str(&self.recorder.render());
        page
    }

    /// Drains the buffers of the recorder, so that memory stays flat without scrapes. Call it every few seconds.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

fn install() -> PrometheusHandle {
    let mut builder = PrometheusBuilder::new();
    for (name, _, _) in names::ALL
        .iter()
        .filter(|(_, kind, _)| *kind == Kind::Histogram)
    {
        let bounds = if names::SHORT.contains(name) {
            &SHORT_SECONDS[..]
        } else {
            &BOUNDS_SECONDS[..]
        };
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)
            .expect("the lists of bounds are not empty");
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!(
            "another metrics recorder is already installed: rare events will be missing from /metrics"
        );
    }
    for (name, kind, help) in names::ALL {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
    handle
}
