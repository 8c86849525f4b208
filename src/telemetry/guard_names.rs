//! Metrics of what requests of a route have to pass.

use super::metric::{Kind, Metric};

/// Requests that a guard of their route refused.
pub const ROUTE_REFUSALS: Metric = (
    "switchback_route_refusals_total",
    Kind::Counter,
    "Requests refused by the rate limit, the body limit, the guard, the origins or the pause of their route, by route and reason",
);
/// Requests that wait on a paused route.
pub const PAUSED_REQUESTS: Metric = (
    "switchback_paused_requests",
    Kind::Gauge,
    "Requests that wait on a paused route",
);
