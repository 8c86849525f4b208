//! Counters of what users said of the answers of one route and release.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use crate::model::{Opinion, OpinionSign, Revision};

const SIGNS: usize = OpinionSign::ALL.len();
/// Largest number of sessions that are noted between two looks.
const MOST_SESSIONS: usize = 4_096;

/// Counters of opinions. They are written by the control plane, a few times a second, so there is one copy.
#[derive(Debug)]
pub(super) struct FeedbackCounters {
    signs: [AtomicU64; SIGNS],
    thousandths: AtomicI64,
    /// Revision from which answers are watched.
    watched_from: AtomicU64,
    watched_negative: AtomicU64,
    /// Sessions of the negative ones since the last look; `None` once there are too many.
    disliking: Mutex<Option<Vec<u64>>>,
}

/// Values of the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedbackSnapshot {
    /// Opinions by sign, in the order of [`OpinionSign::ALL`].
    pub signs: [u64; SIGNS],
    /// Sum of the scores, in thousandths.
    pub thousandths: i64,
    /// Negative opinions of answers since the revision that is watched.
    pub watched_negative: u64,
}

impl Default for FeedbackCounters {
    fn default() -> Self {
        Self {
            signs: Default::default(),
            thousandths: AtomicI64::new(0),
            watched_from: AtomicU64::new(u64::MAX),
            watched_negative: AtomicU64::new(0),
            disliking: Mutex::new(Some(Vec::new())),
        }
    }
}

impl FeedbackCounters {
    /// Records an opinion of an answer by this revision, in this session.
    pub(super) fn record(&self, opinion: Opinion, revision: Revision, session: u64) {
        let sign = opinion.sign();
        self.signs[sign.index()].fetch_add(1, Ordering::Relaxed);
        self.thousandths
            .fetch_add(opinion.thousandths().into(), Ordering::Relaxed);
        let is_watched = revision.0 >= self.watched_from.load(Ordering::Relaxed);
        if is_watched && sign == OpinionSign::Negative {
            self.watched_negative.fetch_add(1, Ordering::Relaxed);
            self.note(session);
        }
    }

    fn note(&self, session: u64) {
        let mut disliking = self.lock();
        let Some(sessions) = disliking.as_mut() else {
            return;
        };
        if sessions.len() < MOST_SESSIONS {
            sessions.push(session);
        } else {
            *disliking = None;
        }
    }

    // Safe to ignore poisoning: a list is never in between.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<u64>>> {
        self.disliking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the sessions with a negative opinion since the last call; `None` if there were too many to note.
    pub(super) fn take_disliking(&self) -> Option<Vec<u64>> {
        self.lock().replace(Vec::new())
    }

    /// Watches answers from this revision on.
    pub(super) fn watch(&self, from: Revision) {
        self.watched_from.store(from.0, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> FeedbackSnapshot {
        FeedbackSnapshot {
            signs: self
                .signs
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
            thousandths: self.thousandths.load(Ordering::Relaxed),
            watched_negative: self.watched_negative.load(Ordering::Relaxed),
        }
    }
}

impl FeedbackSnapshot {
    /// Number of opinions.
    pub fn count(&self) -> u64 {
        self.signs.iter().sum()
    }

    /// Number of opinions of this sign.
    pub const fn of_sign(&self, sign: OpinionSign) -> u64 {
        self.signs[sign.index()]
    }

    /// Sum of the scores.
    pub fn score(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sum of thousandths is far below 2^53"
        )]
        let thousandths = self.thousandths as f64;
        thousandths / 1_000.0
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (total, count) in self.signs.iter_mut().zip(other.signs) {
            *total += count;
        }
        self.thousandths += other.thousandths;
        self.watched_negative += other.watched_negative;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_negative_opinions_of_answers_since_the_watched_revision_are_watched() {
        let counters = FeedbackCounters::default();
        let record = |score: f64, revision: u64| {
            let opinion = Opinion::of_score(score).unwrap();
            counters.record(opinion, Revision(revision), revision);
        };
        record(-1.0, 7);
        counters.watch(Revision(8));
        record(-1.0, 7);
        record(-0.5, 8);
        record(0.25, 9);
        record(0.0, 9);
        let seen = counters.snapshot();
        assert_eq!((seen.signs, seen.count()), ([3, 1, 1], 5));
        assert_eq!(seen.watched_negative, 1);
        assert!((seen.score() + 2.25).abs() < 1e-9);
        assert_eq!(counters.take_disliking(), Some(vec![8]));
        assert_eq!(counters.take_disliking(), Some(Vec::new()));
        (0..=MOST_SESSIONS).for_each(|_| record(-1.0, 9));
        assert_eq!(counters.take_disliking(), None, "too many");
        let mut twice = seen;
        twice.add(&seen);
        assert_eq!((twice.count(), twice.thousandths), (10, -4_500));
    }
}
