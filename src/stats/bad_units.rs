//! Bad requests with their sessions, noted while a rollout looks at a release.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::model::{Outcome, OutcomeClass};

/// Largest number of requests that are noted between two looks.
pub(super) const MOST: usize = 4_096;

/// A request that failed, was broken off, took long, or is bad by another rule of the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUnit {
    /// Hash of its session; of a request without one it is random.
    pub unit: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its duration.
    pub duration: Duration,
    /// Time until the first byte of its response, if there was one.
    pub first_byte: Option<Duration>,
}

/// Rules by which a request is noted, beside failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteRules {
    /// Duration from which it is noted.
    pub slow: Duration,
    /// Time until the first byte from which it is noted.
    pub late: Duration,
    /// True if responses with 4xx are noted.
    pub client_errors: bool,
}

impl Default for NoteRules {
    fn default() -> Self {
        Self {
            slow: Duration::MAX,
            late: Duration::MAX,
            client_errors: false,
        }
    }
}

/// The requests that were noted since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotedUnits {
    /// The requests.
    pub units: Vec<BadUnit>,
    /// True if there were more than are noted.
    pub is_cut: bool,
}

/// The notes on one route and release. While nothing looks at it, a request costs one comparison.
#[derive(Debug, Default)]
pub(super) struct BadUnits {
    /// The duration in microseconds from which a request is noted, whatever its outcome, plus 1; 0 while nothing is noted.
    slow_from: AtomicU64,
    /// Microseconds until the first byte from which a request is noted, plus 1.
    late_from: AtomicU64,
    client_errors: AtomicBool,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    units: NotedUnits,
    /// Number of the latest look, whose notes they are.
    look: u64,
}

impl BadUnits {
    /// True if a request with this outcome is noted.
    #[inline]
    pub(super) fn notes(
        &self,
        outcome: Outcome,
        duration: Duration,
        first_byte: Option<Duration>,
    ) -> bool {
        let from = self.slow_from.load(Ordering::Relaxed);
        from != 0 && self.is_bad(outcome, (duration, from), first_byte)
    }

    #[inline(never)]
    fn is_bad(
        &self,
        outcome: Outcome,
        (duration, slow_from): (Duration, u64),
        first_byte: Option<Duration>,
    ) -> bool {
        let reaches = |time: Duration, from: u64| time.as_micros() + 1 >= from.into();
        let late_from = self.late_from.load(Ordering::Relaxed);
        match outcome.class() {
            OutcomeClass::Failure => return true,
            OutcomeClass::ClientError if self.client_errors.load(Ordering::Relaxed) => return true,
            _ => {}
        }
        reaches(duration, slow_from) || first_byte.is_some_and(|time| reaches(time, late_from))
    }

    pub(super) fn note(&self, bad: BadUnit) {
        let noted = &mut self.lock().units;
        if noted.units.len() < MOST {
            noted.units.push(bad);
        } else {
            noted.is_cut = true;
        }
    }

    /// Takes what was noted since the last call. A look that is not the latest one has no notes: they are cut.
    pub(super) fn take(&self, look: u64) -> NotedUnits {
        let mut noted = self.lock();
        if noted.look != look {
            return NotedUnits {
                units: Vec::new(),
                is_cut: true,
            };
        }
        std::mem::take(&mut noted.units)
    }

    /// Begins a look, which requests are noted for by these rules: its number. An earlier look has no notes from now on.
    pub(super) fn begin(&self, rules: NoteRules) -> u64 {
        let mut noted = self.lock();
        self.late_from.store(from(rules.late), Ordering::Relaxed);
        self.client_errors
            .store(rules.client_errors, Ordering::Relaxed);
        self.slow_from.store(from(rules.slow), Ordering::Relaxed);
        noted.units = NotedUnits::default();
        noted.look += 1;
        noted.look
    }

    /// Ends a look: nothing is noted any more, unless a later one has begun.
    pub(super) fn end(&self, look: u64) {
        let mut noted = self.lock();
        if noted.look == look {
            self.slow_from.store(0, Ordering::Relaxed);
            noted.units = NotedUnits::default();
        }
    }

    // Safe to ignore poisoning: a list of plain values.
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stored form of a time from which a request is noted.
fn from(time: Duration) -> u64 {
    u64::try_from(time.as_micros().saturating_add(1)).unwrap_or(u64::MAX)
}
