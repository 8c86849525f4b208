//! The rollouts that run, and the last ones that have ended.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    figure_board::AskedFigures,
    gate_question::GateAsking,
    return_question::ReturnQuestion,
    rollout_document::{DocumentPlace, RolloutDocument},
    rollout_evidence::EvidenceReader,
    rollout_queries::QueryAsking,
    rollout_record::RolloutRecord,
    rollout_sessions::RolloutSessions,
    rollout_track::Track,
    saved_file::SavedFile,
    withdrawal::Withdrawal,
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
    /// Those of other nodes of a fleet.
    elsewhere: Mutex<Vec<Arc<RolloutEntry>>>,
    /// Ids of the last starts that were refused: what the store may have of them is removed.
    refused: Mutex<Vec<String>>,
    plans: Mutex<Arc<BTreeMap<PlanName, PlanSpec>>>,
    file: SavedFile,
    /// Held while one is started: two on one route must not begin at the same time.
    pub(super) starting: tokio::sync::Mutex<()>,
    /// Wakes the loop when one begins.
    pub(super) begun: Notify,
    /// Wakes what tells the fleet, after a look or a command.
    pub(super) looked: Notify,
}

/// One rollout: its state is behind a lock, and its record can be read at any time.
#[derive(Debug)]
pub(super) struct RolloutEntry {
    /// Held before the state is locked, and while an order is carried out, by everything but a way back: that waits for
    /// no order forward.
    pub(super) ordering: tokio::sync::Mutex<()>,
    pub(super) running: tokio::sync::Mutex<RunningRollout>,
    shown: Mutex<Arc<RolloutRecord>>,
    /// Place in the store of a fleet.
    pub(super) document: tokio::sync::Mutex<DocumentPlace>,
    is_elsewhere: bool,
    is_given_up: AtomicBool,
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
    /// Figures of the other nodes, in a fleet, while the rollout runs.
    pub(super) fleet: Option<AskedFigures>,
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
            let judges = judges(&record, &judge);
            let place = DocumentPlace::of_saved(&record);
            Arc::new(RolloutEntry::new(record, judges).at(place))
        });
        Self {
            entries: Mutex::new(entries.collect()),
            elsewhere: Mutex::default(),
            refused: Mutex::default(),
            plans: Mutex::default(),
            file,
            starting: tokio::sync::Mutex::default(),
            begun: Notify::new(),
            looked: Notify::new(),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<RolloutEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_elsewhere(&self) -> MutexGuard<'_, Vec<Arc<RolloutEntry>>> {
        self.elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// All rollouts of this node, the earliest first.
    pub(super) fn all(&self) -> Vec<Arc<RolloutEntry>> {
        self.lock().clone()
    }

    /// All rollouts of this node and of the others of its fleet, the earliest first.
    pub(super) fn known(&self) -> Vec<Arc<RolloutEntry>> {
        let mut all = self.all();
        all.extend(self.lock_elsewhere().iter().cloned());
        all.sort_by_key(|entry| entry.record().started_at);
        all
    }

    /// Those of them that have not ended.
    pub(super) fn active(&self) -> Vec<Arc<RolloutEntry>> {
        let mut all = self.known();
        all.retain(|entry| !entry.record().machine.has_ended());
        all
    }

    /// A rollout of this node.
    pub(super) fn find(&self, id: &str) -> Option<Arc<RolloutEntry>> {
        let all = self.all();
        all.into_iter().find(|entry| entry.record().id == id)
    }

    /// Those of other nodes.
    pub(super) fn elsewhere(&self) -> Vec<Arc<RolloutEntry>> {
        self.lock_elsewhere().clone()
    }

    pub(super) fn set_elsewhere(&self, entries: Vec<Arc<RolloutEntry>>) {
        *self.lock_elsewhere() = entries;
    }

    /// Adds one that was another node's.
    pub(super) fn take_in(&self, entry: &Arc<RolloutEntry>) -> Vec<Arc<RolloutEntry>> {
        let id = &entry.record().id;
        self.lock_elsewhere()
            .retain(|other| other.record().id != *id);
        self.add(entry)
    }

    /// Notes that a start was refused.
    pub(super) fn refuse(&self, id: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() == KEPT {
            refused.remove(0);
        }
        refused.push(id.to_owned());
    }

    pub(super) fn was_refused(&self, id: &str) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|other| other == id)
    }

    /// Those of this node that have not ended.
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
            fleet: None,
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
            document: tokio::sync::Mutex::default(),
            is_elsewhere: false,
            is_given_up: AtomicBool::new(false),
        }
    }

    /// The same at a place in the store.
    pub(super) fn at(self, place: DocumentPlace) -> Self {
        Self {
            document: tokio::sync::Mutex::new(place),
            ..self
        }
    }

    /// A rollout of another node.
    pub(super) fn elsewhere(document: RolloutDocument) -> Self {
        let place = DocumentPlace::of_version(document.version);
        Self {
            is_elsewhere: true,
            ..Self::new(document.record, Vec::new()).at(place)
        }
    }

    /// True if it is not this node that runs it, or not any more.
    pub(super) fn is_of_others(&self) -> bool {
        self.is_elsewhere || self.is_given_up()
    }

    /// True if another node runs it by now.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    /// Gives it up: nothing of it is carried out here any more.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
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

/// The judges of a rollout that was saved; `fresh` makes one where none was.
pub(super) fn judges(
    record: &RolloutRecord,
    fresh: impl Fn(&RolloutRecord, &Track) -> Judge,
) -> Vec<Judge> {
    let tracks = record.tracks.iter();
    let judges = tracks.map(|track| match track.saved_judge() {
        Some(mut judge) => {
            judge.resume();
            judge
        }
        None => fresh(record, track),
    });
    judges.collect()
}
