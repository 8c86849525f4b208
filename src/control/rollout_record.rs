//! Record of a rollout: everything that is saved of it, and how it is shown.

use serde::{Deserialize, Serialize};

use super::{clock::now, hook_outbox::HookOutbox, rollout_track::Tracks, spread::SpreadReturn};
use crate::{
    api::{
        Rollout, RolloutEntry, RolloutGate, RolloutPause, RolloutState, RolloutStatus, Timestamp,
    },
    model::{Actor, Author, HookName, HumanDuration, Percent, PlanName, Revision, RouteName},
    rollout::{End, Machine, PauseReason, State},
};

/// Largest number of entries in the log of a rollout.
const MOST_ENTRIES: usize = 100;

/// A rollout, as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RolloutRecord {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) tracks: Tracks,
    pub(super) machine: Machine,
    /// The revision that was live before it.
    pub(super) base: Revision,
    pub(super) plan_name: Option<PlanName>,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) author: String,
    pub(super) message: Option<String>,
    /// True if it goes on although its release is in quarantine.
    #[serde(default)]
    pub(super) is_forced: bool,
    /// Routes that it is paused for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) paused_by: Vec<RouteName>,
    /// True if a person takes it back whatever its release declares about the data.
    #[serde(default)]
    pub(super) is_return_forced: bool,
    /// Way back that is under way in parts; after a restart the rest is given back at once.
    #[serde(skip)]
    pub(super) spread: Option<SpreadReturn>,
    /// True if parts of a way back may be live.
    #[serde(default)]
    pub(super) has_parts: bool,
    pub(super) waiting_for: Option<String>,
    pub(super) log: Vec<RolloutEntry>,
    /// Messages that hooks are owed.
    #[serde(default)]
    pub(super) outbox: HookOutbox,
    /// Latest answer of a gate.
    #[serde(default)]
    pub(super) gate: Option<GateRecord>,
    /// Place in the fleet, on a node of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fleet: Option<FleetPlace>,
}

/// Place of a rollout in a fleet of proxies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FleetPlace {
    /// Node that runs it.
    pub(super) node: String,
    /// Number of nodes that have run it, this one included.
    pub(super) turn: u64,
    /// Revision of the fleet that was taken up before it.
    pub(super) base: u64,
}

/// Answer of a gate, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GateRecord {
    pub(super) hook: HookName,
    pub(super) decision: String,
    pub(super) reason: Option<String>,
    pub(super) at: Timestamp,
}

/// Parts of a new rollout.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) tracks: Tracks,
    pub(super) base: Revision,
    pub(super) machine: Machine,
    pub(super) plan_name: Option<PlanName>,
    pub(super) author: String,
    pub(super) message: Option<String>,
    pub(super) is_forced: bool,
}

impl RolloutRecord {
    pub(super) fn new(id: String, begin: Begin) -> Self {
        Self {
            id,
            tracks: begin.tracks,
            machine: begin.machine,
            base: begin.base,
            plan_name: begin.plan_name,
            started_at: now(),
            ended_at: None,
            author: begin.author,
            message: begin.message,
            is_forced: begin.is_forced,
            paused_by: Vec::new(),
            is_return_forced: false,
            spread: None,
            has_parts: false,
            waiting_for: None,
            log: Vec::new(),
            outbox: HookOutbox::default(),
            gate: None,
            fleet: None,
        }
    }

    /// True if a node runs it.
    pub(super) fn runs_on(&self, node: &str) -> bool {
        self.fleet.as_ref().is_some_and(|place| place.node == node)
    }

    /// True if another record is of the same node's turn.
    pub(super) fn is_turn_of(&self, other: &Self) -> bool {
        let turn = |one: &Self| {
            one.fleet
                .as_ref()
                .map(|place| (place.node.clone(), place.turn))
        };
        turn(self).is_some() && turn(self) == turn(other)
    }

    /// Group of its revisions.
    pub(super) fn group(&self) -> String {
        format!("rollout-{}", self.id)
    }

    /// Name of the author of its revisions.
    pub(super) fn name(&self) -> String {
        format!("rollout {}", self.id)
    }

    /// Author of a revision that it makes.
    pub(super) fn author_of(&self, message: String) -> Author {
        Author {
            actor: Actor::System,
            name: self.name(),
            message: Some(message),
            idempotency_key: None,
            group: Some(self.group()),
        }
    }

    /// Author of a revision that takes it back.
    pub(super) fn author_of_return(&self) -> Author {
        let end = self.machine.goes_back().unwrap_or(End::RolledBack);
        self.author_of(self.return_message(end))
    }

    /// Message of a revision on the way back: it says what the rollout ends as.
    pub(super) fn return_message(&self, end: End) -> String {
        let what = if end == End::Aborted {
            "is given up"
        } else {
            "is taken back"
        };
        format!(
            "rollout {} of {} {what}",
            self.id,
            self.tracks.canary_names()
        )
    }

    /// Adds an entry to its log and to the audit log.
    pub(super) fn note(&mut self, by: &str, what: String) {
        tracing::info!(
            target: "audit",
            rollout = self.id, route = self.tracks.audit_routes(), release = self.tracks.audit_releases(), name = by, what,
            "rollout"
        );
        if self.log.len() == MOST_ENTRIES {
            self.log.remove(0);
        }
        self.log.push(RolloutEntry {
            at: now(),
            by: by.to_owned(),
            what,
        });
    }

