//! Key figures by variant of a flag, as `GET /v1/flags/{flag}/kpis` shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{KpiDifference, KpiPoints, Kpis, Timestamp};
use crate::model::{FlagName, Revision, RouteName, VariantName};

/// Key figures of a flag in a window that ends now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlagKpiReport {
    /// Time of the latest reading: what came later is not in the figures.
    pub at: Timestamp,
    /// Age of that reading in seconds, when this was answered. Above 3 the figures are not live.
    pub age_seconds: f64,
    /// The live revision.
    pub revision: Revision,
    /// Length of the window in seconds.
    pub window_seconds: u64,
    /// Length of the intervals that it was summed up from.
    pub resolution_seconds: u64,
    /// The flag.
    pub flag: FlagName,
    /// True if the live flag asks for key figures; otherwise the figures are those of earlier revisions.
    pub is_counted: bool,
    /// Routes that hand the flag to their endpoints, whose requests are counted.
    pub routes: Vec<RouteName>,
    /// Its variants by name: those of the live flag, and others with requests within the window.
    pub variants: Vec<VariantKpis>,
}

/// Key figures of the requests that got a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariantKpis {
    /// The variant.
    pub variant: VariantName,
    /// True if it is the default of the live flag.
    pub is_default: bool,
    /// Its figures, without requests in flight; feedback is that of users of routes that stamp their answers.
    pub kpis: Kpis,
    /// Its points, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<KpiPoints>,
    /// Comparison with the default; absent for that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<VariantComparison>,
}

/// A variant compared with the default, within the time in which both had requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariantComparison {
    /// The default variant.
    pub default: VariantName,
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
