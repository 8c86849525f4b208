//! Rollouts: requests, and how far each has come.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Crowded, DryRun, ReturnParts, ShareMove, Timestamp, VerificationSummary};
use crate::model::{
    HookName, HumanDuration, Percent, PlanName, PlanSpec, ReleaseName, RouteName, Version,
};

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// Its id.
    pub id: String,
    /// The route; of a train the first one.
    pub route: RouteName,
    /// The release that had the requests.
    pub from: ReleaseName,
    /// Its version.
    pub from_version: Version,
    /// The release that gets them.
    pub to: ReleaseName,
    /// Its version.
    pub to_version: Version,
    /// All routes, in the order in which they were named: one, or those of a train.
    #[serde(default)]
    pub routes: Vec<RolloutRoute>,
    /// The state.
    pub state: RolloutState,
    /// Reason of the pause, if it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_for: Option<RolloutPause>,
    /// Routes that it is paused for: those without requests (`no_traffic`), or without enough evidence (`inconclusive`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused_by: Vec<RouteName>,
    /// The latest step, counted from 0.
    pub step: u32,
    /// Percents of the route that the release has by the live table.
    pub weight: Percent,
    /// Time for which the step, or the bake, has been held.
    pub held: HumanDuration,
    /// The plan.
    pub plan: PlanSpec,
    /// Its name in the configuration file, if it is from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_name: Option<PlanName>,
    /// Group of its revisions: a bare rollback undoes all of them.
    pub group: String,
    /// Begin.
    pub started_at: Timestamp,
    /// End.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Name of the caller that started it.
    pub author: String,
    /// Node that runs it, or has ended it; absent on a proxy that is in no fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Verdict on the release; of a train that on the route which decides: it is fine if all are, and worse if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RolloutVerdict>,
    /// Latest answer of a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<RolloutGate>,
    /// Verification of its way back, once it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationSummary>,
    /// Reason for which its last order could not be carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Way back that is under way in parts (`?over=30s`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub going_back: Option<ReturnParts>,
    /// Effect of an approval, while it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<DryRun>>,
    /// Log, the latest entry last; the oldest ones are dropped first.
    pub log: Vec<RolloutEntry>,
}

/// Route of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutRoute {
    /// The route.
    pub route: RouteName,
    /// The release that had its requests.
    pub from: ReleaseName,
    /// Its version.
    pub from_version: Version,
    /// The release that gets them.
    pub to: ReleaseName,
    /// Its version.
    pub to_version: Version,
    /// Percents of the route that the release has by the live table.
    pub weight: Percent,
    /// Verdict on the release, by the requests of this route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RolloutVerdict>,
}

/// Effect of a start of a rollout (`POST /v1/rollouts?dry_run=true`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutDryRun {
    /// Its routes, in the order in which they were named.
    pub routes: Vec<RolloutRouteDryRun>,
    /// The plan.
    pub plan: PlanSpec,
    /// Its name in the configuration file, if it is from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_name: Option<PlanName>,
    /// Reason for which a start without `force` would be refused now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Effect of the first step.
    pub first: DryRun,
}

/// A route of a rollout that is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutRouteDryRun {
    /// The route.
    pub route: RouteName,
    /// The release that has the requests.
    pub from: ReleaseName,
    /// The release that would get them.
    pub to: ReleaseName,
    /// Each weight of the plan, and then everything.
    pub steps: Vec<RolloutStepDryRun>,
}

/// One weight of a rollout that is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutStepDryRun {
    /// Percents of the route that the release would get.
    pub weight: Percent,
    /// Shares of the route that would move at this step.
    pub moves: Vec<ShareMove>,
    /// Set if the release would have no room, by the requests in flight now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded: Vec<Crowded>,
}

/// State of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Not begun.
    Planned,
    /// In a step.
    Running,
    /// Paused: `paused_for` says why. The release is still judged, and taken back if it is worse.
    Paused,
    /// After the last step.
    Baking,
    /// Ended: the release has all requests.
    Succeeded,
    /// Ended: the release was taken back.
    RolledBack,
    /// Ended: it was given up.
    Aborted,
    /// Ended: others have changed a route of it, or a release.
    Superseded,
}

