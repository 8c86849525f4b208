//! The loop that looks at each rollout once a second: it reads the evidence, tells the machine, and carries out its orders.

use std::{collections::HashSet, pin::pin, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Controller, metrics,
    rollout_evidence::EvidenceReader,
    rollout_orders::{end_superseded, weight_of},
    rollout_reader::{CountReader, Looked},
    rollout_record::{RolloutRecord, pause},
    rollout_registry::{RolloutEntry, RunningRollout, TrackWatch},
    rollout_sessions::RolloutSessions,
    rollout_strata::NodeCounts,
    rollout_track::{Track, listed},
    watch_set::ReleaseKey,
};
use crate::{
    analysis::{Finding, LEVELS, Obstacle},
    model::{RouteName, TableState},
    rollout::{Action, Event, Observed, PauseReason, RouteSeen},
    table::Ages,
};

/// Interval at which each rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Time in which looks end, but for those that carry out an order that is held up.
const MOST_OF_A_LOOK: Duration = Duration::from_millis(500);

impl Controller {
    /// Looks at every running rollout once a second, for as long as it is polled. With none it waits without a timer.
    pub(super) async fn run_rollouts(&self) {
        let mut next = Instant::now();
        // One that takes long holds none of the others.
        let mut looks = FuturesUnordered::new();
        let mut busy = HashSet::new();
        loop {
            metrics::set_rollouts(
                self.rollouts
                    .running()
                    .iter()
                    .map(|entry| entry.record().machine.state()),
            );
            if self.rollouts.running().is_empty() && busy.is_empty() {
                self.rollouts.begun.notified().await;
            }
            next = (next + LOOK).max(Instant::now());
            let mut pause = pin!(sleep_until(next));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(id) = looks.next() => drop(busy.remove(&id)),
                }
            }
            for entry in self.rollouts.running() {
                let id = entry.record().id.clone();
                if busy.insert(id.clone()) {
                    looks.push(async move {
                        self.look_at(&entry).await;
                        id
                    });
                }
            }
            let ends = async {
                while let Some(id) = looks.next().await {
                    busy.remove(&id);
                }
            };
            let _some_take_longer = timeout(MOST_OF_A_LOOK, ends).await;
            self.rollouts.save(self.settings.durable_within).await;
            self.rollouts.looked.notify_one();
        }
    }

    async fn look_at(&self, entry: &RolloutEntry) {
        let _ordering = entry.ordering.lock().await;
        let mut run = entry.running.lock().await;
        let now = std::time::Instant::now();
        let elapsed = now.duration_since(std::mem::replace(&mut run.looked_at, now));
        if run.record.machine.has_ended() || entry.is_given_up() {
            return;
        }
        if run.record.fleet.is_none() {
            run.record.fleet = self.place_of(run.record.base);
        }
        if let Some(changed) = self.changed_by_others(&run.record) {
            end_superseded(&mut run, &changed);
            self.owe(&mut run);
            entry.show(&run.record);
            return;
        }
        if let Some(end) = self.interrupted_return(&run.record)
            && let Ok(Some(action)) = run.record.machine.on(Event::Interrupted(end))
        {
            let (mut run, _again) = self.carry_out(entry, run, action).await;
            self.owe(&mut run);
            entry.show(&run.record);
            return;
        }
        let action = self.judge(&mut run, elapsed).await;
        self.owe(&mut run);
        entry.show(&run.record);
        if let Some(action) = action {
            // What cannot be carried out is ordered again in a second; the record says why.
            match self.check_room(&run.record, action) {
                Ok(()) => (run, _) = self.carry_out(entry, run, action).await,
                Err(error) => run.record.waiting_for = Some(error.to_string()),
            }
            self.owe(&mut run);
            entry.show(&run.record);
        }
    }

    /// Looks at the evidence, and tells the machine: its order.
    async fn judge(&self, run: &mut RunningRollout, elapsed: Duration) -> Option<Action> {
        let place = run.record.machine.judged_place();
        let is_read =
            |watch: &TrackWatch| watch.reader.as_ref().map(EvidenceReader::place) == place;
        if place.is_some() && !run.watches.iter().all(is_read) {
            self.read_from_here(run);
        }
        for reader in run
            .watches
            .iter_mut()
            .filter_map(|watch| watch.reader.as_mut())
        {
            reader.reader.snapshot();
        }
        let looked = self.slow_in_flight(run).await;
        let gate = self.gate_answer(run);
        let routes = self.observe(run, elapsed, &looked);
        let seen = Observed {
            gate,
            ..Observed::of_routes(elapsed, &routes)
        };
        let machine = &mut run.record.machine;
        let before = (machine.state(), machine.pause());
        let action = machine.on(Event::Observed(seen)).unwrap_or_default();
        let after = (machine.state(), machine.pause());
        run.record.paused_by = paused_by(&run.record, &routes);
        if let (Some(reason), true) = (after.1, before != after) {
            note_pause(&mut run.record, reason);
        }
        action
    }

    /// The requests in flight that are slow, on each route. With a worker that does not answer, they are not known.
    async fn slow_in_flight(&self, run: &RunningRollout) -> Vec<Looked> {
        let tracks = run.record.tracks.iter().zip(&run.watches);
        join_all(tracks.map(|(track, watch)| self.slow_on(track, watch))).await
    }

    async fn slow_on(&self, track: &Track, watch: &TrackWatch) -> Looked {
        match &watch.reader {
            Some(reader) => {
                let releases = (&track.to, &track.from);
                let looked = self.look_in_flight(&track.route, releases, &reader.reader);
                looked.await
            }
            None => Looked::default(),
        }
    }

    /// The requests in flight that are slow, on two releases of a route.
    pub(super) async fn look_in_flight(
        &self,
        route: &RouteName,
        releases: (&ReleaseKey, &ReleaseKey),
        reader: &CountReader,
    ) -> Looked {
        let older = async |ages: Option<Ages>| self.older(route, releases, ages?).await;
        let (in_flight, earlier) = (older(reader.ages()).await, reader.earlier_ages());
        let earlier = older(earlier).await.unwrap_or_default();
        Looked {
            in_flight,
            earlier,
            ..Looked::default()
        }
    }

    /// The requests in flight on both releases that are older than each of the ages.
    async fn older(
        &self,
        route: &RouteName,
        (canary, stable): (&ReleaseKey, &ReleaseKey),
        ages: Ages,
    ) -> Option<[[u64; LEVELS]; 2]> {
        let board = self.table.work();
        let roster = |(name, version): &ReleaseKey| self.fleet.roster(name, version);
        let [canary, stable] = [canary, stable].map(roster);
        let (canary, stable) = tokio::join!(
            board.count_older(&canary, route, ages),
            board.count_older(&stable, route, ages)
        );
        Some([canary?, stable?])
    }

    /// Gives the judges what was counted, and takes their findings.
    fn observe(
        &self,
        run: &mut RunningRollout,
        elapsed: Duration,
        looked: &[Looked],
    ) -> Vec<RouteSeen> {
        let live = self.table.load().state();
        let nodes = self.shared.state().nodes.len();
        let RolloutRecord {
            tracks, machine, ..
        } = &mut run.record;
        let metrics = &machine.plan().metrics;
        let prometheus = self.prometheus.get();
        let tracks = tracks.iter_mut().zip(&mut run.watches);
        let tracks = tracks.zip(looked);
        let seen = tracks.map(|((track, watch), looked)| {
            let weights = weights(&live, track);
            watch.look(elapsed, weights, looked);
            if watch.reader.is_some() {
                let (queries, judge) = (&mut watch.queries, &mut watch.judge);
                queries.look(prometheus, metrics, track, judge);
            }
            let seen = watch.seen();
            if seen.finding == Finding::Fine {
                track.note_fine(weight_of(&live, track));
            }
            track.save_judge(&watch.judge);
            if let Some(asked) = &watch.fleet {
                track.note_nodes(asked.nodes(), nodes);
            }
            if let Some(bytes) = watch.sessions.as_mut().and_then(RolloutSessions::save) {
                track.save_sessions(&bytes);
            }
            for (name, why) in watch.queries.silent(metrics) {
                track.note_silence(name, why);
            }
            seen
        });
        seen.collect()
    }
}

