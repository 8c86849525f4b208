//! Rehearsal of the judge: two halves of one release's requests, judged as the two releases of a rollout are.

use std::{sync::Arc, time::Instant};

use super::{
    calibration_record::Rehearsal, clock::now, rollout_cells::Cells,
    rollout_evidence::EvidenceReader, rollout_limits::Limits, rollout_reader::Looked,
    rollout_sessions::RolloutSessions, watch_set::ReleaseKey,
};
use crate::{
    analysis::{Judge, Peaks},
    api::{RunningCalibration, Timestamp},
    model::{HumanDuration, PlanSpec, Revision, RouteSpec},
    rollout::Place,
    stats::{Halves, OutcomeTable},
};

/// Release whose requests are halved, and what the judge is made of.
pub(super) struct Subject<'a> {
    pub(super) route: &'a RouteSpec,
    pub(super) release: ReleaseKey,
    pub(super) halves: Arc<Halves>,
    /// Counters of all its requests, by which thresholds are learned.
    pub(super) whole: Arc<OutcomeTable>,
    pub(super) plan: PlanSpec,
    /// The live revision: what users say of earlier answers is not evidence.
    pub(super) revision: Revision,
}

/// Rehearsal that runs.
#[derive(Debug)]
pub(super) struct CalibrationWindow {
    release: ReleaseKey,
    draw: u64,
    began_at: Timestamp,
    began: Instant,
    looked_at: Instant,
    judge: Judge,
    peaks: Peaks,
    reader: EvidenceReader,
    sessions: Option<RolloutSessions>,
}

impl CalibrationWindow {
    /// Begins a rehearsal with halves that are drawn anew.
    pub(super) fn begin(subject: &Subject<'_>, draw: u64, now: Instant) -> Self {
        subject.halves.redraw(draw);
        let [first, second] = subject.halves.cells().each_ref().map(Arc::clone);
        let cells = Cells {
            canary: second,
            stable: first,
        };
        let whole = Cells {
            canary: Arc::clone(&subject.whole),
            stable: Arc::clone(&subject.whole),
        };
        let route = subject.route;
        let judge = whole.judge(&subject.plan, route.takes_feedback(), 1);
        let limits = Limits::of(&judge);
        let sessions = RolloutSessions::of(&cells, route, &limits, &[]);
        let place = (Place::Step(0), 1);
        Self {
            release: subject.release.clone(),
            draw,
            began_at: self::now(),
            began: now,
            looked_at: now,
            judge,
            peaks: Peaks::default(),
            reader: EvidenceReader::new(cells, route, place, limits, subject.revision),
            sessions,
        }
    }

    /// Gives the judge what was counted since the last look. `true` if the rehearsal is over: its time is, the judge has
    /// said worse, or another release is stable.
    pub(super) fn look(
        &mut self,
        stable: Option<&ReleaseKey>,
        length: HumanDuration,
        now: Instant,
    ) -> bool {
        let elapsed = now.duration_since(std::mem::replace(&mut self.looked_at, now));
        let looked = Looked {
            first: self.sessions.as_mut().map(RolloutSessions::look),
            ..Looked::default()
        };
        for evidence in self.reader.look(elapsed, (1, 1), &looked, Vec::new()) {
            self.judge.observe(&evidence);
            self.peaks.note(&self.judge);
        }
        let is_over = now.duration_since(self.began) >= length.0;
        is_over || self.judge.is_worse() || stable != Some(&self.release)
    }

    /// The rehearsal as it is kept; `None` if there was no request.
    pub(super) fn end(self) -> Option<Rehearsal> {
        let (release, version) = self.release;
        let requests = self.reader.requests();
        (requests > 0).then(|| Rehearsal {
            began_at: self.began_at,
            ended_at: now(),
            release,
            version,
            requests,
            is_worse: self.judge.is_worse(),
            peaks: self.peaks,
        })
    }

