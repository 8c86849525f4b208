//! The adding of what other nodes have counted for an order: pure, so that nothing counts twice and nothing goes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{figure_documents::FigureSeries, figure_marks::Mark, rollout_counts::Counts};

/// Largest number of runs that are followed: each is a node since it began to count.
const MOST_RUNS: usize = 4_096;

/// Sums of one order, for each node as far as its figures were taken.
#[derive(Debug, Default)]
pub(super) struct FigureSums {
    runs: BTreeMap<u64, Run>,
    nodes: BTreeSet<String>,
}

/// Figures of a run that were taken.
#[derive(Debug, Default)]
struct Run {
    counts: [Counts; 2],
    /// Number of the next mark.
    mark: u64,
    age: Duration,
}

/// Figures of a node that were not taken before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddedFigures {
    pub(super) node: String,
    pub(super) counts: [Counts; 2],
    /// Sessions that were bad for the first time on that node, on a route with sessions. None of them where some are
    /// missing: what is left could make the release seem worse.
    pub(super) marks: Option<Vec<Mark>>,
    /// True if what was counted may have begun before the step on that node.
    pub(super) is_early: bool,
}

impl FigureSums {
    /// Takes what a node has counted since it was looked at last. Early are the figures of a node that has counted for
    /// less than the time in which a request is settled, and all of an early step.
    pub(super) fn take(
        &mut self,
        node: &str,
        series: &FigureSeries,
        (is_early, settled_after): (bool, Duration),
    ) -> Option<AddedFigures> {
        if self.runs.len() >= MOST_RUNS && !self.runs.contains_key(&series.run) {
            return None;
        }
        let run = self.runs.entry(series.run).or_default();
        let counts = [0, 1].map(|arm| series.counts[arm].since(run.counts[arm]));
        run.counts = [0, 1].map(|arm| series.counts[arm].most(run.counts[arm]));
        let marks = series.marks.as_ref().map(|marks| {
            let new = marks.since(run.mark).unwrap_or_default().to_vec();
            run.mark = run.mark.max(marks.next());
            new
        });
        let is_early = is_early || run.age < settled_after;
        run.age = run.age.max(Duration::from_millis(series.age_ms));
        self.nodes.insert(node.to_owned());
        Some(AddedFigures {
            node: node.to_owned(),
            counts,
            marks,
            is_early,
        })
    }

    /// Number of nodes whose figures were taken.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{analysis::Signal, control::figure_marks::RecentMarks};

    const SETTLED: Duration = Duration::from_secs(5);

    fn counts(units: u64, failures: u64) -> Counts {
        Counts {
            units,
            failures,
            ..Counts::default()
        }
    }

    fn series(run: u64, age_ms: u64, canary: (u64, u64), stable: (u64, u64)) -> FigureSeries {
        FigureSeries {
            order: 1,
            run,
            age_ms,
            counts: [counts(canary.0, canary.1), counts(stable.0, stable.1)],
            marks: None,
        }
    }

    #[test]
    fn a_node_counts_once_however_often_it_is_read_and_a_restart_begins_at_nothing() {
        let mut sums = FigureSums::default();
        let mut take = |series: &FigureSeries| {
            let added = sums.take("b", series, (true, SETTLED)).unwrap();
            added.counts.map(|counts| (counts.units, counts.failures))
        };
        assert_eq!(take(&series(1, 1_000, (3, 1), (9, 0))), [(3, 1), (9, 0)]);
        assert_eq!(take(&series(1, 1_000, (3, 1), (9, 0))), [(0, 0), (0, 0)]);
        assert_eq!(take(&series(1, 2_000, (5, 1), (9, 2))), [(2, 0), (0, 2)]);
        assert_eq!(take(&series(2, 100, (1, 1), (2, 0))), [(1, 1), (2, 0)]);
        assert_eq!(
            take(&series(1, 1_500, (4, 1), (9, 0))),
            [(0, 0), (0, 0)],
            "late, or of another process with the same name"
        );
        assert_eq!(take(&series(1, 2_500, (6, 1), (9, 2))), [(1, 0), (0, 0)]);
        assert_eq!(sums.nodes(), 1);
    }

    #[test]
    fn a_node_that_comes_late_shows_nothing_that_is_fine_until_its_requests_are_settled() {
        let mut sums = FigureSums::default();
        let mut is_early = |age_ms, step_is_early| {
            let series = series(1, age_ms, (1, 0), (1, 0));
            let added = sums.take("b", &series, (step_is_early, SETTLED));
            added.unwrap().is_early
        };
        assert!(is_early(9_000, false), "not known when it was counted");
        assert!(!is_early(10_000, false));
        assert!(is_early(11_000, true));
        let mut sums = FigureSums::default();
        let mut is_early = |age_ms| {
            let series = series(1, age_ms, (1, 0), (1, 0));
            let added = sums.take("b", &series, (false, SETTLED));
            added.unwrap().is_early
        };
        assert!(
            is_early(4_000) && is_early(5_500),
            "a part of it began before"
        );
        assert!(!is_early(6_500));
    }

