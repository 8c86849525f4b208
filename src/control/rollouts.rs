//! Rollouts: start, commands, and the loop that looks at each once a second.
//!
//! What decides is in `rollout` (states) and `analysis` (verdicts). This reads the evidence, tells the machine, carries
//! out its orders (`rollout_orders.rs`) through the same publishes and rollbacks as everybody's, and saves the state.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::{
    Controller, RolloutError,
    clock::now_ms,
    metrics,
    rollout_evidence::EvidenceReader,
    rollout_orders::end_superseded,
    rollout_record::{Begin, RolloutRecord},
    rollout_registry::{MOST_RUNNING, RolloutEntry, RunningRollout},
};
use crate::{
    analysis::{Finding, Obstacle},
    api::{PlanChoice, Rollout, RolloutRequest},
    model::{
        ChangeError, PlanName, PlanSpec, ReleaseName, RouteName, RouteSpec, TableState, Version,
    },
    rollout::{Action, Command, Event, Machine, Observed},
};

/// Interval at which each rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Controller {
    /// Starts a rollout: its first step is live when this returns.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// When the plan is not valid, the release cannot get requests, or another rollout runs on the route. Nothing has
    /// changed then.
    pub async fn start_rollout(
        &self,
        request: RolloutRequest,
        author: String,
    ) -> Result<Rollout, RolloutError> {
        let _one_at_a_time = self.rollouts.starting.lock().await;
        let running = self.rollouts.running();
        if running.len() >= MOST_RUNNING {
            return Err(RolloutError::TooMany);
        }
        let mut running = running.iter().map(|entry| entry.record());
        if let Some(other) = running.find(|record| record.route == request.route) {
            let (id, route) = (other.id.clone(), request.route);
            return Err(RolloutError::Active { id, route });
        }
        let begin = self.begin(request, author)?;
        let mut record = RolloutRecord::new(self.new_id(), begin);
        let judge = self.cells_of(&record).judge();
        let action = record.machine.on(Event::Start)?;
        record.save_judge(&judge);
        let by = record.author.clone();
        record.note(&by, "started".to_owned());
        let entry = Arc::new(RolloutEntry::new(record, judge));
        self.first_step(&entry, action).await?;
        // The order was saved; without what came of it, a restart orders the same again.
        self.rollouts.save(self.settings.durable_within).await;
        self.rollouts.begun.notify_one();
        Ok(self.show(&entry.record()))
    }

    /// Makes the first step live. The lock is held all the time: the loop must not carry out what is refused here.
    async fn first_step(
        &self,
        entry: &Arc<RolloutEntry>,
        action: Option<Action>,
    ) -> Result<(), RolloutError> {
        let mut run = entry.running.lock().await;
        self.rollouts.add(entry);
        let Some(action) = action else { return Ok(()) };
        let done = self.carry_out(entry, &mut run, action).await;
        if let Err(error) = done {
            let _never_refused = run.record.machine.on(Event::Changed);
            entry.show(&run.record);
            self.rollouts.remove(entry);
            // Logged if it fails; then a restart would look at what is live, and go on from there.
            self.rollouts.save(self.settings.durable_within).await;
            return Err(error.into());
        }
        Ok(())
    }

    /// Checks a request against the live table.
    fn begin(&self, request: RolloutRequest, author: String) -> Result<Begin, RolloutError> {
        let (plan, plan_name) = self.plan_of(request.plan)?;
        let problems = plan.problems("plan");
        if !problems.is_empty() {
            return Err(RolloutError::Plan(problems));
        }
        let live = self.table.load();
        let state = live.state();
        let RolloutRequest {
            route, to, message, ..
        } = request;
        let spec = state
            .spec
            .route(&route)
            .ok_or_else(|| unknown_route(&state, &route))?;
        let to = versioned(&state, &to)?;
        if spec.split.get(&to.0).is_some_and(|weight| *weight > 0) {
            let release = to.0;
            return Err(RolloutError::HasWeight { release, route });
        }
        let from = stable_of(spec, &to.0).ok_or_else(|| RolloutError::NoStable(route.clone()))?;
        Ok(Begin {
            from: versioned(&state, &from)?,
            original: spec.split.clone(),
            base: live.revision(),
            machine: Machine::new(plan),
            route,
            to,
            plan_name,
            author,
            message,
        })
    }

    fn plan_of(
        &self,
        choice: Option<PlanChoice>,
    ) -> Result<(PlanSpec, Option<PlanName>), RolloutError> {
        match choice {
            None => Ok((PlanSpec::default(), None)),
            Some(PlanChoice::Given(plan)) => Ok((*plan, None)),
            Some(PlanChoice::Named(name)) => {
                let plans = self.rollouts.plans();
                match plans.get(&name) {
                    Some(plan) => Ok((plan.clone(), Some(name))),
                    None => Err(RolloutError::UnknownPlan {
                        known: plans.keys().cloned().collect(),
                        name,
                    }),
                }
            }
        }
    }

    /// An id that no other rollout has: the time in hexadecimal digits.
    fn new_id(&self) -> String {
        let all = self.rollouts.all();
        let is_free = |id: &String| all.iter().all(|entry| entry.record().id != *id);
        let mut ids = (now_ms()..).map(|id| format!("{id:x}"));
        ids.find(is_free).unwrap_or_default()
    }

    /// All rollouts, the latest first.
    pub fn rollouts(&self) -> Vec<Rollout> {
        let all = self.rollouts.all();
        all.iter()
            .rev()
            .map(|entry| self.show(&entry.record()))
            .collect()
    }

    /// A rollout by its id, or the latest one of a route.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollout(&self, text: &str) -> Result<Rollout, RolloutError> {
        Ok(self.show(&self.find_rollout(text)?.record()))
    }

    fn find_rollout(&self, text: &str) -> Result<Arc<RolloutEntry>, RolloutError> {
        let all = self.rollouts.all();
        let by_id = all.iter().find(|entry| entry.record().id == text);
        let found = by_id.or_else(|| {
            let mut latest = all.iter().rev();
            latest.find(|entry| entry.record().route.as_str() == text)
        });
        found
            .cloned()
            .ok_or_else(|| RolloutError::Unknown(text.chars().take(80).collect()))
    }

    fn show(&self, record: &RolloutRecord) -> Rollout {
        record.show(self.weight_of(record))
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
        message: Option<&str>,
    ) -> Result<Rollout, RolloutError> {
        let entry = self.find_rollout(text)?;
        let mut run = entry.running.lock().await;
        let is_changed = self.is_changed_by_others(&run.record);
        if is_changed && !run.record.machine.has_ended() {
            end_superseded(&mut run);
            entry.show(&run.record);
        }
        if is_changed {
            return Err(RolloutError::Changed);
        }
        let before = run.record.machine.clone();
        let action = run.record.machine.on(Event::Command(command))?;
        run.record.ended_at = None;
        let why = message.map_or_else(String::new, |message| format!(": {message}"));
        run.record.note(by, format!("{}{why}", command.as_str()));
        entry.show(&run.record);
        let done = match action {
            Some(action) => self.carry_out(&entry, &mut run, action).await,
            None => Ok(()),
        };
        let is_forward = matches!(action, Some(Action::Publish(_)));
        if let Err(error) = &done
            && is_forward
            && !error.may_return()
        {
            // The operator is told that it did not happen, so it must not happen later.
            run.record.machine = before;
            run.record.waiting_for = None;
            run.record.note("switchback", format!("refused: {error}"));
        }
        if run.record.machine.has_ended() && run.record.ended_at.is_none() {
            run.record.ended_at = Some(super::clock::now());
        }
        entry.show(&run.record);
        drop(run);
        let is_saved = self.rollouts.save(self.settings.durable_within).await;
        self.rollouts.begun.notify_one();
        done?;
        // An order forward was saved before, and a way back waits for no disk.
        if action.is_none() && !is_saved {
            return Err(RolloutError::NotSaved);
        }
        Ok(self.show(&entry.record()))
    }

    /// Replaces the named plans. Rollouts that run keep the plan that they began with.
    pub fn set_plans(&self, plans: BTreeMap<PlanName, PlanSpec>) {
        self.rollouts.set_plans(plans);
    }

    /// Looks at every running rollout once a second, for as long as it is polled. With none it waits without a timer.
    pub(super) async fn run_rollouts(&self) {
        let mut next = Instant::now();
        loop {
            metrics::set_rollouts(
                self.rollouts
                    .running()
                    .iter()
                    .map(|entry| entry.record().machine.state()),
            );
            if self.rollouts.running().is_empty() {
                self.rollouts.begun.notified().await;
            }
            next = (next + LOOK).max(Instant::now());
            sleep_until(next).await;
            let running = self.rollouts.running();
            join_all(running.iter().map(|entry| self.look_at(entry))).await;
            if !running.is_empty() {
                self.rollouts.save(self.settings.durable_within).await;
            }
        }
    }

    async fn look_at(&self, entry: &RolloutEntry) {
        let mut run = entry.running.lock().await;
        let run = &mut *run;
        let now = std::time::Instant::now();
        let elapsed = now.duration_since(std::mem::replace(&mut run.looked_at, now));
        if run.record.machine.has_ended() {
            return;
        }
        if self.is_changed_by_others(&run.record) {
            end_superseded(run);
            entry.show(&run.record);
            return;
        }
        if run.record.machine.place().is_some_and(|place| {
            run.reader
                .as_ref()
                .is_none_or(|reader| reader.place() != place)
        }) {
            self.read_from_here(run);
        }
        let seen = self.observe(run, elapsed);
        let before = (run.record.machine.state(), run.record.machine.pause());
        let action = run
            .record
            .machine
            .on(Event::Observed(seen))
            .unwrap_or_default();
        let after = (run.record.machine.state(), run.record.machine.pause());
        if let (Some(reason), true) = (after.1, before != after) {
            let words = run
                .record
                .verdict
                .as_ref()
                .map_or("", |verdict| &verdict.words);
            let what = format!("paused ({reason:?}): {words}");
            run.record.note("switchback", what);
        }
        entry.show(&run.record);
        if let Some(action) = action {
            // What cannot be carried out is ordered again in a second; the record says why.
            let _again = self.carry_out(entry, run, action).await;
        }
    }

    /// Gives the judge what was counted, and takes its finding.
    fn observe(&self, run: &mut RunningRollout, elapsed: Duration) -> Observed {
        let weights = self.weights(&run.record);
        if let Some(reader) = &mut run.reader
            && let Some(evidence) = reader.look(elapsed, weights)
        {
            run.judge.observe(&evidence);
        }
        run.record.save_judge(&run.judge);
        let is_early = run.reader.as_ref().is_none_or(EvidenceReader::is_early);
        let finding = match run.judge.finding() {
            Finding::Fine if is_early => Finding::NotEnoughData,
            finding => finding,
        };
        let obstacle = run.judge.obstacle();
        Observed {
            elapsed,
            finding,
            has_traffic: run.reader.as_ref().is_some_and(EvidenceReader::has_traffic),
            is_blocked: matches!(
                obstacle,
                Some(Obstacle::StableFails { .. } | Obstacle::ShareIsOff { .. })
            ),
        }
    }

    fn weights(&self, record: &RolloutRecord) -> (u32, u32) {
        let state = self.table.load().state();
        let route = state.spec.route(&record.route);
        let weight = |name| {
            route
                .and_then(|route| route.split.get(name))
                .copied()
                .unwrap_or(0)
        };
        (weight(&record.to.0), weight(&record.from.0))
    }
}

