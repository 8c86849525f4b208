//! Rollouts: start, commands and queries.
//!
//! What decides is in `rollout` (states) and `analysis` (verdicts). The loop (`rollout_loop.rs`) reads the evidence and
//! tells the machine; its orders (`rollout_orders.rs`) are carried out through the same publishes and rollbacks as
//! everybody's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ControlError, Controller, RolloutError, StatusPart,
    clock::now_ms,
    data_answers::DataAnswers,
    hook_loop::drop_owed,
    rollout_orders::{CarriedOut, end_superseded, not_written},
    rollout_record::RolloutRecord,
    rollout_registry::{MOST_RUNNING, RolloutEntry, RunningRollout},
    rollout_track::{Track, Tracks},
};
use crate::{
    api::{Rollout, RolloutRequest, RolloutStatus},
    model::{HumanDuration, PlanName, PlanSpec, ReleaseName},
    rollout::{Action, Command, Event, Machine},
};

/// Options of a command of an operator to a rollout.
#[derive(Debug, Clone, Copy, Default)]
pub struct RolloutOptions<'a> {
    /// Reason.
    pub message: Option<&'a str>,
    /// True to take the release back although it does not allow that for its data.
    pub force: bool,
    /// Time over which the way back is spread; the first part is gone at once.
    pub over: Option<Duration>,
}

impl RolloutOptions<'_> {
    /// The command, for the log.
    fn words(self, command: Command) -> String {
        let over = self
            .over
            .map(|over| format!(" over {}", HumanDuration(over)));
        let why = self.message.map(|message| format!(": {message}"));
        let words = [Some(command.as_str().to_owned()), over, why];
        words.into_iter().flatten().collect()
    }
}

impl Controller {
    /// Starts a rollout: its first step is live when this returns.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// When the plan is not valid, the releases cannot get requests, or another rollout runs on one of the routes. Nothing has
    /// changed then.
    pub async fn start_rollout(
        &self,
        request: RolloutRequest,
        author: String,
    ) -> Result<Rollout, RolloutError> {
        // What other nodes have begun is in the way as well.
        self.share_work_once().await;
        let _one_at_a_time = self.rollouts.starting.lock().await;
        self.check_number()?;
        let begin = self.begin(request, author)?;
        let mut record = RolloutRecord::new(self.new_id(), begin);
        record.fleet = self.place_of(record.base);
        let (plan, routes) = (record.machine.plan(), record.tracks.len());
        let judge = |track: &Track| {
            let takes_feedback = self.takes_feedback(&track.route);
            self.cells_of(track).judge(plan, takes_feedback, routes)
        };
        let judges: Vec<_> = record.tracks.iter().map(judge).collect();
        let action = record.machine.on(Event::Start)?;
        for (track, judge) in record.tracks.iter_mut().zip(&judges) {
            track.save_judge(judge);
        }
        let by = record.author.clone();
        record.note(&by, "started".to_owned());
        for warning in self.return_warnings(&record) {
            record.note("switchback", warning);
        }
        let entry = Arc::new(RolloutEntry::new(record, judges));
        self.first_step(&entry, action).await?;
        // The order was saved; without what came of it, a restart orders the same again.
        self.rollouts.save(self.settings.durable_within).await;
        self.rollouts.begun.notify_one();
        self.rollouts.looked.notify_one();
        Ok(self.show(&entry.record()))
    }

    /// Refuses a rollout beside too many others.
    pub(super) fn check_number(&self) -> Result<(), RolloutError> {
        if self.rollouts.running().len() >= MOST_RUNNING {
            return Err(RolloutError::TooMany);
        }
        Ok(())
    }

