//! Metrics of the watches of Services in a cluster.

use super::metric::{Kind, Metric};

/// Failures of the watch of each Service.
pub const SERVICE_WATCH_FAILURES: Metric = (
    "switchback_service_watch_failures_total",
    Kind::Counter,
    "Failures of the watch of a Service in the cluster",
);
/// State of the watch of each Service.
pub const SERVICE_WATCH_UP: Metric = (
    "switchback_service_watch_up",
    Kind::Gauge,
    "1 while a Service in the cluster is watched; 0 while its endpoints are those of an earlier answer",
);
