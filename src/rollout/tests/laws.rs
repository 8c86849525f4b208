//! Laws of the machine: what it never does, whatever comes in whatever order.

use proptest::prelude::*;

use super::{
    super::phase::{By, Phase},
    *,
};
use crate::model::{HumanDuration, StepEnd, StepSpec};

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
                ..PlanSpec::default()
            }
        })
}

/// True if a look may lead forward from where the machine is, or give its order again.
fn is_allowed(machine: &Machine, seen: Observed) -> bool {
    let plan = machine.plan();
    let held = machine.held() + seen.elapsed.min(SECOND * 5);
    if let Phase::Moving { from, by, .. } = machine.phase
        && (from.is_none() || by == By::Operator)
    {
        return true;
    }
    let place = machine.judged_place();
    let gate = place.and_then(|place| machine.gate_at(place));
    if gate.is_some() && seen.gate != Some(GateAnswer::Continue) {
        return false;
    }
    match place {
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
                let is_moving = before.place().is_none();
                prop_assert!(look.finding != Finding::Worse);
                prop_assert!(look.gate != Some(GateAnswer::Rollback));
                prop_assert!(!is_moving || action == ordered, "{:?}", before);
                prop_assert!(before.pause().is_none() && is_allowed(&before, look), "{:?}", before);
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