    /// Makes the first step live. No other order is carried out meanwhile but a way back, which withdraws it: the loop must
    /// not carry out what is refused here.
    async fn first_step(
        &self,
        entry: &Arc<RolloutEntry>,
        action: Option<Action>,
    ) -> Result<(), RolloutError> {
        let _ordering = entry.ordering.lock().await;
        let mut run = entry.running.lock().await;
        for forgotten in self.rollouts.add(entry) {
            drop_owed(&forgotten.record());
        }
        let Some(action) = action else {
            // A gate is asked first.
            self.owe(&mut run);
            entry.show(&run.record);
            let is_saved = self.rollouts.save(self.settings.durable_within).await;
            let begun = match self.claim(entry).await {
                Ok(()) if !is_saved => Err(not_written()),
                claimed => claimed,
            };
            let Err(error) = begun else {
                return Ok(());
            };
            self.forget_start(entry, &mut run).await;
            return Err(error.into());
        };
        let done = match self.check_room(&run.record, action) {
            Ok(()) => {
                let done;
                (run, done) = self.carry_out(entry, run, action).await;
                if matches!(done, Ok(CarriedOut::Withdrawn)) {
                    return Err(run.record.machine.withdrawal().into());
                }
                done.map(drop)
            }
            refused => refused,
        };
        if let Err(error) = done {
            self.forget_start(entry, &mut run).await;
            // Logged if it fails; then a restart would look at what is live, and go on from there.
            self.rollouts.save(self.settings.durable_within).await;
            return Err(on_route_of(&run.record.tracks, error));
        }
        self.owe(&mut run);
        entry.show(&run.record);
        Ok(())
    }

    /// Forgets a rollout whose start is refused.
    async fn forget_start(&self, entry: &Arc<RolloutEntry>, run: &mut RunningRollout) {
        let _never_refused = run.record.machine.on(Event::Changed);
        entry.show(&run.record);
        self.rollouts.remove(entry);
        self.withdraw_document(entry).await;
    }

    /// An id that no other rollout has: the time in hexadecimal digits.
    fn new_id(&self) -> String {
        let all = self.rollouts.known();
        let is_free = |id: &String| all.iter().all(|entry| entry.record().id != *id);
        let mut ids = (now_ms()..).map(|id| format!("{id:x}"));
        ids.find(is_free).unwrap_or_default()
    }

    /// All rollouts, the latest first.
    pub fn rollouts(&self) -> Vec<Rollout> {
        let all = self.rollouts.known();
        all.iter()
            .rev()
            .map(|entry| self.show(&entry.record()))
            .collect()
    }

    /// The rollouts that run, in brief: all of them, or that of the route that is asked for.
    pub(super) fn rollout_states(&self, part: &StatusPart) -> Vec<RolloutStatus> {
        let running = self.rollouts.active();
        let records = running.iter().rev().map(|entry| entry.record());
        let is_asked = |record: &Arc<RolloutRecord>| match part {
            StatusPart::Route(route) => record.tracks.has(route),
            _ => true,
        };
        let asked = records.filter(is_asked);
        asked
            .map(|record| record.status(&self.weights_of(&record)))
            .collect()
    }

