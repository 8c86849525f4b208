//! Counters of one route and release: requests by class and code, and two histograms.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::bad_units::{BadUnit, BadUnits};
use super::decision_counters::{DecisionCounters, DecisionSnapshot};
use super::feedback_counters::{FeedbackCounters, FeedbackSnapshot};
use super::histogram::{Histogram, HistogramSnapshot, add_relaxed};
use super::retry_budget::RetryBudgetCell;
use crate::model::{
    AttemptFailure, CutCause, DecisionReason, LeaveCause, Opinion, Outcome, OutcomeClass, Revision,
    WorkClass,
};

/// Codes that are counted individually; any other code is counted as the `x00` of its hundred. A closed list, so that
/// no upstream can create series (architecture, "Invariants").
const CODES: [u16; 39] = [
    100, 101, 200, 201, 202, 203, 204, 205, 206, 207, 300, 301, 302, 303, 304, 307, 308, 400, 401,
    402, 403, 404, 405, 406, 408, 409, 410, 411, 413, 415, 421, 422, 429, 499, 500, 501, 502, 503,
    504,
];

const CLASSES: usize = OutcomeClass::ALL.len();
const FAILURES: usize = AttemptFailure::ALL.len();
const CAUSES: usize = LeaveCause::ALL.len();
const CUT_CAUSES: usize = CutCause::ALL.len();
const WORK: usize = WorkClass::ALL.len();

fn code_index(code: u16) -> usize {
    let find = |code: u16| CODES.binary_search(&code).ok();
    find(code)
        .or_else(|| find((code / 100).clamp(1, 5) * 100))
        .unwrap_or(CODES.len() - 3)
}

#[derive(Debug)]
struct OutcomeCounters {
    counts: [[AtomicU64; CODES.len()]; CLASSES],
    failed_attempts: [AtomicU64; FAILURES],
    duration: Histogram,
    first_byte: Histogram,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    retries: AtomicU64,
    denied_retries: AtomicU64,
    fallbacks: AtomicU64,
    retry_budget: RetryBudgetCell,
    decisions: DecisionCounters,
}

impl Default for OutcomeCounters {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            failed_attempts: std::array::from_fn(|_| AtomicU64::new(0)),
            duration: Histogram::default(),
            first_byte: Histogram::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            denied_retries: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            retry_budget: RetryBudgetCell::default(),
            decisions: DecisionCounters::default(),
        }
    }
}

/// Counters of a release that left its route. They are rarely written, so all workers share them.
#[derive(Debug, Default)]
struct LeaveCounters {
    cuts: [[AtomicU64; CUT_CAUSES]; WORK],
    moves: [AtomicU64; CAUSES],
}

/// Counters of one route and release, one per worker, created when a worker first records into them.
#[derive(Debug)]
pub struct OutcomeTable {
    workers: Box<[OnceLock<Box<OutcomeCounters>>]>,
    left: OnceLock<Box<LeaveCounters>>,
    bad: BadUnits,
    feedback: OnceLock<Box<FeedbackCounters>>,
}

