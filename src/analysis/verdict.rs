//! Verdict: what the evidence says, for each signal and in all.

use serde::Serialize;

use super::{query::Direction, signal::Signal, tally::Tally};

/// Finding on the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It is worse than stable: roll back.
    Worse,
    /// It is not worse by more than is tolerated, at the stated confidence.
    Fine,
    /// Neither is shown yet: wait. It never means fine.
    NotEnoughData,
    /// It cannot be compared as things are; more of the same data does not help.
    Unmeasurable,
}

/// Reason why nothing can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Obstacle {
    /// The canary has so large a share that stable is too small to compare with.
    ShareTooLarge {
        /// Share of the canary.
        share: f64,
    },
    /// Units do not go where the weights say.
    ShareIsOff {
        /// Share by the weights.
        configured: f64,
        /// Share that was counted in this step.
        counted: f64,
    },
    /// The stable release fails itself.
    StableFails {
        /// Share of failures among its recent units.
        share: f64,
    },
}

/// Verdict on the canary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// All signals together: worse if their weighted evidence says so, fine only if each of them is.
    pub overall: Finding,
    /// E-value that it is worse.
    pub e: f64,
    /// Bound of that e-value, `1 / alpha`.
    pub bound: f64,
    /// Reason why it is unmeasurable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
    /// Each signal.
    pub metrics: Vec<MetricVerdict>,
    /// Each query.
    pub queries: Vec<QueryVerdict>,
    /// The verdict as a sentence.
    pub words: String,
}

/// Verdict by one signal. One with several thresholds shows the one that decides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricVerdict {
    /// The signal.
    pub name: Signal,
    /// Its finding.
    pub verdict: Finding,
    /// Its part of the e-value that the canary is worse.
    pub e: f64,
    /// E-value that the canary is fine.
    pub fine_e: f64,
    /// Bound of that e-value, `1 / beta`.
    pub fine_bound: f64,
    /// Threshold in seconds, if the signal has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_seconds: Option<f64>,
    /// Bad units of the canary since the rollout began.
    pub canary: Rate,
    /// Bad units of stable in the same time.
    pub stable: Rate,
    /// The verdict with its numbers as a sentence.
    pub words: String,
}

/// Verdict by the values of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryVerdict {
    /// Name of the query.
    pub name: String,
    /// Direction in which a value is worse.
    pub worse: Direction,
    /// Its finding.
    pub verdict: Finding,
    /// Its part of the e-value that the canary is worse.
    pub e: f64,
    /// E-value that the canary is fine.
    pub fine_e: f64,
    /// Bound of that e-value, `1 / beta`.
    pub fine_bound: f64,
    /// Intervals in which the canary's value was worse, and in which stable's was.
    pub worse_in: Tally,
    /// Intervals that were compared.
    pub intervals: u64,
    /// The verdict with its numbers as a sentence.
    pub words: String,
}

/// Bad units of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Bad units, as often as each was bad.
    pub bad: u64,
    /// All units, or 0 where they are not counted.
    pub units: u64,
    /// Sessions among the bad ones: fewer, where a session was bad more than once.
    pub distinct: u64,
}
