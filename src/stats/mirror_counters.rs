//! Counters of the copies that one route sends to one release. They are in no statistics of either.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    histogram::{Histogram, HistogramSnapshot},
    json_counters::{JsonComparison, JsonCounters, JsonSnapshot},
};
use crate::model::{JsonSkip, MirrorFailure, MirrorSkip};

const SKIPS: usize = MirrorSkip::ALL.len();
const FAILURES: usize = MirrorFailure::ALL.len();
/// Classes of statuses: 1xx to 5xx.
const CLASSES: usize = 5;

/// An answer, to a request or to its copy, as far as they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirroredAnswer {
    /// Its status.
    pub status: u16,
    /// Time from the first byte of the request to the last one of the answer.
    pub duration: Duration,
    /// Length of its body.
    pub bytes: u64,
}

impl MirroredAnswer {
    /// True if the statuses of both are of one class.
    pub fn is_of_class_of(self, other: Self) -> bool {
        class_of(self.status) == class_of(other.status)
    }
}

/// Counters of one route and release. Only requests that are chosen for mirroring write them, so there is one copy.
#[derive(Debug, Default)]
pub struct MirrorCounters {
    mirrored: AtomicU64,
    skipped: [AtomicU64; SKIPS],
    failed: [AtomicU64; FAILURES],
    classes: [[AtomicU64; CLASSES]; CLASSES],
    original: AnswerCounters,
    copy: AnswerCounters,
    json: JsonCounters,
    pending: AtomicUsize,
}

/// Written only by the thread that sends the copies.
#[derive(Debug, Default)]
struct AnswerCounters {
    duration: Histogram,
    bytes: AtomicU64,
}

/// Counts a copy that waits or is under way, until dropped.
#[derive(Debug)]
pub struct MirrorTurn(Arc<MirrorCounters>);

/// Values of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorSnapshot {
    /// Requests that were copied.
    pub mirrored: u64,
    /// Chosen requests that were not copied, in the order of [`MirrorSkip::ALL`].
    pub skipped: [u64; SKIPS],
    /// Copies without an answer, in the order of [`MirrorFailure::ALL`].
    pub failed: [u64; FAILURES],
    /// Pairs of answers by the class of the original's status, then by that of the copy's.
    pub classes: [[u64; CLASSES]; CLASSES],
    /// Answers to the originals of the copies that have one.
    pub original: AnswerSnapshot,
    /// Answers to copies.
    pub copy: AnswerSnapshot,
    /// Comparisons of answers in JSON.
    pub json: JsonSnapshot,
    /// Copies that wait or are under way.
    pub pending: usize,
}

/// Answers of one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerSnapshot {
    /// Their durations.
    pub duration: HistogramSnapshot,
    /// Lengths of their bodies, summed up.
    pub bytes: u64,
}

impl MirrorCounters {
    /// Counts a copy among those that wait or are under way; `None` if there are as many as may be.
    pub fn take_turn(self: &Arc<Self>, most: usize) -> Option<MirrorTurn> {
        // Dropped if it is one too many.
        let turn = MirrorTurn(Arc::clone(self));
        (self.pending.fetch_add(1, Ordering::Relaxed) < most).then_some(turn)
    }

    /// Records a request that is copied.
    pub fn record_mirrored(&self) {
        self.mirrored.fetch_add(1, Ordering::Relaxed);
    }

