//! Spec of the retries of a route, and of the release that answers for one that cannot.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{ToSchema, openapi::Schema};

use super::schema::keywords;

/// Retries of a route's requests. Without them, only a request that was provably not processed is sent again, and an
/// idempotent one if a kept connection ended without a response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetriesSpec {
    /// Maximum number of attempts, the first one included; 5 by default, 1 for no retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub attempts: Option<u32>,
    /// Number of other endpoints of the release to try when a connection fails; `limits.retries` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 64)]
    pub endpoints: Option<u32>,
    /// True if a request with an `Idempotency-Key` counts as idempotent, whatever its method.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idempotency_key: bool,
    /// Statuses of endpoints after which an idempotent request is sent again: 502, 503 or 504; none by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = statuses)]
    pub on_status: Vec<u16>,
}

/// Release that gets the requests that another one could not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The stable release of the route.
    Stable,
}

/// Schema of `on_status`.
fn statuses() -> Schema {
    keywords(json!({
        "type": "array",
        "description": "Statuses of endpoints after which an idempotent request is sent again; none by default.",
        "items": { "type": "integer", "enum": RetriesSpec::STATUSES },
        "uniqueItems": true,
    }))
}

impl RetriesSpec {
    /// Statuses that `on_status` may contain: a gateway, or an overloaded or absent service, sends them.
    pub const STATUSES: [u16; 3] = [502, 503, 504];

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
