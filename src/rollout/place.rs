//! Places of a rollout: where it is, where it goes, how it ended.

use serde::{Deserialize, Serialize};

/// Part of a plan that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The time before the first step, if a gate is asked before it.
    Start,
    /// A step.
    Step(u32),
    /// The time after the last step.
    Bake,
}

/// Weight that is given next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// That of a step.
    Step(u32),
    /// Everything: the release becomes the stable one.
    Whole,
}

/// Reason of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Somebody paused it.
    Manual,
    /// It waits for an approval.
    Approval,
    /// The evidence was not there in time, or nothing can be compared.
    Inconclusive,
    /// The release got no requests.
    NoTraffic,
    /// A gate gave no decision.
    Gate,
    /// It is to go back, and its release does not allow that for its data.
    Data,
}

/// End of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The release has everything.
    Succeeded,
    /// It was taken back.
    RolledBack,
    /// It was given up.
    Aborted,
    /// The route was changed by others.
    Superseded,
}

/// State of a rollout, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not begun.
    Planned,
    /// In a step.
    Running,
    /// In a step or the bake, and waiting.
    Paused,
    /// After the last step.
    Baking,
    /// Ended: the release has everything.
    Succeeded,
    /// Ended: it was taken back.
    RolledBack,
    /// Ended: it was given up.
    Aborted,
    /// Ended: the route was changed by others.
    Superseded,
}

impl From<End> for State {
    fn from(end: End) -> Self {
        match end {
            End::Succeeded => Self::Succeeded,
            End::RolledBack => Self::RolledBack,
            End::Aborted => Self::Aborted,
            End::Superseded => Self::Superseded,
        }
    }
}
