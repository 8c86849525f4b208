//! Counters of the two releases of a rollout, and the judge of what they can show.

use std::sync::Arc;

use super::{rollout_counts::Counts, rollout_limits::Limits, rollout_queries::direction};
use crate::{
    analysis::{Judge, QueryWatch, Settings, Thresholds, Watch},
    fleet::Fleet,
    model::{HumanDuration, PlanSpec, ReleaseName, RouteName, Version},
    stats::{HistogramSnapshot, OutcomeTable, bound_from},
};

/// Counters of the two releases of a rollout.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    pub(super) canary: Arc<OutcomeTable>,
    pub(super) stable: Arc<OutcomeTable>,
}

impl Cells {
    pub(super) fn of(
        fleet: &Fleet,
        route: &RouteName,
        (canary, stable): (&(ReleaseName, Version), &(ReleaseName, Version)),
    ) -> Self {
        Self {
            canary: fleet.cells(route, &canary.0, &canary.1),
            stable: fleet.cells(route, &stable.0, &stable.1),
        }
    }

    /// A judge without evidence, with the signals that can be looked at: slowness only where a threshold is given or the
    /// stable release has shown what is usual, and what users say only where the route takes feedback.
    ///
    /// It is one of those of so many routes.
    pub(super) fn judge(&self, plan: &PlanSpec, takes_feedback: bool, routes: usize) -> Judge {
        let limits = self.limits(plan);
        let mut watches = vec![Watch::Failures, Watch::BrokenStreams];
        watches.extend(limits.slow.map(Watch::Slow));
        watches.extend(limits.first_byte.map(Watch::FirstByteLate));
        watches.extend(takes_feedback.then_some(Watch::NegativeFeedback));
        watches.extend(limits.client_errors.then_some(Watch::ClientErrors));
        let settings = Settings::default().shared_by(routes);
        let queries = plan.metrics.iter().map(|metric| QueryWatch {
            name: metric.name.to_string(),
            worse: direction(metric),
        });
        Judge::with_queries(settings, watches, queries.collect())
            .expect("the settings and the plan are valid")
    }

    /// Thresholds that are given, or learned from the stable release. First bytes that come when the responses end say
    /// nothing of their own.
    fn limits(&self, plan: &PlanSpec) -> Limits {
        let floor = bound_from(plan.slow_at_least.0);
        let learn = |times: &HistogramSnapshot| {
            let learned = Thresholds::freeze(times.cumulative())?;
            Some(learned.at_least(floor))
        };
        let given = |time: HumanDuration| Thresholds::given(&[bound_from(time.0)]);
        let stable = self.stable.snapshot();
        let (slow, first_byte) = (learn(&stable.duration), learn(&stable.first_byte));
        let first_byte = first_byte.filter(|late| Some(late) != slow.as_ref());
        Limits {
            slow: plan.slow.and_then(given).or(slow),
            first_byte: plan.first_byte.and_then(given).or(first_byte),
            client_errors: plan.client_errors,
        }
    }

    pub(super) fn counts(&self, limits: &Limits) -> [Counts; 2] {
        [&self.canary, &self.stable].map(|cells| Counts::of(cells, limits))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{analysis::Signal, model::Outcome};

    /// Cells whose stable release has answered 300 requests, all with these times in milliseconds.
    fn cells(first_byte: u64, duration: u64) -> Cells {
        let table = || Arc::new(OutcomeTable::new(1));
        let (canary, stable) = (table(), table());
        for _ in 0..300 {
            let first_byte = Some(Duration::from_millis(first_byte));
            let duration = Duration::from_millis(duration);
            stable.record(0, Outcome::Answered(200), duration, first_byte);
        }
        Cells { canary, stable }
    }

    fn plan(json: &str) -> PlanSpec {
        serde_json::from_str(&format!(r#"{{"steps":[{{"weight":100}}]{json}}}"#)).unwrap()
    }

    fn limits(cells: &Cells, json: &str) -> (Vec<f64>, Vec<f64>) {
        let limits = Limits::of(&cells.judge(&plan(json), false, 1));
        let seconds = |thresholds: Option<Thresholds>| thresholds.map_or_else(Vec::new, Into::into);
        (seconds(limits.slow), seconds(limits.first_byte))
    }

    #[test]
    fn nothing_is_slow_below_the_floor() {
        let quick = cells(1, 1);
        assert_eq!(limits(&quick, ""), (vec![0.025], vec![]));
        let lower = limits(&quick, r#","slow_at_least":"0s""#);
        assert_eq!(lower, (vec![0.001], vec![]));
        let higher = limits(&quick, r#","slow_at_least":"70ms""#);
        assert_eq!(higher, (vec![0.1], vec![]), "at a bound of the histogram");
    }

    #[test]
    fn first_bytes_are_looked_at_where_they_come_before_the_end() {
        assert_eq!(limits(&cells(90, 4_000), ""), (vec![5.0], vec![0.1]));
        assert_eq!(limits(&cells(4_000, 4_100), ""), (vec![5.0], vec![]));
    }

    #[test]
    fn given_thresholds_need_no_history_and_are_moved_to_a_bound() {
        let given = r#","slow":"2s","first_byte":"300ms""#;
        assert_eq!(limits(&cells(90, 4_000), given), (vec![2.5], vec![0.5]));
        let table = || Arc::new(OutcomeTable::new(1));
        let (canary, stable) = (table(), table());
        let new = Cells { canary, stable };
        assert_eq!(limits(&new, given), (vec![2.5], vec![0.5]));
        assert_eq!(limits(&new, ""), (vec![], vec![]));
    }

    #[test]
    fn client_errors_are_looked_at_if_asked_for_and_feedback_where_answers_are_stamped() {
        let cells = cells(1, 1);
        let judge = |json, takes_feedback| cells.judge(&plan(json), takes_feedback, 1);
        let asked = judge(r#","client_errors":true"#, true);
        let not = judge("", false);
        for signal in [Signal::ClientErrors, Signal::NegativeFeedback] {
            assert!(asked.looks_at(signal) && !not.looks_at(signal));
        }
        assert!(Limits::of(&asked).note_rules().client_errors);
    }
}
