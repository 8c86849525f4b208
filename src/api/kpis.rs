//! Key figures of routes and releases, as `GET /v1/kpis` shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RolloutStatus, Timestamp, VerificationStatus};
use crate::model::{ReleaseName, Revision, RouteName, Version};

/// Longest window of key figures, in seconds.
pub const LONGEST_WINDOW: u64 = 172_800;
/// Most points of one route's series.
pub const MOST_POINTS: usize = 300;
/// Most points of a series where all routes are asked for.
pub const MOST_POINTS_OF_ALL: usize = 60;

/// Key figures of a window that ends now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiReport {
    /// Time of the latest reading: what came later is not in the figures.
    pub at: Timestamp,
    /// Age of that reading in seconds, when this was answered. Above 3 the figures are not live.
    pub age_seconds: f64,
    /// The live revision.
    pub revision: Revision,
    /// Length of the window in seconds: what was asked for, rounded up to intervals, or the time since the start.
    pub window_seconds: u64,
    /// Length of the intervals that it was summed up from.
    pub resolution_seconds: u64,
    /// All routes together.
    pub all: Kpis,
    /// The points of all routes, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<KpiPoints>,
    /// Each route.
    pub routes: Vec<RouteKpis>,
    /// Routes of the live table without a request that are left out, since there are too many.
    pub more_routes: usize,
    /// Number of routes and releases that have series.
    pub series: usize,
    /// Number of routes and releases that have none, since there are too many; they are in no figure.
    pub left_out: usize,
}

/// Key figures of some requests that ended within the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Kpis {
    /// Requests, without those that named their release.
    pub requests: u64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Requests that failed before a response began, or with a status of 5xx.
    pub failures: u64,
    /// Share of the requests, 0 to 1; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_share: Option<f64>,
    /// Responses with a status of 4xx.
    pub client_errors: u64,
    /// Share of the requests, 0 to 1; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_error_share: Option<f64>,
    /// Responses that broke off after they had begun well.
    pub broken_streams: u64,
    /// Share of the requests, 0 to 1; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_stream_share: Option<f64>,
    /// From the first byte of the request to the last one of the response; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<KpiQuantiles>,
    /// From the first byte of the request to the first one of the response, of a stream to its first bytes; absent without
    /// responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<KpiQuantiles>,
    /// Requests in flight at the latest reading; a release's are those of all of its routes. Absent in the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Opinions of users that came within the window; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<KpiFeedback>,
}

/// Quantiles in seconds, linear within the buckets of the histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiQuantiles {
    /// Half of the values are at most this.
    pub p50_seconds: f64,
    /// 95 of 100.
    pub p95_seconds: f64,
    /// 99 of 100.
    pub p99_seconds: f64,
}

/// Opinions of users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KpiFeedback {
    /// With a score above 0.
    pub positive: u64,
    /// With a score of 0.
    pub neutral: u64,
    /// With a score below 0.
    pub negative: u64,
}

/// Series of key figures: lists of the same length, the earliest value first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiPoints {
    /// Begin of the first interval.
    pub from: Timestamp,
    /// Length of each interval in seconds.
    pub step_seconds: u64,
    /// Requests in each interval.
    pub requests: Vec<u64>,
    /// Those that failed.
    pub failures: Vec<u64>,
    /// Those that were answered 4xx.
    pub client_errors: Vec<u64>,
    /// Those that broke off.
    pub broken_streams: Vec<u64>,
    /// Median of the duration in seconds; `null` without requests.
    pub duration_p50_seconds: Vec<Option<f64>>,
    /// 95th percentile of the duration in seconds; `null` without requests.
    pub duration_p95_seconds: Vec<Option<f64>>,
    /// 95th percentile of the time until the first byte in seconds; `null` without responses.
    pub first_byte_p95_seconds: Vec<Option<f64>>,
    /// Most requests in flight at a reading.
    pub in_flight: Vec<u64>,
}

/// Key figures of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteKpis {
    /// The route.
    pub route: RouteName,
    /// All of its releases together.
    pub kpis: Kpis,
    /// Its points, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<KpiPoints>,
    /// Its releases: those of the live split in its order, then those that had requests within the window.
    pub releases: Vec<ReleaseKpis>,
    /// Revisions within the window that touch it, the latest first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<KpiMark>,
    /// Its rollout, if one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// The latest verification of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationStatus>,
}

/// Key figures of a release on a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseKpis {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Its role on the route.
    pub role: KpiRole,
    /// Share of the requests that the live split gives it, 0 to 1.
    pub configured_share: f64,
    /// Share of the requests of the route that it had within the window, 0 to 1; absent without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_share: Option<f64>,
    /// Its figures.
    pub kpis: Kpis,
    /// Its points, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<KpiPoints>,
    /// Comparison with the stable release; absent for that one, and without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<KpiComparison>,
}

/// Role of a release on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiRole {
    /// The one that an abort gives everything to, or that a rollout takes requests from.
    Stable,
    /// In the split with a weight beside a stable one.
    Canary,
    /// In the split with a weight where none is the stable one.
    Live,
    /// In the split without a weight.
    Standby,
    /// Not in the live split in this version.
    Removed,
}

/// A release compared with the stable one, within the time in which both had requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiComparison {
    /// The stable release.
    pub stable: ReleaseName,
    /// Its version.
    pub stable_version: Version,
    /// Time that is compared, in seconds; 0 if both never had requests at the same time.
    pub seconds: u64,
    /// Confidence of the intervals, 0 to 1.
    pub confidence: f64,
    /// Shares of failures, streams that broke off included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_share: Option<KpiDifference>,
    /// 95th percentiles of the duration in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_p95_seconds: Option<KpiDifference>,
    /// 95th percentiles of the time until the first byte in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_p95_seconds: Option<KpiDifference>,
    /// The comparison as a sentence.
    pub words: String,
}

/// Difference of two values with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiDifference {
    /// The value.
    pub value: f64,
    /// The value that it is compared with.
    pub other: f64,
    /// The first less the second.
    pub difference: f64,
    /// Lower end of the interval of the difference.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The finding.
    pub finding: KpiFinding,
}

/// Finding on a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiFinding {
    /// The whole interval is above 0.
    More,
    /// The whole interval is below 0.
    Less,
    /// The interval contains 0.
    NotShown,
}

/// A revision within the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KpiMark {
    /// Its number; `GET /v1/revisions/{n}/effect` compares the time before it with that after it.
    pub revision: Revision,
    /// The time at which it was live.
    pub at: Timestamp,
    /// Its cause: `publish`, `rollback`, `import`, `roster` or `drill`.
    pub cause: String,
    /// Name of its author.
    pub author: String,
    /// Its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl KpiRole {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Live => "live",
            Self::Standby => "standby",
            Self::Removed => "removed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_its_name_in_json() {
        for role in [
            KpiRole::Stable,
            KpiRole::Canary,
            KpiRole::Live,
            KpiRole::Standby,
            KpiRole::Removed,
        ] {
            let json = serde_json::to_string(&role).unwrap();
            assert_eq!(json, format!("\"{}\"", role.as_str()));
        }
    }
}
