//! Evidence of a rollout, from the counters that every request is counted in anyway.
//!
//! The counters know requests by their end. So a request that fails is evidence when it ends, and one that is slow when it
//! has become so old: the workers say how old the work in flight is. A session counts once as evidence that
//! the release is worse (`rollout_sessions.rs`), and as often as it fails as evidence that it is not fine. To keep *fine*
//! cautious:
//! - what ends in the first moments of a step may have begun before it, so it can show that the release is worse, and not
//!   that it is fine;
//! - a request is settled when so much time has passed since its end as the last threshold allows from its start.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    rollout_cells::Cells,
    rollout_counts::{Counts, add_older},
    rollout_limits::Limits,
};
use crate::{
    analysis::{Arm, Evidence, LEVELS, Share, Tally},
    model::{Revision, RouteSpec},
    rollout::Place,
    table::Ages,
};

/// Age at which a request is settled, on a route without thresholds and without a timeout.
const SETTLED: Duration = Duration::from_secs(30);
/// Longest such age: a route may allow requests of hours.
const LONGEST_SETTLED: Duration = Duration::from_secs(600);

/// Facts at a look that the counters do not have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looked {
    /// First bad events of sessions, on a route with sessions.
    pub(super) first: Option<[Counts; 2]>,
    /// Requests in flight that are older than the thresholds, if every worker has said so.
    pub(super) in_flight: Option<[[u64; LEVELS]; 2]>,
    /// Those among them that began before the place, at the first look.
    pub(super) earlier: [[u64; LEVELS]; 2],
}

/// Reader of the evidence of one place of a rollout.
#[derive(Debug)]
pub(super) struct EvidenceReader {
    cells: Cells,
    place: Place,
    steps: u32,
    limits: Limits,
    settled_after: Duration,
    began: Instant,
    /// True once the ages of what is in flight were known.
    has_ages: bool,
    /// True if sessions may stay on a release, so that the weights are not the shares.
    counts_shares: bool,
    last: [Counts; 2],
    /// The counts of the look that has begun.
    now: Option<[Counts; 2]>,
    waiting: [Counts; 2],
    /// First bad events of sessions among those that wait.
    first: [Counts; 2],
    seen: Duration,
    units: Tally,
    settled: Tally,
    starts: VecDeque<(Duration, Tally)>,
}

impl EvidenceReader {
    /// A reader that begins now, at this revision: what users say of earlier answers is not evidence.
    pub(super) fn new(
        cells: Cells,
        route: &RouteSpec,
        (place, steps): (Place, u32),
        limits: Limits,
        revision: Revision,
    ) -> Self {
        for cells in [&cells.canary, &cells.stable] {
            cells.watch_feedback(revision);
        }
        let timeout = route.timeouts.request.map(|timeout| timeout.0);
        let settled_after = limits.slowest().or(timeout);
        let settled_after = settled_after.unwrap_or(SETTLED).min(LONGEST_SETTLED);
        Self {
            last: cells.counts(&limits),
            now: None,
            cells,
            place,
            steps,
            limits,
            settled_after,
            began: Instant::now(),
            has_ages: false,
            counts_shares: route.has_pins(),
            waiting: [Counts::default(); 2],
            first: [Counts::default(); 2],
            seen: Duration::ZERO,
            units: Tally::default(),
            settled: Tally::default(),
            starts: VecDeque::new(),
        }
    }

    /// The place that it reads for.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// True if the release got requests at this place.
    pub(super) const fn has_traffic(&self) -> bool {
        self.units.canary > 0
    }

    /// Requests that were counted.
    pub(super) const fn requests(&self) -> u64 {
        self.units.total()
    }

    /// True while what ends may have begun before the step.
    pub(super) fn is_early(&self) -> bool {
        self.seen < self.settled_after
    }

    /// The ages from which requests in flight that began before the place count as slow, until they are known.
    pub(super) fn earlier_ages(&self) -> Option<Ages> {
        let since = self.began.elapsed();
        let ages = self.ages()?.map(|age| age.max(since));
        (!self.has_ages).then_some(ages)
    }