/// Reason of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutPause {
    /// Somebody paused it.
    Manual,
    /// It waits for an approval.
    Approval,
    /// The evidence was not there in time, or nothing can be compared.
    Inconclusive,
    /// The release got no requests.
    NoTraffic,
    /// A gate gave no decision, as often as it was asked; it is asked again after a `resume`.
    Gate,
    /// It is to go back, and its release does not allow that for its data: only a person does, with `force`.
    Data,
}

/// Answer of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutGate {
    /// The hook.
    pub hook: HookName,
    /// `continue`, `wait`, `rollback`, or `silent` if it gave no decision.
    pub decision: String,
    /// Its reason, or that of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the answer.
    pub at: Timestamp,
}

/// Entry in the log of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutEntry {
    /// Time.
    pub at: Timestamp,
    /// Author: a caller of the API, or `switchback`.
    pub by: String,
    /// The action.
    pub what: String,
}

/// Verdict on the release of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutVerdict {
    /// The route that it is about, in that of a train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// All signals together.
    pub overall: RolloutFinding,
    /// Evidence (e-value) that it is worse.
    pub e: f64,
    /// The value from which it is worse.
    pub bound: f64,
    /// Each signal.
    pub metrics: Vec<RolloutMetric>,
    /// Number of nodes of the fleet whose requests were counted, in a fleet of proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<usize>,
    /// The verdict as a sentence.
    pub words: String,
}

/// Finding on a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutFinding {
    /// Worse than the stable release: it is taken back.
    Worse,
    /// Not worse, at the stated confidence.
    Fine,
    /// Neither is shown.
    NotEnoughData,
    /// It cannot be compared as things are.
    Unmeasurable,
}

/// Verdict by one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutMetric {
    /// The signal (`failures`, `broken_streams`, `slow`, `first_byte_late`, `negative_feedback` or `client_errors`), or the
    /// name of a query.
    pub name: String,
    /// Its finding.
    pub verdict: RolloutFinding,
    /// Its part of the evidence that the release is worse.
    pub e: f64,
    /// Evidence that it is fine.
    pub fine_e: f64,
    /// The value from which it is fine.
    pub fine_bound: f64,
    /// Threshold in seconds, of a signal that has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_seconds: Option<f64>,
    /// Bad requests of the release, and all of them; of a query the intervals in which its value was worse.
    pub canary: RolloutRate,
    /// Those of the stable release in the same time.
    pub stable: RolloutRate,
    /// The verdict with its numbers as a sentence.
    pub words: String,
}

/// Bad requests among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutRate {
    /// Bad requests.
    pub bad: u64,
    /// All requests.
    pub units: u64,
    /// Sessions among the bad ones, on a route with sessions: each counts once as evidence that the release is worse.
    pub distinct: u64,
}

/// The rollouts, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutList {
    /// Those that run, and the last ones that have ended.
    pub rollouts: Vec<Rollout>,
}

impl RolloutState {
    /// Name in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Baking => "baking",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
        }
    }
}

impl RolloutPause {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Approval => "approval",
            Self::Inconclusive => "inconclusive",
            Self::NoTraffic => "no_traffic",
            Self::Gate => "gate",
            Self::Data => "data",
        }
    }
}

impl Rollout {
    /// Names of all routes.
    pub fn route_names(&self) -> String {
        if self.routes.is_empty() {
            return self.route.to_string();
        }
        listed(self.routes.iter().map(|one| one.route.as_str()))
    }

    /// Names of the releases that get requests, each once.
    pub fn to_names(&self) -> String {
        if self.routes.is_empty() {
            return self.to.to_string();
        }
        listed(self.routes.iter().map(|one| one.to.as_str()))
    }

    /// Names of the releases that had the requests, each once.
    pub fn from_names(&self) -> String {
        if self.routes.is_empty() {
            return self.from.to_string();
        }
        listed(self.routes.iter().map(|one| one.from.as_str()))
    }
}

/// Names in their order, each once.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.join(", ")
}
