//! Counts of one release in a rollout, by signal.

use serde::{Deserialize, Serialize};

use super::rollout_limits::Limits;
use crate::{
    analysis::{Arm, Evidence, LEVELS, Signal},
    model::{Outcome, OutcomeClass},
    stats::OutcomeTable,
};

/// Counts of one release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) units: u64,
    pub(super) failures: u64,
    pub(super) broken: u64,
    pub(super) disliked: u64,
    /// Responses with 4xx.
    pub(super) client_errors: u64,
    /// Requests older than each threshold.
    pub(super) older: [u64; LEVELS],
    /// Requests whose first byte came later than each threshold.
    pub(super) late: [u64; LEVELS],
}

impl Counts {
    pub(super) fn of(cells: &OutcomeTable, limits: &Limits) -> Self {
        let snapshot = cells.snapshot();
        let bad = |signal| {
            let counts = snapshot.counts.iter();
            let counts =
                counts.filter(|((class, code), _)| signal_of(*class, *code) == Some(signal));
            counts.map(|(_, count)| count).sum()
        };
        let slow = limits.slow.as_ref();
        let older = slow.map(|slow| slow.older(snapshot.duration.cumulative()));
        let first_byte = limits.first_byte.as_ref();
        let late = first_byte.map(|late| late.older(snapshot.first_byte.cumulative()));
        Self {
            units: snapshot.requests(),
            failures: bad(Signal::Failures),
            broken: bad(Signal::BrokenStreams),
            disliked: snapshot.feedback.watched_negative,
            client_errors: bad(Signal::ClientErrors),
            older: older.unwrap_or_default(),
            late: late.unwrap_or_default(),
        }
    }

    /// Difference from an earlier look.
    pub(super) fn since(self, before: Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    pub(super) fn plus(self, more: Self) -> Self {
        self.with(more, u64::saturating_add)
    }

    /// The larger of each count: counters never go back.
    pub(super) fn most(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// Counts one bad unit of a signal; a level that does not exist counts nothing.
    pub(super) fn count_bad(&mut self, signal: Signal, level: usize) {
        let count = match signal {
            Signal::Failures => Some(&mut self.failures),
            Signal::BrokenStreams => Some(&mut self.broken),
            Signal::NegativeFeedback => Some(&mut self.disliked),
            Signal::ClientErrors => Some(&mut self.client_errors),
            Signal::Slow => self.older.get_mut(level),
            Signal::FirstByteLate => self.late.get_mut(level),
        };
        if let Some(count) = count {
            *count += 1;
        }
    }

    fn with(self, other: Self, combine: fn(u64, u64) -> u64) -> Self {
        let all = |one: [u64; LEVELS], other: [u64; LEVELS]| {
            std::array::from_fn(|level| combine(one[level], other[level]))
        };
        Self {
            units: combine(self.units, other.units),
            failures: combine(self.failures, other.failures),
            broken: combine(self.broken, other.broken),
            disliked: combine(self.disliked, other.disliked),
            client_errors: combine(self.client_errors, other.client_errors),
            older: all(self.older, other.older),
            late: all(self.late, other.late),
        }
    }

    pub(super) fn add_to(
        self,
        evidence: &mut Evidence,
        arm: Arm,
        add: fn(&mut Evidence, Signal, usize, Arm, u64),
    ) {
        for (signal, count) in [
            (Signal::Failures, self.failures),
            (Signal::BrokenStreams, self.broken),
            (Signal::NegativeFeedback, self.disliked),
            (Signal::ClientErrors, self.client_errors),
        ] {
            add(evidence, signal, 0, arm, count);
        }
        for (signal, counts) in [
            (Signal::Slow, self.older),
            (Signal::FirstByteLate, self.late),
        ] {
            for (level, count) in counts.into_iter().enumerate() {
                add(evidence, signal, level, arm, count);
            }
        }
    }
}

/// Adds requests in flight that are older than each threshold.
pub(super) fn add_older(counts: &mut [Counts; 2], more: [[u64; LEVELS]; 2]) {
    for (counts, more) in counts.iter_mut().zip(more) {
        for (older, more) in counts.older.iter_mut().zip(more) {
            *older += more;
        }
    }
}

/// The signal of a bad outcome: a stream that breaks off has a status of success.
const fn signal_of(class: OutcomeClass, code: u16) -> Option<Signal> {
    match class {
        OutcomeClass::Failure if code < 400 => Some(Signal::BrokenStreams),
        OutcomeClass::Failure => Some(Signal::Failures),
        OutcomeClass::ClientError => Some(Signal::ClientErrors),
        OutcomeClass::ClientGone | OutcomeClass::Success => None,
    }
}

/// The signal of an outcome, if it is bad.
pub(super) const fn bad_signal(outcome: Outcome) -> Option<Signal> {
    signal_of(outcome.class(), outcome.code())
}
