//! The check of a start: the plan is valid, and the release can get requests of the route.

use std::time::Duration;

use super::{ControlError, Controller, RolloutError, clock::now, rollout_record::Begin};
use crate::{
    api::{PlanChoice, RolloutRequest},
    config::gate_problems,
    model::{
        ChangeError, HumanDuration, PlanName, PlanSpec, ReleaseName, RouteName, RouteSpec,
        TableState, Version,
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
        if !problems.is_empty() {
            return Err(RolloutError::Plan(problems));
        }
        let live = self.table.load();
        let state = live.state();
        let RolloutRequest {
            route,
            to,
            message,
            force,
            plan: _,
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
        if !force && let Some(entry) = self.quarantine.find(&to.0, &to.1) {
            return Err(ControlError::Quarantined(Box::new(entry)).into());
        }
        self.check_drills(&route, plan.drill_max_age)?;
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
            is_forced: force,
        })
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
