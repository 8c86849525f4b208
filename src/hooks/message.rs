//! Message of a rollout, before it has a format.

use serde::{Deserialize, Serialize};

use crate::{
    api::{Rollout, Timestamp},
    model::{HookEvent, Percent},
};

/// Largest number of entries of a rollout's log in a message.
const MOST_ENTRIES: usize = 20;

/// Message of a rollout: an event, or a question to a gate before one. It stays as it was made, over retries and restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookMessage {
    /// Its id, by which receivers know a repetition.
    pub id: String,
    /// The event.
    pub event: HookEvent,
    /// Time of the event.
    pub at: Timestamp,
    /// The weight that follows, if one does.
    pub next: Option<NextWeight>,
    /// The gate, in a question.
    pub gate: Option<MessageGate>,
    /// The rollout as it was then, with the end of its log.
    pub rollout: Rollout,
}

/// Weight that a release gets next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextWeight {
    /// The step, counted from 0; none if it gets everything.
    pub step: Option<u32>,
    /// Percents of the route.
    pub weight: Percent,
}

/// The gate of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageGate {
    /// Name of the hook.
    pub name: String,
    /// True if the rollout goes on with `continue`; false while the gate only watches.
    pub ready: bool,
}

impl HookMessage {
    /// Leaves the end of a log, so that a message stays small.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let log = &mut self.rollout.log;
        log.drain(..log.len().saturating_sub(MOST_ENTRIES));
        self
    }

    /// Name of the event, in messages.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.gate, self.event) {
            (Some(_), _) => "rollout.gate",
            (None, HookEvent::BeforeStart) => "rollout.before_start",
            (None, HookEvent::BeforeStep) => "rollout.before_step",
            (None, HookEvent::AfterStep) => "rollout.after_step",
            (None, HookEvent::Paused) => "rollout.paused",
            (None, HookEvent::BeforePromotion) => "rollout.before_promotion",
            (None, HookEvent::AfterRollback) => "rollout.after_rollback",
            (None, HookEvent::Finished) => "rollout.finished",
        }
    }
}
