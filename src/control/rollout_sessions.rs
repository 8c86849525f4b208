//! The sessions of a rollout: each counts once for each signal and threshold, with its first bad event.
//!
//! Requests of one session fail together. Counted one by one, a client that fails whatever serves it raises a false alarm
//! in about half of the rollouts (docs/verdicts.md).

use std::sync::Arc;

use super::{
    figure_marks::Mark,
    rollout_cells::Cells,
    rollout_counts::{Counts, bad_signal},
    rollout_limits::Limits,
};
use crate::{
    analysis::{FirstBad, Signal, Thresholds},
    model::RouteSpec,
    stats::{BadUnit, NotedRelease},
};

/// Largest number of bad sessions that are remembered; one that is bad by several signals and thresholds is there for each.
const MOST: usize = 20_000;

/// The bad sessions of a rollout.
#[derive(Debug)]
pub(super) struct RolloutSessions {
    /// Those of the release, and those of the stable one.
    noted: [NotedRelease; 2],
    cells: Cells,
    limits: Limits,
    seen: FirstBad,
}

impl RolloutSessions {
    /// Begins to note bad sessions, with those that were saved; `None` on a route without sessions.
    pub(super) fn of(
        cells: &Cells,
        route: &RouteSpec,
        limits: &Limits,
        saved: &[u8],
    ) -> Option<Self> {
        let rules = limits.note_rules();
        let noted = |table: &Arc<_>| NotedRelease::new(Arc::clone(table), rules);
        route.has_sessions().then(|| Self {
            noted: [noted(&cells.canary), noted(&cells.stable)],
            cells: cells.clone(),
            limits: limits.clone(),
            seen: FirstBad::restore(MOST, saved),
        })
    }

    /// The bad sessions, to be saved with the evidence; `None` if none is new.
    pub(super) fn save(&mut self) -> Option<Vec<u8>> {
        self.seen.save()
    }

    /// First bad events of sessions since the last look.
    pub(super) fn look(&mut self) -> [Counts; 2] {
        let marks = self.noted_marks();
        self.count(&marks)
    }

    /// Sessions that are bad for the first time since the last look, to be told to another node.
    pub(super) fn new_marks(&mut self) -> Vec<Mark> {
        let mut marks = self.noted_marks();
        marks.retain(|mark| self.seen.is_first_key(mark.key));
        marks
    }

    /// Counts the sessions that were not bad before, on this node or another one.
    pub(super) fn count(&mut self, marks: &[Mark]) -> [Counts; 2] {
        let mut counts = [Counts::default(); 2];
        for mark in marks {
            if self.seen.is_first_key(mark.key) {
                counts[mark.arm].count_bad(mark.signal, mark.level);
            }
        }
        counts
    }

    /// Bad events since the last look, by session. None if more were bad on the stable release than are noted: what is
    /// left of them would make the release seem worse.
    fn noted_marks(&self) -> Vec<Mark> {
        let [canary, stable] = self.noted.each_ref().map(NotedRelease::take);
        let disliked = self.disliked();
        if stable.is_cut {
            return Vec::new();
        }
        let mut marks = Vec::new();
        for (arm, noted) in [canary, stable].iter().enumerate() {
            for bad in &noted.units {
                self.add_marks(arm, bad, &mut marks);
            }
        }
        for (arm, sessions) in disliked.into_iter().enumerate() {
            let mark = |session| Mark::new(arm, session, Signal::NegativeFeedback, 0);
            marks.extend(sessions.into_iter().map(mark));
        }
        marks
    }

    /// Sessions whose users dislike an answer. None if there were too many to note, on either side.
    fn disliked(&self) -> [Vec<u64>; 2] {
        let taken = [&self.cells.canary, &self.cells.stable].map(|table| table.take_disliking());
        match taken {
            [Some(canary), Some(stable)] => [canary, stable],
            _ => [Vec::new(), Vec::new()],
        }
    }

    /// Adds the signals by which a request is bad, and the thresholds that it passes.
    fn add_marks(&self, arm: usize, bad: &BadUnit, marks: &mut Vec<Mark>) {
        let signal = bad_signal(bad.outcome);
        marks.extend(signal.map(|signal| Mark::new(arm, bad.unit, signal, 0)));
        let slow = passed(self.limits.slow.as_ref(), bad.duration.as_secs_f64());
        let first_byte = bad.first_byte.map_or(0.0, |time| time.as_secs_f64());
        let late = passed(self.limits.first_byte.as_ref(), first_byte);
        for (signal, passed) in [(Signal::Slow, slow), (Signal::FirstByteLate, late)] {
            marks.extend((0..passed).map(|level| Mark::new(arm, bad.unit, signal, level)));
        }
    }
}

