//! The orders of a rollout, carried out: each is a revision like any other, in one group.

use super::{
    Consent, ControlError, Controller, Expected,
    capacity::crowded,
    clock::now,
    gate_question::GateAsking,
    metrics,
    rollout_cells::Cells,
    rollout_evidence::EvidenceReader,
    rollout_limits::Limits,
    rollout_record::RolloutRecord,
    rollout_registry::{RolloutEntry, RunningRollout},
    rollout_sessions::RolloutSessions,
};
use crate::{
    api::{QuarantinedRelease, RolloutFinding},
    history::AppendError,
    model::{
        Actor, Change, Percent, Percents, ReleaseName, Revision, RouteName, RouteSpec, Weights,
    },
    rollout::{Action, Event, Place, State, Target},
};

impl Controller {
    /// Carries out an order, and tells the machine what came of it. An order that cannot be carried out now is given
    /// again by the machine; the error says why.
    pub(super) async fn carry_out(
        &self,
        entry: &RolloutEntry,
        run: &mut RunningRollout,
        action: Action,
    ) -> Result<(), ControlError> {
        // Read before the look at others' changes: what comes after this revision refuses the order.
        let live = self.table.load().revision();
        if self.is_changed_by_others(&run.record) {
            end_superseded(run);
            entry.show(&run.record);
            return Ok(());
        }
        // The order is on the disk before it is carried out forward; back, nothing is waited for.
        entry.show(&run.record);
        let result = match action {
            Action::Publish(target) => self.publish_target(run, target, live).await,
            Action::Return => self.go_back(run).await,
        };
        if result.is_ok() && run.record.machine.state() == State::RolledBack {
            self.quarantine_rolled_back(&run.record).await;
        }
        run.record.waiting_for = result.as_ref().err().map(ToString::to_string);
        if run.record.machine.has_ended() && run.record.ended_at.is_none() {
            end(run);
        }
        entry.show(&run.record);
        result
    }

    async fn publish_target(
        &self,
        run: &mut RunningRollout,
        target: Target,
        live: Revision,
    ) -> Result<(), ControlError> {
        self.check_quarantine(&run.record)?;
        self.save_rollouts().await?;
        // It may have been taken back meanwhile.
        self.check_quarantine(&run.record)?;
        let (change, what) = change_to(&run.record, target);
        let author = run.record.author_of(what.clone());
        let expected = Expected::Unchanged(live);
        let made = self.apply(change, author, expected, Consent::default());
        let receipt = made.await?;
        let _never_refused = run.record.machine.on(Event::Published);
        run.record.note(
            "switchback",
            format!("{what}, revision {}", receipt.revision),
        );
        self.read_from_here(run);
        Ok(())
    }

    /// Refuses an order forward that the release has no room for, by the requests in flight now; a person may give it
    /// all the same, and the way back is never refused.
    pub(super) fn check_room(
        &self,
        record: &RolloutRecord,
        action: Action,
    ) -> Result<(), ControlError> {
        let Action::Publish(target) = action else {
            return Ok(());
        };
        let state = self.table.load().state();
        let (change, _) = change_to(record, target);
        // What cannot be applied is refused when it is, with its reason.
        let applied = change.apply_to(&state).ok();
        let after = applied.filter(|_| !record.is_forced);
        let mut crowded = after.map_or_else(Vec::new, |after| {
            crowded(&self.fleet, &state.spec, &after.state.spec)
        });
        crowded.retain(|crowded| crowded.release == record.to.0);
        if crowded.is_empty() {
            return Ok(());
        }
        Err(ControlError::NoRoom(crowded))
    }

    /// Begins to read the evidence of the place that has been reached.
    pub(super) fn read_from_here(&self, run: &mut RunningRollout) {
        let live = self.table.load();
        let state = live.state();
        let record = &run.record;
        let (route, place) = (state.spec.route(&record.route), record.machine.place());
        let place = place.filter(|place| *place != Place::Start);
        let (Some(route), Some(place)) = (route, place) else {
            run.reader = None;
            return;
        };
        let cells = self.cells_of(record);
        let steps = record.machine.plan().last() + 1;
        let limits = Limits::of(&run.judge);
        if run.sessions.is_none() {
            run.sessions = RolloutSessions::of(&cells, route, &limits);
        }
        run.reader = Some(EvidenceReader::new(
            cells,
            route,
            (place, steps),
            limits,
            live.revision(),
        ));
    }

    /// True if the answers of a route carry stamps, so that users can say what they think of them.
    pub(super) fn is_stamped(&self, route: &RouteName) -> bool {
        let state = self.table.load().state();
        let route = state.spec.route(route);
        route.is_some_and(|route| route.is_stamped())
    }

