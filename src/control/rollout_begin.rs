//! The check of a start: the plan is valid, and on each route the release can get its requests.

use std::time::Duration;

use super::{
    ControlError, Controller, RolloutError,
    clock::now,
    data_answers::NOT_ASKED,
    rollout_record::Begin,
    rollout_track::{Track, Tracks},
};
use crate::{
    api::{PlanChoice, RolloutRequest},
    config::gate_problems,
    model::{
        Change, ChangeError, HumanDuration, PlanName, PlanSpec, Problem, ReleaseName, RouteName,
        RouteSpec, TableState, Version,
    },
    rollout::Machine,
};

impl Controller {
    /// Checks a request against the live table.
    pub(super) fn begin(
        &self,
        request: RolloutRequest,
        author: String,
    ) -> Result<Begin, RolloutError> {
        let (plan, plan_name) = self.plan_of(request.plan.clone())?;
        let mut problems = plan.problems("plan");
        let hooks = self.hooks.set();
        problems.extend(gate_problems(&plan, "plan", |gate| hooks.format(gate)));
        if !plan.metrics.is_empty() && self.prometheus.get().is_none() {
            let problem = Problem::new("plan.metrics", "there is no Prometheus to ask");
            problems.push(
                problem.hint("add `[prometheus]` with a `url` to the configuration, and restart"),
            );
        }
        if !problems.is_empty() {
            return Err(RolloutError::Invalid(problems));
        }
        let targets = request.targets().map_err(RolloutError::Invalid)?;
        // One live table for all routes: it is the base of the rollout.
        let live = self.table.load();
        let state = live.state();
        let is_train = targets.len() > 1;
        let mut tracks = Vec::new();
        for (route, to) in targets {
            let asked = (&route, &to);
            let track = self.track(&state, asked, plan.drill_max_age, request.force);
            tracks.push(track.map_err(|error| error.on_route(&route, is_train))?);
        }
        Ok(Begin {
            tracks: Tracks::of(tracks).ok_or(RolloutError::Invalid(Vec::new()))?,
            base: live.revision(),
            machine: Machine::new(plan),
            plan_name,
            author,
            message: request.message,
            is_forced: request.force,
        })
    }

    /// Checks one route of a rollout.
    fn track(
        &self,
        state: &TableState,
        (route, to): (&RouteName, &ReleaseName),
        drill_max_age: Option<HumanDuration>,
        force: bool,
    ) -> Result<Track, RolloutError> {
        self.check_free_of_rollouts(route)?;
        let route = route.clone();
        let spec = state
            .spec
            .route(&route)
            .ok_or_else(|| unknown_route(state, &route))?;
        let to = versioned(state, to)?;
        if spec.split.get(&to.0).is_some_and(|weight| *weight > 0) {
            let release = to.0;
            return Err(RolloutError::HasWeight { release, route });
        }
        if !force && let Some(entry) = self.quarantine.find(&to.0, &to.1) {
            return Err(ControlError::Quarantined(Box::new(entry)).into());
        }
        self.check_drills(&route, drill_max_age)?;
        if !force {
            self.check_is_forward(&route, &to.0)?;
        }
        let from = stable_of(spec, &to.0).ok_or_else(|| RolloutError::NoStable(route.clone()))?;
        let from = versioned(state, &from)?;
        Ok(Track::new(route, from, to, spec.split.clone()))
    }

    fn check_free_of_rollouts(&self, route: &RouteName) -> Result<(), RolloutError> {
        let running = self.rollouts.active();
        let mut running = running.iter().map(|entry| entry.record());
        running
            .find(|record| record.tracks.has(route))
            .map_or(Ok(()), |other| {
                let (id, route) = (other.id.clone(), route.clone());
                Err(RolloutError::Active { id, route })
            })
    }

    /// Refuses a rollout that leads back across a release that does not allow it; a hook is asked when that is left.
    fn check_is_forward(&self, route: &RouteName, to: &ReleaseName) -> Result<(), ControlError> {
        let whole = Change::Switch {
            route: route.clone(),
            to: to.clone(),
        };
        let live = self.table.load();
        let after = whole.apply_to(&live.state())?.state.spec;
        NOT_ASKED.apply(self.crossed(&live, &after)).map(drop)
    }

    /// Refuses a rollout while a drill has changed a split, and where the last drill that has passed is too old.
    fn check_drills(
        &self,
        route: &RouteName,
        max_age: Option<HumanDuration>,
    ) -> Result<(), RolloutError> {
        if let Some(record) = self.drills.changing_split() {
            let (id, route) = (record.drill.id.clone(), record.drill.route.clone());
            return Err(RolloutError::Drill { id, route });
        }
        let Some(max_age) = max_age else {
            return Ok(());
        };
        let passed = self.drills.last(route).and_then(|last| last.last_passed_at);
        let age = passed.map(|at| Duration::from_micros(now().0.saturating_sub(at.0)));
        if age.is_some_and(|age| age <= max_age.0) {
            return Ok(());
        }
        Err(RolloutError::DrillTooOld {
            route: route.clone(),
            max_age,
            age: age.map(|age| HumanDuration::seconds(age.as_secs())),
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