impl TrackWatch {
    /// Gives the judge what was counted since the last look.
    fn look(&mut self, elapsed: Duration, weights: (u32, u32), looked: &Looked) {
        let looked = Looked {
            first: self.sessions.as_mut().map(RolloutSessions::look),
            ..*looked
        };
        let others = self.counts_of_others();
        if let Some(reader) = &mut self.reader {
            for evidence in reader.look(elapsed, weights, &looked, others) {
                self.judge.observe(&evidence);
            }
        }
    }

    /// Counts of other nodes since the last look. A session that was bad on this node is not bad again there.
    fn counts_of_others(&mut self) -> Vec<NodeCounts> {
        let (Some(reader), Some(asked)) = (&self.reader, &mut self.fleet) else {
            return Vec::new();
        };
        let added = asked.take(reader.is_early(), reader.settled_after());
        let counts = added.into_iter().map(|added| NodeCounts {
            first: match &mut self.sessions {
                Some(sessions) => sessions.count(&added.marks.unwrap_or_default()),
                None => added.counts,
            },
            node: added.node,
            counts: added.counts,
            is_early: added.is_early,
        });
        counts.collect()
    }

    /// The finding, and what it was found on.
    fn seen(&self) -> RouteSeen {
        let is_early = self.reader.as_ref().is_none_or(EvidenceReader::is_early);
        let finding = match self.judge.finding() {
            Finding::Fine if is_early => Finding::NotEnoughData,
            finding => finding,
        };
        RouteSeen {
            finding,
            has_traffic: self
                .reader
                .as_ref()
                .is_some_and(EvidenceReader::has_traffic),
            is_blocked: matches!(
                self.judge.obstacle(),
                Some(Obstacle::StableFails { .. } | Obstacle::ShareIsOff { .. })
            ),
        }
    }
}

/// Weights of the two releases of a track in the live table.
fn weights(live: &TableState, track: &Track) -> (u32, u32) {
    let route = live.spec.route(&track.route);
    let weight = |name| {
        let split = route.map(|route| &route.split);
        split
            .and_then(|split| split.get(name))
            .copied()
            .unwrap_or(0)
    };
    (weight(&track.to.0), weight(&track.from.0))
}

/// The routes that a rollout is paused for.
fn paused_by(record: &RolloutRecord, routes: &[RouteSeen]) -> Vec<RouteName> {
    let Some(reason) = record.machine.pause() else {
        return Vec::new();
    };
    let tracks = record.tracks.iter().zip(routes);
    let by = tracks.filter(|(_, seen)| seen.is_paused_for(reason, routes));
    by.map(|(track, _)| track.route.clone()).collect()
}

/// Adds a pause to the log: its reason, and in a train the routes that it is for.
fn note_pause(record: &mut RolloutRecord, reason: PauseReason) {
    let reason = pause(reason).as_str();
    let by = listed(record.paused_by.iter().map(RouteName::as_str));
    let routes = if record.tracks.are_train() && !by.is_empty() {
        format!(", {by}")
    } else {
        String::new()
    };
    let words = record.tracks.verdict();
    let words = words.map_or_else(String::new, |verdict| verdict.words);
    record.note("switchback", format!("paused ({reason}{routes}): {words}"));
}
