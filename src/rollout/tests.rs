//! Laws of the machine: what it never does, whatever comes in whatever order.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    analysis::Finding,
    model::{HookEvent, HumanDuration, Percent, PlanSpec, StepEnd, StepSpec},
};

const SECOND: Duration = Duration::from_secs(1);

fn seen(finding: Finding, has_traffic: bool) -> Event {
    Event::Observed(Observed {
        elapsed: SECOND,
        finding,
        has_traffic,
        is_blocked: false,
        gate: None,
    })
}

fn plan(json: &str) -> PlanSpec {
    serde_json::from_str(json).unwrap()
}

/// A machine whose orders are carried out at once.
struct Run {
    machine: Machine,
    weight: Percent,
}

impl Run {
    fn begun(plan: PlanSpec) -> Self {
        let mut run = Self {
            machine: Machine::new(plan),
            weight: Percent::NONE,
        };
        run.tell(Event::Start).unwrap();
        run
    }

    fn tell(&mut self, event: Event) -> Result<(), Refused> {
        match self.machine.on(event)? {
            Some(Action::Publish(target)) => {
                self.weight = self.machine.weight(target);
                self.machine.on(Event::Published)?;
            }
            Some(Action::Return) => {
                self.weight = Percent::NONE;
                self.machine.on(Event::Returned)?;
            }
            None => {}
        }
        Ok(())
    }

    fn seconds(&mut self, count: u32, finding: Finding) {
        for _ in 0..count {
            self.tell(seen(finding, true)).unwrap();
        }
    }
}

impl Run {
    /// A good second in which a gate answers.
    fn answered(&mut self, answer: GateAnswer) {
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

const TWO_STEPS: &str = r#"{"steps": [{"weight": 5, "hold": "10s"}, {"weight": 50, "until": "fine"},
    {"weight": 100}], "bake": "30s"}"#;

#[test]
fn a_good_release_goes_from_step_to_step_and_holds_five_percent_back_until_the_end() {
    let mut run = Run::begun(plan(TWO_STEPS));
    assert_eq!(
        (run.weight, run.machine.state()),
        (Percent::of(5), State::Running)
    );
    run.seconds(9, Finding::NotEnoughData);
    assert_eq!(run.weight, Percent::of(5));
    run.seconds(1, Finding::NotEnoughData);
    assert_eq!(run.weight, Percent::of(50));
    run.seconds(100, Finding::NotEnoughData);
    assert_eq!(run.weight, Percent::of(50), "silence is not fine");
    run.seconds(1, Finding::Fine);
    assert_eq!(
        (run.weight, run.machine.state()),
        (Percent::of(95), State::Baking)
    );
    run.seconds(30, Finding::Unmeasurable);
    assert_eq!(
        (run.weight, run.machine.state()),
        (Percent::ALL, State::Succeeded)
    );
}

#[test]
fn what_is_worse_goes_back_from_every_place_paused_or_not() {
    for before in [
        &[][..],
        &[Command::Pause],
        &[Command::Skip],
        &[Command::Skip, Command::Pause],
        &[Command::Skip, Command::Skip],
    ] {
        let mut run = Run::begun(plan(TWO_STEPS));
        for command in before {
            run.tell(Event::Command(*command)).unwrap();
        }
        run.seconds(1, Finding::Worse);
        assert_eq!(
            (run.weight, run.machine.state()),
            (Percent::NONE, State::RolledBack),
            "{before:?}"
        );
    }
}

#[test]
fn a_release_without_requests_pauses_and_goes_on_when_they_come() {
    let mut run = Run::begun(plan(TWO_STEPS));
    for _ in 0..20 {
        run.tell(seen(Finding::NotEnoughData, false)).unwrap();
    }
    assert_eq!(run.machine.pause(), Some(PauseReason::NoTraffic));
    assert_eq!(run.weight, Percent::of(5));
    run.seconds(2, Finding::NotEnoughData);
    assert_eq!(run.weight, Percent::of(50));
}

#[test]
fn after_a_pause_without_requests_the_evidence_has_its_time_again() {
    let json = r#"{"steps": [{"weight": 5, "until": "fine", "within": "3s"}, {"weight": 100}]}"#;
    let mut run = Run::begun(plan(json));
    for _ in 0..10 {
        run.tell(seen(Finding::NotEnoughData, false)).unwrap();
    }
    assert_eq!(run.machine.pause(), Some(PauseReason::NoTraffic));
    run.seconds(2, Finding::NotEnoughData);
    assert_eq!(run.machine.pause(), None, "it has three seconds");
    run.seconds(4, Finding::NotEnoughData);
    assert_eq!(run.machine.pause(), Some(PauseReason::Inconclusive));
}

