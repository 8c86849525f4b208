//! Dry runs of rollouts: each weight of a start, and the effect of an approval.

use super::{
    ControlError, Controller, Expected, RolloutError, capacity::crowded, outlook::Planned,
    rollout_orders::change_to, rollout_record::RolloutRecord, rollout_track::Track,
};
use crate::{
    api::{DryRun, Rollout, RolloutDryRun, RolloutRequest, RolloutRouteDryRun, RolloutStepDryRun},
    model::{Percent, ReleaseName, TableState},
    rollout::{PauseReason, Target},
    table::Leave,
};

impl Controller {
    /// Reports what a start of a rollout would do now.
    ///
    /// # Errors
    /// Those of [`Controller::start_rollout`], except that nothing is written.
    pub fn dry_run_rollout(
        &self,
        request: &RolloutRequest,
        author: &str,
    ) -> Result<RolloutDryRun, RolloutError> {
        self.check_number()?;
        let begin = |force| {
            let request = RolloutRequest {
                force,
                ..request.clone()
            };
            self.begin(request, author.to_owned())
        };
        let unforced = begin(false).err();
        let record = RolloutRecord::new(String::new(), begin(true)?);
        let (change, _) = change_to(&record, record.machine.first());
        let first = self.dry_run(&change, Expected::Any, true)?;
        let refusal = unforced.or_else(|| of_first_step(&first, &record).map(Into::into));
        let refused = match refusal {
            Some(refusal) if !request.force => return Err(refusal),
            refusal => refusal.map(|refusal| refusal.to_string()),
        };
        let routes = record.tracks.iter().map(|track| RolloutRouteDryRun {
            route: track.route.clone(),
            from: track.from.0.clone(),
            to: track.to.0.clone(),
            steps: self.steps_of(&record, track),
        });
        Ok(RolloutDryRun {
            refused,
            routes: routes.collect(),
            plan: record.machine.plan().clone(),
            plan_name: record.plan_name.clone(),
            first,
        })
    }

    /// Each weight of a rollout that begins now, and then everything.
    fn steps_of(&self, record: &RolloutRecord, track: &Track) -> Vec<RolloutStepDryRun> {
        let machine = &record.machine;
        let targets = (0..=machine.plan().last()).map(Target::Step);
        let mut state = self.table.load().state();
        let mut weight = Percent::NONE;
        let mut steps = Vec::new();
        for target in targets.chain([Target::Whole]) {
            let next = machine.weight(target);
            // What is held back does not move at the last steps.
            if next <= weight {
                continue;
            }
            let Ok(applied) = change_to(record, target).0.apply_to(&state) else {
                break;
            };
            steps.push(self.step_between(track, (&state, &applied.state), next));
            (state, weight) = (applied.state, next);
        }
        steps
    }

    fn step_between(
        &self,
        track: &Track,
        (before, after): (&TableState, &TableState),
        weight: Percent,
    ) -> RolloutStepDryRun {
        let planned = Planned {
            before: &before.spec,
            after: &after.spec,
            leave: &Leave::SPLIT,
            back: None,
        };
        // Room is that for what is in flight now, so the load is that of the live table.
        let live = self.table.load();
        let mut crowded = crowded(&self.fleet, live.compiled().spec(), &after.spec);
        crowded.retain(|crowded| crowded.release == track.to.0);
        let moves = self.moves_of(&track.route, planned);
        RolloutStepDryRun {
            weight,
            moves: moves.map(|route| route.moves).unwrap_or_default(),
            crowded,
        }
    }

    /// A rollout as it is shown, with the effect of the approval that it waits for.
    pub(super) fn show_with_next(&self, record: &RolloutRecord) -> Rollout {
        Rollout {
            next: self.after_approval(record).map(Box::new),
            ..self.show(record)
        }
    }

    fn after_approval(&self, record: &RolloutRecord) -> Option<DryRun> {
        let machine = &record.machine;
        if machine.pause() != Some(PauseReason::Approval) {
            return None;
        }
        let (change, _) = change_to(record, machine.next()?);
        let group = record.group();
        let dry_run = self.dry_run_in(&change, Expected::Any, true, Some(&group));
        dry_run.ok()
    }
}

/// The refusal of a first step that its release could not take.
fn of_first_step(first: &DryRun, record: &RolloutRecord) -> Option<ControlError> {
    if !first.not_ready.is_empty() {
        return Some(ControlError::NotReady {
            releases: first.not_ready.clone(),
            unknown: Vec::new(),
            nearest: None,
        });
    }
    let crowded = first.crowded.iter();
    let is_of = |release: &ReleaseName| record.tracks.iter().any(|track| track.to.0 == *release);
    let crowded: Vec<_> = crowded
        .filter(|crowded| is_of(&crowded.release))
        .cloned()
        .collect();
    (!crowded.is_empty()).then_some(ControlError::NoRoom(crowded))
}
