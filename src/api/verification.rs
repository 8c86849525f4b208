//! Verifications: what became of users after a rollback.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{HumanDuration, Revision, RouteName};

/// Verification of a rollback: whether users of its routes get again what they got before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// Its id: the number of the rollback's revision.
    pub id: String,
    /// The revision that the rollback made live.
    pub revision: Revision,
    /// The state.
    pub state: VerificationState,
    /// The verdict on all routes: the worst of theirs; those without a request in any period are left out.
    pub verdict: VerificationVerdict,
    /// The verdict as a sentence.
    pub words: String,
    /// Name of the author of the rollback.
    pub author: String,
    /// Reason of the rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Time of the rollback.
    pub started_at: Timestamp,
    /// End.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Time for which it has looked.
    pub held: HumanDuration,
    /// Longest time for which it looks.
    pub within: HumanDuration,
    /// Largest number of requests of a route that it looks at.
    pub requests: u64,
    /// The routes whose requests the rollback moved; the first 20.
    pub routes: Vec<RouteVerification>,
    /// Number of further routes, which are not looked at.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_routes: usize,
    /// Other changes of the last hour, and endpoints that cannot be used: where to look if it has not recovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_changed: Vec<OtherChange>,
}

/// State of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationState {
    /// It looks at the requests once a second.
    Running,
    /// The verdict is shown, or the requests or the time have been looked at.
    Ended,
    /// Another change moved the requests of all of its routes.
    Superseded,
    /// A restart came before anything of it was saved.
    Interrupted,
}

/// Verdict of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationVerdict {
    /// Users get what they got before the release.
    Recovered,
    /// They do not: the release was not the cause, or not the only one.
    NotRecovered,
    /// They are worse off than with the release.
    Worse,
    /// None of these is shown. It never means recovered.
    NotEnoughData,
}

/// Verification of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteVerification {
    /// The route.
    pub route: RouteName,
    /// Releases that got less by the rollback.
    pub taken_back: String,
    /// Releases that got more.
    pub restored: String,
    /// The verdict on the route.
    pub verdict: VerificationVerdict,
    /// The verdict as a sentence.
    pub words: String,
    /// True if users are shown to be better off than with the release.
    pub improved: bool,
    /// The period that is compared with; absent if too little is known of the time before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<VerificationReference>,
    /// Requests of the route since the rollback.
    pub requests: u64,
    /// Each signal.
    pub signals: Vec<VerificationSignal>,
    /// The later revision that moved its requests: it is not looked at any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<Revision>,
}

/// Period that the time since a rollback is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationReference {
    /// The route before the release that was taken back.
    Before,
    /// The other releases of the route while that release had requests.
    Beside,
}

/// A signal of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerificationSignal {
    /// The signal: `failures`, `slow` or `broken_streams`.
    pub name: String,
    /// Its verdict.
    pub verdict: VerificationVerdict,
    /// Threshold in seconds, of a signal that has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_seconds: Option<f64>,
    /// Bad requests of the route since the rollback, and all of them.
    pub since: RequestRate,
    /// Those of the route with the release that was taken back.
    pub with: RequestRate,
    /// Those of that release alone.
    pub own: RequestRate,
    /// Those of the period that is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<RequestRate>,
    /// Share of bad requests below which it has recovered.
    pub recovered_below: f64,
    /// Share of bad requests above which it has not.
    pub not_recovered_above: f64,
    /// The verdict with its numbers as a sentence.
    pub words: String,
}

/// Bad requests among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestRate {
    /// Bad requests.
    pub bad: u64,
    /// All requests.
    pub requests: u64,
}

/// Something else that changed lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherChange {
    /// Its kind.
    pub kind: OtherChangeKind,
    /// Its time, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The change as a sentence.
    pub words: String,
}

/// Kind of another change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherChangeKind {
    /// A revision.
    Revision,
    /// An endpoint that is unhealthy or ejected.
    Endpoint,
    /// switchback itself was started.
    Restart,
}

/// Latest verification of a route, in a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerificationStatus {
    /// The route.
    pub route: RouteName,
    /// Id of the verification.
    pub id: String,
    /// Its state.
    pub state: VerificationState,
    /// The verdict on the route.
    pub verdict: VerificationVerdict,
    /// The verdict as a sentence.
    pub words: String,
}

/// Verification in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerificationSummary {
    /// Its id: `GET /v1/verifications/{id}` has the rest.
    pub id: String,
    /// The state.
    pub state: VerificationState,
    /// The verdict.
    pub verdict: VerificationVerdict,
    /// The verdict as a sentence.
    pub words: String,
}

/// The verifications, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerificationList {
    /// Those that run, and the last ones that have ended.
    pub verifications: Vec<Verification>,
}

impl VerificationState {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Superseded => "superseded",
            Self::Interrupted => "interrupted",
        }
    }
}

impl VerificationVerdict {
    /// All verdicts.
    pub const ALL: [Self; 4] = [
        Self::Recovered,
        Self::NotRecovered,
        Self::Worse,
        Self::NotEnoughData,
    ];

    /// Name in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::NotRecovered => "not_recovered",
            Self::Worse => "worse",
            Self::NotEnoughData => "not_enough_data",
        }
    }
}

impl Verification {
    /// The verification in short.
    pub fn summary(&self) -> VerificationSummary {
        VerificationSummary {
            id: self.id.clone(),
            state: self.state,
            verdict: self.verdict,
            words: self.words.clone(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_has_its_name_in_json() {
        for verdict in VerificationVerdict::ALL {
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(json, format!("\"{}\"", verdict.as_str()));
        }
    }
}
