//! Record of a rollout: everything that is saved of it, and how it is shown.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{clock::now, hook_outbox::HookOutbox};
use crate::{
    analysis::{Finding, Judge, Names, Obstacle, Rate, Verdict},
    api::{
        Rollout, RolloutEntry, RolloutFinding, RolloutGate, RolloutMetric, RolloutPause,
        RolloutRate, RolloutState, RolloutStatus, RolloutVerdict, Timestamp,
    },
    model::{
        Actor, Author, HookName, HumanDuration, Percent, PlanName, ReleaseName, Revision,
        RouteName, Version, Weights,
    },
    rollout::{End, Machine, PauseReason, State},
};

/// Largest number of entries in the log of a rollout.
const MOST_ENTRIES: usize = 100;

/// A rollout, as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RolloutRecord {
    pub(super) id: String,
    pub(super) route: RouteName,
    pub(super) from: (ReleaseName, Version),
    pub(super) to: (ReleaseName, Version),
    pub(super) machine: Machine,
    /// The judge, in its own form.
    judge: String,
    /// The revision that was live before it.
    pub(super) base: Revision,
    /// The split before it.
    pub(super) original: Weights,
    pub(super) plan_name: Option<PlanName>,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) author: String,
    pub(super) message: Option<String>,
    /// True if it goes on although its release is in quarantine.
    #[serde(default)]
    pub(super) is_forced: bool,
    pub(super) verdict: Option<RolloutVerdict>,
    /// Percents of the route with which the release was shown to be fine, the last time.
    #[serde(default)]
    fine_at: Option<Percent>,
    pub(super) waiting_for: Option<String>,
    pub(super) log: Vec<RolloutEntry>,
    /// Messages that hooks are owed.
    #[serde(default)]
    pub(super) outbox: HookOutbox,
    /// Latest answer of a gate.
    #[serde(default)]
    pub(super) gate: Option<GateRecord>,
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
    pub(super) route: RouteName,
    pub(super) from: (ReleaseName, Version),
    pub(super) to: (ReleaseName, Version),
    pub(super) base: Revision,
    pub(super) original: Weights,
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
            route: begin.route,
            from: begin.from,
            to: begin.to,
            machine: begin.machine,
            judge: String::new(),
            base: begin.base,
            original: begin.original,
            plan_name: begin.plan_name,
            started_at: now(),
            ended_at: None,
            author: begin.author,
            message: begin.message,
            is_forced: begin.is_forced,
            verdict: None,
            fine_at: None,
            waiting_for: None,
            log: Vec::new(),
            outbox: HookOutbox::default(),
            gate: None,
        }
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
        format!("rollout {} of `{}` {what}", self.id, self.to.0)
    }

    /// Adds an entry to its log and to the audit log.
    pub(super) fn note(&mut self, by: &str, what: String) {
        tracing::info!(
            target: "audit",
            rollout = self.id, route = %self.route, release = %self.to.0, name = by, what, "rollout"
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
        if is_new || was_waited_for && answer.decision != "wait" {
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

    /// The judge that was saved. One that cannot be read, by another version of the program perhaps, is given up with an
    /// error in the log: a new one knows nothing, and so is cautious.
    pub(super) fn saved_judge(&self) -> Option<Judge> {
        let id = &self.id;
        let bytes = STANDARD_NO_PAD.decode(&self.judge);
        let bytes = bytes.map_err(|error| tracing::error!(rollout = id, %error, "its evidence cannot be read; it begins anew"));
        let judge = postcard::from_bytes(&bytes.ok()?);
        judge
            .map_err(|error| tracing::error!(rollout = id, %error, "its evidence cannot be read; it begins anew"))
            .ok()
    }

    /// Takes over the state of the judge, and its verdict.
    pub(super) fn save_judge(&mut self, judge: &Judge) {
        match postcard::to_extend(judge, Vec::new()) {
            Ok(bytes) => self.judge = STANDARD_NO_PAD.encode(bytes),
            Err(error) => {
                tracing::error!(rollout = self.id, %error, "its evidence cannot be saved");
            }
        }
        let names = Names {
            canary: self.to.0.as_str(),
            stable: self.from.0.as_str(),
        };
        let found = judge.verdict(names);
        let is_nearly_all = matches!(found.obstacle, Some(Obstacle::ShareTooLarge { .. }));
        let mut shown = verdict(found);
        if let (Some(percent), true) = (self.fine_at, is_nearly_all) {
            shown.words = format!("fine with {percent} percent; {}", shown.words);
        }
        self.verdict = Some(shown);
    }

    /// Takes note that the release is fine with so much of the route.
    pub(super) const fn note_fine(&mut self, percent: Percent) {
        self.fine_at = Some(percent);
    }

    /// The verdict on a release that has got everything: with nothing beside it there is no more to come.
    pub(super) fn conclude(&mut self) {
        let (Some(verdict), Some(percent)) = (&mut self.verdict, self.fine_at) else {
            return;
        };
        if verdict.overall != RolloutFinding::Worse {
            verdict.overall = RolloutFinding::Fine;
            verdict.words = format!(
                "fine: {} was not worse than {} by any signal with {percent} percent, and was not shown to be worse after that",
                self.to.0, self.from.0
            );
        }
    }

    /// The rollout, as it is shown; `weight` is what its release has by the live table.
    pub(super) fn show(&self, weight: Percent) -> Rollout {
        let held = self.machine.held();
        Rollout {
            id: self.id.clone(),
            route: self.route.clone(),
            from: self.from.0.clone(),
            from_version: self.from.1.clone(),
            to: self.to.0.clone(),
            to_version: self.to.1.clone(),
            state: state(self.machine.state()),
            paused_for: self.machine.pause().map(pause),
            step: self.machine.step(),
            weight,
            held: HumanDuration::seconds(held.as_secs()),
            plan: self.machine.plan().clone(),
            plan_name: self.plan_name.clone(),
            group: self.group(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            author: self.author.clone(),
            message: self.message.clone(),
            verdict: self.verdict.clone(),
            gate: self.gate.as_ref().map(gate),
            verification: None,
            waiting_for: self.waits_for(),
            log: self.log.clone(),
        }
    }
}

impl RolloutRecord {
    /// The rollout in brief.
    pub(super) fn status(&self, weight: Percent) -> RolloutStatus {
        RolloutStatus {
            id: self.id.clone(),
            route: self.route.clone(),
            from: self.from.0.clone(),
            to: self.to.0.clone(),
            state: state(self.machine.state()),
            paused_for: self.machine.pause().map(pause),
            step: self.machine.step(),
            steps: self.machine.plan().last() + 1,
            weight,
            verdict: self.verdict.as_ref().map(|verdict| verdict.words.clone()),
            waiting_for: self.waits_for(),
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

const fn finding(finding: Finding) -> RolloutFinding {
    match finding {
        Finding::Worse => RolloutFinding::Worse,
        Finding::Fine => RolloutFinding::Fine,
        Finding::NotEnoughData => RolloutFinding::NotEnoughData,
        Finding::Unmeasurable => RolloutFinding::Unmeasurable,
    }
}

const fn rate(rate: Rate) -> RolloutRate {
    RolloutRate {
        bad: rate.bad,
        units: rate.units,
        distinct: rate.distinct,
    }
}

pub(super) fn verdict(verdict: Verdict) -> RolloutVerdict {
    let metrics = verdict.metrics.into_iter().map(|metric| RolloutMetric {
        name: metric.name.as_str().to_owned(),
        verdict: finding(metric.verdict),
        e: metric.e.min(f64::MAX),
        fine_e: metric.fine_e.min(f64::MAX),
        fine_bound: metric.fine_bound,
        threshold_seconds: metric.threshold_seconds,
        canary: rate(metric.canary),
        stable: rate(metric.stable),
        words: metric.words,
    });
    RolloutVerdict {
        overall: finding(verdict.overall),
        e: verdict.e.min(f64::MAX),
        bound: verdict.bound,
        metrics: metrics.collect(),
        words: verdict.words,
    }
}