fn passed(thresholds: Option<&Thresholds>, seconds: f64) -> usize {
    thresholds.map_or(0, |thresholds| thresholds.passed(seconds))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        analysis::LEVELS,
        model::{Opinion, Outcome, Revision, Thumb},
        stats::OutcomeTable,
    };

    fn sessions() -> (Cells, RolloutSessions) {
        let cells = Cells {
            canary: Arc::new(OutcomeTable::new(1)),
            stable: Arc::new(OutcomeTable::new(1)),
        };
        let mut route =
            RouteSpec::plain("chat".parse().unwrap(), std::collections::BTreeMap::new());
        let limits = Limits {
            slow: Thresholds::given(&[0.5, 1.0]),
            first_byte: Thresholds::given(&[0.1]),
            client_errors: true,
        };
        assert!(RolloutSessions::of(&cells, &route, &limits, b"").is_none());
        route.affinity = serde_json::from_str(r#"[{"header":"x-session"}]"#).unwrap();
        let sessions = RolloutSessions::of(&cells, &route, &limits, b"");
        (cells, sessions.unwrap())
    }

    fn note(table: &OutcomeTable, unit: u64, outcome: Outcome, duration: Duration) {
        assert!(table.notes(outcome, duration, None));
        table.note(BadUnit {
            unit,
            outcome,
            duration,
            first_byte: None,
        });
    }

    #[test]
    fn a_session_counts_once_for_each_signal_and_threshold() {
        let (cells, mut sessions) = sessions();
        let quick = Duration::from_millis(1);
        for _ in 0..10 {
            note(&cells.canary, 1, Outcome::Failed(502), quick);
            note(&cells.canary, 2, Outcome::Cut(200), quick);
            note(
                &cells.canary,
                2,
                Outcome::Answered(200),
                Duration::from_millis(700),
            );
            note(
                &cells.stable,
                3,
                Outcome::Answered(500),
                Duration::from_secs(2),
            );
        }
        let [canary, stable] = sessions.look();
        assert_eq!(
            (canary.failures, canary.broken, canary.older),
            (1, 1, [1, 0, 0, 0])
        );
        assert_eq!(
            (stable.failures, stable.broken, stable.older),
            (1, 0, [1, 1, 0, 0])
        );
        note(&cells.canary, 1, Outcome::Failed(502), quick);
        note(&cells.canary, 4, Outcome::Failed(502), quick);
        assert_eq!(sessions.look()[0].failures, 1, "only the new one");
    }

    #[test]
    fn a_session_counts_once_for_late_first_bytes_and_for_client_errors() {
        let (cells, mut sessions) = sessions();
        let late = Duration::from_millis(200);
        for (unit, status) in [(1, 404), (1, 200), (2, 200), (2, 404), (3, 404)] {
            let outcome = Outcome::Answered(status);
            assert!(cells.canary.notes(outcome, late, Some(late)));
            cells.canary.note(BadUnit {
                unit,
                outcome,
                duration: late,
                first_byte: (unit != 3).then_some(late),
            });
        }
        let [canary, _] = sessions.look();
        assert_eq!((canary.client_errors, canary.late), (3, [2, 0, 0, 0]));
        assert_eq!((canary.failures, canary.older), (0, [0; LEVELS]));
    }

    #[test]
    fn a_session_dislikes_once() {
        let (cells, mut sessions) = sessions();
        let down = Opinion::of_thumb(Thumb::Down);
        for table in [&cells.canary, &cells.stable] {
            table.watch_feedback(Revision(1));
        }
        for session in [1, 2, 1, 1, 2] {
            cells.canary.record_feedback(down, Revision(1), session);
        }
        cells.stable.record_feedback(down, Revision(1), 3);
        let [canary, stable] = sessions.look();
        assert_eq!((canary.disliked, stable.disliked), (2, 1));
        cells.canary.record_feedback(down, Revision(1), 1);
        assert_eq!(sessions.look(), [Counts::default(); 2], "again");
    }

    #[test]
    fn a_cut_list_of_the_stable_release_is_no_evidence() {
        let (cells, mut sessions) = sessions();
        let quick = Duration::from_millis(1);
        note(&cells.canary, 1, Outcome::Failed(502), quick);
        (0..5_000).for_each(|unit| note(&cells.stable, unit, Outcome::Failed(502), quick));
        assert_eq!(sessions.look(), [Counts::default(); 2]);
        note(&cells.canary, 9_999, Outcome::Failed(502), quick);
        assert_eq!(sessions.look()[0].failures, 1);
    }

    #[test]
    fn a_session_that_fails_on_two_nodes_counts_once() {
        let (cells, mut sessions) = sessions();
        let (elsewhere, mut others) = self::sessions();
        let quick = Duration::from_millis(1);
        for unit in [1, 1, 2] {
            note(&elsewhere.canary, unit, Outcome::Failed(502), quick);
        }
        let told = others.new_marks();
        assert_eq!(told.len(), 2, "each once");
        note(&cells.canary, 2, Outcome::Failed(502), quick);
        assert_eq!(sessions.look()[0].failures, 1);
        assert_eq!(
            sessions.count(&told)[0].failures,
            1,
            "the second counts already"
        );
        assert_eq!(sessions.count(&told), [Counts::default(); 2], "told twice");
        note(&elsewhere.canary, 1, Outcome::Failed(502), quick);
        assert!(others.new_marks().is_empty());
    }
}
