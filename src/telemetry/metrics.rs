//! All metrics: those of the data plane, read at the time of a scrape, and those of rare events.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::{
    exposition,
    names::{self, Kind, bounds_of},
    sample::Sink,
    text::Text,
    traffic,
};
use crate::{fleet::Fleet, table::LiveTable};

/// Recorder of the process: there can be only one, created by the first caller.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// All metrics of a process.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    table: Arc<LiveTable>,
    fleet: Arc<Fleet>,
    refresh: Arc<dyn Fn() + Send + Sync>,
}

impl Metrics {
    /// Metrics of a table and a fleet, with the process's recorder. `refresh` sets the gauges that are read at the time
    /// of a scrape only.
    pub fn new(
        table: Arc<LiveTable>,
        fleet: Arc<Fleet>,
        refresh: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let recorder = RECORDER.get_or_init(install).clone();
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        metrics::gauge!(names::BUILD_INFO.0, &labels).set(1.0);
        Self {
            recorder,
            table,
            fleet,
            refresh: Arc::new(refresh),
        }
    }

    /// Metrics in the text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        (self.refresh)();
        let mut text = Text::default();
        traffic::write(&mut text, &self.table, &self.fleet);
        let mut page = text.finish();
        page.push_str(&self.recorder.render());
        page
    }

    /// Gives a sink all metrics. With many routes it takes milliseconds: call it on a thread that may block.
    pub(super) fn write(&self, sink: &mut dyn Sink) {
        (self.refresh)();
        traffic::write(sink, &self.table, &self.fleet);
        exposition::read(&self.recorder.render(), sink);
    }

    /// Drains the buffers of the recorder, so that memory stays flat without scrapes. Call it every few seconds.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn install() -> PrometheusHandle {
    let recorder = recorder();
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

/// A recorder with the bounds of our histograms.
pub(super) fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    let histograms = names::ALL
        .iter()
        .filter(|(_, kind, _)| *kind == Kind::Histogram);
    for (name, _, _) in histograms {
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds_of(name))
            .expect("the lists of bounds are not empty");
    }
    builder.build_recorder()
}
