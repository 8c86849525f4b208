//! Bad requests with their sessions, noted while a rollout looks at a release.

use std::{
    sync::{
        Mutex, PoisonError,
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
    noted: Mutex<NotedUnits>,
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
        let mut noted = self.lock();
        if noted.units.len() < MOST {
            noted.units.push(bad);
        } else {
            noted.is_cut = true;
        }
    }

    /// Takes what was noted since the last call.
    pub(super) fn take(&self) -> NotedUnits {
        std::mem::take(&mut *self.lock())
    }

    /// Sets the rules by which requests are noted; with `None` nothing is noted any more.
    pub(super) fn note_by(&self, rules: Option<NoteRules>) {
        let from =
            |time: Duration| u64::try_from(time.as_micros().saturating_add(1)).unwrap_or(u64::MAX);
        if let Some(rules) = rules {
            self.late_from.store(from(rules.late), Ordering::Relaxed);
            self.client_errors
                .store(rules.client_errors, Ordering::Relaxed);
        }
        let slow_from = rules.map_or(0, |rules| from(rules.slow));
        self.slow_from.store(slow_from, Ordering::Relaxed);
        if rules.is_none() {
            drop(self.take());
        }
    }

    // Safe to ignore poisoning: a list of plain values.
    fn lock(&self) -> std::sync::MutexGuard<'_, NotedUnits> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
