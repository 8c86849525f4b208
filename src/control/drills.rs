//! Drills: rehearsals of the way back of a route, on the real path.
//!
//! A mechanism (`drill_mechanism.rs`) and a smoke test (`drill_load.rs`) end before their receipt. A live and a full drill
//! change the split of the route for a time (`drill_trial.rs`); the loop (`drill_loop.rs`) ends them, and begins those
//! that `[drills]` asks for. The state is saved before the split changes, so that a restart takes it back.

use std::{sync::Arc, time::Duration};

use super::{
    ControlError, Controller, DrillError,
    clock::now_ms,
    drill_record::{DrillRecord, Trial},
    drill_registry::MOST_RUNNING,
    route_rollback::plan_route_rollback,
    synthetic::SyntheticTraffic,
};
use crate::{
    api::{Drill, DrillRequest, DrillSummary},
    config::{LONGEST_DRILL, MOST_DRILL_SHARE},
    history::AppendError,
    model::{
        ChangeError, DrillLevel, HumanDuration, Percent, ReleaseName, RouteName, RouteSpec,
        TableState, Version, Weights,
    },
    table::RoutingTable,
};

/// Time of each load of a full drill, unless another one is asked for.
const LOAD: HumanDuration = HumanDuration::seconds(10);
/// Shortest time of a live drill, and of a load.
const SHORTEST: Duration = Duration::from_secs(1);

impl Controller {
    /// Begins a drill. A mechanism and a smoke test have ended when this returns; of a live and a full drill the
    /// predecessor has its requests.
    ///
    /// Not to be cancelled: it ends by itself, within bounded time.
    ///
    /// # Errors
    /// When it is not possible on the route as it is now. Nothing has changed then.
    pub async fn start_drill(
        &self,
        request: DrillRequest,
        author: String,
    ) -> Result<Drill, DrillError> {
        let mut record = {
            // A rollout on the route must not begin at the same time.
            let _one_at_a_time = self.rollouts.starting.lock().await;
            let record = self.begin_drill(request, author)?;
            self.drills.show(&record);
            record
        };
        match record.drill.level {
            DrillLevel::Mechanism => self.drill_mechanism(&mut record).await,
            DrillLevel::Smoke => self.drill_smoke(&mut record).await,
            DrillLevel::Live | DrillLevel::Full => {
                self.save_before(&record).await?;
                if self.begin_trial(&mut record).await {
                    self.drills.show(&record);
                    self.drills.hand_over(&record);
                    return Ok(record.drill);
                }
            }
        }
        let routes = [record.drill.route.clone()];
        self.end_drill(&mut record, &routes).await;
        Ok(record.drill)
    }

    /// Writes the drill before the split changes: a restart has to know what to take back.
    async fn save_before(&self, record: &DrillRecord) -> Result<(), DrillError> {
        if self.drills.save(self.settings.durable_within).await {
            return Ok(());
        }
        self.drills.remove(&record.drill.id);
        let reason = "the state of the drill could not be written".to_owned();
        let error = ControlError::NotDurable(AppendError::NotWritten(reason));
        Err(DrillError::Control(error))
    }

    /// Checks a request against the live table.
    fn begin_drill(
        &self,
        request: DrillRequest,
        author: String,
    ) -> Result<DrillRecord, DrillError> {
        let (share, period) = self.options(&request)?;
        let DrillRequest {
            route,
            level,
            message,
            visible,
            ..
        } = request;
        let live = self.table.load();
        let state = live.state();
        let Some(spec) = state.spec.route(&route) else {
            return Err(DrillError::Control(unknown_route(&state, &route).into()));
        };
        self.check_free(&route, level)?;
        if level.sends_requests() && spec.drill.is_empty() {
            return Err(DrillError::NoRequests(route));
        }
        if level == DrillLevel::Full && !visible {
            return Err(DrillError::Visible(route));
        }
        if level.sends_requests() && self.drills.traffic().is_none() {
            return Err(DrillError::NoProxy);
        }
        let mut record = DrillRecord::new(self.new_drill_id(), route, level, author);
        if level != DrillLevel::Mechanism {
            record = record.with_trial(self.trial(&live, spec, level)?);
        }
        (record.drill.share, record.drill.period) = (share, period);
        record.drill.message = message;
        Ok(record)
    }

