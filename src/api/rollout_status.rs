//! Rollouts in brief, for the status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ReturnParts, RolloutPause, RolloutState, rollout::listed};
use crate::model::{Percent, ReleaseName, RouteName};

/// A rollout in brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutStatus {
    /// Its id.
    pub id: String,
    /// The route; of a train the first one.
    pub route: RouteName,
    /// The release that had the requests.
    pub from: ReleaseName,
    /// The release that gets them.
    pub to: ReleaseName,
    /// All routes: one, or those of a train.
    #[serde(default)]
    pub routes: Vec<RolloutRouteStatus>,
    /// The state.
    pub state: RolloutState,
    /// Reason of the pause, if it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_for: Option<RolloutPause>,
    /// Routes that it is paused for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused_by: Vec<RouteName>,
    /// The latest step, counted from 0.
    pub step: u32,
    /// Number of steps.
    pub steps: u32,
    /// Percents of the route that the release has.
    pub weight: Percent,
    /// The verdict as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Reason for which its last order could not be carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Way back that is under way in parts (`?over=30s`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub going_back: Option<ReturnParts>,
}

/// Route of a rollout in brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutRouteStatus {
    /// The route.
    pub route: RouteName,
    /// The release that had its requests.
    pub from: ReleaseName,
    /// The release that gets them.
    pub to: ReleaseName,
    /// Percents of the route that the release has.
    pub weight: Percent,
    /// The verdict by the requests of this route, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

impl RolloutStatus {
    /// Names of all routes.
    pub fn route_names(&self) -> String {
        listed(self.routes.iter().map(|one| one.route.as_str()))
    }

    /// Names of the releases that get requests, each once.
    pub fn to_names(&self) -> String {
        listed(self.routes.iter().map(|one| one.to.as_str()))
    }
}
