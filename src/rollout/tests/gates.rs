//! Gates of a rollout, and the events that its hooks are told.

use super::*;
use crate::model::HookEvent;

impl Run {
    /// A good second in which a gate answers.
    pub(super) fn answered(&mut self, answer: GateAnswer) {
        self.tell(Event::Observed(Observed {
            elapsed: SECOND,
            finding: Finding::Fine,
            has_traffic: true,
            is_blocked: false,
            gate: Some(answer),
        }))
        .unwrap();
    }

    fn happened(&mut self) -> Vec<HookEvent> {
        let happened = self.machine.take_happened();
        happened.into_iter().map(|one| one.event).collect()
    }
}

const GATED: &str =
    r#"{"steps": [{"weight": 5, "hold": "3s"}, {"weight": 100}], "bake": "2s", "gate": "checks"}"#;

#[test]
fn a_gate_is_asked_before_every_weight_and_nothing_goes_on_without_it() {
    let mut run = Run::begun(plan(GATED));
    run.seconds(100, Finding::Fine);
    assert_eq!(
        (run.weight, run.machine.state()),
        (Percent::NONE, State::Planned),
        "not even the first weight"
    );
    run.answered(GateAnswer::Continue);
    assert_eq!(run.weight, Percent::of(5));
    assert!(run.machine.gate().is_some_and(|(_, is_asked)| !is_asked));
    run.answered(GateAnswer::Continue);
    assert_eq!(run.weight, Percent::of(5), "too early: that answer is none");
    run.seconds(100, Finding::Fine);
    assert_eq!(run.weight, Percent::of(5));
    assert!(run.machine.gate().is_some_and(|(_, is_asked)| is_asked));
    run.answered(GateAnswer::Wait);
    assert_eq!(run.weight, Percent::of(5));
    run.answered(GateAnswer::Continue);
    assert_eq!(run.weight, Percent::of(95));
    run.seconds(100, Finding::Fine);
    assert_eq!(run.machine.state(), State::Baking);
    run.answered(GateAnswer::Continue);
    assert_eq!(run.machine.state(), State::Succeeded);
}

#[test]
fn a_gate_that_is_silent_pauses_and_a_resume_asks_it_again() {
    let mut run = Run::begun(plan(GATED));
    run.answered(GateAnswer::Silent);
    assert_eq!(run.machine.pause(), Some(PauseReason::Gate));
    run.answered(GateAnswer::Continue);
    assert_eq!(run.weight, Percent::NONE, "a pause is ended by hand");
    run.tell(Event::Command(Command::Resume)).unwrap();
    run.seconds(10, Finding::Fine);
    assert_eq!(run.weight, Percent::NONE, "resuming is no answer");
    run.answered(GateAnswer::Continue);
    assert_eq!(run.weight, Percent::of(5));
}

#[test]
fn a_gate_takes_back_at_once_wherever_the_rollout_is() {
    for looks in [0, 1, 2, 10] {
        let mut run = Run::begun(plan(GATED));
        run.answered(GateAnswer::Continue);
        run.seconds(looks, Finding::NotEnoughData);
        run.answered(GateAnswer::Rollback);
        assert_eq!(
            (run.weight, run.machine.state()),
            (Percent::NONE, State::RolledBack)
        );
    }
}

#[test]
fn an_approval_comes_after_the_gate() {
    let mut run = Run::begun(plan(
        r#"{"steps": [{"weight": 5, "hold": "1s", "gate": "checks", "approval": true}, {"weight": 100}]}"#,
    ));
    run.seconds(10, Finding::Fine);
    assert_eq!(run.machine.pause(), None, "the gate is waited for");
    run.answered(GateAnswer::Continue);
    assert_eq!(run.machine.pause(), Some(PauseReason::Approval));
    run.tell(Event::Command(Command::Approve)).unwrap();
    assert_eq!(run.machine.state(), State::Succeeded);
}

#[test]
fn every_event_happens_once_in_the_order_of_the_rollout() {
    use HookEvent::{
        AfterRollback, AfterStep, BeforePromotion, BeforeStart, BeforeStep, Finished, Paused,
    };
    let mut run = Run::begun(plan(TWO_STEPS));
    run.seconds(20, Finding::Fine);
    assert_eq!(
        run.happened(),
        [
            BeforeStart,
            BeforeStep,
            AfterStep,
            BeforeStep,
            AfterStep,
            BeforeStep
        ]
    );
    run.tell(Event::Command(Command::Pause)).unwrap();
    run.tell(Event::Command(Command::Resume)).unwrap();
    run.seconds(30, Finding::Fine);
    assert_eq!(run.happened(), [Paused, BeforePromotion, Finished]);
    run.tell(Event::Command(Command::Rollback)).unwrap();
    assert_eq!(run.happened(), [AfterRollback, Finished]);
    assert_eq!(run.happened(), []);
}

#[test]
fn a_gate_is_asked_again_where_its_order_was_not_carried_out() {
    let plan = r#"{"gate": "checks", "steps": [{"weight": 5}, {"weight": 100}], "bake": "5s"}"#;
    let mut machine = Machine::new(self::plan(plan));
    machine.on(Event::Start).unwrap();
    let look = |gate| match seen(Finding::NotEnoughData, false) {
        Event::Observed(seen) => Event::Observed(Observed { gate, ..seen }),
        other => other,
    };
    let go = look(Some(GateAnswer::Continue));
    assert_eq!(machine.on(look(None)).unwrap(), None);
    let order = machine.on(go).unwrap();
    assert_eq!(order, Some(Action::Publish(Target::Step(0))));
    // There is no room. What the gate said then is old by now.
    assert_eq!(machine.on(look(None)).unwrap(), None);
    assert!(machine.gate().is_some_and(|(_, is_ready)| is_ready) && machine.repeats());
    assert_eq!(machine.on(look(Some(GateAnswer::Wait))).unwrap(), None);
    assert_eq!(machine.on(go).unwrap(), order);
}
