//! Verdict after a rollback, with what it is made of.

use serde::{Deserialize, Serialize};

use super::{period::Reference, signal::Signal, verdict::Rate};

/// Finding after a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Users get what they got before the release.
    Recovered,
    /// They do not: the release was not the cause, or not the only one.
    NotRecovered,
    /// They are worse off than with the release.
    Worse,
    /// None of these is shown. It never means recovered.
    NotEnoughData,
}

/// Verdict after a rollback.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryVerdict {
    /// The finding of all signals together.
    pub outcome: Outcome,
    /// True if users are shown to be better off than with the release.
    pub improved: bool,
    /// Period that is compared with; none if too little is known of one.
    pub reference: Option<Reference>,
    /// Each signal. Of several thresholds of slowness there is the one that decides.
    pub signals: Vec<RecoverySignal>,
    /// The verdict as a sentence.
    pub words: String,
}

/// Verdict by one signal.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoverySignal {
    /// The signal.
    pub name: Signal,
    /// Its finding.
    pub outcome: Outcome,
    /// True if the release is shown to have done harm to the route.
    pub has_harm: bool,
    /// True if it is shown to be better than with the release.
    pub improved: bool,
    /// Threshold in seconds, of a signal that has some.
    pub threshold_seconds: Option<f64>,
    /// Bad requests since the rollback.
    pub since: Rate,
    /// Bad requests with the release that was taken back.
    pub with: Rate,
    /// Bad requests of that release alone.
    pub own: Rate,
    /// Bad requests of the period that is compared with.
    pub reference: Option<Rate>,
    /// Rate below which it has recovered, and rate above which it has not.
    pub limits: (f64, f64),
    /// Evidence (e-values) that it has recovered, that it has not, and that it is worse.
    pub evidence: Evidence,
    /// The verdict with its numbers as a sentence.
    pub words: String,
}

/// E-values of the claims about a signal, with their bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// That it has recovered.
    pub recovered: f64,
    /// That it has not.
    pub not_recovered: f64,
    /// That it is worse than with the release.
    pub worse: f64,
    /// Value from which it has recovered.
    pub recovered_bound: f64,
    /// Value from which it has not, or is worse.
    pub bad_bound: f64,
}

impl Evidence {
    pub(super) fn outcome(&self, is_pattern: bool) -> Outcome {
        if is_pattern && self.worse >= self.bad_bound {
            Outcome::Worse
        } else if is_pattern && self.not_recovered >= self.bad_bound {
            Outcome::NotRecovered
        } else if self.recovered >= self.recovered_bound {
            Outcome::Recovered
        } else {
            Outcome::NotEnoughData
        }
    }
}
