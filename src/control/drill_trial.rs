//! Live and full drills: the predecessor gets requests for a time, and gives them back.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    Consent, ControlError, Controller, Expected, RollbackTo,
    drill_record::{DrillRecord, Trial},
    rollout_cells::Cells,
    rollout_evidence::EvidenceReader,
    rollout_limits::Limits,
    rollout_reader::Looked,
    rollout_sessions::RolloutSessions,
    rollout_verdict::verdict,
};
use crate::{
    analysis::{Finding, Judge, Names, Settings, Thresholds, Watch},
    api::{DrillAction, DrillState, DrillStep, Receipt, Timestamp},
    model::{Actor, Change, DrillLevel, Percents, ReleaseName, Revision, Version},
    rollout::Place,
    table::RollbackTarget,
};

/// Interval at which a live drill is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time that the way back waits for a change of somebody else that is being written.
const POLITE: Duration = Duration::from_secs(2);
/// Steps back after which the split is set as it was.
const MOST_STEPS: usize = 3;
/// Interval at which a way back that is refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The evidence of a live drill.
struct DrillWatch {
    judge: Judge,
    reader: EvidenceReader,
    sessions: Option<RolloutSessions>,
}

impl Controller {
    /// Gives the predecessor its requests; `false` if that was refused.
    pub(super) async fn begin_trial(&self, record: &mut DrillRecord) -> bool {
        let Some(trial) = record.trial.clone() else {
            return false;
        };
        let (route, to) = (record.drill.route.clone(), trial.to.0.clone());
        let (change, what) = match record.drill.share {
            Some(share) if record.drill.level == DrillLevel::Live => (
                Change::SetPercents {
                    route,
                    percents: Percents::from([(to.clone(), share)]),
                },
                format!("drill: {share} percent for `{to}`, the predecessor"),
            ),
            _ => (
                Change::Switch {
                    route,
                    to: to.clone(),
                },
                format!("drill: everything for `{to}`, the predecessor"),
            ),
        };
        let begin = Begin::now();
        let (author, expected) = (record.author_of(what), Expected::Unchanged(trial.base));
        let made = self.apply(change, author, expected, Consent::default());
        match made.await {
            Ok(receipt) => {
                begin.add(record, DrillAction::Publish, &receipt, None);
                true
            }
            Err(error) => {
                record.fail(format!(
                    "the predecessor could not get its requests: {error}"
                ));
                // A restart may bring the change all the same: then it is taken back.
                error.may_return()
            }
        }
    }

    /// Conducts a drill whose predecessor has its requests, to its end.
    pub(super) async fn conduct(&self, mut record: DrillRecord) {
        let Some(trial) = record.trial.clone() else {
            return;
        };
        let mut outcome = None;
        if record.drill.level == DrillLevel::Live {
            outcome = self.watch(&mut record, &trial).await;
        } else {
            self.drill_load(&mut record, &trial.to.0).await;
        }
        self.drills.show(&record);
        let is_back = self.take_back(&mut record, &trial).await;
        if is_back && record.drill.level == DrillLevel::Full {
            self.drill_load(&mut record, &trial.from.0).await;
        }
        if !record.has_ended() {
            record.end(outcome.filter(|_| record.drill.failures.is_empty()));
        }
        let routes = [record.drill.route.clone()];
        self.end_drill(&mut record, &routes).await;
    }

    /// Ends what a restart has interrupted: the route gets back what it had.
    pub(super) async fn end_interrupted(&self, mut record: DrillRecord) {
        let changes = record
            .trial
            .clone()
            .filter(|_| record.drill.level.changes_split());
        if let Some(trial) = changes {
            self.take_back(&mut record, &trial).await;
        }
        if !record.has_ended() {
            record.end(Some(DrillState::Interrupted));
        }
        record.note("a restart has interrupted it");
        let routes = [record.drill.route.clone()];
        self.end_drill(&mut record, &routes).await;
    }

