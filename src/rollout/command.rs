//! Commands of an operator, and the reasons for which they are refused.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::place::PauseReason;

/// Command of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Go no further. What is worse is still taken back.
    Pause,
    /// Go on.
    Resume,
    /// Approve what waits for an approval.
    Approve,
    /// End the step now, whatever it waits for.
    Skip,
    /// Give the release everything now.
    Promote,
    /// Give up: the stable release gets everything.
    Abort,
    /// Take back, even if it has succeeded.
    Rollback,
}

impl Command {
    /// All commands.
    pub const ALL: [Self; 7] = [
        Self::Pause,
        Self::Resume,
        Self::Approve,
        Self::Skip,
        Self::Promote,
        Self::Abort,
        Self::Rollback,
    ];

    /// True if it takes the release back.
    pub const fn is_return(self) -> bool {
        matches!(self, Self::Abort | Self::Rollback)
    }

    /// Name in the API and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Skip => "skip",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
        }
    }
}

/// Reason for which a command is refused. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The rollout has ended.
    #[error("the rollout has ended")]
    Ended,
    /// It goes back already.
    #[error("the rollout goes back already")]
    GoesBack,
    /// Only what is paused is resumed.
    #[error("the rollout is not paused")]
    NotPaused,
    /// It is paused already.
    #[error("the rollout is paused already")]
    Paused(PauseReason),
    /// Resuming is no approval.
    #[error("the rollout waits for an approval")]
    NeedsApproval,
    /// Nothing waits for an approval.
    #[error("the rollout waits for no approval")]
    NoApproval,
    /// Its first step is not live yet.
    #[error("the first step of the rollout is not live yet")]
    NotBegun,
}

impl Refused {
    /// The command that would do.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Ended => "start a new one",
            Self::GoesBack => "wait until it has ended",
            Self::NotPaused => "`pause` pauses it, `skip` ends the step",
            Self::Paused(_) => "`resume` goes on",
            Self::NeedsApproval => "`approve` approves it, `abort` gives it up",
            Self::NoApproval => "`resume` ends a pause, `skip` ends the step",
            Self::NotBegun => "`abort` gives it up",
        }
    }
}
