//! Calibration: the judge is given two halves of the stable release's requests, and what it makes of them is kept.
//!
//! Both halves are the same release, so each *worse* is a false alarm. Without routes in `[calibrate]` nothing of this runs.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::{
    Controller,
    calibration_record::{Rehearsal, RouteRehearsals},
    calibration_window::{CalibrationWindow, Subject},
    clock::now,
    watch_set::ReleaseKey,
};
use crate::{
    analysis::Settings,
    api::CalibrationReport,
    model::{PlanSpec, RouteName, RouteSpec, TableState},
    table::RoutingTable,
};

/// Interval at which each rehearsal is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Controller {
    /// Looks at the rehearsals once a second, for as long as it is polled; ends at once if there are no routes for it.
    pub(super) async fn run_calibration(&self) {
        if self.settings.calibrate.routes.is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_saved = true;
        loop {
            ticks.tick().await;
            let has_ended = self.look_at_rehearsals();
            if has_ended || !is_saved {
                is_saved = self.calibration.save(self.settings.durable_within).await;
            }
        }
    }

    /// Rehearsals of all routes of `[calibrate]`, or of one; `None` if that is not among them.
    pub fn calibration(&self, route: Option<&RouteName>) -> Option<CalibrationReport> {
        let calibrate = &self.settings.calibrate;
        if route.is_some_and(|route| !calibrate.routes.contains(route)) {
            return None;
        }
        let judge = Settings::default();
        let is_asked = |name: &&RouteName| route.is_none_or(|route| route == *name);
        let (running, ended) = (self.calibration.running(), self.calibration.ended());
        let none = RouteRehearsals::default();
        let of_route = |name: &RouteName| {
            let record = ended.get(name).unwrap_or(&none);
            let runs = running.get(name).map(CalibrationWindow::show);
            let times = (now(), calibrate.window, calibrate.keep);
            record.show(name.clone(), runs, times)
        };
        let routes = calibrate.routes.iter().filter(is_asked);
        Some(CalibrationReport {
            window: calibrate.window,
            keep: calibrate.keep,
            alpha: judge.alpha,
            bound: judge.worse_bound(),
            routes: routes.map(of_route).collect(),
        })
    }

    /// Routes whose stable release is compared with itself.
    pub fn calibrated_routes(&self) -> &[RouteName] {
        &self.settings.calibrate.routes
    }

    /// Looks at each route; `true` if a rehearsal has ended that is kept.
    fn look_at_rehearsals(&self) -> bool {
        let live = self.table.load();
        let state = live.state();
        let mut has_ended = false;
        for name in &self.settings.calibrate.routes {
            has_ended |= self.look_at_rehearsal(name, (&live, &state));
        }
        has_ended
    }

    fn look_at_rehearsal(
        &self,
        name: &RouteName,
        (live, state): (&RoutingTable, &TableState),
    ) -> bool {
        let (length, now) = (self.settings.calibrate.window, Instant::now());
        let route = state.spec.route(name);
        let stable = route.and_then(|route| stable_of(state, route));
        let mut running = self.calibration.running();
        let window = running.get_mut(name);
        let is_over = window.is_some_and(|window| window.look(stable.as_ref(), length, now));
        // Dropped before the next begins: each takes the notes of the halves over.
        let ended = is_over.then(|| running.remove(name)).flatten();
        let ended = ended.and_then(CalibrationWindow::end);
        let has_ended = ended.is_some();
        if let Some(ended) = ended {
            self.keep_rehearsal(name, ended);
        }
        if let (Some(route), Some(stable), false) = (route, stable, running.contains_key(name))
            && let Some(subject) = self.subject(route, stable, live)
        {
            let draw = self
                .calibration
                .ended()
                .get(name)
                .map_or(0, |one| one.draws);
            let window = CalibrationWindow::begin(&subject, draw, now);
            running.insert(name.clone(), window);
        }
        has_ended
    }

    fn keep_rehearsal(&self, name: &RouteName, ended: Rehearsal) {
        if ended.is_worse {
            let (release, e) = (ended.release.as_str(), ended.peaks.e);
            tracing::warn!(route = %name, release, e, "the judge has told two halves of one release apart: a false alarm");
        }
        let mut all = self.calibration.ended();
        let record = all.entry(name.clone()).or_default();
        record.draws += 1;
        record.add(ended, self.settings.calibrate.keep);
    }

    fn subject<'a>(
        &self,
        route: &'a RouteSpec,
        release: ReleaseKey,
        live: &RoutingTable,
    ) -> Option<Subject<'a>> {
        let (name, version) = &release;
        let halves = self.fleet.halves(&route.name, name, version)?;
        let plan = self.settings.calibrate.plan.as_ref();
        let plan = plan.and_then(|plan| self.rollouts.plans().get(plan).cloned());
        Some(Subject {
            route,
            halves,
            whole: self.fleet.cells(&route.name, name, version),
            // The values of a query are those of a release, and not of its half.
            plan: PlanSpec {
                metrics: Vec::new(),
                ..plan.unwrap_or_default()
            },
            revision: live.revision(),
            release,
        })
    }
}

/// The stable release of a route, if it has a weight: the named one, the one that last had all of it, or that with most.
fn stable_of(state: &TableState, route: &RouteSpec) -> Option<ReleaseKey> {
    let has_weight = |name: &&_| route.weighed().any(|weighed| weighed == *name);
    let largest = || {
        let weighed = route.split.iter().filter(|(_, weight)| **weight > 0);
        weighed
            .max_by_key(|(_, weight)| **weight)
            .map(|(name, _)| name)
    };
    let name = route.stable_release().filter(has_weight).or_else(largest)?;
    Some((name.clone(), state.spec.release(name)?.version.clone()))
}
