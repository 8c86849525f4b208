//! The orders of a rollout, carried out: each is a revision like any other, in one group.

use super::{
    ControlError, Controller,
    clock::now,
    gate_question::GateAsking,
    metrics,
    return_check::pause_for_data,
    return_question::ReturnQuestion,
    rollout_cells::Cells,
    rollout_evidence::EvidenceReader,
    rollout_limits::Limits,
    rollout_record::RolloutRecord,
    rollout_registry::{HeldRollout, RolloutEntry, RunningRollout, TrackWatch},
    rollout_sessions::RolloutSessions,
    rollout_track::Track,
    spread::total,
    withdrawal::Withdrawal,
};
use crate::{
    api::{QuarantinedRelease, RolloutFinding},
    history::AppendError,
    model::{
        Actor, Change, Percent, Percents, ReleaseName, Revision, RouteName, RouteSpec, TableState,
    },
    rollout::{Action, Event, Place, State, Target},
};

/// The result of an order that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CarriedOut {
    Done,
    /// A check is asked about it first.
    Asking,
    /// A part of the way back is live, and others come later.
    Spread,
    /// The way back was ordered, or the rollout has ended, while it was carried out.
    Withdrawn,
}

impl Controller {
    /// Carries out an order, and tells the machine what came of it. An order that cannot be carried out now is given
    /// again by the machine; the error says why.
    ///
    /// The state is not locked while an order forward waits, so that the way back can be gone meanwhile. The order is
    /// withdrawn by that.
    pub(super) async fn carry_out<'a>(
        &self,
        entry: &'a RolloutEntry,
        mut run: HeldRollout<'a>,
        action: Action,
    ) -> (HeldRollout<'a>, Result<CarriedOut, ControlError>) {
        if entry.is_given_up() {
            return (run, Ok(CarriedOut::Withdrawn));
        }
        // Read before the look at others' changes: what comes after this revision refuses the order.
        let live = self.table.load().revision();
        if let Some(changed) = self.changed_by_others(&run.record) {
            end_superseded(&mut run, &changed);
            entry.show(&run.record);
            return (run, Ok(CarriedOut::Done));
        }
        // The order is on the disk before it is carried out forward; back, nothing is waited for.
        entry.show(&run.record);
        let (mut run, result) = match action {
            Action::Publish(target) => self.go_forward(entry, run, target, live).await,
            Action::Return => {
                let result = self.try_return(&mut run).await;
                (run, result)
            }
        };
        match &result {
            Ok(CarriedOut::Withdrawn) => return (run, result),
            Ok(CarriedOut::Asking) => {
                let what = "the answer of a check to the way back".to_owned();
                run.record.waiting_for = Some(what);
            }
            Ok(CarriedOut::Done) => {
                if run.record.machine.state() == State::RolledBack {
                    self.quarantine_rolled_back(&run.record).await;
                }
                run.record.waiting_for = None;
            }
            Ok(CarriedOut::Spread) => run.record.waiting_for = None,
            Err(error) => run.record.waiting_for = Some(error.to_string()),
        }
        if run.record.machine.has_ended() && run.record.ended_at.is_none() {
            end(&mut run);
        }
        entry.show(&run.record);
        (run, result)
    }

    async fn try_return(&self, run: &mut RunningRollout) -> Result<CarriedOut, ControlError> {
        run.order.withdraw();
        // A swap that has begun is seen below, and none begins from now on.
        drop(self.log.index());
        match self.may_return(run) {
            Ok(None) => Ok(CarriedOut::Asking),
            Ok(Some(_)) => self.go_on_back(run).await,
            Err(error) => {
                pause_for_data(run, &error);
                Err(error)
            }
        }
    }

    /// Gives the weight of a target, once the checks of the data that it crosses have answered.
    async fn go_forward<'a>(
        &self,
        entry: &'a RolloutEntry,
        mut run: HeldRollout<'a>,
        target: Target,
        live: Revision,
    ) -> (HeldRollout<'a>, Result<CarriedOut, ControlError>) {
        let (change, what) = change_to(&run.record, target);
        let answers = match self.may_publish(&mut run, &change) {
            Ok(Some(answers)) => answers,
            Ok(None) => return (run, Ok(CarriedOut::Asking)),
            Err(error) => {
                // The next attempt asks anew.
                run.data = ReturnQuestion::default();
                return (run, Err(error));
            }
        };
        run.order = Withdrawal::default();
        let order = run.order.clone();
        drop(run);
        let made = self.publish_target(entry, (change, &what), (live, answers), order);
        let made = made.await;
        let mut run = entry.running.lock().await;
        if !run.record.machine.awaits(target) {
            return (run, Ok(CarriedOut::Withdrawn));
        }
        let receipt = match made {
            Ok(receipt) => receipt,
            Err(error) => return (run, Err(error)),
        };
        let _never_refused = run.record.machine.on(Event::Published);
        let what = format!("{what}, revision {}", receipt.revision);
        run.record.note("switchback", what);
        self.read_from_here(&mut run);
        (run, Ok(CarriedOut::Done))
    }

    /// Begins to read the evidence of the place that has been reached.
    pub(super) fn read_from_here(&self, run: &mut RunningRollout) {
        let place = run.record.machine.judged_place();
        let place = place.filter(|place| *place != Place::Start);
        let steps = run.record.machine.plan().last() + 1;
        for (track, watch) in run.record.tracks.iter().zip(&mut run.watches) {
            self.read_track(track, watch, place.map(|place| (place, steps)));
        }
    }

    fn read_track(&self, track: &Track, watch: &mut TrackWatch, place: Option<(Place, u32)>) {
        let live = self.table.load();
        let state = live.state();
        let (Some(route), Some(place)) = (state.spec.route(&track.route), place) else {
            (watch.reader, watch.fleet) = (None, None);
            return;
        };
        let cells = self.cells_of(track);
        let limits = Limits::of(&watch.judge);
        if watch.sessions.is_none() {
            watch.sessions = RolloutSessions::of(&cells, route, &limits, &track.saved_sessions());
        }
        let revision = live.revision();
        watch.fleet = self.ask_fleet(track, route, &limits);
        let reader = EvidenceReader::new(cells, route, place, limits, revision);
        watch.reader = Some(reader);
        watch.queries.begin();
    }

    /// True if users can say what they think of the answers of a route.
    pub(super) fn takes_feedback(&self, route: &RouteName) -> bool {
        let state = self.table.load().state();
        let route = state.spec.route(route);
        route.is_some_and(|route| route.takes_feedback())
    }

    pub(super) fn cells_of(&self, track: &Track) -> Cells {
        Cells::of(&self.fleet, &track.route, (&track.to, &track.from))
    }

    async fn quarantine_rolled_back(&self, record: &RolloutRecord) {
        let why = why_back(record);
        let why = why.unwrap_or_else(|| "rolled back by hand".to_owned());
        let reason = format!("rollout on {}: {why}", record.tracks.route_names());
        for (release, version) in record.tracks.canaries() {
            self.quarantine.put(QuarantinedRelease {
                release: release.clone(),
                version: version.clone(),
                reason: reason.clone(),
                by: record.name(),
                since: now(),
            });
        }
        self.quarantine.save(self.settings.durable_within).await;
    }

    /// Saves the states of all rollouts.
    pub(super) async fn save_rollouts(&self) -> Result<(), ControlError> {
        if self.rollouts.save(self.settings.durable_within).await {
            return Ok(());
        }
        Err(not_written())
    }

    /// The change by others, in words, that ends a rollout: of one of its routes, or of a release of it.
    pub(super) fn changed_by_others(&self, record: &RolloutRecord) -> Option<String> {
        let mut tracks = record.tracks.iter();
        tracks.find_map(|track| self.changed_on_track(record, track))
    }

    fn changed_on_track(&self, record: &RolloutRecord, track: &Track) -> Option<String> {
        let state = self.table.load().state();
        let route = &track.route;
        if state.spec.place(route).is_none() {
            return Some(format!("route `{route}` was removed"));
        }
        let is_same = |(name, version): &(ReleaseName, _)| {
            let release = state.spec.release(name);
            release.is_some_and(|spec| spec.version == *version)
        };
        let mut releases = [&track.from, &track.to].into_iter();
        if let Some((name, _)) = releases.find(|release| !is_same(release)) {
            return Some(format!(
                "release `{name}` of route `{route}` has another version now, or was removed"
            ));
        }
        let index = self.log.index();
        let changed = index.route_changed(route)?;
        // A change that is not known any more was hardly its own.
        let is_own = index.get(changed).is_some_and(|made| {
            let author = &made.record.author;
            author.actor == Actor::System && author.name == record.name()
        });
        (changed > record.base && !is_own)
            .then(|| format!("route `{route}` was changed by others, in revision {changed}"))
    }

    /// Percents of its routes that the releases of a rollout have, in the order of its tracks.
    pub(super) fn weights_of(&self, record: &RolloutRecord) -> Vec<Percent> {
        let live = self.table.load().state();
        let tracks = record.tracks.iter();
        tracks.map(|track| weight_of(&live, track)).collect()
    }
}