    /// Looks at the predecessor once a second, for the time of the drill, or until it is worse. The state that the drill
    /// ends in, unless its failures say so.
    async fn watch(&self, record: &mut DrillRecord, trial: &Trial) -> Option<DrillState> {
        let period = record.drill.period.map_or(LOOK, |period| period.0);
        let mut watch = self.watch_of(record, trial)?;
        let (begin, mut last) = (Instant::now(), Instant::now());
        let finding = loop {
            let left = period.saturating_sub(begin.elapsed());
            sleep(left.min(LOOK)).await;
            if self.is_trial_changed(record, trial) {
                return None;
            }
            let now = Instant::now();
            let finding = self.look(&mut watch, record, trial, now - last);
            last = now;
            self.drills.show(record);
            if finding == Finding::Worse || begin.elapsed() >= period {
                break finding;
            }
        };
        let words = record.drill.verdict.as_ref();
        let words = words.map_or_else(String::new, |verdict| verdict.words.clone());
        match finding {
            Finding::Fine => record.note(words),
            Finding::Worse => record.fail(format!("the predecessor is worse: {words}")),
            Finding::NotEnoughData | Finding::Unmeasurable => {
                let has_traffic = watch.reader.has_traffic();
                let why = if has_traffic {
                    words
                } else {
                    "it got no requests".to_owned()
                };
                record.note(format!("`{}` cannot be judged: {why}", trial.to.0));
                return Some(DrillState::Inconclusive);
            }
        }
        None
    }

    fn watch_of(&self, record: &DrillRecord, trial: &Trial) -> Option<DrillWatch> {
        let route = &record.drill.route;
        let live = self.table.load();
        let state = live.state();
        let cells = Cells::of(&self.fleet, route, (&trial.to, &trial.from));
        // A release that had no requests for a while is slower at first, and that says nothing about the way back.
        let watches = [Watch::Failures, Watch::BrokenStreams];
        let judge = Judge::new(Settings::default(), watches.to_vec());
        let judge = judge.expect("the default settings are valid");
        // They say when a request has had its time.
        let durations = cells.stable.snapshot().duration;
        let limits = Limits::of_slow(Thresholds::freeze(durations.cumulative()));
        let spec = state.spec.route(route)?;
        let sessions = RolloutSessions::of(&cells, spec, &limits, b"");
        let reader = EvidenceReader::new(cells, spec, (Place::Step(0), 1), limits, live.revision());
        Some(DrillWatch {
            judge,
            reader,
            sessions,
        })
    }

    fn look(
        &self,
        watch: &mut DrillWatch,
        record: &mut DrillRecord,
        trial: &Trial,
        elapsed: Duration,
    ) -> Finding {
        let state = self.table.load().state();
        let route = state.spec.route(&record.drill.route);
        let weight = |name| {
            let split = route.map(|route| &route.split);
            split
                .and_then(|split| split.get(name))
                .copied()
                .unwrap_or(0)
        };
        let weights = (weight(&trial.to.0), weight(&trial.from.0));
        let looked = Looked {
            first: watch.sessions.as_mut().map(RolloutSessions::look),
            ..Looked::default()
        };
        for evidence in watch.reader.look(elapsed, weights, &looked, Vec::new()) {
            watch.judge.observe(&evidence);
        }
        let names = Names {
            canary: trial.to.0.as_str(),
            stable: trial.from.0.as_str(),
        };
        record.drill.verdict = Some(verdict(watch.judge.verdict(names)));
        match watch.judge.finding() {
            Finding::Fine if watch.reader.is_early() => Finding::NotEnoughData,
            finding => finding,
        }
    }