    #[test]
    fn of_marks_with_a_gap_none_is_taken() {
        let mark = |unit| Mark::new(0, unit, Signal::Failures, 0);
        let mut recent = RecentMarks::default();
        let mut sums = FigureSums::default();
        let mut take = |marks: Vec<Mark>| {
            recent.add(marks, 3);
            let series = FigureSeries {
                marks: Some(recent.told()),
                ..series(1, 0, (0, 0), (0, 0))
            };
            let added = sums.take("b", &series, (true, SETTLED)).unwrap();
            added.marks.unwrap()
        };
        assert_eq!(take(vec![mark(1), mark(2)]), [mark(1), mark(2)]);
        assert_eq!(take(vec![mark(3)]), [mark(3)]);
        assert_eq!(take((4..9).map(mark).collect()), [], "two are missing");
        assert_eq!(take(vec![mark(9)]), [mark(9)]);
    }

    #[test]
    fn the_runs_are_bounded() {
        let mut sums = FigureSums::default();
        for run in 0..MOST_RUNS as u64 {
            let taken = sums.take("b", &series(run, 0, (1, 0), (0, 0)), (true, SETTLED));
            assert!(taken.is_some());
        }
        let one_more = series(u64::MAX, 0, (1, 0), (0, 0));
        assert!(sums.take("b", &one_more, (true, SETTLED)).is_none());
    }

    /// Next act of a simulated node.
    #[derive(Debug, Clone)]
    enum Act {
        Count {
            node: usize,
            canary: u64,
            bad: u64,
        },
        Write {
            node: usize,
        },
        Restart {
            node: usize,
        },
        Look,
        /// A look at what was written before the last write.
        LookBack,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => (0..3_usize, 0..50_u64, 0..5_u64)
                .prop_map(|(node, canary, bad)| Act::Count { node, canary, bad }),
            3 => (0..3_usize).prop_map(|node| Act::Write { node }),
            1 => (0..3_usize).prop_map(|node| Act::Restart { node }),
            3 => Just(Act::Look),
            1 => Just(Act::LookBack),
        ];
        prop::collection::vec(act, 0..120)
    }

    proptest! {
        /// The sum is what the nodes have written last in each of their runs, whatever is read how often and in which order.
        #[test]
        fn the_sum_is_what_was_written_last_in_each_run(acts in acts()) {
            let mut sums = FigureSums::default();
            let mut now = [0, 1, 2].map(|node| series(node, 0, (0, 0), (0, 0)));
            let mut written: [Option<FigureSeries>; 3] = [const { None }; 3];
            let mut before = written.clone();
            let mut last: BTreeMap<u64, FigureSeries> = BTreeMap::new();
            let (mut sum, mut next) = (Counts::default(), 3);
            let mut look = |documents: &[Option<FigureSeries>; 3], last: &mut BTreeMap<u64, FigureSeries>| {
                for (node, series) in documents.iter().enumerate() {
                    let Some(series) = series else { continue };
                    let added = sums.take(&node.to_string(), series, (true, SETTLED)).unwrap();
                    sum = sum.plus(added.counts[0]);
                    let best = last.entry(series.run).or_insert_with(|| series.clone());
                    let (old, new) = (best.counts[0], series.counts[0]);
                    if old.units <= new.units && old.failures <= new.failures {
                        *best = series.clone();
                    }
                }
                let all = last.values().fold(Counts::default(), |all, one| all.plus(one.counts[0]));
                (sum, all)
            };
            for act in acts {
                match act {
                    Act::Count { node, canary, bad } => {
                        now[node].counts[0] = now[node].counts[0].plus(counts(canary, bad));
                    }
                    Act::Write { node } => {
                        before[node].clone_from(&written[node]);
                        written[node] = Some(now[node].clone());
                    }
                    Act::Restart { node } => {
                        now[node] = series(next, 0, (0, 0), (0, 0));
                        next += 1;
                    }
                    Act::Look => {
                        let (sum, all) = look(&written, &mut last);
                        prop_assert_eq!(sum, all);
                    }
                    Act::LookBack => {
                        let (sum, all) = look(&before, &mut last);
                        prop_assert_eq!(sum, all);
                    }
                }
            }
        }
    }
}