#[test]
fn a_pause_by_hand_outlasts_one_without_requests() {
    let mut run = Run::begun(plan(TWO_STEPS));
    for _ in 0..20 {
        run.tell(seen(Finding::NotEnoughData, false)).unwrap();
    }
    run.tell(Event::Command(Command::Pause)).unwrap();
    assert_eq!(run.machine.pause(), Some(PauseReason::Manual));
    run.seconds(100, Finding::Fine);
    assert_eq!(run.weight, Percent::of(5));
}

#[test]
fn an_approval_is_waited_for_and_a_late_verdict_is_inconclusive() {
    let mut run = Run::begun(plan(
        r#"{"steps": [{"weight": 5, "approval": true},
        {"weight": 50, "until": "fine", "within": "3s"}, {"weight": 100}]}"#,
    ));
    run.seconds(1, Finding::NotEnoughData);
    assert_eq!(run.machine.pause(), Some(PauseReason::Approval));
    assert_eq!(
        run.tell(Event::Command(Command::Resume)),
        Err(Refused::NeedsApproval)
    );
    run.seconds(100, Finding::Fine);
    assert_eq!(run.weight, Percent::of(5));
    run.tell(Event::Command(Command::Approve)).unwrap();
    assert_eq!(run.weight, Percent::of(50));
    run.seconds(4, Finding::NotEnoughData);
    assert_eq!(run.machine.pause(), Some(PauseReason::Inconclusive));
    run.seconds(10, Finding::Fine);
    assert_eq!(run.machine.pause(), Some(PauseReason::Inconclusive));
    run.tell(Event::Command(Command::Resume)).unwrap();
    run.seconds(1, Finding::Fine);
    assert_eq!(
        (run.weight, run.machine.state()),
        (Percent::ALL, State::Succeeded)
    );
    run.tell(Event::Command(Command::Rollback)).unwrap();
    assert_eq!(
        (run.weight, run.machine.state()),
        (Percent::NONE, State::RolledBack)
    );
}

#[test]
fn a_long_gap_skips_no_step() {
    let mut run = Run::begun(plan(TWO_STEPS));
    let gap = Event::Observed(Observed {
        elapsed: Duration::from_secs(3_600),
        finding: Finding::NotEnoughData,
        has_traffic: true,
        is_blocked: false,
        gate: None,
    });
    run.tell(gap).unwrap();
    assert_eq!(
        (run.weight, run.machine.held()),
        (Percent::of(5), SECOND * 5)
    );
}

fn findings() -> impl Strategy<Value = Finding> {
    prop_oneof![
        1 => Just(Finding::Worse),
        20 => Just(Finding::Fine),
        20 => Just(Finding::NotEnoughData),
        5 => Just(Finding::Unmeasurable),
    ]
}