    /// The ages from which requests in flight count as slow; `None` if slowness is not looked at.
    pub(super) fn ages(&self) -> Option<Ages> {
        let mut ages = [Duration::MAX; LEVELS];
        let seconds = self.limits.slow.as_ref()?.seconds();
        for (age, seconds) in ages.iter_mut().zip(seconds) {
            *age = Duration::from_secs_f64(*seconds);
        }
        Some(ages)
    }

    /// Begins a look: what ends before the work in flight is counted is in neither, and never in both.
    pub(super) fn snapshot(&mut self) {
        self.now = Some(self.cells.counts(&self.limits));
    }

    /// The evidence since the last look, if there is some to be given; the weights are those of the live split.
    pub(super) fn look(
        &mut self,
        elapsed: Duration,
        (canary, stable): (u32, u32),
        looked: &Looked,
    ) -> Option<Evidence> {
        let is_early = self.is_early();
        self.seen = self.seen.saturating_add(elapsed);
        let first = looked.first;
        let added = self.count(looked);
        let units = Tally::new(added[0].units, added[1].units);
        self.units.add(units);
        if !is_early {
            self.starts.push_back((self.seen, units));
        }
        let settled = self.take_settled();
        self.settled.add(settled);
        let plus = |to: [Counts; 2], more: [Counts; 2]| [to[0].plus(more[0]), to[1].plus(more[1])];
        self.waiting = plus(self.waiting, added);
        self.first = plus(self.first, first.unwrap_or(added));
        let waiting = Tally::new(self.waiting[0].units, self.waiting[1].units);
        let share = if self.counts_shares {
            Share::of_counts(waiting)?
        } else if first.is_some() {
            Share::of_weights(canary, stable).of_sessions()
        } else {
            Share::of_weights(canary, stable)
        };
        let waiting = std::mem::take(&mut self.waiting);
        let first = std::mem::take(&mut self.first);
        let settled = std::mem::take(&mut self.settled);
        let mut evidence = Evidence::of_step(self.step(is_early), share);
        let settled = [settled.canary, settled.stable];
        for (index, arm) in [Arm::Canary, Arm::Stable].into_iter().enumerate() {
            evidence.started(arm, waiting[index].units);
            evidence.settled(arm, settled[index]);
            first[index].add_to(&mut evidence, arm, Evidence::bad);
            let again = waiting[index].since(first[index]);
            again.add_to(&mut evidence, arm, Evidence::again);
        }
        Some(evidence)
    }

    /// Counts since the last look. A request is slow once it is older than a threshold, in flight or not: what
    /// hangs does not wait for its end.
    fn count(&mut self, looked: &Looked) -> [Counts; 2] {
        let now = self.now.take();
        let mut now = now.unwrap_or_else(|| self.cells.counts(&self.limits));
        if let Some(in_flight) = looked.in_flight {
            add_older(&mut now, in_flight);
            if !std::mem::replace(&mut self.has_ages, true) {
                add_older(&mut self.last, looked.earlier);
            }
        }
        let added = [now[0].since(self.last[0]), now[1].since(self.last[1])];
        // A request that ends between two counts is in neither, and was counted before.
        for (now, last) in now.iter_mut().zip(self.last) {
            for (older, last) in now.older.iter_mut().zip(last.older) {
                *older = last.max(*older);
            }
        }
        self.last = now;
        added
    }

    /// The judge's number of the step: each place has one for its first moments and one for the rest.
    fn step(&self, is_early: bool) -> u32 {
        let place = match self.place {
            Place::Start => 0,
            Place::Step(step) => step,
            Place::Bake => self.steps,
        };
        2 * place + u32::from(!is_early)
    }