impl OutcomeTable {
    /// Creates empty counters for this many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(|_| OnceLock::new()).collect(),
            left: OnceLock::new(),
            bad: BadUnits::default(),
            feedback: OnceLock::new(),
        }
    }

    /// Records the outcome of a request. Each slot must be written by one thread only.
    pub fn record(
        &self,
        slot: usize,
        outcome: Outcome,
        duration: Duration,
        first_byte: Option<Duration>,
    ) {
        let cell = self.cell(slot);
        add_relaxed(
            &cell.counts[outcome.class().index()][code_index(outcome.code())],
            1,
        );
        cell.duration.record(duration);
        if let Some(first_byte) = first_byte {
            cell.first_byte.record(first_byte);
        }
    }

    /// True if a request with this outcome is to be noted with its session: a rollout looks at the release.
    #[inline]
    pub fn notes(
        &self,
        outcome: Outcome,
        duration: Duration,
        first_byte: Option<Duration>,
    ) -> bool {
        self.bad.notes(outcome, duration, first_byte)
    }

    pub(super) fn bad(&self) -> &BadUnits {
        &self.bad
    }

    /// Notes a bad request with its session.
    pub fn note(&self, bad: BadUnit) {
        self.bad.note(bad);
    }

    /// Records the reason of a request that was not split; its outcome is recorded beside it. `is_lost` if another endpoint
    /// than that of its pin served it.
    pub fn record_decision(&self, slot: usize, reason: DecisionReason, is_lost: bool) {
        self.cell(slot).decisions.record(reason, is_lost);
    }

    /// Records the outcome of a request that named the release itself. It is recorded nowhere else: those who look at a
    /// release before it gets traffic say nothing about how it serves.
    pub fn record_override(&self, slot: usize, outcome: Outcome) {
        self.cell(slot).decisions.record_override(outcome);
    }

    /// Records an attempt without a response.
    pub fn record_failed_attempt(&self, slot: usize, failure: AttemptFailure) {
        add_relaxed(&self.cell(slot).failed_attempts[failure.index()], 1);
    }

    /// Records the body bytes of a request: from the client, and to it.
    pub fn record_bytes(&self, slot: usize, from_client: u64, to_client: u64) {
        let cell = self.cell(slot);
        add_relaxed(&cell.bytes_in, from_client);
        add_relaxed(&cell.bytes_out, to_client);
    }

    /// Records work in flight that we ended.
    pub fn record_cut(&self, class: WorkClass, cause: CutCause) {
        let left = self.left.get_or_init(Box::default);
        left.cuts[class.index()][cause.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Records a user's opinion of an answer by this revision, in this session.
    pub fn record_feedback(&self, opinion: Opinion, revision: Revision, session: u64) {
        let feedback = self.feedback.get_or_init(Box::default);
        feedback.record(opinion, revision, session);
    }

    /// Takes the sessions with a negative opinion of an answer that is watched; `None` if there were too many to note.
    pub fn take_disliking(&self) -> Option<Vec<u64>> {
        self.feedback
            .get()
            .map_or_else(|| Some(Vec::new()), |feedback| feedback.take_disliking())
    }

    /// Watches what is said of answers by this revision and later ones.
    pub fn watch_feedback(&self, from: Revision) {
        self.feedback.get_or_init(Box::default).watch(from);
    }

    /// Opinions of its answers.
    pub fn feedback(&self) -> FeedbackSnapshot {
        let feedback = self.feedback.get();
        feedback.map_or_else(FeedbackSnapshot::default, |feedback| feedback.snapshot())
    }

    /// Records a session that was moved to another release.
    pub fn record_move(&self, cause: LeaveCause) {
        let left = self.left.get_or_init(Box::default);
        left.moves[cause.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a request is sent again.
    pub fn record_retry(&self, slot: usize) {
        add_relaxed(&self.cell(slot).retries, 1);
    }

    /// Records that the fallback of the route gets a request, since the release could not answer it.
    pub fn record_fallback(&self, slot: usize) {
        add_relaxed(&self.cell(slot).fallbacks, 1);
    }

    /// Takes a retry from the budget of the worker, and records it or that there was none.
    pub fn take_retry(&self, slot: usize, now_ms: u64) -> bool {
        let cell = self.cell(slot);
        let counts = cell.counts.iter().flatten();
        let requests = counts.map(|count| count.load(Ordering::Relaxed)).sum();
        let is_granted = cell.retry_budget.take(requests, now_ms);
        let counter = if is_granted {
            &cell.retries
        } else {
            &cell.denied_retries
        };
        add_relaxed(counter, 1);
        is_granted
    }

    fn cell(&self, slot: usize) -> &OutcomeCounters {
        self.workers[slot % self.workers.len()].get_or_init(Box::default)
    }

    /// True if nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        let is_shared_empty = self.left.get().is_none() && self.feedback.get().is_none();
        is_shared_empty && self.workers.iter().all(|cell| cell.get().is_none())
    }

    /// Sum over all workers.
    pub fn snapshot(&self) -> CellSnapshot {
        let mut snapshot = CellSnapshot::default();
        for cell in self.workers.iter().filter_map(OnceLock::get) {
            for (class, counts) in OutcomeClass::ALL.into_iter().zip(&cell.counts) {
                for (code, count) in CODES.into_iter().zip(counts) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        *snapshot.counts.entry((class, code)).or_default() += count;
                    }
                }
            }
            for (total, count) in snapshot
                .failed_attempts
                .iter_mut()
                .zip(&cell.failed_attempts)
            {
                *total += count.load(Ordering::Relaxed);
            }
            cell.decisions.add_to(&mut snapshot.decisions);
            cell.duration.add_to(&mut snapshot.duration);
            cell.first_byte.add_to(&mut snapshot.first_byte);
            snapshot.bytes_in += cell.bytes_in.load(Ordering::Relaxed);
            snapshot.bytes_out += cell.bytes_out.load(Ordering::Relaxed);
            snapshot.retries += cell.retries.load(Ordering::Relaxed);
            snapshot.denied_retries += cell.denied_retries.load(Ordering::Relaxed);
            snapshot.fallbacks += cell.fallbacks.load(Ordering::Relaxed);
        }
        if let Some(left) = self.left.get() {
            let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
            snapshot.cuts = left
                .cuts
                .each_ref()
                .map(|counts| counts.each_ref().map(value));
            snapshot.moves = left.moves.each_ref().map(value);
        }
        snapshot.feedback = self.feedback();
        snapshot
    }
}

