//! The machine: what each event does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    command::{Command, Refused},
    gate::GateAnswer,
    happened::{Happened, Happenings},
    observed::Observed,
    phase::{By, Phase},
    place::{End, PauseReason, Place, Target},
};
use crate::{
    analysis::Finding,
    model::{HookEvent, PlanSpec, StepSpec},
};

/// Longest time that one observation adds to a step: more has not been observed.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// State of one rollout; saved with serde.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub(super) plan: PlanSpec,
    pub(super) phase: Phase,
    /// The latest step, also after it.
    pub(super) step: u32,
    /// Time of the place in which it was held and observed.
    pub(super) held: Duration,
    /// Time beyond the shortest one in which the evidence was waited for.
    pub(super) waited: Duration,
    /// True if a gate is all that the place still waits for.
    #[serde(default)]
    pub(super) asks: bool,
    /// The weight that was announced and is not live: when it is ordered again, nothing is announced again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) announced: Option<Target>,
    /// Place from which the way back was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) returns_from: Option<Place>,
    /// Events that others are to hear of.
    #[serde(default, skip_serializing_if = "Happenings::is_empty")]
    happened: Happenings,
}

/// Event that a machine is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Begin.
    Start,
    /// The weight that was ordered is live.
    Published,
    /// The way back has been gone.
    Returned,
    /// The way back is not allowed: the data of the release does not bear it.
    NotAllowed,
    /// Others have changed the route or a release of the rollout.
    Changed,
    /// A way back was begun, and then the process was killed.
    Interrupted(End),
    /// A look at the evidence.
    Observed(Observed),
    /// An operator wants this.
    Command(Command),
}

/// Order of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Give the release the weight of a target.
    Publish(Target),
    /// Give the route back what it had.
    Return,
}

impl Machine {
    /// Creates a rollout that has not begun.
    pub const fn new(plan: PlanSpec) -> Self {
        Self {
            plan,
            phase: Phase::Planned,
            step: 0,
            held: Duration::ZERO,
            waited: Duration::ZERO,
            asks: false,
            announced: None,
            returns_from: None,
            happened: Happenings::new(),
        }
    }

    /// Takes what has happened since the last time.
    pub fn take_happened(&mut self) -> Vec<Happened> {
        self.happened.take()
    }

    /// Changes the state by an event; the order is to be carried out.
    ///
    /// # Errors
    /// If a command does not fit. Nothing has changed then.
    pub fn on(&mut self, event: Event) -> Result<Option<Action>, Refused> {
        match event {
            Event::Start => Ok(self.start()),
            Event::Published => {
                self.published();
                Ok(None)
            }
            Event::Returned => {
                if let Phase::Returning(end) = self.phase {
                    self.happened.add(HookEvent::AfterRollback, None);
                    self.end(end);
                }
                Ok(None)
            }
            Event::NotAllowed => {
                self.not_allowed();
                Ok(None)
            }
            Event::Changed => {
                if !self.has_ended() {
                    self.end(End::Superseded);
                }
                Ok(None)
            }
            Event::Interrupted(end) => Ok((!self.has_ended()).then(|| self.go_back(end))),
            Event::Observed(seen) => Ok(self.observed(seen)),
            Event::Command(command) => self.command(command),
        }
    }

    fn start(&mut self) -> Option<Action> {
        if self.phase != Phase::Planned {
            return None;
        }
        self.happened.add(HookEvent::BeforeStart, None);
        if self.plan.gate.is_some() {
            self.asks = true;
            self.phase = Phase::Holding(Place::Start);
            return None;
        }
        Some(self.go(self.target_at(0), None, By::Automation))
    }

    fn published(&mut self) {
        let Phase::Moving { target, .. } = self.phase else {
            return;
        };
        match target {
            Target::Whole => self.end(End::Succeeded),
            Target::Step(step) => {
                self.step = step;
                self.arrive(if self.is_bare_end(step) {
                    Place::Bake
                } else {
                    Place::Step(step)
                });
            }
        }
    }

    fn arrive(&mut self, place: Place) {
        (self.held, self.waited, self.asks) = (Duration::ZERO, Duration::ZERO, false);
        self.announced = None;
        self.phase = Phase::Holding(place);
    }

    fn observed(&mut self, seen: Observed) -> Option<Action> {
        match self.phase {
            Phase::Returning(_) => return Some(Action::Return),
            Phase::Planned
            | Phase::Ended(_)
            // Only a person goes back then.
            | Phase::Paused {
                reason: PauseReason::Data,
                ..
            } => return None,
            _ if seen.finding == Finding::Worse || seen.gate == Some(GateAnswer::Rollback) => {
                return Some(self.go_back(End::RolledBack));
            }
            Phase::Moving {
                target,
                from: Some(place),
                by: By::Automation,
            } => return self.go_again(place, target, seen),
            Phase::Moving { target, .. } => return Some(Action::Publish(target)),
            Phase::Holding(place) => return self.hold(place, seen),
            Phase::Paused { place, reason } => {
                if reason == PauseReason::NoTraffic && seen.has_traffic {
                    // The evidence has its time from now on.
                    self.waited = Duration::ZERO;
                    self.phase = Phase::Holding(place);
                }
            }
        }
        None
    }

