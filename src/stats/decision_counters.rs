//! Reasons of the decisions for a release, and the outcomes of requests that named it themselves.
//!
//! Almost every request is split, so only the others are counted, and a request that is split costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::add_relaxed;
use crate::model::{DecisionReason, Outcome, OutcomeClass};

const REASONS: usize = DecisionReason::ALL.len();
const CLASSES: usize = OutcomeClass::ALL.len();

/// Counters of one worker.
#[derive(Debug, Default)]
pub(super) struct DecisionCounters {
    reasons: [AtomicU64; REASONS],
    lost_pins: AtomicU64,
    overridden: [AtomicU64; CLASSES],
}

/// Values of the counters of one route and release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionSnapshot {
    // In the order of `DecisionReason::ALL`; the place of `Split` stays 0.
    reasons: [u64; REASONS],
    /// Pinned requests that another endpoint than the pinned one served.
    pub lost_pins: u64,
    /// Requests that named the release themselves, in the order of [`OutcomeClass::ALL`]. They are in no other counter.
    pub overridden: [u64; CLASSES],
}

impl DecisionCounters {
    /// Counts a request that was not split. It is in the other counters too.
    pub(super) fn record(&self, reason: DecisionReason, is_lost: bool) {
        add_relaxed(&self.reasons[reason.index()], 1);
        if is_lost {
            add_relaxed(&self.lost_pins, 1);
        }
    }

    /// Counts a request that named the release itself.
    pub(super) fn record_override(&self, outcome: Outcome) {
        add_relaxed(&self.overridden[outcome.class().index()], 1);
    }

    pub(super) fn add_to(&self, snapshot: &mut DecisionSnapshot) {
        add(&mut snapshot.reasons, &values(&self.reasons));
        add(&mut snapshot.overridden, &values(&self.overridden));
        snapshot.lost_pins += self.lost_pins.load(Ordering::Relaxed);
    }
}

impl DecisionSnapshot {
    /// Number of decisions for this reason, of `requests` that were counted in all.
    pub fn of_reason(&self, reason: DecisionReason, requests: u64) -> u64 {
        match reason {
            DecisionReason::Override => self.overridden.iter().sum(),
            DecisionReason::Split => requests.saturating_sub(self.reasons.iter().sum()),
            DecisionReason::Fallback | DecisionReason::Pin => self.reasons[reason.index()],
        }
    }

    /// Adds another snapshot to this one.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.reasons, &other.reasons);
        add(&mut self.overridden, &other.overridden);
        self.lost_pins += other.lost_pins;
    }
}

fn values<const N: usize>(counters: &[AtomicU64; N]) -> [u64; N] {
    counters
        .each_ref()
        .map(|count| count.load(Ordering::Relaxed))
}

fn add<const N: usize>(totals: &mut [u64; N], counts: &[u64; N]) {
    for (total, count) in totals.iter_mut().zip(counts) {
        *total += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_by_reason_was_split() {
        let counters = DecisionCounters::default();
        counters.record(DecisionReason::Pin, false);
        counters.record(DecisionReason::Pin, true);
        counters.record(DecisionReason::Fallback, false);
        counters.record_override(Outcome::Answered(200));
        counters.record_override(Outcome::Failed(502));
        let mut snapshot = DecisionSnapshot::default();
        counters.add_to(&mut snapshot);
        let counts = DecisionReason::ALL.map(|reason| snapshot.of_reason(reason, 10));
        assert_eq!(counts, [1, 2, 2, 7], "of ten requests, and two beside them");
        snapshot.add(&snapshot.clone());
        assert_eq!((snapshot.lost_pins, snapshot.overridden), (2, [0, 0, 2, 2]));
    }
}