/// Percents of its route that the release of a track has.
pub(super) fn weight_of(live: &TableState, track: &Track) -> Percent {
    let route = live.spec.route(&track.route);
    route.map_or(Percent::NONE, |route| percent_of(route, &track.to.0))
}

/// The change that gives the releases of a rollout the weight of a target, all of them in one, and its description.
pub(super) fn change_to(record: &RolloutRecord, target: Target) -> (Change, String) {
    let percent = record.machine.weight(target);
    let change = |track: &Track| {
        let (route, to) = (track.route.clone(), track.to.0.clone());
        match target {
            Target::Step(_) => Change::SetPercents {
                route,
                percents: Percents::from([(to, percent)]),
            },
            Target::Whole => Change::Promote {
                route,
                to: Some(to),
            },
        }
    };
    let what = match target {
        Target::Step(step) => format!("step {}: {percent} percent", step + 1),
        Target::Whole => "everything".to_owned(),
    };
    (
        Change::joined(record.tracks.iter().map(change).collect()),
        what,
    )
}

/// Ends a rollout of which others have changed a route or a release: all of its routes stay as they are.
pub(super) fn end_superseded(run: &mut RunningRollout, changed: &str) {
    let _never_refused = run.record.machine.on(Event::Changed);
    run.record.waiting_for = None;
    end(run);
    let rest = if run.record.tracks.are_train() {
        "; all routes of the rollout stay as they are"
    } else {
        ""
    };
    let what = format!("superseded: {changed}{rest}");
    run.record.note("switchback", what);
}

