//! State machine of a rollout. Pure: state and event in, state and action out; there is no clock and no I/O.
//!
//! A [`Machine`] follows a plan: it holds each step for its time, until the evidence is there, or until it is approved,
//! and then orders the next weight. It knows time only as what has been held: an event says how much has passed since the
//! last one, and of a long gap only a part counts, so that no jump of a clock skips or repeats a step.
//!
//! What it orders on its own goes back at any time, and forward only with evidence: never past an approval, never past a
//! gate that has not said so, never on silence, never after a change by others. `control` carries the orders out and
//! reports what came of them; one that was not carried out is given again with the next observation, after a restart too.

mod command;
mod gate;
mod happened;
mod machine;
mod observed;
mod phase;
mod place;
mod steering;
mod view;
mod way_back;

#[cfg(test)]
mod tests;

pub use self::{
    command::{Command, Refused},
    gate::GateAnswer,
    happened::Happened,
    machine::{Action, Event, Machine},
    observed::{Observed, RouteSeen},
    place::{End, PauseReason, Place, State, Target},
};
