//! All metrics: name, type, help. The table in the README is checked against this list.

pub use super::{
    acme_names::{ACME_EXPIRY, ACME_FAILURES, ACME_ORDERS},
    compression_names::{COMPRESSED_BYTES_IN, COMPRESSED_BYTES_OUT, COMPRESSORS_BUSY},
    endpoint_names::{
        ENDPOINT_CONNECTIONS, ENDPOINT_EJECTED, ENDPOINT_EJECTIONS, ENDPOINT_HEALTHY,
        ENDPOINT_IN_FLIGHT, ENDPOINT_RETRY_AFTER,
    },
    fleet_names::{
        FLEET_BLOCKED, FLEET_CONTACT, FLEET_DISPUTED, FLEET_FOLLOWING, FLEET_LEADER, FLEET_OFFERS,
        FLEET_REVISION,
    },
    guard_names::{PAUSED_REQUESTS, ROUTE_REFUSALS},
    history_names::{
        BACKUP_BYTES, BACKUP_FAILING, BACKUP_INTERVAL, BACKUP_TIMESTAMP, BACKUPS,
        HISTORY_DAMAGED_FILES, HISTORY_DURABLE_REVISION, HISTORY_ERRORS, HISTORY_PENDING,
    },
    metric::{Kind, Metric},
    mirror_names::{
        MIRROR_ANSWERS, MIRROR_BYTES, MIRROR_JSON, MIRROR_PENDING, MIRROR_REQUESTS, MIRROR_SECONDS,
    },
    release_names::{
        DRILL_PASSED, DRILL_TIMESTAMP, DRILLS_ENDED, FEEDBACK, FEEDBACK_REFUSED, FEEDBACK_SCORE,
        FLAG_FEEDBACK, FLAG_REQUEST_SECONDS, FLAG_REQUESTS, HOOK_CALLS, HOOKS_OWED, QUARANTINED,
        ROLLOUTS, ROLLOUTS_ENDED, VERIFICATIONS, VERIFICATIONS_RUNNING,
    },
    service_names::{SERVICE_WATCH_FAILURES, SERVICE_WATCH_UP},
};
use crate::stats::BOUNDS_SECONDS;

