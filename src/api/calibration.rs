//! Calibration: rehearsals of the judge with two halves of one release.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{HumanDuration, ReleaseName, RouteName, Version};

/// Rehearsals of the judge on the routes of `[calibrate]`, each with two halves of the stable release's requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CalibrationReport {
    /// Length of a rehearsal.
    pub window: HumanDuration,
    /// Time that a rehearsal is kept.
    pub keep: HumanDuration,
    /// Largest probability of a false alarm that the judge promises for each rehearsal.
    pub alpha: f64,
    /// E-value from which the judge says worse.
    pub bound: f64,
    /// The routes; none without `[calibrate]`.
    pub routes: Vec<RouteCalibration>,
}

/// Rehearsals on one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteCalibration {
    /// The route.
    pub route: RouteName,
    /// Rehearsals that have ended and are kept; those without a request are none.
    pub rehearsals: usize,
    /// Requests in them.
    pub requests: u64,
    /// Begin of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub since: Option<Timestamp>,
    /// Rehearsals in which the judge said worse: false alarms, since both halves were the same release.
    pub alarms: usize,
    /// False alarms that alpha allows in so many rehearsals, on average.
    pub promised: f64,
    /// Probability of so many alarms or more, if the judge keeps its promise.
    pub chance: f64,
    /// The finding.
    pub finding: CalibrationFinding,
    /// The rehearsal with the largest evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub largest: Option<CalibrationPeak>,
    /// The largest evidence of each metric.
    pub metrics: Vec<CalibrationPeak>,
    /// The rehearsal that runs; none while no release of the route is stable and has requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub running: Option<RunningCalibration>,
    /// All of it as a sentence.
    pub words: String,
}

/// Finding on the false alarms of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationFinding {
    /// There are no more than alpha allows, but for chance.
    AsPromised,
    /// There are so many that chance explains them in one case of twenty at most.
    TooMany,
    /// No rehearsal has ended yet.
    NotEnoughData,
}

/// Evidence of a rehearsal that two halves of one release differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CalibrationPeak {
    /// The metric, or that with the largest part of the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The e-value, or the metric's part of it.
    pub e: f64,
    /// Begin of the rehearsal.
    pub began_at: Timestamp,
    /// Its end.
    pub ended_at: Timestamp,
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
}

/// Rehearsal that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunningCalibration {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Begin.
    pub began_at: Timestamp,
    /// Number of the draw of its halves.
    pub draw: u64,
    /// Requests so far.
    pub requests: u64,
    /// Largest e-value so far.
    pub e: f64,
}

impl CalibrationPeak {
    /// Name of the metric; empty where there was no evidence.
    pub fn metric(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

impl CalibrationFinding {
    /// Name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsPromised => "as_promised",
            Self::TooMany => "too_many",
            Self::NotEnoughData => "not_enough_data",
        }
    }
}
