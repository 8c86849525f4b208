//! A rollout as it is seen: its state, its place, what it waits for and what follows.

use std::time::Duration;

use super::{
    command::Refused,
    machine::Machine,
    phase::Phase,
    place::{End, PauseReason, Place, State, Target},
};
use crate::model::{HookName, Percent, PlanSpec};

impl Machine {
    /// The plan.
    pub const fn plan(&self) -> &PlanSpec {
        &self.plan
    }

    /// The latest step.
    pub const fn step(&self) -> u32 {
        self.step
    }

    /// Time in which the present place was held.
    pub const fn held(&self) -> Duration {
        self.held
    }

    /// The state.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Planned | Phase::Holding(Place::Start) => State::Planned,
            Phase::Moving {
                from: Some(Place::Bake),
                ..
            }
            | Phase::Holding(Place::Bake) => State::Baking,
            Phase::Moving { .. } | Phase::Holding(Place::Step(_)) | Phase::Returning(_) => {
                State::Running
            }
            Phase::Paused { .. } => State::Paused,
            Phase::Ended(end) => end.into(),
        }
    }

    /// Reason of the pause, in one.
    pub const fn pause(&self) -> Option<PauseReason> {
        match self.phase {
            Phase::Paused { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The place that is held, paused or not.
    pub const fn place(&self) -> Option<Place> {
        match self.phase {
            Phase::Holding(place) | Phase::Paused { place, .. } => Some(place),
            _ => None,
        }
    }

    /// The place whose evidence counts: the one that is held, or, with a weight that is ordered and not live, the one before.
    pub const fn judged_place(&self) -> Option<Place> {
        match self.phase {
            Phase::Moving { from, .. } => from,
            _ => self.place(),
        }
    }

    /// True if the next weight was announced already, and could not be given.
    pub const fn repeats(&self) -> bool {
        self.announced.is_some()
    }

    /// Hook that is asked before the present place is left, and true if it is all that is waited for.
    pub fn gate(&self) -> Option<(&HookName, bool)> {
        let gate = self.gate_at(self.place()?);
        gate.map(|gate| (gate, self.asks && self.pause().is_none()))
    }

    /// Hook that is asked before a place is left.
    pub(super) fn gate_at(&self, place: Place) -> Option<&HookName> {
        match place {
            Place::Step(step) => self.plan.gate(step),
            Place::Start | Place::Bake => self.plan.gate.as_ref(),
        }
    }

    /// The first weight.
    pub fn first(&self) -> Target {
        self.target_at(0)
    }

    /// Weight that follows the present place; none after the last step, whose weight stays through the bake.
    pub fn next(&self) -> Option<Target> {
        match self.place()? {
            Place::Start => Some(self.target_at(0)),
            Place::Bake => Some(Target::Whole),
            Place::Step(step) if step < self.plan.last() => Some(self.target_at(step + 1)),
            Place::Step(_) if self.plan.bake().is_zero() => Some(Target::Whole),
            Place::Step(_) => None,
        }
    }

    /// True if there is nothing more to do.
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// The end of the way back, while that is ordered and not gone.
    pub const fn goes_back(&self) -> Option<End> {
        match self.phase {
            Phase::Returning(end) => Some(end),
            _ => None,
        }
    }

    /// True if the weight of a target is ordered and not confirmed.
    pub fn awaits(&self, weight: Target) -> bool {
        matches!(self.phase, Phase::Moving { target, .. } if target == weight)
    }

    /// The refusal of an order that was withdrawn.
    pub const fn withdrawal(&self) -> Refused {
        if self.goes_back().is_some() {
            Refused::GoesBack
        } else {
            Refused::Ended
        }
    }

    /// Percents that a target gives the release.
    pub fn weight(&self, target: Target) -> Percent {
        match target {
            Target::Step(step) => self.plan.weight(step),
            Target::Whole => Percent::ALL,
        }
    }
}