    /// The share and the time of a drill, where its level has them.
    fn options(
        &self,
        request: &DrillRequest,
    ) -> Result<(Option<Percent>, Option<HumanDuration>), DrillError> {
        let (level, defaults) = (request.level, &self.settings.drills);
        let is_live = level == DrillLevel::Live;
        if request.share.is_some() && !is_live {
            return Err(DrillError::Option("only a live drill has a `share`"));
        }
        if request.period.is_some() && !level.changes_split() {
            return Err(DrillError::Option(
                "only a live and a full drill have a time (`for`)",
            ));
        }
        let share = is_live.then(|| request.share.unwrap_or(defaults.share));
        let usual = if is_live { defaults.period } else { LOAD };
        let period = level
            .changes_split()
            .then(|| request.period.unwrap_or(usual));
        let fits = |share: Percent| share > Percent::NONE && share <= MOST_DRILL_SHARE;
        if share.is_some_and(|share| !fits(share)) {
            return Err(DrillError::Option(
                "`share` is not more than 0 and at most 50 percent",
            ));
        }
        if period.is_some_and(|period| period.0 < SHORTEST || period > LONGEST_DRILL) {
            return Err(DrillError::Option("the time (`for`) is not 1s to 24h"));
        }
        Ok((share, period))
    }

    /// Refuses a drill beside a rollout or another drill of the route.
    ///
    /// A drill that changes the split is the only one, with no rollout beside it: the way back of each goes over the
    /// revisions that the other has made.
    pub(super) fn check_free(
        &self,
        route: &RouteName,
        level: DrillLevel,
    ) -> Result<(), DrillError> {
        if level.changes_split() {
            self.check_alone()?;
        }
        let route = route.clone();
        let rollouts = self.rollouts.active();
        let mut rollouts = rollouts.iter().map(|entry| entry.record());
        if let Some(rollout) = rollouts.find(|rollout| rollout.tracks.has(&route)) {
            let id = rollout.id.clone();
            return Err(DrillError::Rollout { id, route });
        }
        if level.changes_split() && self.is_going_back(&route) {
            return Err(DrillError::GoesBack(route));
        }
        if let Some(other) = self.drills.running_on(&route) {
            let id = other.drill.id.clone();
            return Err(DrillError::Active { id, route });
        }
        if self.drills.running().len() >= MOST_RUNNING {
            return Err(DrillError::TooMany);
        }
        Ok(())
    }

