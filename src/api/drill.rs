//! Drills: requests, and their reports.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RolloutVerdict, Timestamp};
use crate::model::{DrillLevel, HumanDuration, Percent, ReleaseName, Revision, RouteName, Version};

/// `POST /v1/drills`: rehearses the way back of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillRequest {
    /// The route.
    pub route: RouteName,
    /// The level.
    #[serde(default)]
    pub level: DrillLevel,
    /// Percents of the sessions that a live drill gives to the predecessor, more than 0 and at most 50; `drills.share` of
    /// the configuration by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub share: Option<Percent>,
    /// Time of a live drill, `drills.for` of the configuration by default; or of each of the two loads of a full one, ten
    /// seconds by default. From 1s to 24h.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub period: Option<HumanDuration>,
    /// Permission for a full drill, which gives all requests of all clients to the predecessor for a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub visible: bool,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// A drill and its report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drill {
    /// Its id.
    pub id: String,
    /// The route.
    pub route: RouteName,
    /// Number of routes that it counts for, if it was begun for several: the mechanism is that of the whole table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<usize>,
    /// The level.
    pub level: DrillLevel,
    /// The state.
    pub state: DrillState,
    /// True if it has passed.
    pub passed: bool,
    /// The release that has most requests of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ReleaseName>,
    /// The predecessor: the release that a rollback of the route would bring back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseName>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_version: Option<Version>,
    /// Percents of the sessions that a live drill gives to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// Time of a live drill, or of each load of a full one.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub period: Option<HumanDuration>,
    /// Begin.
    pub started_at: Timestamp,
    /// End.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Name of the caller that began it; `switchback` if it began by itself.
    pub author: String,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its changes of the table, with their times.
    pub steps: Vec<DrillStep>,
    /// Its synthetic requests.
    pub requests: Vec<DrillLoad>,
    /// Verdict of a live drill on the predecessor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RolloutVerdict>,
    /// Reasons for which it has not passed; at most 20.
    pub failures: Vec<String>,
    /// Remarks that do not count against it; at most 20.
    pub notes: Vec<String>,
}

/// State of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillState {
    /// It has not ended.
    Running,
    /// Ended: the way back works.
    Passed,
    /// Ended: the way back does not work; `failures` says why.
    Failed,
    /// Ended: the predecessor got too few requests to be judged.
    Inconclusive,
    /// Ended: others have changed the route meanwhile, and it is left as they made it.
    Superseded,
    /// Ended by a restart, which has taken back what it began.
    Interrupted,
}

/// Change of the table by a drill. Times are in milliseconds from its begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillStep {
    /// `publish`, or `rollback`.
    pub what: DrillAction,
    /// Its revision.
    pub revision: Revision,
    /// Time until it was live.
    pub live_ms: f64,
    /// Time until it was on the disk; absent if it was not in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable_ms: Option<f64>,
    /// Time until every worker used it; absent if not all did in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_ms: Option<f64>,
    /// The worker that used it last; absent if all did at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_worker: Option<usize>,
    /// Workers that did not use it in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<usize>,
}

/// Kind of a change by a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillAction {
    /// Durable first, then live.
    Publish,
    /// Live first, then durable.
    Rollback,
}

/// Synthetic requests of a drill to one release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillLoad {
    /// The release.
    pub release: ReleaseName,
    /// Requests.
    pub sent: u64,
    /// Those of them without the expected response.
    pub failed: u64,
    /// Time of the slowest one.
    pub slowest_ms: f64,
}

/// The last drill of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillSummary {
    /// Its id.
    pub id: String,
    /// Its level.
    pub level: DrillLevel,
    /// Its state.
    pub state: DrillState,
    /// True if it has passed.
    pub passed: bool,
    /// End.
    pub ended_at: Timestamp,
    /// End of the last one that passed, of any level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_passed_at: Option<Timestamp>,
}

/// The drills, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillList {
    /// Those that run, and the last ones that have ended.
    pub drills: Vec<Drill>,
}

impl DrillState {
    /// Name in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Superseded => "superseded",
            Self::Interrupted => "interrupted",
        }
    }
}

impl DrillAction {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Rollback => "rollback",
        }
    }
}