/// The error where the state of a rollout cannot be written.
pub(super) fn not_written() -> ControlError {
    let reason = "the state of the rollout could not be written".to_owned();
    ControlError::NotDurable(AppendError::NotWritten(reason))
}

/// The reason for which a rollout goes back by itself.
pub(super) fn why_back(record: &RolloutRecord) -> Option<String> {
    let verdict = record.tracks.verdict();
    let worse = verdict.filter(|verdict| verdict.overall == RolloutFinding::Worse);
    let worse = worse.map(|verdict| verdict.words);
    worse.or_else(|| record.gate_that_took_back())
}

fn end(run: &mut RunningRollout) {
    run.record.ended_at = Some(now());
    run.record.spread = None;
    if run.record.machine.state() == State::Succeeded {
        run.record.tracks.iter_mut().for_each(Track::conclude);
    }
    run.record
        .tracks
        .iter_mut()
        .for_each(Track::forget_sessions);
    for watch in &mut run.watches {
        (watch.reader, watch.sessions, watch.fleet) = (None, None, None);
    }
    run.gate = GateAsking::default();
    metrics::count_rollout_end(run.record.machine.state());
}

fn percent_of(route: &RouteSpec, release: &ReleaseName) -> Percent {
    let weight = route.split.get(release).copied().unwrap_or(0);
    Percent::of_weights(weight, total(&route.split))
}