    /// Gives the route what it had before the drill; `false` if others have changed it. A rollback is live before it is
    /// durable. One that is refused is tried again: nothing else takes back what the drill began.
    async fn take_back(&self, record: &mut DrillRecord, trial: &Trial) -> bool {
        // So that a change that is being written is not refused because of it; only for the first attempt.
        let lock = tokio::time::timeout(POLITE, self.publishing.lock()).await;
        let mut lock = lock.ok();
        let (mut is_told, mut steps) = (false, 0);
        loop {
            // Read before the look at others' changes: what comes after this revision refuses the step.
            let live = self.table.load().revision();
            if self.is_route_changed(record, trial) {
                record.note("others have changed the route, which stays as they made it");
                record.end(Some(DrillState::Superseded));
                return false;
            }
            if self.has_original_split(record, trial) {
                return true;
            }
            let made = if steps < MOST_STEPS {
                self.step_back_from(record, live).await
            } else {
                drop(lock.take());
                self.set_back(record, trial, live).await
            };
            drop(lock.take());
            steps += usize::from(made.is_ok());
            match made {
                // Another change was faster: it is looked at first.
                Ok(()) | Err(ControlError::Stale { .. }) => {}
                Err(error) => {
                    if !is_told {
                        record.fail(format!("the way back was refused: {error}"));
                        self.drills.show(record);
                        is_told = true;
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Sets the split that the route had, where steps lead elsewhere.
    async fn set_back(
        &self,
        record: &mut DrillRecord,
        trial: &Trial,
        live: Revision,
    ) -> Result<(), ControlError> {
        let change = Change::SetSplit {
            route: record.drill.route.clone(),
            weights: trial.original.clone(),
        };
        let author = record.author_of("drill: the predecessor gives back its requests".to_owned());
        let consent = Consent {
            force: true,
            data: true,
            drop: true,
            ..Consent::default()
        };
        let begin = Begin::now();
        let made = self.apply(change, author, Expected::Unchanged(live), consent);
        begin.add(record, DrillAction::Rollback, &made.await?, None);
        Ok(())
    }

    async fn step_back_from(
        &self,
        record: &mut DrillRecord,
        live: Revision,
    ) -> Result<(), ControlError> {
        let group = self.table.live_group();
        let has_level = self.table.level(RollbackTarget::Previous).is_some();
        let to = if has_level && group.as_deref() == Some(record.group().as_str()) {
            RollbackTo::Previous
        } else {
            RollbackTo::Route(record.drill.route.clone())
        };
        let author = record.author_of("drill: the predecessor gives back its requests".to_owned());
        // The release that gets them had them a moment ago, or nearly all of them.
        let consent = Consent {
            force: true,
            data: true,
            ..Consent::default()
        };
        let begin = Begin::now();
        let back = self.rollback(to, author, Expected::Unchanged(live), consent);
        let receipt = back.await?;
        let durable = self.durable_since(receipt.revision, begin.clock).await;
        begin.add(record, DrillAction::Rollback, &receipt, durable);
        Ok(())
    }

    fn has_original_split(&self, record: &DrillRecord, trial: &Trial) -> bool {
        let state = self.table.load().state();
        let route = state.spec.route(&record.drill.route);
        route.is_some_and(|route| route.split == trial.original)
    }

    /// True if somebody else has changed the route, or one of the two releases, since the drill began.
    fn is_trial_changed(&self, record: &DrillRecord, trial: &Trial) -> bool {
        let state = self.table.load().state();
        let is_same = |(name, version): &(ReleaseName, Version)| {
            let release = state.spec.release(name);
            release.is_some_and(|release| release.version == *version)
        };
        !is_same(&trial.from) || !is_same(&trial.to) || self.is_route_changed(record, trial)
    }

    /// True if somebody else has changed the route since the drill began: then it stays as they made it.
    fn is_route_changed(&self, record: &DrillRecord, trial: &Trial) -> bool {
        let state = self.table.load().state();
        if state.spec.place(&record.drill.route).is_none() {
            return true;
        }
        let index = self.log.index();
        let changed = index.route_changed(&record.drill.route);
        let Some(changed) = changed.filter(|changed| *changed > trial.base) else {
            return false;
        };
        index.get(changed).is_none_or(|made| {
            let author = &made.record.author;
            author.actor != Actor::System || author.name != record.name()
        })
    }
}

/// Begin of a change, to measure it by.
struct Begin {
    at: Timestamp,
    clock: Instant,
}

impl Begin {
    fn now() -> Self {
        Self {
            at: super::clock::now(),
            clock: Instant::now(),
        }
    }

    /// Adds the step that was made since.
    fn add(
        &self,
        record: &mut DrillRecord,
        what: DrillAction,
        receipt: &Receipt,
        durable: Option<Duration>,
    ) {
        let since = |time: Timestamp| {
            let micros = u32::try_from(time.0.saturating_sub(self.at.0));
            f64::from(micros.unwrap_or(u32::MAX)) / 1_000.0
        };
        let live_ms = since(receipt.applied_at);
        let durable_ms = match what {
            DrillAction::Publish => Some(live_ms),
            DrillAction::Rollback => durable.map(|time| time.as_secs_f64() * 1_000.0),
        };
        let step = DrillStep {
            what,
            revision: receipt.revision,
            live_ms,
            durable_ms,
            converged_ms: receipt.converged_at.map(since),
            slowest_worker: None,
            waiting_for: receipt.waiting_for.clone(),
        };
        record.add_step(step);
    }
}
