//! Rollouts: requests, and how far each has come.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Timestamp, VerificationSummary, plan_choice::PlanChoice};
use crate::model::{
    HookName, HumanDuration, Percent, PlanName, PlanSpec, ReleaseName, RouteName, Version,
};

/// `POST /v1/rollouts`: gives a release the requests of a route step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutRequest {
    /// The route.
    pub route: RouteName,
    /// The release that gets the requests; it has none of the route's now.
    pub to: ReleaseName,
    /// The plan, or the name of one in the configuration file; by default 5, 25 and 50 percent until it is fine, then a
    /// bake of ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub plan: Option<PlanChoice>,
    /// Start although the release is in quarantine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// Its id.
    pub id: String,
    /// The route.
    pub route: RouteName,
    /// The release that had the requests.
    pub from: ReleaseName,
    /// Its version.
    pub from_version: Version,
    /// The release that gets them.
    pub to: ReleaseName,
    /// Its version.
    pub to_version: Version,
    /// The state.
    pub state: RolloutState,
    /// Reason of the pause, if it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_for: Option<RolloutPause>,
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
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Verdict on the release.
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
    /// Log, the latest entry last; the oldest ones are dropped first.
    pub log: Vec<RolloutEntry>,
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
    /// Ended: others have changed the route, or a release of the rollout.
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
    /// All signals together.
    pub overall: RolloutFinding,
    /// Evidence (e-value) that it is worse.
    pub e: f64,
    /// The value from which it is worse.
    pub bound: f64,
    /// Each signal.
    pub metrics: Vec<RolloutMetric>,
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
    /// The signal: `failures`, `slow` or `broken_streams`.
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
    /// Bad requests of the release, and all of them.
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_name_or_a_plan_and_a_mistake_in_it_is_named() {
        let request = |plan: &str| {
            let json = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
            serde_json::from_str::<RolloutRequest>(&json)
        };
        let named = request(r#""careful""#).unwrap().plan.unwrap();
        assert_eq!(named, PlanChoice::Named("careful".parse().unwrap()));
        let given = request(r#"{"steps":[{"weight":100}],"bake":"30m"}"#).unwrap();
        assert!(matches!(given.plan, Some(PlanChoice::Given(plan)) if plan.steps.len() == 1));
        let error = request(r#"{"steps":[{"share":100}]}"#).unwrap_err();
        assert!(error.to_string().contains("share"), "{error}");
        assert!(request("5").is_err());
    }
}
