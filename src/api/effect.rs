//! Effect of a revision: key figures before it and after it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{KpiDifference, Kpis, Timestamp, VerificationSummary};
use crate::model::{ReleaseName, Revision, RouteName, Version};

/// Key figures of the five minutes before a revision and after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionEffect {
    /// Number of the revision.
    pub revision: Revision,
    /// Time of the revision.
    pub at: Timestamp,
    /// Its cause: `publish`, `rollback`, `import`, `roster` or `drill`.
    pub cause: String,
    /// Name of its author.
    pub author: String,
    /// Its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The state.
    pub state: EffectState,
    /// The effect as a sentence.
    pub words: String,
    /// The routes that it touches; at most 16.
    pub routes: Vec<RouteEffect>,
    /// Number of its other routes.
    pub more_routes: usize,
    /// Its verification, if it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationSummary>,
}

/// State of the measurement of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// The five minutes after it are not over.
    Measuring,
    /// They are over, or another revision has ended them.
    Complete,
    /// Nothing is known of it: `words` says why.
    NotKnown,
}

/// Effect on a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteEffect {
    /// The route.
    pub route: RouteName,
    /// The finding, by the share of failures or, where that shows nothing, by the duration.
    pub finding: EffectFinding,
    /// The effect as a sentence.
    pub words: String,
    /// The time before.
    pub before: EffectPeriod,
    /// The time after.
    pub after: EffectPeriod,
    /// Share of failures, streams that broke off included: after, less before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_share: Option<KpiDifference>,
    /// 95th percentile of the duration: after, less before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_p95_seconds: Option<KpiDifference>,
    /// Each release that had a share or requests.
    pub releases: Vec<ReleaseEffect>,
}

/// Finding on an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectFinding {
    /// Fewer failures or, with no difference in failures, faster.
    Improved,
    /// More failures or, with no difference in failures, slower.
    Worse,
    /// No difference is shown.
    NoDifference,
    /// One of the two times has no requests.
    NotEnoughData,
}

/// A time before or after a revision. The second of the revision itself is in neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectPeriod {
    /// Its length in seconds, 300 at most.
    pub seconds: u64,
    /// The other revision of the route that it ends at, if it is shorter for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounded_by: Option<Revision>,
    /// The figures of the route.
    pub kpis: Kpis,
}

/// Effect on a release of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseEffect {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Its share of the route before, 0 to 1.
    pub share_before: f64,
    /// Its share of the route since.
    pub share_after: f64,
    /// Its figures before.
    pub before: Kpis,
    /// Its figures after.
    pub after: Kpis,
}

impl EffectState {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measuring => "measuring",
            Self::Complete => "complete",
            Self::NotKnown => "not_known",
        }
    }
}

impl EffectFinding {
    /// The finding in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Worse => "worse",
            Self::NoDifference => "no difference shown",
            Self::NotEnoughData => "not enough data",
        }
    }
}
