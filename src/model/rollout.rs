//! Plan of a rollout: the weights that a release gets one after the other, and the end of each step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HookName, HumanDuration, MetricQuery, Percent, Problem};

/// Largest number of steps of a plan.
pub const MOST_STEPS: usize = 50;
/// Largest number of queries of a plan.
const MOST_METRICS: usize = 4;
/// Longest time of a step, and of the bake.
const LONGEST: HumanDuration = HumanDuration::seconds(30 * 24 * 3600);
/// Largest part that stays on the stable release until the end.
const MOST_HELD_BACK: Percent = Percent::of(50);
/// Share of the canary from which nothing can be shown to be fine: too little is left to compare with.
const BLIND_SHARE: f64 = 0.95;
/// Longest time from which a request is slow: the highest bound of the histograms.
const SLOWEST: HumanDuration = HumanDuration::seconds(600);
/// Time for which a step waits for *fine*, without a limit of its own.
const WITHIN: HumanDuration = HumanDuration::seconds(24 * 3600);

/// Plan of a rollout.
///
/// The default waits at 5, 25 and 50 percent until the release is fine there, and then bakes for ten minutes with all but
/// 5 percent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    /// Steps; the weights go up, and the last one is 100.
    #[schema(min_items = 1, max_items = 50)]
    pub steps: Vec<StepSpec>,
    /// Time after the last step in which the release is still judged and rolled back; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bake: Option<HumanDuration>,
    /// Percents of the route that stay on the stable release until the end of the bake: with nothing to compare with, the
    /// release could not be judged. At most 50; 0 turns it off.
    #[serde(default = "held_back", skip_serializing_if = "is_held_back")]
    pub hold_back: Percent,
    /// Hook that is asked before each weight, the first and the last included: only what it lets go on goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub gate: Option<HookName>,
    /// Largest age of the last drill of the route that has passed, without which no rollout begins; any by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub drill_max_age: Option<HumanDuration>,
    /// Age from which a request is slow, rounded up to a bound of the histograms (1 s, 2.5 s, 5 s, 10 s, 30 s, 2 m, 10 m);
    /// by default quantiles of the stable release, as they are when the rollout begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub slow: Option<HumanDuration>,
    /// Time from which the first byte of a response is late, or the first event of a stream, rounded up in the same way;
    /// by default quantiles of the stable release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_byte: Option<HumanDuration>,
    /// Time up to which nothing is slow or late by those quantiles: what is shorter differs from minute to minute, and
    /// users do not notice. 25 ms by default.
    #[serde(default = "floor", skip_serializing_if = "is_floor")]
    pub slow_at_least: HumanDuration,
    /// True if responses with 4xx count against a release, as a signal of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_errors: bool,
    /// Queries of the Prometheus of the configuration, whose values for the two releases are compared; four at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    pub metrics: Vec<MetricQuery>,
}

/// Step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Percents of the route that the release gets.
    pub weight: Percent,
    /// Shortest time of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hold: Option<HumanDuration>,
    /// End of the step after `hold`. By default a step with `hold` or `approval` ends without it, another waits for
    /// `fine`, and the last one ends at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub until: Option<StepEnd>,
    /// Time after `hold` in which `fine` is waited for, before the rollout pauses as inconclusive; a day by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub within: Option<HumanDuration>,
    /// True if an approval is needed after all that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// Hook that is asked before the step ends, in place of that of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub gate: Option<HookName>,
}

/// Evidence that a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// The release is not worse than the stable one, at the stated confidence.
    Fine,
}

const fn floor() -> HumanDuration {
    HumanDuration::millis(25)
}

fn is_floor(time: &HumanDuration) -> bool {
    *time == floor()
}

