//! From a swap to its receipt: wait, within limits, for the workers and for the disk, and say how far both are.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Controller, controller::now, revision_index::RevisionIndex};
use crate::{
    api::{Receipt, Timestamp, UnresolvedRelease},
    history::{KEPT_REVISIONS, StoredRevision, plan_pruning},
    model::{Author, Cause, Diff, ReleaseName, Revision, RevisionRecord, TableState},
    table::{RollbackTarget, RoutingTable, UndoEntry},
};

/// How long a rollback's receipt waits for the disk after that.
const DURABILITY: Duration = Duration::from_millis(50);
/// How much of that the slot file has for itself, before the store begins beside it.
const ALONE: Duration = Duration::from_millis(10);
/// A whole table is written beside every so many records.
const SNAPSHOT_EVERY: usize = 64;

/// A swap that took place.
#[derive(Debug)]
pub(super) struct AppliedSwap {
    pub(super) record: Arc<RevisionRecord>,
    pub(super) diff: Diff,
    pub(super) undid: Vec<Revision>,
    pub(super) applied_at: Timestamp,
    pub(super) took: Duration,
    pub(super) rollback: bool,
}

/// A swap of which no answer has to wait for the rest.
#[derive(Debug)]
pub(super) struct PendingEffects {
    record: Arc<RevisionRecord>,
    changes: usize,
    took: Duration,
}

