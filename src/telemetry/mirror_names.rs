//! Metrics of mirrored requests.

use super::metric::{Kind, Metric};

/// Requests that were chosen to be mirrored, by what became of them.
pub const MIRROR_REQUESTS: Metric = (
    "switchback_mirror_requests_total",
    Kind::Counter,
    "Requests chosen to be mirrored to a release: mirrored, or the reason why not",
);
/// Copies that are over, by what they brought.
pub const MIRROR_ANSWERS: Metric = (
    "switchback_mirror_answers_total",
    Kind::Counter,
    "Copies that are over: agreed or disagreed with the original's class of status, or the reason of a failure",
);
/// Comparisons of answers in JSON.
pub const MIRROR_JSON: Metric = (
    "switchback_mirror_json_answers_total",
    Kind::Counter,
    "Answers to copies that hold the same JSON as the original's or not, or the reason why they were not compared",
);
/// Durations of both sides.
pub const MIRROR_SECONDS: Metric = (
    "switchback_mirror_duration_seconds",
    Kind::Histogram,
    "Duration of copies that were answered, and of their originals",
);
/// Lengths of the answers of both sides.
pub const MIRROR_BYTES: Metric = (
    "switchback_mirror_body_bytes_total",
    Kind::Counter,
    "Body bytes of the answers to copies, and of those to their originals",
);
/// Copies that are not over.
pub const MIRROR_PENDING: Metric = (
    "switchback_mirror_pending",
    Kind::Gauge,
    "Copies that wait or are under way",
);
