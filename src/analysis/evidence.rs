//! Evidence: what was counted since the last look.

use super::{
    share::Share,
    signal::Signal,
    tally::{Arm, Tally},
    thresholds::LEVELS,
};

/// Counts of canary and stable since the last evidence of the same step.
///
/// The rules that make it evidence, for both arms alike:
/// - A *unit* is a session where the route has a key, else a request. A session counts once for each signal and
///   threshold, with its first bad event ([`super::FirstBad`]); without that, sessions that repeat raise false alarms in
///   most rollouts.
/// - Only units that *started* after the step count: right after a step the canary has nothing that is old enough to have
///   failed.
/// - Overrides, mirrored copies, health checks, attempts that were retried away and sessions that a pin holds on a
///   release are none. A fallback counts against the release that failed.
/// - Age is counted when a request becomes older than a threshold, not when it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    step: u32,
    share: Share,
    started: Tally,
    settled: Tally,
    bad: [[Tally; LEVELS]; Signal::ALL.len()],
    again: [[Tally; LEVELS]; Signal::ALL.len()],
}

impl Evidence {
    /// Empty evidence of a step of the rollout. Steps are numbered upwards; the share is the one with which the counted
    /// units were assigned.
    pub const fn of_step(step: u32, share: Share) -> Self {
        Self {
            step,
            share,
            started: Tally::new(0, 0),
            settled: Tally::new(0, 0),
            bad: [[Tally::new(0, 0); LEVELS]; Signal::ALL.len()],
            again: [[Tally::new(0, 0); LEVELS]; Signal::ALL.len()],
        }
    }

    /// Adds units that started. Where they cannot be counted (sessions that are not remembered), this stays at 0: *worse*
    /// needs no units, *fine* does.
    pub const fn started(&mut self, arm: Arm, count: u64) {
        self.started.count(arm, count);
    }

    /// Adds units, counted as started before, that are now as old as the last threshold, or as the timeout of the route if
    /// there is none: their failures would have been seen. One that has ended earlier is not settled before: what is
    /// quick has succeeded, and what hangs fails late, so that every canary would look perfect at first.
    pub const fn settled(&mut self, arm: Arm, count: u64) {
        self.settled.count(arm, count);
    }

    /// Adds bad units of a signal. `level` is the index of the threshold that was passed; a unit that passes the third is
    /// also counted at the first two. A signal without thresholds has level 0 only; a level that does not exist counts
    /// nothing.
    pub fn bad(&mut self, signal: Signal, level: usize, arm: Arm, count: u64) {
        if let Some(tally) = self.bad[signal.index()].get_mut(level) {
            tally.count(arm, count);
        }
    }

    /// Adds further bad events of units that were bad by this signal and threshold before. They are no evidence that the
    /// canary is worse, but where units are counted as requests they are evidence that it is not fine.
    pub fn again(&mut self, signal: Signal, level: usize, arm: Arm, count: u64) {
        if let Some(tally) = self.again[signal.index()].get_mut(level) {
            tally.count(arm, count);
        }
    }

    /// Adds units of a signal with thresholds: how many passed each of them ([`super::Thresholds::older`]).
    pub fn passed(&mut self, signal: Signal, arm: Arm, counts: [u64; LEVELS]) {
        for (level, count) in counts.into_iter().enumerate() {
            self.bad(signal, level, arm, count);
        }
    }

    pub(super) const fn step(&self) -> u32 {
        self.step
    }

    pub(super) const fn share(&self) -> Share {
        self.share
    }

    pub(super) const fn all_started(&self) -> Tally {
        self.started
    }

    pub(super) const fn all_settled(&self) -> Tally {
        self.settled
    }

    pub(super) const fn all_again(&self, signal: Signal, level: usize) -> Tally {
        self.again[signal.index()][level]
    }

    pub(super) const fn all_bad(&self, signal: Signal, level: usize) -> Tally {
        self.bad[signal.index()][level]
    }
}
