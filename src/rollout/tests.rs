//! The machine, event by event.

use std::time::Duration;

use super::*;
use crate::{
    analysis::Finding,
    model::{HookEvent, Percent, PlanSpec},
};

mod gates;
mod laws;

const SECOND: Duration = Duration::from_secs(1);
const TWO_STEPS: &str = r#"{"steps": [{"weight": 5, "hold": "10s"}, {"weight": 50, "until": "fine"},
    {"weight": 100}], "bake": "30s"}"#;

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
fn a_way_back_that_is_not_allowed_is_a_pause_in_which_it_is_judged_and_left_alone() {
    for before in [&[][..], &[Command::Skip], &[Command::Skip, Command::Skip]] {
        let mut run = Run::begun(plan(TWO_STEPS));
        for command in before {
            run.tell(Event::Command(*command)).unwrap();
        }
        let place = run.machine.place();
        let worse = seen(Finding::Worse, true);
        assert_eq!(run.machine.on(worse), Ok(Some(Action::Return)));
        run.machine.on(Event::NotAllowed).unwrap();
        let weight = run.weight;
        run.seconds(100, Finding::Worse);
        run.seconds(100, Finding::Fine);
        assert_eq!(
            (run.machine.pause(), run.machine.place(), run.weight),
            (Some(PauseReason::Data), place, weight),
            "{before:?}"
        );
        run.tell(Event::Command(Command::Rollback)).unwrap();
        assert_eq!(run.machine.state(), State::RolledBack);
    }
}

#[test]
fn a_rollout_that_may_not_go_back_goes_on_by_hand_and_is_judged_again() {
    let mut run = Run::begun(plan(TWO_STEPS));
    run.machine.on(seen(Finding::Worse, true)).unwrap();
    run.machine.on(Event::NotAllowed).unwrap();
    run.tell(Event::Command(Command::Resume)).unwrap();
    assert_eq!(run.machine.state(), State::Running);
    assert_eq!(
        run.machine.on(seen(Finding::Worse, true)),
        Ok(Some(Action::Return))
    );
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

#[test]
fn an_order_that_was_not_carried_out_is_given_again_only_while_its_evidence_holds() {
    let plan = r#"{"steps": [{"weight": 5, "until": "fine"}, {"weight": 100}], "bake": "5s"}"#;
    let mut run = Run::begun(self::plan(plan));
    let mut look = |finding, has_traffic| run.machine.on(seen(finding, has_traffic)).unwrap();
    let order = Some(Action::Publish(Target::Step(1)));
    // It is ordered, and not live: there is no room for it.
    assert_eq!(look(Finding::Fine, true), order);
    assert_eq!(look(Finding::Fine, true), order);
    assert_eq!(look(Finding::NotEnoughData, true), None);
    assert_eq!(look(Finding::NotEnoughData, true), None);
    assert_eq!(look(Finding::Fine, true), order);
    let told: Vec<_> = run.machine.take_happened();
    let count = |event| told.iter().filter(|told| told.event == event).count();
    assert_eq!(count(HookEvent::AfterStep), 1, "{told:?}");
    assert_eq!(count(HookEvent::BeforeStep), 2, "{told:?}");
    let worse = run.machine.on(seen(Finding::Worse, true)).unwrap();
    assert_eq!(worse, Some(Action::Return), "it is judged all the time");
}

#[test]
fn an_order_of_an_operator_needs_no_evidence_when_it_is_given_again() {
    let mut run = Run::begun(plan(TWO_STEPS));
    let order = run.machine.on(Event::Command(Command::Skip)).unwrap();
    assert_eq!(order, Some(Action::Publish(Target::Step(1))));
    let look = seen(Finding::NotEnoughData, false);
    assert_eq!(run.machine.on(look).unwrap(), order);
    let saved = serde_json::to_string(&run.machine).unwrap();
    let mut again: Machine = serde_json::from_str(&saved).unwrap();
    assert_eq!(again.judged_place(), Some(Place::Step(0)));
    assert_eq!(again.on(look).unwrap(), order);
}