    pub(super) fn show(&self) -> RunningCalibration {
        let (release, version) = self.release.clone();
        RunningCalibration {
            release,
            version,
            began_at: self.began_at,
            draw: self.draw,
            requests: self.reader.requests(),
            e: self.peaks.e,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::{
        model::{Outcome, Version},
        stats::half_of,
    };

    const HOUR: HumanDuration = HumanDuration::seconds(3_600);

    struct Bench {
        route: RouteSpec,
        release: ReleaseKey,
        halves: Arc<Halves>,
    }

    impl Bench {
        fn of(affinity: &str) -> Self {
            let mut route = RouteSpec::plain("chat".parse().unwrap(), BTreeMap::new());
            route.affinity = serde_json::from_str(affinity).unwrap();
            Self {
                route,
                release: ("blue".parse().unwrap(), Version::default()),
                halves: Arc::new(Halves::new(1)),
            }
        }

        fn begin(&self, draw: u64, now: Instant) -> CalibrationWindow {
            let subject = Subject {
                route: &self.route,
                release: self.release.clone(),
                halves: Arc::clone(&self.halves),
                whole: Arc::new(OutcomeTable::new(1)),
                plan: PlanSpec::default(),
                revision: Revision(1),
            };
            CalibrationWindow::begin(&subject, draw, now)
        }

        /// One request of each of so many units; those fail of which this says so.
        fn requests(&self, units: u64, fails: impl Fn(u64) -> bool) {
            for unit in 0..units {
                let outcome = Outcome::Answered(if fails(unit) { 500 } else { 200 });
                let (half, quick) = (self.halves.of(unit), Duration::from_millis(1));
                half.record(0, outcome, quick, None);
                if half.notes(outcome, quick, None) {
                    half.note(crate::stats::BadUnit {
                        unit,
                        outcome,
                        duration: quick,
                        first_byte: None,
                    });
                }
            }
        }
    }

    #[test]
    fn equal_halves_raise_no_alarm_and_the_rehearsal_ends_with_its_time() {
        let (bench, now) = (Bench::of("[]"), Instant::now());
        let mut window = bench.begin(0, now);
        bench.requests(2_000, |unit| unit % 20 == 0);
        let stable = Some(&bench.release);
        assert!(!window.look(stable, HOUR, now + Duration::from_secs(1)));
        assert!(window.look(stable, HOUR, now + HOUR.0));
        let ended = window.end().unwrap();
        assert_eq!((ended.requests, ended.is_worse), (2_000, false));
        assert!(ended.peaks.e < 100.0, "{ended:?}");
    }

    #[test]
    fn a_half_that_fails_is_an_alarm_in_that_draw() {
        let (bench, now) = (Bench::of("[]"), Instant::now());
        let mut window = bench.begin(5, now);
        bench.requests(200, |unit| half_of(unit, 5) == 1);
        assert!(window.look(Some(&bench.release), HOUR, now + Duration::from_secs(1)));
        let ended = window.end().unwrap();
        assert!(ended.is_worse && ended.peaks.e >= 100.0, "{ended:?}");
        let mut window = bench.begin(6, now);
        bench.requests(200, |unit| half_of(unit, 5) == 1);
        assert!(!window.look(Some(&bench.release), HOUR, now + Duration::from_secs(1)));
        assert!(window.peaks.e < 100.0, "{:?}", window.peaks);
    }

    #[test]
    fn one_session_that_always_fails_is_one_unit() {
        let (bench, now) = (Bench::of(r#"[{"header":"x-session"}]"#), Instant::now());
        let unit = (0..100).find(|unit| half_of(*unit, 0) == 1).unwrap();
        let mut window = bench.begin(0, now);
        (0..500).for_each(|_| bench.requests(unit + 1, |one| one == unit));
        assert!(!window.look(Some(&bench.release), HOUR, now + Duration::from_secs(1)));
        assert!(window.peaks.e < 1.0, "{:?}", window.peaks);
    }

    #[test]
    fn another_stable_release_ends_a_rehearsal_and_one_without_requests_is_none() {
        let (bench, now) = (Bench::of("[]"), Instant::now());
        let mut window = bench.begin(0, now);
        let other = ("green".parse().unwrap(), Version::default());
        assert!(!window.look(Some(&bench.release), HOUR, now));
        assert!(window.look(Some(&other), HOUR, now) && window.look(None, HOUR, now));
        assert_eq!(window.end(), None);
    }
}
