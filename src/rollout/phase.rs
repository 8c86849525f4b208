//! Phase of a rollout: the state that its machine is in.

use serde::{Deserialize, Serialize};

use super::place::{End, PauseReason, Place, Target};

/// Phase of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Planned,
    /// A weight is ordered and not confirmed.
    Moving {
        target: Target,
        from: Option<Place>,
        #[serde(default)]
        by: By,
    },
    Holding(Place),
    Paused {
        place: Place,
        reason: PauseReason,
    },
    /// The way back is ordered and not confirmed.
    Returning(End),
    Ended(End),
}

/// Origin of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// The evidence, or a gate: it must still hold when the order is given again.
    #[default]
    Automation,
    /// A command, which asks for no evidence.
    Operator,
}
