//! Settings of drills.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{DrillLevel, HumanDuration, Percent, Problem, RouteName, RouteSpec};

/// Shortest interval of drills by themselves.
const SHORTEST: Duration = Duration::from_secs(1);
/// Largest share of a live drill.
pub const MOST_DRILL_SHARE: Percent = Percent::of(50);
/// Longest time of a live drill.
pub const LONGEST_DRILL: HumanDuration = HumanDuration::seconds(24 * 3600);

/// Rehearsals of the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drills {
    /// Interval of drills by themselves, on each route; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<HumanDuration>,
    /// Level of drills by themselves.
    pub level: DrillLevel,
    /// Routes of drills by themselves; all of them when empty.
    pub routes: Vec<RouteName>,
    /// Percents of the sessions that a live drill gives to the predecessor.
    pub share: Percent,
    /// Time of a live drill.
    #[serde(rename = "for")]
    pub period: HumanDuration,
}

impl Default for Drills {
    fn default() -> Self {
        Self {
            every: None,
            level: DrillLevel::Mechanism,
            routes: Vec::new(),
            share: Percent::of(1),
            period: HumanDuration::seconds(600),
        }
    }
}

pub(super) fn check(drills: &Drills, routes: &[RouteSpec], found: &mut Vec<Problem>) {
    if let Some(every) = drills.every.filter(|every| every.0 < SHORTEST) {
        let message = format!("`{every}` is too short");
        let problem = Problem::new("drills.every", message);
        found.push(problem.hint("the minimum is 1s; once a day is usual"));
    }
    if drills.level == DrillLevel::Full {
        let message = "clients see a full drill, so none is begun by itself";
        let problem = Problem::new("drills.level", message);
        found.push(problem.hint("use `mechanism`, `smoke` or `live`"));
    }
    if drills.share == Percent::NONE || drills.share > MOST_DRILL_SHARE {
        let message = format!("{} percent is not more than 0 and at most 50", drills.share);
        found.push(Problem::new("drills.share", message));
    }
    if drills.period.0 < SHORTEST || drills.period > LONGEST_DRILL {
        let message = format!("`{}` is not 1s to 24h", drills.period);
        found.push(Problem::new("drills.for", message));
    }
    for (place, name) in drills.routes.iter().enumerate() {
        if !routes.iter().any(|route| route.name == *name) {
            let message = format!("no route is called `{name}`");
            let problem = Problem::new(format!("drills.routes.{place}"), message);
            found.push(problem.hint("leave `routes` out for all of them"));
        }
    }
}