/// Values of the counters of one route and release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellSnapshot {
    /// Requests by class and code.
    pub counts: BTreeMap<(OutcomeClass, u16), u64>,
    /// Attempts without a response, in the order of [`AttemptFailure::ALL`].
    pub failed_attempts: [u64; FAILURES],
    /// From the first byte of the request to the last one of the response.
    pub duration: HistogramSnapshot,
    /// From the first byte of the request to the first one of the response.
    pub first_byte: HistogramSnapshot,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Body bytes to clients.
    pub bytes_out: u64,
    /// Work that was cut, by class and cause, in the order of [`WorkClass::ALL`] and [`CutCause::ALL`].
    pub cuts: [[u64; CUT_CAUSES]; WORK],
    /// Sessions that were moved away, in the order of [`LeaveCause::ALL`].
    pub moves: [u64; CAUSES],
    /// Requests that were sent again, each time.
    pub retries: u64,
    /// Requests that were not sent again because the retry budget was used up.
    pub denied_retries: u64,
    /// Requests that the release could not answer and the fallback of the route got. They are failures of the release.
    pub fallbacks: u64,
    /// Reasons of the decisions, and overridden requests.
    pub decisions: DecisionSnapshot,
    /// Opinions of its answers.
    pub feedback: FeedbackSnapshot,
}

impl CellSnapshot {
    /// True if no request, no failed attempt, no cut, no move and no opinion was counted.
    pub fn is_empty(&self) -> bool {
        let left = self.cuts.iter().flatten().chain(&self.moves);
        let counts = self.failed_attempts.iter().chain(left);
        let overridden = &self.decisions.overridden;
        let mut counts = counts.chain(overridden);
        let has_more = self.requests() > 0 || self.feedback.count() > 0;
        !has_more && counts.all(|count| *count == 0)
    }