    /// Takes an answer of a gate; one that says something new is an entry in the log, and one that was waited for.
    pub(super) fn hear(&mut self, answer: GateRecord, was_waited_for: bool) {
        let said = |gate: &GateRecord| (gate.decision.clone(), gate.reason.clone());
        let is_new = self.gate.as_ref().map(said) != Some(said(&answer));
        let is_again = answer.decision == "wait" || self.machine.repeats();
        if is_new || was_waited_for && !is_again {
            let reason = answer.reason.as_deref();
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            let by = format!("gate {}", answer.hook);
            self.note(&by, format!("{}{reason}", answer.decision));
        }
        self.gate = Some(answer);
    }

    /// The answer of the gate that took the release back, if one did.
    pub(super) fn gate_that_took_back(&self) -> Option<String> {
        let gate = self.gate.as_ref()?;
        let reason = gate.reason.as_deref().unwrap_or("it gave no reason");
        (gate.decision == "rollback").then(|| format!("taken back by gate {}: {reason}", gate.hook))
    }

    /// Routes that it is paused for, if the pause is because of some.
    fn paused_by(&self) -> Vec<RouteName> {
        match self.machine.pause() {
            Some(PauseReason::NoTraffic | PauseReason::Inconclusive) => self.paused_by.clone(),
            _ => Vec::new(),
        }
    }

    /// The rollout, as it is shown; the weights are what its releases have by the live table, in the order of its tracks.
    pub(super) fn show(&self, weights: &[Percent]) -> Rollout {
        let held = self.machine.held();
        let tracks = self.tracks.iter().zip(weights);
        let first = self.tracks.first();
        Rollout {
            id: self.id.clone(),
            route: first.route.clone(),
            from: first.from.0.clone(),
            from_version: first.from.1.clone(),
            to: first.to.0.clone(),
            to_version: first.to.1.clone(),
            routes: tracks.map(|(track, weight)| track.show(*weight)).collect(),
            state: state(self.machine.state()),
            paused_for: self.machine.pause().map(pause),
            paused_by: self.paused_by(),
            step: self.machine.step(),
            weight: weights.first().copied().unwrap_or(Percent::NONE),
            held: HumanDuration::seconds(held.as_secs()),
            plan: self.machine.plan().clone(),
            plan_name: self.plan_name.clone(),
            group: self.group(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            author: self.author.clone(),
            node: self.fleet.as_ref().map(|place| place.node.clone()),
            message: self.message.clone(),
            verdict: self.tracks.verdict(),
            gate: self.gate.as_ref().map(gate),
            verification: None,
            waiting_for: self.waits_for(),
            going_back: self.spread.as_ref().map(SpreadReturn::show),
            next: None,
            log: self.log.clone(),
        }
    }
}

impl RolloutRecord {
    /// The rollout in brief.
    pub(super) fn status(&self, weights: &[Percent]) -> RolloutStatus {
        let tracks = self.tracks.iter().zip(weights);
        let first = self.tracks.first();
        RolloutStatus {
            id: self.id.clone(),
            route: first.route.clone(),
            from: first.from.0.clone(),
            to: first.to.0.clone(),
            routes: tracks
                .map(|(track, weight)| track.status(*weight))
                .collect(),
            state: state(self.machine.state()),
            paused_for: self.machine.pause().map(pause),
            paused_by: self.paused_by(),
            step: self.machine.step(),
            steps: self.machine.plan().last() + 1,
            weight: weights.first().copied().unwrap_or(Percent::NONE),
            verdict: self.tracks.verdict().map(|verdict| verdict.words),
            waiting_for: self.waits_for(),
            going_back: self.spread.as_ref().map(SpreadReturn::show),
        }
    }

    /// The reason for which its last order could not be carried out, or the gate that is asked.
    fn waits_for(&self) -> Option<String> {
        let gate = self.machine.gate().filter(|(_, is_ready)| *is_ready);
        let asked = gate.map(|(gate, _)| format!("the decision of gate `{gate}`"));
        self.waiting_for.clone().or(asked)
    }
}

/// The state of a machine, as it is shown.
pub(super) const fn state(state: State) -> RolloutState {
    match state {
        State::Planned => RolloutState::Planned,
        State::Running => RolloutState::Running,
        State::Paused => RolloutState::Paused,
        State::Baking => RolloutState::Baking,
        State::Succeeded => RolloutState::Succeeded,
        State::RolledBack => RolloutState::RolledBack,
        State::Aborted => RolloutState::Aborted,
        State::Superseded => RolloutState::Superseded,
    }
}

/// The reason of a pause, as it is shown.
pub(super) const fn pause(reason: PauseReason) -> RolloutPause {
    match reason {
        PauseReason::Manual => RolloutPause::Manual,
        PauseReason::Approval => RolloutPause::Approval,
        PauseReason::Inconclusive => RolloutPause::Inconclusive,
        PauseReason::NoTraffic => RolloutPause::NoTraffic,
        PauseReason::Gate => RolloutPause::Gate,
        PauseReason::Data => RolloutPause::Data,
    }
}

fn gate(record: &GateRecord) -> RolloutGate {
    RolloutGate {
        hook: record.hook.clone(),
        decision: record.decision.clone(),
        reason: record.reason.clone(),
        at: record.at,
    }
}
