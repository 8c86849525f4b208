//! Settings of the calibration: rehearsals of the judge on the operator's own traffic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, PlanName, PlanSpec, Problem, RouteName, RouteSpec};

/// Largest number of routes.
const MOST_ROUTES: usize = 20;
/// Shortest and longest rehearsal.
const WINDOW: (HumanDuration, HumanDuration) =
    (HumanDuration::seconds(1), HumanDuration::seconds(24 * 3600));
/// Longest time that a rehearsal is kept.
const LONGEST_KEPT: HumanDuration = HumanDuration::seconds(90 * 86_400);

/// Calibration: rehearsals of the judge with two halves of one release, which differ by chance alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calibrate {
    /// Routes whose stable release is compared with itself; none by default.
    pub routes: Vec<RouteName>,
    /// Plan whose thresholds and signals the judge has; the default plan when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// Length of a rehearsal.
    pub window: HumanDuration,
    /// Time that a rehearsal is kept.
    pub keep: HumanDuration,
}

impl Default for Calibrate {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            plan: None,
            window: HumanDuration::seconds(3600),
            keep: HumanDuration::seconds(30 * 86_400),
        }
    }
}

/// Checks the names and the times.
pub(super) fn check(
    calibrate: &Calibrate,
    routes: &[RouteSpec],
    plans: &BTreeMap<PlanName, PlanSpec>,
    found: &mut Vec<Problem>,
) {
    for (place, name) in calibrate.routes.iter().enumerate() {
        if calibrate.routes[..place].contains(name) {
            let message = format!("`{name}` is named already");
            let problem = Problem::new(format!("calibrate.routes.{place}"), message);
            found.push(problem.hint("name each route once"));
        } else if !routes.iter().any(|route| route.name == *name) {
            let message = format!("no route is called `{name}`");
            let problem = Problem::new(format!("calibrate.routes.{place}"), message);
            found.push(problem.hint("name a route of the file, or remove it here"));
        }
    }
    if calibrate.routes.len() > MOST_ROUTES {
        let message = format!("more than {MOST_ROUTES} routes");
        let problem = Problem::new("calibrate.routes", message);
        found.push(problem.hint("those with the most requests show the most"));
    }
    if let Some(plan) = calibrate
        .plan
        .as_ref()
        .filter(|plan| !plans.contains_key(*plan))
    {
        let problem = Problem::new("calibrate.plan", format!("no plan is called `{plan}`"));
        found.push(problem.hint("leave it out for the default plan"));
    }
    let window = calibrate.window;
    if !(WINDOW.0..=WINDOW.1).contains(&window) {
        let message = format!("`{window}` is not 1s to 24h");
        let problem = Problem::new("calibrate.window", message);
        found.push(problem.hint("use the length of a usual rollout, such as 1h"));
    }
    let keep = calibrate.keep;
    if keep < window || keep > LONGEST_KEPT {
        let message = format!("`{keep}` is not from `window` ({window}) to 90d");
        let problem = Problem::new("calibrate.keep", message);
        found.push(problem.hint("the default is 30d"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(calibrate: &Calibrate) -> Vec<String> {
        let mut found = Vec::new();
        let names = std::iter::once("chat".to_owned()).chain((0..21).map(|n| format!("r{n}")));
        let routes: Vec<_> = names
            .map(|name| RouteSpec::plain(name.parse().unwrap(), BTreeMap::new()))
            .collect();
        let plans = [("careful".parse().unwrap(), PlanSpec::default())].into();
        check(calibrate, &routes, &plans, &mut found);
        found.into_iter().map(|one| one.path).collect()
    }

    #[test]
    fn names_are_looked_up_and_times_have_bounds() {
        let good = Calibrate {
            routes: vec!["chat".parse().unwrap()],
            plan: Some("careful".parse().unwrap()),
            ..Calibrate::default()
        };
        assert!(problems(&good).is_empty());
        let wrong = Calibrate {
            routes: vec!["chat".parse().unwrap(), "talk".parse().unwrap()],
            plan: Some("bold".parse().unwrap()),
            window: HumanDuration::millis(999),
            keep: HumanDuration::seconds(91 * 86_400),
        };
        let paths = ["routes.1", "plan", "window", "keep"].map(|key| format!("calibrate.{key}"));
        assert_eq!(problems(&wrong), paths);
        let short = Calibrate {
            keep: HumanDuration::seconds(3_599),
            ..good.clone()
        };
        assert_eq!(problems(&short), ["calibrate.keep"]);
        let many = Calibrate {
            routes: (0..21).map(|n| format!("r{n}").parse().unwrap()).collect(),
            ..good.clone()
        };
        assert_eq!(problems(&many), ["calibrate.routes"]);
        let twice = Calibrate {
            routes: vec!["chat".parse().unwrap(); 2],
            ..good
        };
        assert_eq!(problems(&twice), ["calibrate.routes.1"]);
    }
}
