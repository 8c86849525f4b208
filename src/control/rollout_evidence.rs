//! Evidence of a rollout, from the counters that every request is counted in anyway.
//!
//! The counters know requests by their end. So a request that fails is evidence when it ends, and one that is slow when it
//! has become so old: the workers say how old the work in flight is. A session counts once as evidence that
//! the release is worse (`rollout_sessions.rs`), and as often as it fails as evidence that it is not fine. To keep *fine*
//! cautious:
//! - what ends in the first moments of a step may have begun before it, so it can show that the release is worse, and not
//!   that it is fine;
//! - a request is settled when so much time has passed since its end as the last threshold allows from its start.
//!
//! What other nodes of a fleet have counted (`figure_sums.rs`) is evidence in the same way.

use std::{iter::once, time::Duration};

use super::{
    rollout_cells::Cells,
    rollout_limits::Limits,
    rollout_reader::{CountReader, Looked},
    rollout_strata::{NodeCounts, Strata},
};
use crate::{
    analysis::{Evidence, Share, Tally},
    model::{Revision, RouteSpec},
    rollout::Place,
};

/// Age at which a request is settled, on a route without thresholds and without a timeout.
const SETTLED: Duration = Duration::from_secs(30);
/// Longest such age: a route may allow requests of hours.
const LONGEST_SETTLED: Duration = Duration::from_secs(600);

/// Reader of the evidence of one place of a rollout.
#[derive(Debug)]
pub(super) struct EvidenceReader {
    pub(super) reader: CountReader,
    place: Place,
    steps: u32,
    settled_after: Duration,
    /// True if sessions may stay on a release, so that the weights are not the shares.
    counts_shares: bool,
    seen: Duration,
    units: Tally,
    strata: Strata,
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
        let timeout = route.timeouts.request.map(|timeout| timeout.0);
        let settled_after = limits.slowest().or(timeout);
        let settled_after = settled_after.unwrap_or(SETTLED).min(LONGEST_SETTLED);
        Self {
            reader: CountReader::new(cells, limits, revision),
            place,
            steps,
            settled_after,
            counts_shares: route.has_pins(),
            seen: Duration::ZERO,
            units: Tally::default(),
            strata: Strata::new(settled_after),
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

    /// Time after which a request is settled.
    pub(super) const fn settled_after(&self) -> Duration {
        self.settled_after
    }

    /// The evidence since the last look, of this node and of others; the weights are those of the live split. What
    /// cannot be given yet waits.
    pub(super) fn look(
        &mut self,
        elapsed: Duration,
        (canary, stable): (u32, u32),
        looked: &Looked,
        others: Vec<NodeCounts>,
    ) -> Vec<Evidence> {
        let is_early = self.is_early();
        self.seen = self.seen.saturating_add(elapsed);
        let counts = self.reader.count(looked);
        let own = NodeCounts {
            node: String::new(),
            counts,
            first: looked.first.unwrap_or(counts),
            is_early,
        };
        for counts in once(own).chain(others) {
            self.units.add(counts.units());
            self.strata.add(counts, self.seen, self.counts_shares);
        }
        let share = Share::of_weights(canary, stable);
        let share = if looked.first.is_some() {
            share.of_sessions()
        } else {
            share
        };
        let counts_shares = self.counts_shares;
        let given = self.strata.take(self.seen, |units| {
            if counts_shares {
                Share::of_counts(units)
            } else {
                Some(share)
            }
        });
        let given = given.iter();
        let evidence =
            given.map(|(share, given)| given.evidence(self.step(given.is_early), *share));
        evidence.collect()
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        analysis::{Arm, Signal, Thresholds},
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

    /// One look, a second after the last one, at a canary of 5 percent.
    fn look(reader: &mut EvidenceReader) -> Vec<Evidence> {
        let second = Duration::from_secs(1);
        reader.look(second, (5, 95), &Looked::default(), Vec::new())
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
        let nothing = Evidence::of_step(2, Share::of_weights(5, 95));
        assert_eq!(look(&mut reader), vec![nothing]);
        assert!(!reader.has_traffic());
        record(&cells.canary, Outcome::Answered(500), 2);
        record(&cells.canary, Outcome::Cut(200), 1);
        record(&cells.stable, Outcome::Answered(200), 10);
        let mut some = Evidence::of_step(3, Share::of_weights(5, 95));
        some.started(Arm::Canary, 3);
        some.started(Arm::Stable, 10);
        some.bad(Signal::Failures, 0, Arm::Canary, 2);
        some.bad(Signal::BrokenStreams, 0, Arm::Canary, 1);
        assert_eq!(look(&mut reader), vec![some]);
        let mut later = Evidence::of_step(3, Share::of_weights(5, 95));
        later.settled(Arm::Canary, 3);
        later.settled(Arm::Stable, 10);
        assert_eq!(
            look(&mut reader),
            vec![later],
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
        let seen = look(&mut reader);
        assert_eq!(seen, vec![some]);
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
        let seen = look(&mut reader);
        assert_eq!(seen, vec![some]);
    }

    #[test]
    fn the_first_moments_of_a_step_show_nothing_that_is_fine() {
        let cells = cells();
        let mut reader = reader(&cells, 3.0);
        let steps: Vec<_> = (0..5)
            .map(|_| {
                let is_early = reader.is_early();
                look(&mut reader);
                is_early
            })
            .collect();
        assert_eq!(steps, [true, true, true, false, false]);
    }
}
