//! All metrics: those of the data plane, read at the time of a scrape, and those of rare events.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{names, recorder::Recorder, sample::Sink, text::Text, traffic};
use crate::{fleet::Fleet, table::LiveTable};

/// Recorder of the process: there can be only one, created by the first caller.
static RECORDER: OnceLock<Arc<Recorder>> = OnceLock::new();

/// All metrics of a process.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<Recorder>,
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
        let recorder = Arc::clone(RECORDER.get_or_init(install));
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
        let mut text = Text::default();
        self.write(&mut text);
        text.finish()
    }

    /// Gives a sink all metrics. With many routes it takes milliseconds: call it on a thread that may block.
    pub(super) fn write(&self, sink: &mut dyn Sink) {
        (self.refresh)();
        traffic::write(sink, &self.table, &self.fleet);
        self.recorder.write(sink);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn install() -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::default());
    if metrics::set_global_recorder(Arc::clone(&recorder)).is_err() {
        tracing::warn!(
            "another metrics recorder is already installed: rare events will be missing from /metrics"
        );
    }
    recorder
}