/// Always 1; its labels identify the build.
pub const BUILD_INFO: Metric = ("switchback_build_info", Kind::Gauge, "The running build");
/// Access-log lines that were dropped: their queue was full, or their target did not take them.
pub const ACCESS_LOG_DROPPED: Metric = (
    "switchback_access_log_dropped_total",
    Kind::Counter,
    "Access log lines dropped because the queue was full or their target did not take them",
);
/// Requests to the admin API that were not authorized, by reason.
pub const ADMIN_AUTH_FAILURES: Metric = (
    "switchback_admin_auth_failures_total",
    Kind::Counter,
    "Unauthorized requests to the admin API",
);
/// Agent cards on routes that rewrite them.
pub const AGENT_CARDS: Metric = (
    "switchback_agent_cards_total",
    Kind::Counter,
    "Agent cards on their way to clients, by result",
);
/// Open client connections by listener.
pub const CONNECTIONS: Metric = (
    "switchback_connections",
    Kind::Gauge,
    "Open connections of clients by listener",
);
/// Connections that were refused before their first request.
pub const CONNECTIONS_REFUSED: Metric = (
    "switchback_connections_refused_total",
    Kind::Counter,
    "Connections refused before a request, by listener and reason",
);
/// Values that exporters sent and dropped.
pub const EXPORTED: Metric = (
    "switchback_export_values_total",
    Kind::Counter,
    "Values handed to other monitoring tools, by exporter and result: sent or dropped",
);
/// Requests with a response from switchback, without a release.
pub const REJECTED: Metric = (
    "switchback_requests_rejected_total",
    Kind::Counter,
    "Requests answered by the proxy itself, by reason",
);
/// Attempts without a response.
pub const FAILED_ATTEMPTS: Metric = (
    "switchback_failed_attempts_total",
    Kind::Counter,
    "Attempts without a response of the endpoint, including retried ones, by reason",
);
/// Work in flight that the proxy ended.
pub const CUTS: Metric = (
    "switchback_cuts_total",
    Kind::Counter,
    "Requests, streams and tunnels ended because their release left the route or the process ends, by class and cause",
);
/// Sessions that were moved.
pub const MOVES: Metric = (
    "switchback_moves_total",
    Kind::Counter,
    "Sessions moved to another release because theirs left the route, by cause",
);
/// Decisions for a release by reason.
pub const DECISIONS: Metric = (
    "switchback_decisions_total",
    Kind::Counter,
    "Requests for which a release was decided on, by reason: split, pin, override or fallback",
);
/// Ids of agents that were forgotten.
pub const LEARNED_IDS_EVICTED: Metric = (
    "switchback_learned_ids_evicted_total",
    Kind::Counter,
    "Ids of tasks and contexts that were forgotten before their time because the table was full",
);
/// Requests that named their release themselves.
pub const OVERRIDE_REQUESTS: Metric = (
    "switchback_override_requests_total",
    Kind::Counter,
    "Requests that named their release themselves, by outcome; they are in no other count of the release",
);
/// Pinned requests on another endpoint.
pub const PINS_LOST: Metric = (
    "switchback_pins_lost_total",
    Kind::Counter,
    "Requests of pinned sessions that another endpoint of the release served",
);
/// Starts of MCP sessions that were forgotten because of the bound.
pub const MCP_SESSIONS_EVICTED: Metric = (
    "switchback_mcp_sessions_evicted_total",
    Kind::Counter,
    "Starts of MCP sessions that were forgotten to make room for new ones",
);
/// MCP sessions begun anew.
pub const MCP_SESSIONS_MOVED: Metric = (
    "switchback_mcp_sessions_moved_total",
    Kind::Counter,
    "MCP sessions begun anew on another endpoint for their clients, or not, by result",
);
/// Session ids that pinned nothing, by reason.
pub const PINS_REFUSED: Metric = (
    "switchback_pins_refused_total",
    Kind::Counter,
    "Session ids that were not sealed or not followed, by reason",
);
/// Body bytes from clients.
pub const REQUEST_BYTES: Metric = (
    "switchback_request_body_bytes_total",
    Kind::Counter,
    "Body bytes received from clients",
);
/// Duration of requests.
pub const REQUEST_SECONDS: Metric = (
    "switchback_request_duration_seconds",
    Kind::Histogram,
    "Time from the first byte of a request to the last byte of its response",
);
/// Requests by outcome.
pub const REQUESTS: Metric = (
    "switchback_requests_total",
    Kind::Counter,
    "Requests for which a release was decided on, by outcome",
);
/// Requests in flight by release.
pub const REQUESTS_IN_FLIGHT: Metric = (
    "switchback_requests_in_flight",
    Kind::Gauge,
    "Requests in flight on a release, streams and tunnels included",
);
/// Requests in flight that an earlier revision selected.
pub const REQUESTS_IN_FLIGHT_PREVIOUS: Metric = (
    "switchback_requests_in_flight_previous",
    Kind::Gauge,
    "Requests in flight on revisions before the live one",
);
/// Body bytes to clients.
pub const RESPONSE_BYTES: Metric = (
    "switchback_response_body_bytes_total",
    Kind::Counter,
    "Body bytes sent to clients",
);
/// Time to the first byte.
pub const FIRST_BYTE_SECONDS: Metric = (
    "switchback_response_first_byte_seconds",
    Kind::Histogram,
    "Time from the first byte of a request to the first byte of its response, or of its first event if it is a stream of events",
);
/// Events since the start.
pub const EVENTS: Metric = (
    "switchback_events_total",
    Kind::Counter,
    "Events that were published",
);
/// Events that clients were too slow for.
pub const EVENTS_LOST: Metric = (
    "switchback_events_lost_total",
    Kind::Counter,
    "Events that a client did not get because it was too slow",
);
/// Clients of the stream of events.
pub const EVENT_CLIENTS: Metric = (
    "switchback_event_clients",
    Kind::Gauge,
    "Clients that read events",
);
/// Routes and releases with key figures.
pub const KPI_SERIES: Metric = (
    "switchback_kpi_series",
    Kind::Gauge,
    "Routes and releases that have key figures",
);
/// Routes and releases without key figures.
pub const KPI_SERIES_LEFT_OUT: Metric = (
    "switchback_kpi_series_left_out",
    Kind::Gauge,
    "Routes and releases that have no key figures, since there are too many",
);
/// The live revision.
pub const LIVE_REVISION: Metric = (
    "switchback_live_revision",
    Kind::Gauge,
    "The number of the live revision",
);
/// Weight of each release in each split.
pub const SPLIT_WEIGHT: Metric = (
    "switchback_split_weight",
    Kind::Gauge,
    "The weight of a release in the split of a route",
);
/// Time until every worker used a revision.
pub const CONVERGENCE_SECONDS: Metric = (
    "switchback_convergence_seconds",
    Kind::Histogram,
    "Time from a swap until the last worker has applied it",
);
/// 1 if the live table differs from the imported file.
pub const DRIFT: Metric = (
    "switchback_drift",
    Kind::Gauge,
    "1 if the live table differs from the last imported file",
);
/// 1 if a rollback would work now.
pub const ROLLBACK_READY: Metric = (
    "switchback_rollback_ready",
    Kind::Gauge,
    "1 if a rollback is possible and its releases have a healthy endpoint",
);
/// Swaps by cause.
pub const SWAPS: Metric = (
    "switchback_swaps_total",
    Kind::Counter,
    "Tables that went live, by cause",
);
/// Requests that were sent again.
pub const RETRIES: Metric = (
    "switchback_retries_total",
    Kind::Counter,
    "Requests sent again, once for each time",
);
/// Requests that were not sent again.
pub const RETRIES_DENIED: Metric = (
    "switchback_retries_denied_total",
    Kind::Counter,
    "Requests not sent again because the retry budget was used up",
);
/// Requests that went to the stable release instead of the release that is named.
pub const FALLBACKS: Metric = (
    "switchback_fallbacks_total",
    Kind::Counter,
    "Requests that went to the stable release because this one could not answer them",
);
/// Duration of a swap.
pub const SWAP_SECONDS: Metric = (
    "switchback_swap_seconds",
    Kind::Histogram,
    "Duration of a swap of the live table",
);

