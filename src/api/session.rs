//! Sessions of browsers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// `POST /v1/session`: exchanges a token for a cookie.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The token.
    #[schema(max_length = 4096)]
    pub token: String,
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// True if the API asks for a token.
    pub token_required: bool,
    /// Name of the caller in the history; absent without a valid token or cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// True if the caller may change something.
    pub may_change: bool,
    /// End of the session, if the caller has a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}
