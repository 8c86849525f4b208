//! Metrics of endpoints.

use super::metric::{Kind, Metric};

/// Health of each endpoint.
pub const ENDPOINT_HEALTHY: Metric = (
    "switchback_endpoint_healthy",
    Kind::Gauge,
    "Health of an endpoint by active checks: 1 usable, 0 unhealthy; 1 without checks",
);
/// Open connections to each endpoint.
pub const ENDPOINT_CONNECTIONS: Metric = (
    "switchback_endpoint_connections",
    Kind::Gauge,
    "Open connections to an endpoint, idle ones included",
);
/// Ejection of each endpoint.
pub const ENDPOINT_EJECTED: Metric = (
    "switchback_endpoint_ejected",
    Kind::Gauge,
    "1 while an endpoint is ejected or probed after an ejection",
);
/// Ejections of each endpoint.
pub const ENDPOINT_EJECTIONS: Metric = (
    "switchback_endpoint_ejections_total",
    Kind::Counter,
    "Ejections of an endpoint by reason",
);
/// Pauses that each endpoint asked for.
pub const ENDPOINT_RETRY_AFTER: Metric = (
    "switchback_endpoint_retry_after_total",
    Kind::Counter,
    "Responses 429 or 503 with a Retry-After that was honoured",
);
/// Requests in flight on each endpoint.
pub const ENDPOINT_IN_FLIGHT: Metric = (
    "switchback_endpoint_requests_in_flight",
    Kind::Gauge,
    "Requests in flight on an endpoint, streams and tunnels included",
);
