//! Preview tokens in the admin API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{HumanDuration, ReleaseName, RouteName};

/// Longest time for which a token is made.
pub const LONGEST_PREVIEW: HumanDuration = HumanDuration::seconds(30 * 24 * 3600);

/// `POST /v1/routes/{route}/preview`: the release to look at, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// A release in the route's split, at weight 0 too.
    pub release: ReleaseName,
    /// Time until the token is void, from `1s` to `30d`; an hour by default.
    #[serde(default = "an_hour", rename = "for")]
    pub period: HumanDuration,
}

const fn an_hour() -> HumanDuration {
    HumanDuration::seconds(3600)
}

/// A preview token. Whoever sends it gets the release until it expires; it cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewToken {
    /// The route that it is for.
    pub route: RouteName,
    /// The release that it leads to.
    pub release: ReleaseName,
    /// Field of a request that carries it.
    pub header: String,
    /// The token.
    pub token: String,
    /// Time from which it is void.
    pub expires_at: Timestamp,
    /// URL of the first listener for clients, as this machine reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
}
