//! Gates of rollouts: a question is asked beside the loop, and its answer is looked at with the next look.
//!
//! So a gate that hangs holds nothing: neither another rollout, nor the way back of its own.

use std::{sync::Arc, time::Instant};

use super::{
    Controller,
    clock::now,
    gate_question::{GateAsking, Question},
    hook_outbox::next_weight,
    metrics,
    rollout_record::{GateRecord, RolloutRecord},
    rollout_registry::RunningRollout,
};
use crate::{
    hooks::{Answer, CallError, Decision, Hook, HookMessage, MessageGate, ask},
    model::{HookEvent, HookName},
    rollout::{GateAnswer, Place, Target},
};

impl Controller {
    /// The answer of the gate of the present place, if it has come; asks, if it is time to.
    pub(super) fn gate_answer(&self, run: &mut RunningRollout) -> Option<GateAnswer> {
        let machine = &run.record.machine;
        let (Some((gate, is_ready)), Some(place)) = (machine.gate(), machine.place()) else {
            run.gate = GateAsking::default();
            return None;
        };
        let gate = gate.clone();
        if let Some((was_ready, result)) = run.gate.take_answer(place) {
            return self.hear(run, &gate, was_ready, result);
        }
        let hooks = self.hooks.set();
        let Some(hook) = hooks.get(&gate) else {
            return is_ready.then(|| missing(&mut run.record, &gate));
        };
        let is_wanted = is_ready || hook.spec().watch;
        let is_early = run
            .gate
            .again_at
            .is_some_and(|again| again > Instant::now());
        if is_wanted && !is_early && run.gate.question.is_none() {
            run.gate.question = Some(Question {
                place,
                is_ready,
                task: tokio::spawn(put(Arc::clone(hook), self.question(&run.record, is_ready))),
            });
        }
        None
    }

    fn question(&self, record: &RolloutRecord, is_ready: bool) -> HookMessage {
        let next = record.machine.next();
        let event = match (record.machine.place(), next) {
            (Some(Place::Start), _) => HookEvent::BeforeStart,
            (_, Some(Target::Step(_))) => HookEvent::BeforeStep,
            (_, Some(Target::Whole)) => HookEvent::BeforePromotion,
            (_, None) => HookEvent::AfterStep,
        };
        let name = record.machine.gate().map(|(gate, _)| gate.to_string());
        let message = HookMessage {
            id: record.outbox.question(is_ready, record.machine.place()),
            event,
            at: now(),
            next: next.map(|target| next_weight(&record.machine, target)),
            gate: Some(MessageGate {
                name: name.unwrap_or_default(),
                ready: is_ready,
            }),
            rollout: record.show(&self.weights_of(record)),
        };
        message.bounded()
    }

    /// Takes an answer: what only watched takes back or does nothing.
    fn hear(
        &self,
        run: &mut RunningRollout,
        gate: &HookName,
        was_ready: bool,
        result: Result<Answer, CallError>,
    ) -> Option<GateAnswer> {
        let interval = self
            .hooks
            .set()
            .get(gate)
            .map(|hook| hook.spec().interval.0);
        run.gate.again_at = interval.map(|interval| Instant::now() + interval);
        run.record.outbox.answered();
        let (outcome, reason, answer) = match result {
            Ok(Answer { decision, reason }) => (decision.as_str(), reason, answer(decision)),
            Err(error) => {
                if was_ready {
                    // A rollout that is resumed asks at once.
                    run.gate.again_at = None;
                }
                ("silent", Some(error.to_string()), GateAnswer::Silent)
            }
        };
        metrics::count_hook(gate, outcome);
        let answered = GateRecord {
            hook: gate.clone(),
            decision: outcome.to_owned(),
            reason,
            at: now(),
        };
        run.record.hear(answered, was_ready);
        (was_ready || answer == GateAnswer::Rollback).then_some(answer)
    }
}

async fn put(hook: Arc<Hook>, question: HookMessage) -> Result<Answer, CallError> {
    ask(&hook, &question).await
}

const fn answer(decision: Decision) -> GateAnswer {
    match decision {
        Decision::Continue => GateAnswer::Continue,
        Decision::Wait => GateAnswer::Wait,
        Decision::Rollback => GateAnswer::Rollback,
    }
}

fn missing(record: &mut RolloutRecord, gate: &HookName) -> GateAnswer {
    let silent = GateRecord {
        hook: gate.clone(),
        decision: "silent".to_owned(),
        reason: Some("there is no such hook".to_owned()),
        at: now(),
    };
    record.hear(silent, true);
    GateAnswer::Silent
}
