//! The way back: where it is ordered, and where the rollout stays if it is not allowed.

use super::{
    machine::{Action, Machine},
    phase::Phase,
    place::{End, PauseReason, Place},
};

impl Machine {
    pub(super) fn go_back(&mut self, end: End) -> Action {
        self.returns_from = match self.phase {
            Phase::Returning(_) => self.returns_from,
            Phase::Moving { from, .. } => from,
            _ => self.place(),
        };
        self.phase = Phase::Returning(end);
        Action::Return
    }

    /// Pauses where the way back was ordered.
    pub(super) fn not_allowed(&mut self) {
        if matches!(self.phase, Phase::Returning(_)) {
            let place = self.returns_from.unwrap_or(Place::Step(self.step));
            self.pause_for(place, PauseReason::Data);
        }
    }
}