    /// Number of all requests.
    pub fn requests(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Number of requests with an outcome of this class.
    pub fn of_class(&self, class: OutcomeClass) -> u64 {
        self.counts
            .iter()
            .filter(|((c, _), _)| *c == class)
            .map(|(_, count)| count)
            .sum()
    }

    /// Number of requests that failed before a response began, or with one of 5xx.
    pub fn failures(&self) -> u64 {
        self.failed(|code| code >= 400)
    }

    /// Number of responses that broke off after they had begun well.
    pub fn broken_streams(&self) -> u64 {
        self.failed(|code| code < 400)
    }

    fn failed(&self, is_meant: impl Fn(u16) -> bool) -> u64 {
        let counts = self.counts.iter();
        let failed =
            counts.filter(|((class, code), _)| *class == OutcomeClass::Failure && is_meant(*code));
        failed.map(|(_, count)| count).sum()
    }

    /// Adds another snapshot to this one.
    pub fn add(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            *self.counts.entry(*key).or_default() += count;
        }
        for (total, count) in self.failed_attempts.iter_mut().zip(other.failed_attempts) {
            *total += count;
        }
        self.duration.add(&other.duration);
        self.first_byte.add(&other.first_byte);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        let cuts = self.cuts.iter_mut().flatten();
        for (total, count) in cuts.zip(other.cuts.iter().flatten()) {
            *total += count;
        }
        for (total, count) in self.moves.iter_mut().zip(other.moves) {
            *total += count;
        }
        self.decisions.add(&other.decisions);
        self.feedback.add(&other.feedback);
        self.retries += other.retries;
        self.denied_retries += other.denied_retries;
        self.fallbacks += other.fallbacks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_and_moves_are_counted_by_cause_and_make_a_table_worth_showing() {
        let cells = OutcomeTable::new(2);
        assert!(cells.is_empty() && cells.snapshot().is_empty());
        cells.record_cut(WorkClass::Stream, CutCause::Left(LeaveCause::Rollback));
        cells.record_move(LeaveCause::Remove);
        let mut snapshot = cells.snapshot();
        assert!(!cells.is_empty() && !snapshot.is_empty());
        snapshot.add(&cells.snapshot());
        let stream = snapshot.cuts[WorkClass::Stream.index()];
        assert_eq!(stream, [0, 0, 2, 0, 0]);
        assert_eq!(snapshot.cuts.iter().flatten().sum::<u64>(), 2);
        assert_eq!(snapshot.moves, [0, 0, 0, 2]);
    }

    #[test]
    fn failed_attempts_are_summed_by_reason() {
        let cells = OutcomeTable::new(2);
        cells.record_failed_attempt(0, AttemptFailure::Refused);
        cells.record_failed_attempt(1, AttemptFailure::Refused);
        cells.record_failed_attempt(1, AttemptFailure::Silent);
        let mut snapshot = cells.snapshot();
        snapshot.add(&cells.snapshot());
        assert_eq!(snapshot.failed_attempts, [0, 0, 0, 0, 0, 0, 4, 0, 2, 0, 0]);
    }

    #[test]
    fn retries_are_granted_by_worker_and_counted() {
        let cells = OutcomeTable::new(2);
        for slot in [0, 1] {
            let granted = (0..40).filter(|_| cells.take_retry(slot, 5)).count();
            assert_eq!(granted, 30, "the floor");
        }
        cells.record_retry(0);
        let snapshot = cells.snapshot();
        assert_eq!((snapshot.retries, snapshot.denied_retries), (61, 20));
    }

    #[test]
    fn fallbacks_are_summed_over_workers() {
        let cells = OutcomeTable::new(2);
        for slot in [0, 1, 1] {
            cells.record_fallback(slot);
        }
        let mut snapshot = cells.snapshot();
        snapshot.add(&cells.snapshot());
        assert_eq!(snapshot.fallbacks, 6);
    }

    #[test]
    fn workers_are_summed() {
        let cells = OutcomeTable::new(2);
        cells.record(
            0,
            Outcome::Answered(200),
            Duration::from_millis(3),
            Some(Duration::from_millis(1)),
        );
        cells.record(1, Outcome::Answered(200), Duration::from_millis(3), None);
        cells.record(1, Outcome::Cut(200), Duration::from_secs(3), None);
        let snapshot = cells.snapshot();
        assert_eq!(snapshot.counts[&(OutcomeClass::Success, 200)], 2);
        assert_eq!(snapshot.of_class(OutcomeClass::Failure), 1);
        assert_eq!((snapshot.requests(), snapshot.first_byte.count()), (3, 1));
        assert_eq!((snapshot.failures(), snapshot.broken_streams()), (0, 1));
    }

    #[test]
    fn codes_are_sorted_and_an_odd_one_counts_with_its_hundred() {
        assert!(CODES.is_sorted());
        for (code, counted) in [
            (418, 400),
            (599, 500),
            (299, 200),
            (999, 500),
            (0, 100),
            (503, 503),
        ] {
            assert_eq!(CODES[code_index(code)], counted, "{code}");
        }
    }
}