const fn held_back() -> Percent {
    Percent::of(5)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_held_back(percent: &Percent) -> bool {
    *percent == held_back()
}

// === impl PlanSpec ===

impl Default for PlanSpec {
    fn default() -> Self {
        Self {
            steps: [5, 25, 50, 100].map(StepSpec::of).to_vec(),
            bake: Some(HumanDuration::seconds(600)),
            hold_back: held_back(),
            gate: None,
            drill_max_age: None,
            slow: None,
            first_byte: None,
            slow_at_least: floor(),
            client_errors: false,
            metrics: Vec::new(),
        }
    }
}

impl PlanSpec {
    /// Step at an index.
    pub fn step(&self, index: u32) -> Option<&StepSpec> {
        self.steps.get(usize::try_from(index).ok()?)
    }

    /// Index of the last step.
    pub fn last(&self) -> u32 {
        u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Percents that are given at a step: what is held back stays.
    pub fn weight(&self, index: u32) -> Percent {
        let wanted = self.step(index).map_or(Percent::ALL, |step| step.weight);
        wanted.min(self.hold_back.rest())
    }

    /// True if a step waits for the release to be fine.
    pub fn waits_for_fine(&self, index: u32) -> bool {
        let is_bare =
            |step: &StepSpec| step.hold.is_none() && !step.approval && index != self.last();
        self.step(index)
            .is_some_and(|step| step.until == Some(StepEnd::Fine) || is_bare(step))
    }

    /// Shortest time of a step.
    pub fn hold(&self, index: u32) -> Duration {
        let hold = self.step(index).and_then(|step| step.hold);
        hold.map_or(Duration::ZERO, |HumanDuration(hold)| hold)
    }

    /// Time that a step waits for the release to be fine, after its shortest time.
    pub fn within(&self, index: u32) -> Duration {
        let within = self.step(index).and_then(|step| step.within);
        within.unwrap_or(WITHIN).0
    }

    /// Time after the last step.
    pub fn bake(&self) -> Duration {
        self.bake.map_or(Duration::ZERO, |HumanDuration(bake)| bake)
    }

    /// Hook that is asked before a step ends.
    pub fn gate(&self, index: u32) -> Option<&HookName> {
        let own = self.step(index).and_then(|step| step.gate.as_ref());
        own.or(self.gate.as_ref())
    }

    /// All gates, with their paths in the plan.
    pub fn gates(&self) -> impl Iterator<Item = (String, &HookName)> {
        let of_plan = self.gate.iter().map(|gate| ("gate".to_owned(), gate));
        let steps = self.steps.iter().enumerate();
        let of_steps = steps.filter_map(|(index, step)| {
            let gate = step.gate.as_ref()?;
            Some((format!("steps.{index}.gate"), gate))
        });
        of_plan.chain(of_steps)
    }

    /// Problems of the plan, with their paths under this one.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let count = self.steps.len();
        if count == 0 || count > MOST_STEPS {
            let message = format!("there are {count} steps, not 1 to {MOST_STEPS}");
            found.push(Problem::new(format!("{path}.steps"), message));
        }
        for (index, step) in (0_u32..).zip(&self.steps) {
            self.check_step(index, step, &format!("{path}.steps.{index}"), &mut found);
        }
        check_time(self.bake, &format!("{path}.bake"), &mut found);
        if self.hold_back > MOST_HELD_BACK {
            let message = format!("{} percent is more than {MOST_HELD_BACK}", self.hold_back);
            let problem = Problem::new(format!("{path}.hold_back"), message);
            found.push(problem.hint("5 is the default; 0 holds nothing back"));
        }
        self.check_limits(path, &mut found);
        self.check_metrics(&format!("{path}.metrics"), &mut found);
        found
    }

    fn check_metrics(&self, path: &str, found: &mut Vec<Problem>) {
        let count = self.metrics.len();
        if count > MOST_METRICS {
            let message = format!("{count} queries; the maximum is {MOST_METRICS}");
            found.push(Problem::new(path, message));
        }
        for (index, metric) in self.metrics.iter().enumerate() {
            let at = format!("{path}.{index}");
            metric.problems(&at, found);
            let mut before = self.metrics.iter().take(index);
            if before.any(|other| other.name == metric.name) {
                let message = format!("`{}` is there twice", metric.name);
                found.push(Problem::new(format!("{at}.name"), message));
            }
        }
    }

    fn check_limits(&self, path: &str, found: &mut Vec<Problem>) {
        let given = [("slow", self.slow), ("first_byte", self.first_byte)];
        for (key, time) in given {
            if time.is_some_and(|time| time.0.is_zero()) {
                let problem = Problem::new(format!("{path}.{key}"), "0s: every request is so late");
                found.push(problem.hint("leave it out, and it is learned from the stable release"));
            }
        }
        let floor = ("slow_at_least", Some(self.slow_at_least));
        for (key, time) in given.into_iter().chain([floor]) {
            if let Some(time) = time.filter(|time| *time > SLOWEST) {
                let message = format!("{time} is more than {SLOWEST}");
                found.push(Problem::new(format!("{path}.{key}"), message));
            }
        }
    }

    fn check_step(&self, index: u32, step: &StepSpec, path: &str, found: &mut Vec<Problem>) {
        let weight = |message: String, hint: &str| {
            Problem::new(format!("{path}.weight"), message).hint(hint)
        };
        let before = index.checked_sub(1).and_then(|before| self.step(before));
        let floor = before.map_or(Percent::NONE, |before| before.weight);
        if step.weight <= floor {
            let message = format!(
                "{} is not more than {floor}, the weight before it",
                step.weight
            );
            found.push(weight(message, "weights go up, step by step"));
        }
        if index == self.last() && step.weight != Percent::ALL {
            let message = format!("the last step has {} percent", step.weight);
            found.push(weight(message, "the last step is `{ weight = 100 }`"));
        }
        check_time(step.hold, &format!("{path}.hold"), found);
        check_time(step.within, &format!("{path}.within"), found);
        if self.waits_for_fine(index) && self.weight(index).share() >= BLIND_SHARE {
            let message = "with 95 percent or more, too little is left on the stable release to show that this one is fine";
            let problem = Problem::new(path, message);
            found.push(problem.hint("give the step a `hold` instead"));
        }
        if step.within.is_some_and(|within| within.0.is_zero()) {
            let problem = Problem::new(format!("{path}.within"), "it leaves no time to see");
            found.push(problem.hint("leave it out: a day is the default"));
        }
        if step.within.is_some() && !self.waits_for_fine(index) {
            let problem = Problem::new(
                format!("{path}.within"),
                "the step does not wait for `fine`",
            );
            found.push(problem.hint("add `until = \"fine\"`"));
        }
    }
}

fn check_time(time: Option<HumanDuration>, path: &str, found: &mut Vec<Problem>) {
    if let Some(time) = time.filter(|time| *time > LONGEST) {
        let message = format!("{time} is more than {LONGEST}");
        found.push(Problem::new(path, message));
    }
}

// === impl StepSpec ===

impl StepSpec {
    /// A step with this weight, in whole percents, and nothing else.
    pub const fn of(percents: u32) -> Self {
        Self {
            weight: Percent::of(percents),
            hold: None,
            until: None,
            within: None,
            approval: false,
            gate: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> PlanSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_default_plan_is_valid_and_holds_five_percent_back() {
        let plan = PlanSpec::default();
        assert!(plan.problems("plan").is_empty());
        assert_eq!(
            (0..4).map(|step| plan.weight(step)).collect::<Vec<_>>(),
            [5, 25, 50, 95].map(Percent::of)
        );
        assert!(plan.waits_for_fine(2) && !plan.waits_for_fine(3));
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<PlanSpec>(&text).unwrap(), plan);
    }

    #[test]
    fn every_mistake_in_a_plan_has_its_place() {
        for (json, path) in [
            (r#"{"steps": []}"#, "plan.steps"),
            (r#"{"steps": [{"weight": 50}]}"#, "plan.steps.0.weight"),
            (
                r#"{"steps": [{"weight": 0}, {"weight": 100}]}"#,
                "plan.steps.0.weight",
            ),
            (
                r#"{"steps": [{"weight": 9}, {"weight": 5}, {"weight": 100}]}"#,
                "plan.steps.1.weight",
            ),
            (
                r#"{"steps": [{"weight": 100}], "hold_back": 51}"#,
                "plan.hold_back",
            ),
            (
                r#"{"steps": [{"weight": 100}], "bake": "31days"}"#,
                "plan.bake",
            ),
            (r#"{"steps": [{"weight": 100}], "slow": "0s"}"#, "plan.slow"),
            (
                r#"{"steps": [{"weight": 100}], "first_byte": "11m"}"#,
                "plan.first_byte",
            ),
            (
                r#"{"steps": [{"weight": 100}], "slow_at_least": "1h"}"#,
                "plan.slow_at_least",
            ),
            (
                r#"{"steps": [{"weight": 97}, {"weight": 100}], "hold_back": 1}"#,
                "plan.steps.0",
            ),
            (
                r#"{"steps": [{"weight": 5, "hold": "1s", "within": "1s"}, {"weight": 100}]}"#,
                "plan.steps.0.within",
            ),
            (
                r#"{"steps": [{"weight": 5, "until": "fine", "within": "0s"}, {"weight": 100}]}"#,
                "plan.steps.0.within",
            ),
        ] {
            let problems = plan(json).problems("plan");
            let paths: Vec<_> = problems
                .iter()
                .map(|problem| problem.path.as_str())
                .collect();
            assert_eq!(paths, [path], "{json}");
        }
    }
}
