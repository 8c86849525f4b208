//! The rollouts that run, and the last ones that have ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    gate_question::GateAsking, return_question::ReturnQuestion, rollout_evidence::EvidenceReader,
    rollout_queries::QueryAsking, rollout_record::RolloutRecord, rollout_sessions::RolloutSessions,
    rollout_track::Track, saved_file::SavedFile, withdrawal::Withdrawal,
};
use crate::{
    analysis::Judge,
    history::BesideFiles,
    model::{PlanName, PlanSpec},
};

/// Name of the file in the folder of the history. Of a damaged one no rollout is known, so that nothing happens on its own.
const FILE: &str = "rollouts.json";
/// Largest number of rollouts that run at the same time.
pub(super) const MOST_RUNNING: usize = 100;
/// Number of rollouts that have ended and are shown.
const KEPT: usize = 100;

/// All rollouts.
#[derive(Debug)]
pub(super) struct RolloutRegistry {
    entries: Mutex<Vec<Arc<RolloutEntry>>>,
    plans: Mutex<Arc<BTreeMap<PlanName, PlanSpec>>>,
    file: SavedFile,
    /// Held while one is started: two on one route must not begin at the same time.
    pub(super) starting: tokio::sync::Mutex<()>,
    /// Wakes the loop when one begins.
    pub(super) begun: Notify,
}

/// One rollout: its state is behind a lock, and its record can be read at any time.
#[derive(Debug)]
pub(super) struct RolloutEntry {
    /// Held before the state is locked, and while an order is carried out, by everything but a way back: that waits for
    /// no order forward.
    pub(super) ordering: tokio::sync::Mutex<()>,
    pub(super) running: tokio::sync::Mutex<RunningRollout>,
    shown: Mutex<Arc<RolloutRecord>>,
}

/// The locked state of a rollout.
pub(super) type HeldRollout<'a> = tokio::sync::MutexGuard<'a, RunningRollout>;

/// The state of a rollout.
#[derive(Debug)]
pub(super) struct RunningRollout {
    pub(super) record: RolloutRecord,
    /// One for each of its tracks, in their order.
    pub(super) watches: Vec<TrackWatch>,
    pub(super) looked_at: Instant,
    pub(super) gate: GateAsking,
    pub(super) data: ReturnQuestion,
    /// Withdraws the order that is being carried out forward.
    pub(super) order: Withdrawal,
}

/// Judge of a track, and what gives it the evidence.
#[derive(Debug)]
pub(super) struct TrackWatch {
    pub(super) judge: Judge,
    /// While the rollout runs.
    pub(super) reader: Option<EvidenceReader>,
    /// On a route with sessions, while the rollout runs.
    pub(super) sessions: Option<RolloutSessions>,
    /// Queries of the plan.
    pub(super) queries: QueryAsking,
}

impl RolloutRegistry {
    /// The rollouts that were saved in the folder of the history. `judge` makes one where none was saved.
    pub(super) fn open(
        files: &Arc<BesideFiles>,
        judge: impl Fn(&RolloutRecord, &Track) -> Judge,
    ) -> Self {
        let file = SavedFile::new(files, FILE);
        let saved: Vec<RolloutRecord> = file.read();
        let entries = saved.into_iter().map(|record| {
            let tracks = record.tracks.iter();
            let judges = tracks.map(|track| match track.saved_judge() {
                Some(mut judge) => {
                    judge.resume();
                    judge
                }
                None => judge(&record, track),
            });
            let judges = judges.collect();
            Arc::new(RolloutEntry::new(record, judges))
        });
        Self {
            entries: Mutex::new(entries.collect()),
            plans: Mutex::default(),
            file,
            starting: tokio::sync::Mutex::default(),
            begun: Notify::new(),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<RolloutEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rollouts, the earliest first.
    pub(super) fn all(&self) -> Vec<Arc<RolloutEntry>> {
        self.lock().clone()
    }

    /// Those that have not ended.
    pub(super) fn running(&self) -> Vec<Arc<RolloutEntry>> {
        let mut all = self.all();
        all.retain(|entry| !entry.record().machine.has_ended());
        all
    }

    /// Adds one; of those that have ended the earliest are forgotten, and returned.
    pub(super) fn add(&self, entry: &Arc<RolloutEntry>) -> Vec<Arc<RolloutEntry>> {
        let mut entries = self.lock();
        entries.push(Arc::clone(entry));
        let has_ended = |entry: &Arc<RolloutEntry>| entry.record().machine.has_ended();
        let ended = entries.iter().filter(|entry| has_ended(entry)).count();
        let mut surplus = ended.saturating_sub(KEPT);
        let forgotten = entries.extract_if(.., |entry| {
            let is_surplus = surplus > 0 && has_ended(entry);
            surplus -= usize::from(is_surplus);
            is_surplus
        });
        forgotten.collect()
    }

    pub(super) fn remove(&self, entry: &Arc<RolloutEntry>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, entry));
    }

    /// The plans of the configuration file.
    pub(super) fn plans(&self) -> Arc<BTreeMap<PlanName, PlanSpec>> {
        Arc::clone(&self.plans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_plans(&self, plans: BTreeMap<PlanName, PlanSpec>) {
        *self.plans.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plans);
    }

    /// Writes all rollouts, and waits for it at most so long. `false`, with an error in the log, if they are not known to
    /// be written.
    pub(super) async fn save(&self, within: Duration) -> bool {
        let records = || {
            let all = self.all();
            all.iter().map(|entry| entry.record()).collect::<Vec<_>>()
        };
        self.file.write(records, within).await
    }
}

impl RolloutEntry {
    /// A rollout with the judges of its tracks.
    pub(super) fn new(record: RolloutRecord, judges: Vec<Judge>) -> Self {
        let watch = |judge| TrackWatch {
            judge,
            reader: None,
            sessions: None,
            queries: QueryAsking::default(),
        };
        Self {
            ordering: tokio::sync::Mutex::default(),
            shown: Mutex::new(Arc::new(record.clone())),
            running: tokio::sync::Mutex::new(RunningRollout {
                record,
                watches: judges.into_iter().map(watch).collect(),
                looked_at: Instant::now(),
                gate: GateAsking::default(),
                data: ReturnQuestion::default(),
                order: Withdrawal::default(),
            }),
        }
    }

    /// The record as of the last change.
    pub(super) fn record(&self) -> Arc<RolloutRecord> {
        Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows the record of a change.
    pub(super) fn show(&self, record: &RolloutRecord) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(record.clone());
    }
}