impl Controller {
    /// Notes a swap, for [`Controller::run_after_swap`].
    pub(super) fn swapped(&self, done: &AppliedSwap) {
        self.metrics.swapped(&done.record.cause, done.took);
        self.unsettled().push(PendingEffects {
            record: Arc::clone(&done.record),
            changes: done.diff.0.len(),
            took: done.took,
        });
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<PendingEffects>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows every swap: who looks after which roster, what is told, what is kept. Nothing to do if it was done.
    pub fn run_after_swap(&self) {
        let unsettled = std::mem::take(&mut *self.unsettled());
        if unsettled.is_empty() {
            return;
        }
        self.history.resume();
        self.reconcile();
        unsettled.iter().for_each(audit);
        self.prune_history();
        self.observe();
    }

    /// Lets old revisions go, and has a whole table written now and then.
    fn prune_history(&self) {
        let mut index = self.revision_index();
        if index.kept().len() > self.settings.keep {
            self.prune(&mut index);
        }
        if index.since_snapshot >= SNAPSHOT_EVERY {
            let live = self.cell.load().revision();
            if let Some(state) = index.state(live) {
                self.history.snapshot(live, state);
                index.since_snapshot = 0;
            }
        }
    }

    fn prune(&self, index: &mut RevisionIndex) {
        let chain = self.undo_chain();
        let pruned = plan_pruning(
            index.kept(),
            &chain,
            self.needed(&chain),
            self.settings.keep,
        );
        if !pruned.remove.is_empty() {
            let state = |revision: &Revision| Some((*revision, index.state(*revision)?));
            let snapshots = pruned.snapshots.iter().filter_map(state).collect();
            index.remove(&pruned.remove);
            self.history.prune(pruned.remove, snapshots);
            let levels = self.cell.chain().into_iter().skip(1);
            let reachable = levels.filter(|revision| index.get(*revision).is_some());
            self.cell.truncate(reachable.count());
        }
    }

    /// How much of the chain, the live revision included, is needed to go one step back, and to go back at all: over a
    /// whole group, if it is not a very long one.
    fn needed(&self, chain: &[Revision]) -> usize {
        let to = self
            .cell
            .level(RollbackTarget::Previous)
            .map(|level| level.revision);
        let place = chain.iter().position(|revision| Some(*revision) == to);
        place.unwrap_or(1).min(KEPT_REVISIONS) + 1
    }

    /// Waits for the workers, and after a rollback for the disk, and says how far they are.
    pub(super) async fn receipt(&self, done: AppliedSwap) -> Receipt {
        let revision = done.record.revision;
        let begin = Instant::now();
        let converged =
            tokio::time::timeout(self.settings.converge_within, self.cell.converged(revision))
                .await;
        let unresolved = self.unresolved(revision);
        let converged_at = (converged.is_ok() && !is_behind(&unresolved)).then(now);
        self.metrics.converged(begin.elapsed() + done.took);
        if done.rollback {
            self.wait_durable(revision).await;
        }
        let durable = self.is_durable(revision);
        let record = &done.record;
        Receipt {
            revision,
            parent: record.parent,
            digest: record.digest,
            changed: true,
            cause: record.cause.clone(),
            message: record.author.message.clone(),
            diff: done.diff,
            undid: done.undid,
            durable,
            restart_revision: (!durable).then(|| self.restart_revision()),
            applied_at: done.applied_at,
            converged_at,
            waiting_for: if converged.is_ok() {
                Vec::new()
            } else {
                self.cell.waiting_for(revision)
            },
            unresolved,
            in_flight_on_previous: self.in_flight_on_previous(),
            swap_microseconds: u64::try_from(done.took.as_micros()).unwrap_or(u64::MAX),
            hint: None,
        }
    }

    /// Releases of a change with names that have no address.
    fn unresolved(&self, revision: Revision) -> Vec<UnresolvedRelease> {
        let live = self.cell.load();
        let touched = self
            .revision_index()
            .get(revision)
            .map(|kept| kept.touched.releases.clone());
        let unresolved = |name: ReleaseName| {
            let roster = live.compiled().releases().get(&name)?.roster();
            let (endpoints, still_served_by) = roster.unresolved();
            (!endpoints.is_empty()).then_some(UnresolvedRelease {
                release: name,
                endpoints,
                still_served_by,
            })
        };
        let touched = touched.into_iter().flatten();
        touched.filter_map(unresolved).collect()
    }

    /// Waits, within a limit, until a rollback is on the disk: in the slot file, or in the store where that takes long.
    async fn wait_durable(&self, revision: Revision) {
        let mut progress = self.history.progress();
        for limit in [ALONE, DURABILITY.saturating_sub(ALONE)] {
            let written = progress.wait_for(|progress| progress.durable() >= revision);
            if tokio::time::timeout(limit, written).await.is_ok() {
                return;
            }
            self.history.resume();
        }
    }

    /// The revision that a restart would bring.
    pub(super) fn restart_revision(&self) -> Revision {
        self.history.progress().borrow().durable()
    }

    /// Whether a restart would bring a revision, or one that was made live after it. A record that was written but never
    /// became live, and is not voided on the disk yet, is neither.
    pub(super) fn is_durable(&self, revision: Revision) -> bool {
        let restart = self.restart_revision();
        let was_live = || {
            self.revision_index()
                .get(restart)
                .is_some_and(|kept| kept.state.is_some())
        };
        restart == revision || restart > revision && was_live()
    }

    pub(super) fn in_flight_on_previous(&self) -> u64 {
        self.cell
            .in_flight_on_previous()
            .iter()
            .map(|(_, count)| count)
            .sum()
    }

    /// The receipt of a request that was answered before.
    pub(super) fn receipt_again(&self, kept: &StoredRevision) -> Receipt {
        let record = &kept.record;
        let durable = self.is_durable(record.revision);
        let (before, undid) = {
            let index = self.revision_index();
            (index.state(record.parent), undone_revisions(&index, record))
        };
        // Whole tables are compared: not with the books in hand, for which a rollback would wait.
        let diff = before
            .zip(kept.state.as_ref())
            .map(|(before, after)| Diff::between(&before, after));
        let waiting_for = self.cell.waiting_for(record.revision);
        let unresolved = self.unresolved(record.revision);
        let applied_at = Timestamp::from_millis(record.published_at_ms);
        Receipt {
            revision: record.revision,
            parent: record.parent,
            digest: record.digest,
            changed: true,
            cause: record.cause.clone(),
            message: record.author.message.clone(),
            diff: diff.unwrap_or_default(),
            undid,
            durable,
            restart_revision: (!durable).then(|| self.restart_revision()),
            applied_at,
            converged_at: (waiting_for.is_empty() && !is_behind(&unresolved)).then(now),
            waiting_for,
            unresolved,
            in_flight_on_previous: self.in_flight_on_previous(),
            swap_microseconds: 0,
            hint: None,
        }
    }

    /// The receipt of a change that changed nothing.
    pub(super) fn receipt_of_nothing(&self, live: &RoutingTable, by: &Author) -> Receipt {
        let revision = live.revision();
        let durable = self.is_durable(revision);
        let record = self
            .revision_index()
            .get(revision)
            .map(|kept| kept.record.clone());
        let published = record.as_ref().map_or(0, |record| record.published_at_ms);
        let waiting_for = self.cell.waiting_for(revision);
        let unresolved = self.unresolved(revision);
        Receipt {
            revision,
            parent: record.as_ref().map_or(Revision(0), |record| record.parent),
            digest: live.digest(),
            changed: false,
            cause: record.map_or(Cause::Publish, |record| record.cause.clone()),
            message: by.message.clone(),
            diff: Diff::default(),
            undid: Vec::new(),
            durable,
            restart_revision: (!durable).then(|| self.restart_revision()),
            applied_at: Timestamp::from_millis(published),
            converged_at: (waiting_for.is_empty() && !is_behind(&unresolved)).then(now),
            waiting_for,
            unresolved,
            in_flight_on_previous: self.in_flight_on_previous(),
            swap_microseconds: 0,
            hint: None,
        }
    }
}

impl Controller {
    /// The receipt of an abort that finds nothing on trial: what failed may have been promoted already, and then it is a
    /// rollback that is wanted.
    pub(super) fn receipt_of_no_trial(&self, live: &RoutingTable, by: &Author) -> Receipt {
        let hint = |level: UndoEntry| {
            format!(
                "one release has the whole split, and an abort only ends a trial; `POST /v1/rollback` brings back revision {}",
                level.revision
            )
        };
        Receipt {
            hint: self.cell.level(RollbackTarget::Previous).map(hint),
            ..self.receipt_of_nothing(live, by)
        }
    }
}

/// Whether requests still go to endpoints that a change took out.
fn is_behind(unresolved: &[UnresolvedRelease]) -> bool {
    let is_behind = |one: &UnresolvedRelease| !one.still_served_by.is_empty();
    unresolved.iter().any(is_behind)
}

fn audit(swap: &PendingEffects) {
    let record = &swap.record;
    tracing::info!(
        target: "audit",
        revision = record.revision.0,
        parent = record.parent.0,
        cause = record.cause.as_str(),
        actor = ?record.author.actor,
        name = %record.author.name,
        note = record.author.message.as_deref(),
        changes = swap.changes,
        swap_us = swap.took.as_micros(),
        "a revision is live"
    );
}

/// The revisions that a rollback took back, as the records tell it.
fn undone_revisions(index: &RevisionIndex, record: &RevisionRecord) -> Vec<Revision> {
    let Cause::Rollback { to } = record.cause else {
        return Vec::new();
    };
    let mut undid = Vec::new();
    let mut next = Some(index.decision(record.parent));
    while let Some(revision) = next.filter(|revision| *revision != to) {
        undid.push(revision);
        next = index.get(revision).and_then(|kept| kept.record.undo_to);
    }
    // A revision that was not on the chain was published; nothing was undone.
    if next == Some(to) { undid } else { Vec::new() }
}

/// The state of a level as a rollback would make it live: its decisions, and the facts of now.
pub(super) fn with_rosters(spec: &crate::model::TableSpec, live: &RoutingTable) -> TableState {
    TableState {
        spec: spec.clone(),
        rosters: live.state().rosters,
    }
}
