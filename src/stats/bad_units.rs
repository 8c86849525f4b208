//! Bad requests with their sessions, noted while a rollout looks at a release.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::model::{Outcome, OutcomeClass};

/// Largest number of requests that are noted between two looks.
pub(super) const MOST: usize = 4_096;

/// A request that failed, was broken off, or took long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUnit {
    /// Hash of its session; of a request without one it is random.
    pub unit: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its duration.
    pub duration: Duration,
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
    noted: Mutex<NotedUnits>,
}

impl BadUnits {
    /// True if a request with this outcome is noted.
    #[inline]
    pub(super) fn notes(&self, outcome: Outcome, duration: Duration) -> bool {
        let from = self.slow_from.load(Ordering::Relaxed);
        from != 0
            && (outcome.class() == OutcomeClass::Failure || duration.as_micros() + 1 >= from.into())
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

    /// Sets the duration from which a request is noted; with `None` nothing is noted any more.
    pub(super) fn note_from(&self, slow: Option<Duration>) {
        let from = slow.map_or(0, |slow| {
            u64::try_from(slow.as_micros() + 1).unwrap_or(u64::MAX)
        });
        self.slow_from.store(from, Ordering::Relaxed);
        if slow.is_none() {
            drop(self.take());
        }
    }

    // Safe to ignore poisoning: a list of plain values.
    fn lock(&self) -> std::sync::MutexGuard<'_, NotedUnits> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
