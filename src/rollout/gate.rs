//! Answer of a gate, as a rollout sees it.

/// Answer of the gate of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateAnswer {
    /// The rollout may go on.
    Continue,
    /// It is asked again.
    Wait,
    /// The release is taken back at once.
    Rollback,
    /// It gave no decision, as often as it was asked.
    Silent,
}