/// The release that the requests are taken from: the stable one, or that with most of them.
fn stable_of(route: &RouteSpec, to: &ReleaseName) -> Option<ReleaseName> {
    let has_weight = |name: &&ReleaseName| route.split.get(*name).is_some_and(|weight| *weight > 0);
    let stable = route
        .stable_release()
        .filter(|name| *name != to)
        .filter(has_weight);
    let largest = || {
        let weighed = route
            .split
            .iter()
            .filter(|(name, weight)| **weight > 0 && *name != to);
        weighed
            .max_by_key(|(_, weight)| **weight)
            .map(|(name, _)| name)
    };
    stable.or_else(largest).cloned()
}

fn versioned(
    state: &TableState,
    name: &ReleaseName,
) -> Result<(ReleaseName, Version), RolloutError> {
    if let Some(spec) = state.spec.release(name) {
        return Ok((name.clone(), spec.version.clone()));
    }
    let error = ChangeError::UnknownRelease {
        name: name.to_string(),
        known: state.spec.releases().keys().cloned().collect(),
    };
    Err(RolloutError::Control(error.into()))
}

fn unknown_route(state: &TableState, route: &RouteName) -> RolloutError {
    let known = state.spec.routes().iter().map(|route| route.name.clone());
    let error = ChangeError::UnknownRoute {
        name: route.to_string(),
        known: known.collect(),
    };
    RolloutError::Control(error.into())
}