    /// Records a chosen request that is not copied.
    pub fn record_skipped(&self, reason: MirrorSkip) {
        self.skipped[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Records a copy without an answer.
    pub fn record_failed(&self, reason: MirrorFailure) {
        self.failed[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Records both answers. Called by one thread only.
    pub fn record_answers(&self, original: MirroredAnswer, copy: MirroredAnswer) {
        let (row, column) = (class_of(original.status), class_of(copy.status));
        self.classes[row][column].fetch_add(1, Ordering::Relaxed);
        self.original.record(original);
        self.copy.record(copy);
    }

    /// Records how two answers compare as JSON; they are only compared if their statuses are alike. Called by one thread
    /// only.
    pub fn record_json(&self, is_alike: bool, compare: impl FnOnce() -> JsonComparison) {
        let unlike = JsonComparison::Skipped(JsonSkip::Status);
        self.json.record(if is_alike { compare() } else { unlike });
    }

    /// The values. A copy that ends meanwhile is in either of two counts, or in both.
    pub fn snapshot(&self) -> MirrorSnapshot {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        MirrorSnapshot {
            pending: self.pending.load(Ordering::Acquire),
            mirrored: value(&self.mirrored),
            skipped: self.skipped.each_ref().map(value),
            failed: self.failed.each_ref().map(value),
            classes: self.classes.each_ref().map(|row| row.each_ref().map(value)),
            original: self.original.snapshot(),
            copy: self.copy.snapshot(),
            json: self.json.snapshot(),
        }
    }
}

impl AnswerCounters {
    fn record(&self, answer: MirroredAnswer) {
        self.duration.record(answer.duration);
        self.bytes.fetch_add(answer.bytes, Ordering::Relaxed);
    }

    fn snapshot(&self) -> AnswerSnapshot {
        let mut duration = HistogramSnapshot::default();
        self.duration.add_to(&mut duration);
        AnswerSnapshot {
            duration,
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for MirrorTurn {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Release);
    }
}

impl MirrorSnapshot {
    /// Requests that were chosen: each is copied, or not for one reason.
    pub fn chosen(&self) -> u64 {
        self.mirrored + self.skipped.iter().sum::<u64>()
    }

    /// Copies that have an answer.
    pub fn answered(&self) -> u64 {
        self.classes.iter().flatten().sum()
    }

    /// Copies whose status is of the class of the original's.
    pub fn agreed(&self) -> u64 {
        (0..CLASSES).map(|class| self.classes[class][class]).sum()
    }

    /// Copies whose status is of another class.
    pub fn disagreed(&self) -> u64 {
        self.answered() - self.agreed()
    }

    /// Pairs of answers by class, 1 to 5, of the original and of the copy; those that have occurred.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16, u64)> {
        let classes = || (0..CLASSES).zip(1_u16..);
        let pairs = classes().flat_map(move |one| classes().map(move |other| (one, other)));
        pairs
            .map(|((row, original), (column, copy))| (original, copy, self.classes[row][column]))
            .filter(|(_, _, count)| *count > 0)
    }
}

fn class_of(status: u16) -> usize {
    usize::from(status / 100).clamp(1, CLASSES) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> MirroredAnswer {
        MirroredAnswer {
            status,
            duration: Duration::from_millis(3),
            bytes: 5,
        }
    }

    #[test]
    fn what_was_chosen_is_copied_or_has_a_reason() {
        let counters = MirrorCounters::default();
        counters.record_mirrored();
        for reason in MirrorSkip::ALL {
            counters.record_skipped(reason);
        }
        assert_eq!(counters.snapshot().chosen(), 7);
    }

    #[test]
    fn answers_of_one_class_agree() {
        let counters = MirrorCounters::default();
        for (original, copy) in [(200, 204), (200, 503), (404, 400), (0, 999)] {
            counters.record_answers(answer(original), answer(copy));
        }
        let seen = counters.snapshot();
        assert_eq!((seen.agreed(), seen.disagreed()), (2, 2));
        let pairs: Vec<_> = seen.pairs().collect();
        assert_eq!(pairs, [(1, 5, 1), (2, 2, 1), (2, 5, 1), (4, 4, 1)]);
        assert_eq!((seen.original.bytes, seen.copy.duration.count()), (20, 4));
    }

    #[test]
    fn there_are_as_many_turns_as_may_be() {
        let counters = Arc::new(MirrorCounters::default());
        let turn = counters.take_turn(1).unwrap();
        assert!(counters.take_turn(1).is_none());
        assert_eq!(counters.snapshot().pending, 1);
        drop(turn);
        assert!(counters.take_turn(1).is_some());
        assert_eq!(counters.snapshot().pending, 0);
    }
}