    fn check_alone(&self) -> Result<(), DrillError> {
        if let Some(entry) = self.rollouts.active().first() {
            let rollout = entry.record();
            let (id, route) = (rollout.id.clone(), rollout.tracks.first().route.clone());
            return Err(DrillError::Rollout { id, route });
        }
        match self.drills.changing_split() {
            Some(other) => Err(DrillError::Active {
                id: other.drill.id.clone(),
                route: other.drill.route.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The predecessor of a route, and the route as it is.
    fn trial(
        &self,
        live: &RoutingTable,
        spec: &RouteSpec,
        level: DrillLevel,
    ) -> Result<Trial, DrillError> {
        let (state, route) = (live.state(), &spec.name);
        let none = |reason: String| DrillError::NoPredecessor {
            route: route.clone(),
            reason,
        };
        let back = plan_route_rollback(&self.table, &self.log, live, route);
        let back = back.map_err(|error| none(error.to_string()))?;
        let then = back.state.spec.route(route).map(|then| &then.split);
        let to = then.and_then(|then| gains_most(&spec.split, then));
        let to = to.ok_or_else(|| none("a rollback gives no release more".to_owned()))?;
        let weighed = spec.split.iter().filter(|(name, _)| **name != to);
        let from = weighed.max_by_key(|(_, weight)| **weight);
        let from = from.map(|(name, _)| name.clone());
        let from = from.ok_or_else(|| none(format!("`{to}` is the only release of the route")))?;
        let weight = spec.split.get(&to);
        let version = version_of(&state, &to);
        if level.changes_split()
            && let Some(entry) = self.quarantine.find(&to, &version)
        {
            return Err(ControlError::Quarantined(Box::new(entry)).into());
        }
        let route = route.clone();
        if level.changes_split() && weight.is_some_and(|weight| *weight > 0) {
            return Err(DrillError::HasWeight { release: to, route });
        }
        if level == DrillLevel::Smoke && weight.is_none() {
            return Err(DrillError::NotInSplit { release: to, route });
        }
        Ok(Trial {
            from: (from.clone(), version_of(&state, &from)),
            to: (to, version),
            base: live.revision(),
            original: spec.split.clone(),
        })
    }

    /// An id that no other drill has: the time in hexadecimal digits.
    pub(super) fn new_drill_id(&self) -> String {
        let all = self.drills.all();
        let is_free = |id: &String| all.iter().all(|record| record.drill.id != *id);
        let mut ids = (now_ms()..).map(|id| format!("{id:x}"));
        ids.find(is_free).unwrap_or_default()
    }

    /// Shows, saves and counts a drill that has ended, as the last one of these routes.
    pub(super) async fn end_drill(&self, record: &mut DrillRecord, routes: &[RouteName]) {
        if !record.has_ended() {
            record.end(None);
        }
        let drill = &record.drill;
        tracing::info!(
            target: "audit",
            drill = drill.id, route = %drill.route, level = drill.level.as_str(), name = %drill.author,
            state = drill.state.as_str(), failures = ?drill.failures, "a drill has ended"
        );
        self.events.publish(super::event_bodies::drill(drill));
        super::drill_metrics::count_end(record, routes);
        self.drills.show(record);
        let live = self.table.load().state();
        self.drills
            .keep_last(routes, record, |route| live.spec.place(route).is_some());
        self.drills.save(self.settings.durable_within).await;
    }

    /// All drills, the latest first.
    pub fn drills(&self) -> Vec<Drill> {
        let all = self.drills.all();
        all.iter()
            .rev()
            .map(|record| record.drill.clone())
            .collect()
    }

    /// A drill by its id, or the latest one of a route.
    ///
    /// # Errors
    /// When there is none.
    pub fn drill(&self, text: &str) -> Result<Drill, DrillError> {
        let found = self.drills.find(text);
        found
            .map(|record| record.drill.clone())
            .ok_or_else(|| DrillError::Unknown(text.chars().take(80).collect()))
    }

    /// The last drill of a route that has ended.
    pub fn last_drill(&self, route: &RouteName) -> Option<DrillSummary> {
        self.drills.last(route)
    }

    /// Lets drills send synthetic requests through the proxy of this process.
    pub fn set_synthetic_traffic(&self, traffic: Arc<dyn SyntheticTraffic>) {
        self.drills.set_traffic(traffic);
    }
}

/// The release whose share grows most from one split to another.
fn gains_most(now: &Weights, then: &Weights) -> Option<ReleaseName> {
    let total = |weights: &Weights| weights.values().map(|weight| u64::from(*weight)).sum();
    let (of_now, of_then): (u64, u64) = (total(now), total(then));
    let weight =
        |weights: &Weights, name: &ReleaseName| u64::from(weights.get(name).copied().unwrap_or(0));
    let gain = |name: &ReleaseName| {
        (weight(then, name) * of_now).saturating_sub(weight(now, name) * of_then)
    };
    let gains = then.keys().map(|name| (gain(name), name));
    let most = gains
        .filter(|(gain, _)| *gain > 0)
        .max_by_key(|(gain, _)| *gain);
    most.map(|(_, name)| name.clone())
}

fn version_of(state: &TableState, name: &ReleaseName) -> Version {
    let release = state.spec.release(name);
    release.map_or_else(Version::default, |release| release.version.clone())
}

fn unknown_route(state: &TableState, route: &RouteName) -> ChangeError {
    let known = state.spec.routes().iter().map(|route| route.name.clone());
    ChangeError::UnknownRoute {
        name: route.to_string(),
        known: known.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_predecessor_is_the_release_that_a_rollback_gives_most() {
        let weights = |pairs: &[(&str, u32)]| -> Weights {
            let pairs = pairs.iter();
            pairs
                .map(|(name, weight)| (name.parse().unwrap(), *weight))
                .collect()
        };
        let gains =
            |now, then| gains_most(&weights(now), &weights(then)).map(|name| name.to_string());
        assert_eq!(
            gains(&[("blue", 0), ("green", 9)], &[("blue", 1), ("green", 0)]).as_deref(),
            Some("blue")
        );
        assert_eq!(
            gains(
                &[("a", 8), ("b", 1), ("c", 1)],
                &[("a", 2), ("b", 5), ("c", 3)]
            )
            .as_deref(),
            Some("b")
        );
        assert_eq!(gains(&[("a", 1)], &[("a", 7)]), None);
    }
}