    fn take_settled(&mut self) -> Tally {
        let mut settled = Tally::default();
        while let Some((at, units)) = self.starts.front() {
            if self.seen.saturating_sub(*at) < self.settled_after {
                break;
            }
            settled.add(*units);
            self.starts.pop_front();
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        analysis::{Signal, Thresholds},
        model::{Opinion, Outcome, Thumb},
        stats::OutcomeTable,
    };

    fn reader(cells: &Cells, settled: f64) -> EvidenceReader {
        let route = RouteSpec::plain("chat".parse().unwrap(), std::collections::BTreeMap::new());
        let limits = Limits::of_slow(Thresholds::given(&[settled]));
        EvidenceReader::new(
            cells.clone(),
            &route,
            (Place::Step(1), 3),
            limits,
            Revision(8),
        )
    }

    fn cells() -> Cells {
        Cells {
            canary: Arc::new(OutcomeTable::new(1)),
            stable: Arc::new(OutcomeTable::new(1)),
        }
    }

    fn record(table: &OutcomeTable, outcome: Outcome, count: usize) {
        for _ in 0..count {
            table.record(0, outcome, Duration::from_millis(1), None);
        }
    }

    #[test]
    fn only_what_was_counted_since_the_last_look_is_evidence() {
        let cells = cells();
        record(&cells.canary, Outcome::Failed(502), 7);
        let mut reader = reader(&cells, 0.5);
        let second = Duration::from_secs(1);
        let nothing = Evidence::of_step(2, Share::of_weights(5, 95));
        assert_eq!(
            reader.look(second, (5, 95), &Looked::default()),
            Some(nothing)
        );
        assert!(!reader.has_traffic());
        record(&cells.canary, Outcome::Answered(500), 2);
        record(&cells.canary, Outcome::Cut(200), 1);
        record(&cells.stable, Outcome::Answered(200), 10);
        let mut some = Evidence::of_step(3, Share::of_weights(5, 95));
        some.started(Arm::Canary, 3);
        some.started(Arm::Stable, 10);
        some.bad(Signal::Failures, 0, Arm::Canary, 2);
        some.bad(Signal::BrokenStreams, 0, Arm::Canary, 1);
        assert_eq!(reader.look(second, (5, 95), &Looked::default()), Some(some));
        let mut later = Evidence::of_step(3, Share::of_weights(5, 95));
        later.settled(Arm::Canary, 3);
        later.settled(Arm::Stable, 10);
        assert_eq!(
            reader.look(second, (5, 95), &Looked::default()),
            Some(later),
            "they are settled once they are old"
        );
    }

    #[test]
    fn what_users_dislike_is_evidence_if_the_answer_is_of_this_step() {
        let cells = cells();
        let mut reader = reader(&cells, 0.5);
        let down = Opinion::of_thumb(Thumb::Down);
        for revision in [7, 8, 9] {
            cells
                .canary
                .record_feedback(down, Revision(revision), revision);
        }
        let up = Opinion::of_thumb(Thumb::Up);
        cells.stable.record_feedback(up, Revision(9), 1);
        let mut some = Evidence::of_step(2, Share::of_weights(5, 95));
        some.bad(Signal::NegativeFeedback, 0, Arm::Canary, 2);
        let seen = reader.look(Duration::from_secs(1), (5, 95), &Looked::default());
        assert_eq!(seen, Some(some));
    }

    #[test]
    fn a_late_first_byte_is_evidence_although_the_request_is_not_slow() {
        let cells = cells();
        let limits = Limits {
            first_byte: Thresholds::given(&[0.5, 1.0]),
            ..Limits::of_slow(Thresholds::given(&[10.0]))
        };
        let route = RouteSpec::plain("chat".parse().unwrap(), std::collections::BTreeMap::new());
        let place = (Place::Step(1), 3);
        let mut reader = EvidenceReader::new(cells.clone(), &route, place, limits, Revision(8));
        for (millis, status) in [(700, 200), (2_000, 200), (20, 404)] {
            let first_byte = Some(Duration::from_millis(millis));
            let outcome = Outcome::Answered(status);
            let three_seconds = Duration::from_secs(3);
            cells.canary.record(0, outcome, three_seconds, first_byte);
        }
        let mut some = Evidence::of_step(2, Share::of_weights(5, 95));
        some.started(Arm::Canary, 3);
        some.passed(Signal::FirstByteLate, Arm::Canary, [2, 1, 0, 0]);
        some.bad(Signal::ClientErrors, 0, Arm::Canary, 1);
        let seen = reader.look(Duration::from_secs(1), (5, 95), &Looked::default());
        assert_eq!(seen, Some(some));
    }

    #[test]
    fn the_first_moments_of_a_step_show_nothing_that_is_fine() {
        let cells = cells();
        let mut reader = reader(&cells, 3.0);
        let second = Duration::from_secs(1);
        let steps: Vec<_> = (0..5)
            .map(|_| {
                let is_early = reader.is_early();
                reader.look(second, (5, 95), &Looked::default());
                is_early
            })
            .collect();
        assert_eq!(steps, [true, true, true, false, false]);
    }
}
