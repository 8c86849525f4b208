//! The loop of drills: it ends what a restart interrupted, conducts live and full drills, and begins those that
//! `[drills]` asks for.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::time::sleep;

use super::{
    ControlError, Controller, DrillError,
    clock::now,
    drill_metrics,
    drill_record::DrillRecord,
    drill_schedule::{due_in, joins, look_in},
};
use crate::{
    api::{DrillRequest, Timestamp},
    model::{DrillLevel, RouteName},
};

/// Author of drills that begin by themselves.
const AUTHOR: &str = "switchback";

impl Controller {
    /// Conducts drills for as long as it is polled. With none running, and none asked for, it has no timer.
    pub(super) async fn run_drills(&self) {
        let interrupted = self.drills.running();
        self.show_last_drills();
        let interrupted = interrupted
            .iter()
            .map(|record| self.end_interrupted((**record).clone()));
        tokio::join!(
            join_all(interrupted),
            self.conduct_drills(),
            self.schedule_drills()
        );
    }

    /// Shows in the metrics what was saved.
    fn show_last_drills(&self) {
        for route in self.drills.ends().into_keys() {
            if let Some(last) = self.drills.last(&route) {
                drill_metrics::set(&route, last.passed, last.ended_at.0);
            }
        }
    }

    async fn conduct_drills(&self) {
        let mut running = FuturesUnordered::new();
        loop {
            let begun = self.drills.take_begun().into_iter();
            running.extend(begun.map(|record| self.conduct((*record).clone())));
            tokio::select! {
                () = self.drills.begun.notified() => {}
                Some(()) = running.next() => {}
            }
        }
    }

    async fn schedule_drills(&self) {
        let Some(every) = self.settings.drills.every.map(|every| every.0) else {
            return;
        };
        let mut jitter = rand::random();
        let (mut next, start) = (Duration::ZERO, Instant::now());
        loop {
            sleep(look_in(next, every)).await;
            self.share_drill_ends().await;
            if !self.runs_schedules() {
                next = Duration::ZERO;
                continue;
            }
            let due = self.due_drills(start.elapsed(), every, jitter);
            next = due.iter().map(|(_, due)| *due).min().unwrap_or(every);
            if !next.is_zero() {
                continue;
            }
            let due = due.into_iter().filter(|(_, due)| joins(*due, every));
            self.drill_by_itself(due.map(|(route, _)| route).collect())
                .await;
            jitter = rand::random();
        }
    }

    /// The routes that take part and are free, each with the time until its next drill.
    fn due_drills(
        &self,
        uptime: Duration,
        every: Duration,
        jitter: f64,
    ) -> Vec<(RouteName, Duration)> {
        let state = self.table.load().state();
        let (chosen, ends, now) = (&self.settings.drills.routes, self.drill_ends(), now());
        let routes = state.spec.routes().iter().map(|route| &route.name);
        let routes = routes.filter(|route| chosen.is_empty() || chosen.contains(route));
        let free =
            routes.filter(|route| self.check_free(route, self.settings.drills.level).is_ok());
        free.map(|route| {
            let age = |end: &Timestamp| Duration::from_micros(now.0.saturating_sub(end.0));
            let age = ends.get(route).map(age);
            (route.clone(), due_in(age, uptime, every, jitter))
        })
        .collect()
    }

    async fn drill_by_itself(&self, routes: Vec<RouteName>) {
        let level = self.settings.drills.level;
        if level == DrillLevel::Mechanism {
            return self.drill_mechanism_of(routes, None).await;
        }
        for route in routes {
            let request = DrillRequest {
                route: route.clone(),
                level,
                share: None,
                period: None,
                visible: false,
                message: None,
            };
            match self.start_drill(request, AUTHOR.to_owned()).await {
                Ok(_) => {}
                // What is impossible stays so for a while; the mechanism can be rehearsed all the same.
                Err(
                    error @ (DrillError::NoPredecessor { .. }
                    | DrillError::HasWeight { .. }
                    | DrillError::NotInSplit { .. }
                    | DrillError::NoRequests(_)
                    | DrillError::Control(ControlError::Quarantined(_))),
                ) => {
                    let why =
                        format!("only the mechanism, since a {level} drill is impossible: {error}");
                    self.drill_mechanism_of(vec![route], Some(why)).await;
                }
                // It is due at the next look as well.
                Err(
                    error @ (DrillError::Active { .. }
                    | DrillError::Rollout { .. }
                    | DrillError::GoesBack(_)
                    | DrillError::TooMany),
                ) => tracing::debug!(%route, %error, "a drill waits"),
                Err(error) => tracing::warn!(%route, %error, "a drill did not begin"),
            }
        }
    }

    /// Rehearses the mechanism once for several routes: it is that of the whole table.
    async fn drill_mechanism_of(&self, routes: Vec<RouteName>, note: Option<String>) {
        let Some(first) = routes.first().cloned() else {
            return;
        };
        let mut record = {
            let _one_at_a_time = self.rollouts.starting.lock().await;
            let (id, level) = (self.new_drill_id(), DrillLevel::Mechanism);
            let mut record = DrillRecord::new(id, first, level, AUTHOR.to_owned());
            record.drill.routes = (routes.len() > 1).then_some(routes.len());
            if let Some(note) = note {
                record.note(note);
            }
            self.drills.show(&record);
            record
        };
        self.drill_mechanism(&mut record).await;
        self.end_drill(&mut record, &routes).await;
    }
}