/// All metrics, by name.
pub const ALL: &[Metric] = &[
    ACCESS_LOG_DROPPED,
    ACME_EXPIRY,
    ACME_FAILURES,
    ACME_ORDERS,
    ADMIN_AUTH_FAILURES,
    AGENT_CARDS,
    BACKUPS,
    BACKUP_BYTES,
    BACKUP_FAILING,
    BACKUP_INTERVAL,
    BACKUP_TIMESTAMP,
    BUILD_INFO,
    COMPRESSED_BYTES_IN,
    COMPRESSED_BYTES_OUT,
    COMPRESSORS_BUSY,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    CONVERGENCE_SECONDS,
    CUTS,
    DECISIONS,
    DRIFT,
    DRILLS_ENDED,
    DRILL_PASSED,
    DRILL_TIMESTAMP,
    ENDPOINT_CONNECTIONS,
    ENDPOINT_EJECTED,
    ENDPOINT_EJECTIONS,
    ENDPOINT_HEALTHY,
    ENDPOINT_IN_FLIGHT,
    ENDPOINT_RETRY_AFTER,
    EVENTS,
    EVENTS_LOST,
    EVENT_CLIENTS,
    EXPORTED,
    FAILED_ATTEMPTS,
    FALLBACKS,
    FEEDBACK,
    FEEDBACK_REFUSED,
    FEEDBACK_SCORE,
    FIRST_BYTE_SECONDS,
    FLAG_FEEDBACK,
    FLAG_REQUESTS,
    FLAG_REQUEST_SECONDS,
    FLEET_BLOCKED,
    FLEET_CONTACT,
    FLEET_DISPUTED,
    FLEET_FOLLOWING,
    FLEET_LEADER,
    FLEET_OFFERS,
    FLEET_REVISION,
    HISTORY_DURABLE_REVISION,
    HISTORY_DAMAGED_FILES,
    HISTORY_ERRORS,
    HISTORY_PENDING,
    KPI_SERIES,
    KPI_SERIES_LEFT_OUT,
    LEARNED_IDS_EVICTED,
    LIVE_REVISION,
    MCP_SESSIONS_EVICTED,
    MCP_SESSIONS_MOVED,
    MIRROR_ANSWERS,
    MIRROR_BYTES,
    MIRROR_JSON,
    MIRROR_PENDING,
    MIRROR_REQUESTS,
    MIRROR_SECONDS,
    MOVES,
    OVERRIDE_REQUESTS,
    PAUSED_REQUESTS,
    PINS_LOST,
    PINS_REFUSED,
    REJECTED,
    REQUESTS,
    REQUESTS_IN_FLIGHT,
    REQUESTS_IN_FLIGHT_PREVIOUS,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    RESPONSE_BYTES,
    RETRIES,
    RETRIES_DENIED,
    ROLLBACK_READY,
    ROUTE_REFUSALS,
    SERVICE_WATCH_FAILURES,
    SERVICE_WATCH_UP,
    HOOK_CALLS,
    HOOKS_OWED,
    QUARANTINED,
    ROLLOUTS,
    ROLLOUTS_ENDED,
    SPLIT_WEIGHT,
    SWAPS,
    SWAP_SECONDS,
    VERIFICATIONS,
    VERIFICATIONS_RUNNING,
];

/// Bounds for durations of micro- to milliseconds: swaps and convergence.
const SHORT_SECONDS: [f64; 12] = [
    0.000_001, 0.000_005, 0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5,
];

/// Upper bounds of the buckets of a histogram, in seconds.
pub(super) fn bounds_of(name: &str) -> &'static [f64] {
    if [CONVERGENCE_SECONDS.0, SWAP_SECONDS.0].contains(&name) {
        return &SHORT_SECONDS;
    }
    &BOUNDS_SECONDS
}
