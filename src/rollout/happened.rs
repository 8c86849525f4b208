//! Events of a rollout that others are to hear of, until they are taken.

use serde::{Deserialize, Serialize};

use super::place::Target;
use crate::model::HookEvent;

/// Largest number of events that are kept.
const MOST: usize = 32;

/// An event, with the weight that is given next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The event.
    pub event: HookEvent,
    /// The weight.
    pub target: Option<Target>,
}

/// Events, the earliest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Happenings(Vec<Happened>);

impl Happenings {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one; of too many the earliest are forgotten.
    pub(super) fn add(&mut self, event: HookEvent, target: Option<Target>) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Happened { event, target });
    }

    pub(super) fn take(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.0)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
