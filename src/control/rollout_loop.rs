//! The loop that looks at each rollout once a second: it reads the evidence, tells the machine, and carries out its orders.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::{
    Controller, metrics,
    rollout_evidence::{EvidenceReader, Looked},
    rollout_orders::end_superseded,
    rollout_record::{RolloutRecord, pause},
    rollout_registry::{RolloutEntry, RunningRollout},
    rollout_sessions::RolloutSessions,
};
use crate::{
    analysis::{Finding, LEVELS, Obstacle},
    rollout::{Action, Event, Observed},
    table::Ages,
};

/// Interval at which each rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Controller {
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
            self.owe(run);
            entry.show(&run.record);
            return;
        }
        if let Some(end) = self.interrupted_return(&run.record)
            && let Ok(Some(action)) = run.record.machine.on(Event::Interrupted(end))
        {
            let _again = self.carry_out(entry, run, action).await;
            self.owe(run);
            entry.show(&run.record);
            return;
        }
        let action = self.judge(run, elapsed).await;
        self.owe(run);
        entry.show(&run.record);
        if let Some(action) = action {
            // What cannot be carried out is ordered again in a second; the record says why.
            match self.check_room(&run.record, action) {
                Ok(()) => drop(self.carry_out(entry, run, action).await),
                Err(error) => run.record.waiting_for = Some(error.to_string()),
            }
            self.owe(run);
            entry.show(&run.record);
        }
    }

    /// Looks at the evidence, and tells the machine: its order.
    async fn judge(&self, run: &mut RunningRollout, elapsed: Duration) -> Option<Action> {
        let reads = run.reader.as_ref().map(EvidenceReader::place);
        let place = run.record.machine.place();
        if place.is_some() && reads != place {
            self.read_from_here(run);
        }
        if let Some(reader) = &mut run.reader {
            reader.snapshot();
        }
        let looked = self.slow_in_flight(run).await;
        let seen = Observed {
            gate: self.gate_answer(run),
            ..self.observe(run, elapsed, &looked)
        };
        let machine = &mut run.record.machine;
        let before = (machine.state(), machine.pause());
        let action = machine.on(Event::Observed(seen)).unwrap_or_default();
        let after = (machine.state(), machine.pause());
        if let (Some(reason), true) = (after.1, before != after) {
            let verdict = run.record.verdict.as_ref();
            let words = verdict.map_or("", |verdict| &verdict.words);
            let what = format!("paused ({}): {words}", pause(reason).as_str());
            run.record.note("switchback", what);
        }
        action
    }

    /// The requests in flight that are slow. With a worker that does not answer, they are not known.
    async fn slow_in_flight(&self, run: &RunningRollout) -> Looked {
        let Some(reader) = &run.reader else {
            return Looked::default();
        };
        let older = async |ages: Option<Ages>| self.older(&run.record, ages?).await;
        let (in_flight, earlier) = (older(reader.ages()).await, reader.earlier_ages());
        let earlier = older(earlier).await.unwrap_or_default();
        Looked {
            in_flight,
            earlier,
            ..Looked::default()
        }
    }

    /// The requests in flight on both releases that are older than each of the ages.
    async fn older(&self, record: &RolloutRecord, ages: Ages) -> Option<[[u64; LEVELS]; 2]> {
        let (board, route) = (self.table.work(), &record.route);
        let roster = |(name, version): &(_, _)| self.fleet.roster(name, version);
        let [canary, stable] = [&record.to, &record.from].map(roster);
        let (canary, stable) = tokio::join!(
            board.count_older(&canary, route, ages),
            board.count_older(&stable, route, ages)
        );
        Some([canary?, stable?])
    }

    /// Gives the judge what was counted, and takes its finding.
    fn observe(&self, run: &mut RunningRollout, elapsed: Duration, looked: &Looked) -> Observed {
        let weights = self.weights(&run.record);
        let looked = Looked {
            first: run.sessions.as_mut().map(RolloutSessions::look),
            ..*looked
        };
        if let Some(reader) = &mut run.reader
            && let Some(evidence) = reader.look(elapsed, weights, &looked)
        {
            run.judge.observe(&evidence);
        }
        let is_early = run.reader.as_ref().is_none_or(EvidenceReader::is_early);
        let finding = match run.judge.finding() {
            Finding::Fine if is_early => Finding::NotEnoughData,
            finding => finding,
        };
        if finding == Finding::Fine {
            run.record.note_fine(self.weight_of(&run.record));
        }
        run.record.save_judge(&run.judge);
        let obstacle = run.judge.obstacle();
        Observed {
            elapsed,
            finding,
            has_traffic: run.reader.as_ref().is_some_and(EvidenceReader::has_traffic),
            is_blocked: matches!(
                obstacle,
                Some(Obstacle::StableFails { .. } | Obstacle::ShareIsOff { .. })
            ),
            gate: None,
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
