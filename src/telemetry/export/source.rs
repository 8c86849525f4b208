//! Source of an exporter: metrics, notices and readiness.

use std::fmt;

use super::notice::Notice;
use crate::telemetry::metrics::Metrics;

/// All that an exporter reads. Its functions are called on a thread that may block.
pub struct ExportSource {
    /// All metrics.
    pub metrics: Metrics,
    /// The notices since the last call.
    pub notices: Box<dyn FnMut() -> Vec<Notice> + Send>,
    /// True if traffic should be sent here.
    pub is_ready: Box<dyn Fn() -> bool + Send>,
}

impl fmt::Debug for ExportSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportSource").finish_non_exhaustive()
    }
}