fn answers() -> impl Strategy<Value = Option<GateAnswer>> {
    prop_oneof![
        10 => Just(None),
        10 => Just(Some(GateAnswer::Continue)),
        5 => Just(Some(GateAnswer::Wait)),
        1 => Just(Some(GateAnswer::Silent)),
        1 => Just(Some(GateAnswer::Rollback)),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let looks = (
        0_u64..8_000,
        findings(),
        any::<bool>(),
        prop::bool::weighted(0.1),
        answers(),
    )
        .prop_map(|(elapsed, finding, has_traffic, is_blocked, gate)| {
            Event::Observed(Observed {
                elapsed: Duration::from_millis(elapsed),
                finding,
                has_traffic,
                is_blocked,
                gate,
            })
        });
    prop_oneof![
        1 => Just(Event::Start),
        5 => Just(Event::Published),
        2 => Just(Event::Returned),
        1 => Just(Event::Changed),
        30 => looks,
        4 => prop::sample::select(&Command::ALL[..]).prop_map(Event::Command),
    ]
}

fn steps() -> impl Strategy<Value = StepSpec> {
    (
        prop::option::of(0_u64..20),
        any::<bool>(),
        prop::option::of(1_u64..20),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(hold, fine, within, approval, is_gated)| StepSpec {
            weight: Percent::NONE,
            hold: hold.map(HumanDuration::seconds),
            until: fine.then_some(StepEnd::Fine),
            within: within.map(HumanDuration::seconds),
            approval,
            gate: is_gated.then(|| "step".parse().unwrap()),
        })
}

fn plans() -> impl Strategy<Value = PlanSpec> {
    (
        prop::collection::vec(steps(), 1..5),
        prop::option::of(0_u64..20),
        0_u32..20,
        any::<bool>(),
    )
        .prop_map(|(mut steps, bake, hold_back, is_gated)| {
            let count = u32::try_from(steps.len()).unwrap();
            for (place, step) in (1..).zip(&mut steps) {
                step.weight = Percent::of(100 * place / count);
            }
            PlanSpec {
                steps,
                bake: bake.map(HumanDuration::seconds),
                hold_back: Percent::of(hold_back),
                gate: is_gated.then(|| "plan".parse().unwrap()),
                drill_max_age: None,
            }
        })
}

/// True if a look may lead forward from this place.
fn is_allowed(machine: &Machine, seen: Observed) -> bool {
    let plan = machine.plan();
    let held = machine.held() + seen.elapsed.min(SECOND * 5);
    if machine.gate().is_some() && seen.gate != Some(GateAnswer::Continue) {
        return false;
    }
    match machine.place() {
        Some(Place::Start) => true,
        Some(Place::Step(step)) => {
            let approved = !plan.steps[step as usize].approval;
            let shown = if plan.waits_for_fine(step) {
                seen.finding == Finding::Fine
            } else {
                seen.has_traffic && !seen.is_blocked
            };
            approved && shown && held >= plan.hold(step)
        }
        Some(Place::Bake) => seen.has_traffic && !seen.is_blocked && held >= plan.bake(),
        None => false,
    }
}

proptest! {
    /// Automation gives more only with evidence and never past an approval, goes back on every finding of worse, and
    /// does nothing after the end. Orders that are not carried out are repeated, and nothing else.
    #[test]
    fn automation_goes_forward_only_with_evidence(plan in plans(), events in prop::collection::vec(events(), 1..200)) {
        let mut machine = Machine::new(plan);
        let mut ordered = None;
        for event in events {
            let before = machine.clone();
            let action = machine.on(event);
            if action.is_err() {
                prop_assert_eq!(&machine, &before, "a refused command changes nothing");
                continue;
            }
            let action = action.unwrap();
            if before.has_ended() && !matches!(event, Event::Command(_)) {
                prop_assert_eq!(action, None);
                prop_assert_eq!(&machine, &before);
            }
            if let (Event::Observed(look), Some(Action::Publish(_))) = (event, action) {
                let is_repeated = before.place().is_none() && action == ordered;
                prop_assert!(look.finding != Finding::Worse);
                prop_assert!(look.gate != Some(GateAnswer::Rollback));
                prop_assert!(is_repeated || before.pause().is_none() && is_allowed(&before, look), "{:?}", before);
            }
            if let Event::Observed(Observed { finding: Finding::Worse, .. }) = event
                && !before.has_ended() && before.state() != State::Planned {
                prop_assert_eq!(action, Some(Action::Return));
                prop_assert!(machine.goes_back().is_some());
            }
            if let Event::Observed(Observed { gate: Some(GateAnswer::Rollback), .. }) = event
                && !before.has_ended() && before.state() != State::Planned {
                prop_assert_eq!(action, Some(Action::Return), "a gate takes back at once");
            }
            if event == Event::Changed {
                prop_assert!(machine.has_ended());
            }
            ordered = action.or(ordered);
        }
    }

    /// A restart at any moment changes nothing: the saved form is the whole state.
    #[test]
    fn a_saved_machine_goes_on_as_the_one_that_was_not(plan in plans(), events in prop::collection::vec(events(), 1..100)) {
        let (mut one, mut other) = (Machine::new(plan.clone()), Machine::new(plan));
        for event in events {
            let saved = serde_json::to_string(&other).unwrap();
            other = serde_json::from_str(&saved).unwrap();
            prop_assert_eq!(one.on(event), other.on(event));
            prop_assert_eq!(&one, &other);
        }
    }

    /// Whatever happened, a rollout whose orders are carried out and whose evidence is good ends.
    #[test]
    fn every_rollout_ends(plan in plans(), events in prop::collection::vec(events(), 0..100)) {
        let mut run = Run::begun(plan);
        for event in events {
            let _refused = run.tell(event);
        }
        for _ in 0..200 {
            let _refused = run.tell(Event::Command(Command::Approve));
            let _refused = run.tell(Event::Command(Command::Resume));
            run.answered(GateAnswer::Continue);
        }
        prop_assert!(run.machine.has_ended(), "{:?}", run.machine);
    }
}
