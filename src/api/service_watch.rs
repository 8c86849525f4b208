//! Watches of Services in a cluster, as the status shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// Watch of a Service whose pods are endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceWatchStatus {
    /// The Service: `namespace/name`.
    pub service: String,
    /// Number of its endpoints that take new requests; absent before the first answer of the API server, where DNS is
    /// used instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<usize>,
    /// Time since which the watch fails: the endpoints are as of then. Absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// The last error of a watch that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