    pub(super) fn cells_of(&self, record: &RolloutRecord) -> Cells {
        Cells::of(&self.fleet, &record.route, (&record.to, &record.from))
    }

    fn check_quarantine(&self, record: &RolloutRecord) -> Result<(), ControlError> {
        let (release, version) = &record.to;
        match self.quarantine.find(release, version) {
            Some(entry) if !record.is_forced => Err(ControlError::Quarantined(Box::new(entry))),
            _ => Ok(()),
        }
    }

    async fn quarantine_rolled_back(&self, record: &RolloutRecord) {
        let (release, version) = record.to.clone();
        let why = why_back(record);
        let why = why.unwrap_or_else(|| "rolled back by hand".to_owned());
        self.quarantine.put(QuarantinedRelease {
            release,
            version,
            reason: format!("rollout on `{}`: {why}", record.route),
            by: record.name(),
            since: now(),
        });
        self.quarantine.save(self.settings.durable_within).await;
    }

    /// Saves the states of all rollouts.
    pub(super) async fn save_rollouts(&self) -> Result<(), ControlError> {
        if self.rollouts.save(self.settings.durable_within).await {
            return Ok(());
        }
        Err(not_written())
    }

    /// True if somebody else has changed the route, or a release of the rollout, since it began.
    pub(super) fn is_changed_by_others(&self, record: &RolloutRecord) -> bool {
        let state = self.table.load().state();
        if state.spec.place(&record.route).is_none() {
            return true;
        }
        let is_same = |(name, version): &(ReleaseName, _)| {
            state
                .spec
                .release(name)
                .is_some_and(|spec| spec.version == *version)
        };
        if !is_same(&record.from) || !is_same(&record.to) {
            return true;
        }
        let index = self.log.index();
        let changed = index.route_changed(&record.route);
        let Some(changed) = changed.filter(|changed| *changed > record.base) else {
            return false;
        };
        // A change that is not known any more was hardly its own.
        index.get(changed).is_none_or(|made| {
            let author = &made.record.author;
            author.actor != Actor::System || author.name != record.name()
        })
    }

    /// Percents of the route that the release of a rollout has.
    pub(super) fn weight_of(&self, record: &RolloutRecord) -> Percent {
        let state = self.table.load().state();
        let route = state.spec.route(&record.route);
        route.map_or(Percent::NONE, |route| percent_of(route, &record.to.0))
    }
}

/// The change that gives the release of a rollout the weight of a target, and its description.
fn change_to(record: &RolloutRecord, target: Target) -> (Change, String) {
    let percent = record.machine.weight(target);
    let (route, to) = (record.route.clone(), record.to.0.clone());
    match target {
        Target::Step(step) => (
            Change::SetPercents {
                route,
                percents: Percents::from([(to, percent)]),
            },
            format!("step {}: {percent} percent", step + 1),
        ),
        Target::Whole => (
            Change::Promote {
                route,
                to: Some(to),
            },
            "everything".to_owned(),
        ),
    }
}

/// Ends a rollout whose route, or a release of it, was changed by others: it stays as it is.
pub(super) fn end_superseded(run: &mut RunningRollout) {
    let _never_refused = run.record.machine.on(Event::Changed);
    run.record.waiting_for = None;
    end(run);
    let what = "superseded: the route, or a release of the rollout, was changed by others";
    run.record.note("switchback", what.to_owned());
}

/// The error where the state of a rollout cannot be written.
pub(super) fn not_written() -> ControlError {
    let reason = "the state of the rollout could not be written".to_owned();
    ControlError::NotDurable(AppendError::NotWritten(reason))
}

/// The reason for which a rollout goes back by itself.
pub(super) fn why_back(record: &RolloutRecord) -> Option<String> {
    let verdict = record.verdict.as_ref();
    let worse = verdict.filter(|verdict| verdict.overall == RolloutFinding::Worse);
    let worse = worse.map(|verdict| verdict.words.clone());
    worse.or_else(|| record.gate_that_took_back())
}

fn end(run: &mut RunningRollout) {
    run.record.ended_at = Some(now());
    if run.record.machine.state() == State::Succeeded {
        run.record.conclude();
    }
    (run.reader, run.sessions) = (None, None);
    run.gate = GateAsking::default();
    metrics::count_rollout_end(run.record.machine.state());
}

fn percent_of(route: &RouteSpec, release: &ReleaseName) -> Percent {
    let weight = route.split.get(release).copied().unwrap_or(0);
    Percent::of_weights(weight, total(&route.split))
}

pub(super) fn total(weights: &Weights) -> u64 {
    weights.values().map(|weight| u64::from(*weight)).sum()
}
