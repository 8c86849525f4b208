//! The sessions, or requests, that a change would move.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DataGuard, Timestamp};
use crate::model::{HumanDuration, ReleaseName, Revision, RouteName, SessionPolicy, Version};

/// Shares of a route that a change would move to other releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteMoves {
    /// The route.
    pub route: RouteName,
    /// The unit of the shares.
    pub of: MovedUnit,
    /// The moves, the largest first.
    pub moves: Vec<ShareMove>,
    /// Requests of the route that were seen lately; absent if there were none. The shares are the arithmetic of the
    /// weights in either case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenRequests>,
}

/// Unit of the shares that move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovedUnit {
    /// Sessions, on a route with an affinity: each moves as a whole, and the others stay.
    Sessions,
    /// Requests, on a route without one: each is split anew.
    Requests,
}

/// Part of a route that would move from one release to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareMove {
    /// The release that has it now.
    pub from: ReleaseName,
    /// Its version.
    #[serde(default, skip_serializing_if = "Version::is_empty")]
    pub from_version: Version,
    /// The release that would get it.
    pub to: ReleaseName,
    /// Its version.
    #[serde(default, skip_serializing_if = "Version::is_empty")]
    pub to_version: Version,
    /// Part of the whole route, from 0 to 1, by the weights.
    pub share: f64,
    /// Requests a minute that it amounts to, by those that the release got lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<f64>,
    /// Sessions that hold a pin to the release, on a route with pins: `keep` stays, `move` moves with the next request.
    /// The share is that of the others then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<SessionPolicy>,
}

/// Requests of a route that were seen lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeenRequests {
    /// Their number.
    pub requests: u64,
    /// The time in which they came.
    pub over: HumanDuration,
}

/// A rollback from the state that a change would lead to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WayBack {
    /// The revision that it would restore.
    pub to: Revision,
    /// Releases that it would give more to, and that have no healthy endpoint now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<ReleaseName>,
    /// Releases that do not allow it for their data once they have had requests, or only by a check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<DataGuard>,
}

/// The last rehearsal of the way back of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LastDrill {
    /// The route.
    pub route: RouteName,
    /// End of the last drill that passed; absent if none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Timestamp>,
    /// True if the last drill has not passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}