    /// A rollout by its id, or the latest one of a route.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollout(&self, text: &str) -> Result<Rollout, RolloutError> {
        Ok(self.show_with_next(&self.find_rollout(text)?.record()))
    }

    fn find_rollout(&self, text: &str) -> Result<Arc<RolloutEntry>, RolloutError> {
        let all = self.rollouts.known();
        let by_id = all.iter().find(|entry| entry.record().id == text);
        let found = by_id.or_else(|| {
            let mut latest = all.iter().rev();
            let is_on = |track: &Track| track.route.as_str() == text;
            latest.find(|entry| entry.record().tracks.iter().any(is_on))
        });
        found
            .cloned()
            .ok_or_else(|| RolloutError::Unknown(text.chars().take(80).collect()))
    }

    pub(super) fn show(&self, record: &RolloutRecord) -> Rollout {
        Rollout {
            verification: self.verification_by(&record.name()),
            ..record.show(&self.weights_of(record))
        }
    }

    /// Carries out a command of an operator.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// When it does not fit, or what it orders is refused. A way back that is refused is tried again.
    pub async fn command_rollout(
        &self,
        text: &str,
        command: Command,
        by: &str,
        options: RolloutOptions<'_>,
    ) -> Result<Rollout, RolloutError> {
        let entry = self.find_rollout(text)?;
        let entry = self.bring_here(entry, command, by).await?;
        let is_return = command.is_return();
        let answers = if is_return && !options.force {
            self.check_return_of(&entry.record()).await?
        } else {
            DataAnswers::default()
        };
        let _ordering = if is_return {
            None
        } else {
            Some(entry.ordering.lock().await)
        };
        let mut run = entry.running.lock().await;
        self.check_unchanged(&entry, &mut run)?;
        let before = run.record.machine.clone();
        let action = self.take_command(&mut run, command, options)?;
        run.data.answers = answers;
        run.record.note(by, options.words(command));
        entry.show(&run.record);
        let done = match action {
            Some(action) => {
                let done;
                (run, done) = self.carry_out(&entry, run, action).await;
                done
            }
            None => Ok(CarriedOut::Done),
        };
        let is_forward = matches!(action, Some(Action::Publish(_)));
        if let Err(error) = &done
            && is_forward
            && !error.may_return()
        {
            withdraw(&mut run.record, before, error);
        }
        if run.record.machine.has_ended() && run.record.ended_at.is_none() {
            run.record.ended_at = Some(super::clock::now());
        }
        self.owe(&mut run);
        entry.show(&run.record);
        drop(run);
        if action.is_none() && !is_return {
            self.tell_command(&entry).await?;
        }
        let is_saved = self.rollouts.save(self.settings.durable_within).await;
        self.rollouts.begun.notify_one();
        self.rollouts.looked.notify_one();
        if done? == CarriedOut::Withdrawn {
            return Err(entry.record().machine.withdrawal().into());
        }
        // An order forward was saved before, and a way back waits for no disk.
        if action.is_none() && !is_saved {
            return Err(RolloutError::NotSaved);
        }
        Ok(self.show_with_next(&entry.record()))
    }

    /// Ends a rollout whose routes others have changed, and refuses what was asked of it.
    fn check_unchanged(
        &self,
        entry: &RolloutEntry,
        run: &mut RunningRollout,
    ) -> Result<(), RolloutError> {
        let Some(changed) = self.changed_by_others(&run.record) else {
            return Ok(());
        };
        if !run.record.machine.has_ended() {
            end_superseded(run, &changed);
            self.owe(run);
            entry.show(&run.record);
        }
        Err(RolloutError::Changed(changed))
    }

    /// Tells the machine a command: its order.
    fn take_command(
        &self,
        run: &mut RunningRollout,
        command: Command,
        RolloutOptions { force, over, .. }: RolloutOptions<'_>,
    ) -> Result<Option<Action>, RolloutError> {
        let record = &mut run.record;
        let is_return = command.is_return();
        let action = if is_return && over.is_none() && record.spread.take().is_some() {
            // What goes back in parts is in a hurry now.
            Some(Action::Return)
        } else {
            record.machine.on(Event::Command(command))?
        };
        if let (Some(over), Some(Action::Return)) = (over, action) {
            record.spread = Some(self.spread_return(record, over));
        }
        record.ended_at = None;
        record.is_return_forced = is_return && force;
        Ok(action)
    }

    /// Replaces the named plans. Rollouts that run keep the plan that they began with.
    pub fn set_plans(&self, plans: BTreeMap<PlanName, PlanSpec>) {
        self.rollouts.set_plans(plans);
    }
}

/// Takes back an order forward that did not happen: the operator is told so, and it must not happen later.
fn withdraw(record: &mut RolloutRecord, before: Machine, error: &ControlError) {
    record.machine = before;
    record.waiting_for = None;
    record.note("switchback", format!("refused: {error}"));
}

/// The error of the first step, with the route whose release it is about.
fn on_route_of(tracks: &Tracks, error: ControlError) -> RolloutError {
    let releases: Vec<&ReleaseName> = match &error {
        ControlError::NoRoom(crowded) => crowded.iter().map(|one| &one.release).collect(),
        ControlError::NotReady { releases, .. } => releases.iter().collect(),
        ControlError::Quarantined(entry) => vec![&entry.release],
        _ => Vec::new(),
    };
    let mut about = tracks.iter();
    let about = about.find(|track| releases.contains(&&track.to.0));
    let route = about.map(|track| track.route.clone());
    let error = RolloutError::from(error);
    match route {
        Some(route) => error.on_route(&route, tracks.are_train()),
        None => error,
    }
}
