//! The controller: what it holds, and how it begins.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    ControlError, idempotency::IdempotencyStore, metrics::Metrics, receipt::PendingEffects,
    reconcile::WatchState, revision_index::RevisionIndex, status::DriftMemo,
    status_part::RouteIndex,
};
use crate::{
    api::Timestamp,
    config::Config,
    fleet::Fleet,
    history::{History, KEPT_REVISIONS, Loaded},
    model::{ChangeSet, Revision},
    table::{LiveTable, RoutingTable, UndoEntry, compile},
};

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many revisions are kept.
    pub keep: usize,
    /// How long a publish may take to reach the disk before it is refused.
    pub durable_within: Duration,
    /// How long a receipt waits for every worker to take a change up.
    pub converge_within: Duration,
    /// How many earlier revisions are kept compiled, checked and connected.
    pub warm_revisions: usize,
    /// For how long.
    pub warm_for: Duration,
    /// How long what is in flight on a release that left the live table may go on.
    pub drain: Duration,
    /// True if the table came from a file that people edit: only then there is something to differ from.
    pub has_file: bool,
}

impl Settings {
    /// What a configuration says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            keep: config.history.keep,
            durable_within: config.history.durable_within.0,
            converge_within: config.timeouts.converge.0,
            warm_revisions: config.rollback.warm_revisions,
            warm_for: config.rollback.warm_for.0,
            drain: config.timeouts.drain.0,
            has_file: true,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: KEPT_REVISIONS,
            durable_within: Duration::from_secs(2),
            converge_within: Duration::from_millis(500),
            warm_revisions: 2,
            warm_for: Duration::from_secs(24 * 3600),
            drain: Duration::from_secs(15 * 60),
            has_file: true,
        }
    }
}

/// The one writer.
#[derive(Debug)]
pub struct Controller {
    pub(super) settings: Settings,
    pub(super) history: History,
    pub(super) cell: Arc<LiveTable>,
    pub(super) fleet: Arc<Fleet>,
    // Held for moments, never across I/O or an await: a swap and its entry here are one step.
    index: Mutex<RevisionIndex>,
    pub(super) answers: IdempotencyStore,
    // Publishes queue here while one is being written. A rollback never does.
    pub(super) publishing: tokio::sync::Mutex<()>,
    pub(super) watch_state: Mutex<WatchState>,
    pub(super) unsettled: Mutex<Vec<PendingEffects>>,
    pub(super) drift: Mutex<Option<Arc<DriftMemo>>>,
    pub(super) route_index: Mutex<Option<Arc<RouteIndex>>>,
    pub(super) metrics: Metrics,
}

pub(super) fn now() -> Timestamp {
    Timestamp::of(SystemTime::now())
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    now().millis()
}

impl Controller {
    /// Takes over an open history: its last revision is live when this returns. Before any worker runs.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] when the last revision does not compile any more, which only a later version's table
    /// can do.
    pub fn open(
        settings: Settings,
        history: History,
        mut loaded: Loaded,
        cell: Arc<LiveTable>,
        fleet: Arc<Fleet>,
    ) -> Result<Self, ControlError> {
        let controller = Self {
            settings,
            history,
            cell,
            fleet,
            answers: IdempotencyStore::of(std::mem::take(&mut loaded.answers)),
            index: Mutex::new(RevisionIndex::of(loaded)),
            publishing: tokio::sync::Mutex::new(()),
            watch_state: Mutex::default(),
            unsettled: Mutex::default(),
            drift: Mutex::default(),
            route_index: Mutex::default(),
            metrics: Metrics,
        };
        if let Err(error) = controller.restore() {
            // What was set aside for this run goes back.
            controller.close(Duration::from_secs(2));
            return Err(error);
        }
        controller.reconcile();
        controller.observe();
        Ok(controller)
    }

    fn restore(&self) -> Result<(), ControlError> {
        let index = self.revision_index();
        let Some(live) = index.kept().values().rfind(|kept| kept.state.is_some()) else {
            return Ok(());
        };
        let state = live
            .state
            .clone()
            .expect("the record was chosen for its state");
        let touched = ChangeSet::default();
        let draft = compile(state, &touched, None, &self.fleet).map_err(ControlError::Invalid)?;
        let group = live.record.author.group.as_deref().map(Arc::from);
        let revision = live.record.revision;
        let decision = index.decision(revision);
        let levels = levels(&index, decision);
        self.cell.restore(draft, revision, decision, levels, group);
        Ok(())
    }

    // A panic while the lock is held leaves the maps whole, so a poisoned lock is as good as another.
    pub(super) fn revision_index(&self) -> MutexGuard<'_, RevisionIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live table.
    pub fn live(&self) -> Arc<RoutingTable> {
        self.cell.load()
    }

    /// What has to be kept for rollbacks: the live revision, the decision that it holds, and what a rollback can reach.
    pub(super) fn undo_chain(&self) -> Vec<Revision> {
        let live = self.cell.load().revision();
        let chain = self.cell.chain().into_iter();
        std::iter::once(live)
            .chain(chain.skip_while(|decision| *decision == live))
            .collect()
    }

    /// Writes what is pending, within a limit, and lets the history go. Blocks: to be called off the runtime, last.
    pub fn close(&self, patience: Duration) {
        self.history.close(patience);
    }
}

/// The undo stack below a decision as the records tell it: each says where a rollback from it goes.
fn levels(index: &RevisionIndex, decision: Revision) -> Vec<UndoEntry> {
    let mut levels = Vec::new();
    let mut above = index.get(decision);
    while let Some(kept) = above
        .and_then(|above| above.record.undo_to)
        .and_then(|revision| index.get(revision))
    {
        let Some(state) = &kept.state else { break };
        levels.push(UndoEntry {
            revision: kept.record.revision,
            group: kept.record.author.group.as_deref().map(Arc::from),
            spec: state.spec.clone(),
            compiled: None,
            superseded_at_ms: above.map_or(0, |above| above.record.published_at_ms),
        });
        above = Some(kept);
    }
    levels.reverse();
    levels
}