    /// Holds a place, and leaves it once everything is there that it waits for.
    fn hold(&mut self, place: Place, seen: Observed) -> Option<Action> {
        self.asks = false;
        let elapsed = seen.elapsed.min(LONGEST_LOOK);
        self.held = self.held.saturating_add(elapsed);
        let shortest = match place {
            Place::Step(step) => self.plan.hold(step),
            Place::Bake => self.plan.bake(),
            Place::Start => Duration::ZERO,
        };
        if self.held < shortest {
            return None;
        }
        if let Some(reason) = self.lacks(place, seen, elapsed) {
            self.pause_for(place, reason?);
            return None;
        }
        self.leave(place, By::Automation)
    }

    /// Gives an order again that was not carried out, if what it was given for still holds; else the place is held on.
    fn go_again(&mut self, place: Place, target: Target, seen: Observed) -> Option<Action> {
        let elapsed = seen.elapsed.min(LONGEST_LOOK);
        let Some(reason) = self.lacks(place, seen, elapsed) else {
            return Some(Action::Publish(target));
        };
        self.phase = Phase::Holding(place);
        self.pause_for(place, reason?);
        None
    }

    /// The reason for which a place cannot be left: `Some(None)` if it is only waited for.
    #[expect(
        clippy::option_option,
        reason = "waiting and pausing are two ways not to go on"
    )]
    fn lacks(
        &mut self,
        place: Place,
        seen: Observed,
        elapsed: Duration,
    ) -> Option<Option<PauseReason>> {
        match place {
            // Nothing runs there that could be judged.
            Place::Start => {}
            Place::Step(step) if self.plan.waits_for_fine(step) => {
                if seen.finding != Finding::Fine {
                    self.waited = self.waited.saturating_add(elapsed);
                    let is_late = self.waited > self.plan.within(step);
                    let reason = if seen.has_traffic {
                        PauseReason::Inconclusive
                    } else {
                        PauseReason::NoTraffic
                    };
                    return Some(is_late.then_some(reason));
                }
            }
            _ if !seen.has_traffic => return Some(Some(PauseReason::NoTraffic)),
            _ if seen.is_blocked => return Some(Some(PauseReason::Inconclusive)),
            Place::Step(_) | Place::Bake => {}
        }
        if self.gate_at(place).is_some() {
            match seen.gate {
                Some(GateAnswer::Continue) => {}
                Some(GateAnswer::Silent) => return Some(Some(PauseReason::Gate)),
                Some(GateAnswer::Wait | GateAnswer::Rollback) | None => {
                    self.asks = true;
                    return Some(None);
                }
            }
        }
        let approval = |step| self.plan.step(step).is_some_and(|step| step.approval);
        let needs_approval = matches!(place, Place::Step(step) if approval(step));
        needs_approval.then_some(Some(PauseReason::Approval))
    }

    /// Goes on from a place.
    pub(super) fn leave(&mut self, place: Place, by: By) -> Option<Action> {
        if matches!(place, Place::Step(_)) && self.announced.is_none() {
            self.happened.add(HookEvent::AfterStep, None);
        }
        match place {
            Place::Start => Some(self.go(self.target_at(0), Some(place), by)),
            Place::Bake => Some(self.go(Target::Whole, Some(place), by)),
            Place::Step(step) if step < self.plan.last() => {
                Some(self.go(self.target_at(step + 1), Some(place), by))
            }
            Place::Step(_) if self.plan.bake().is_zero() => {
                Some(self.go(Target::Whole, Some(place), by))
            }
            Place::Step(_) => {
                // The weight stays: what is held back is held back through the bake.
                self.arrive(Place::Bake);
                None
            }
        }
    }

    pub(super) fn go(&mut self, target: Target, from: Option<Place>, by: By) -> Action {
        let event = match target {
            Target::Step(_) => HookEvent::BeforeStep,
            Target::Whole => HookEvent::BeforePromotion,
        };
        if self.announced.replace(target) != Some(target) {
            self.happened.add(event, Some(target));
        }
        self.phase = Phase::Moving { target, from, by };
        Action::Publish(target)
    }

    pub(super) fn end(&mut self, end: End) {
        self.happened.add(HookEvent::Finished, None);
        self.phase = Phase::Ended(end);
    }

    pub(super) fn pause_for(&mut self, place: Place, reason: PauseReason) {
        self.phase = Phase::Paused { place, reason };
        self.happened.add(HookEvent::Paused, None);
    }

    /// The target of a step; a last step that holds nothing, without a bake, is the whole.
    pub(super) fn target_at(&self, step: u32) -> Target {
        if self.is_bare_end(step) && self.plan.bake().is_zero() {
            return Target::Whole;
        }
        Target::Step(step)
    }

    /// True for a last step that is left at once.
    fn is_bare_end(&self, step: u32) -> bool {
        let holds = |step: &StepSpec| {
            step.hold.is_some() || step.until.is_some() || step.approval || step.gate.is_some()
        };
        step == self.plan.last() && !self.plan.step(step).is_some_and(holds)
    }
}
