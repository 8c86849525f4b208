//! The live table and its atomic swap.
//!
//! One atomic pointer for readers; one mutex for writers, held for microseconds and never across I/O: it keeps the
//! undo stack consistent with the live table. It does not know durability: the controller decides what is written
//! before a swap and after it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::{ArcSwap, Cache};
use tokio::sync::{Notify, watch};

use super::{
    Compiled, Departures, Draft, Leave, RevisionConflict, RollbackError, RollbackTarget,
    RoutingTable, StackChange, Swapped, Transition, UndoEntry, undo::UndoStack,
    work_board::WorkBoard, worker_epochs::WorkerEpochs,
};
use crate::{
    model::{Revision, Rosters, TableSpec},
    stats::Sharded,
};

mod levels;

/// The live table, the undo stack below it, and the epochs of the workers that read it.
#[derive(Debug)]
pub struct LiveTable {
    current: Arc<ArcSwap<RoutingTable>>,
    writer: Mutex<Writer>,
    epochs: WorkerEpochs,
    work: WorkBoard,
    swaps: Notify,
    revisions: watch::Sender<Revision>,
    workers: usize,
}

/// The parts of a table that is about to be live.
struct NextTable {
    revision: Revision,
    compiled: Arc<Compiled>,
    rosters: Arc<Rosters>,
    leave: Leave,
}

#[derive(Debug)]
struct Writer {
    undo: UndoStack,
    // Counters of earlier revisions that may still have requests in flight.
    previous: Vec<(Revision, Arc<Sharded>)>,
}

impl LiveTable {
    /// Creates an empty table with revision 0, read by this many workers.
    pub fn new(workers: usize) -> Self {
        let table = RoutingTable::new(
            Revision(0),
            Compiled::empty(),
            Arc::default(),
            Departures::default(),
            workers,
        );
        Self {
            current: Arc::new(ArcSwap::from_pointee(table)),
            writer: Mutex::new(Writer {
                undo: UndoStack::default(),
                previous: Vec::new(),
            }),
            epochs: WorkerEpochs::new(workers),
            work: WorkBoard::new(workers),
            swaps: Notify::new(),
            revisions: watch::Sender::new(Revision::default()),
            workers,
        }
    }

    /// The live table, for the control plane.
    pub fn load(&self) -> Arc<RoutingTable> {
        self.current.load_full()
    }

    /// Reader with a cached copy, for one worker.
    pub fn reader(&self) -> TableReader {
        TableReader(Cache::new(Arc::clone(&self.current)))
    }

    // Safe to ignore poisoning: the value is valid between any two statements.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restores the live table from the history, with the number of its decision, the levels below and the releases that
    /// left. Before any worker runs.
    pub fn restore(
        &self,
        draft: Draft,
        revision: Revision,
        decision: Revision,
        levels: Vec<UndoEntry>,
        group: Option<Arc<str>>,
        departures: Departures,
    ) {
        let mut writer = self.writer();
        writer.undo = UndoStack::restored(levels, decision, group);
        let (compiled, rosters) = (draft.compiled, draft.state.rosters);
        let table = RoutingTable::new(revision, compiled, rosters, departures, self.workers);
        self.current.store(Arc::new(table));
        self.epochs.notify();
    }

    /// Makes a draft live, if its base is still live.
    ///
    /// # Errors
    /// [`RevisionConflict`] with the live revision; nothing has changed then.
    pub fn publish(
        &self,
        draft: Draft,
        revision: Revision,
        based_on: Revision,
        undo: StackChange,
        now_ms: u64,
    ) -> Result<Swapped, RevisionConflict> {
        self.publish_after(draft, revision, based_on, undo, now_ms, |_| {})
    }

    /// Like [`LiveTable::publish`]; calls `facts` directly before the swap, once it cannot fail any more, to update
    /// state outside the table: all selections by the new table see it.
    ///
    /// # Errors
    /// As [`LiveTable::publish`]; `facts` was not called then.
    pub fn publish_after(
        &self,
        draft: Draft,
        revision: Revision,
        based_on: Revision,
        undo: StackChange,
        now_ms: u64,
        facts: impl FnOnce(&Draft),
    ) -> Result<Swapped, RevisionConflict> {
        let mut writer = self.writer();
        let start = Instant::now();
        let live = self.current.load_full();
        if live.revision() != based_on {
            return Err(RevisionConflict {
                live: live.revision(),
            });
        }
        // There is no rollback below the first revision: an empty table would serve no request.
        let first = live.revision() == Revision(0);
        let undo_is_decision = first || undo != StackChange::Keep;
        match undo {
            StackChange::Above(revision) => writer.undo.cut_above(revision, draft.digest()),
            StackChange::Push(group) if !first => {
                let replaced = level(&live, &writer.undo, now_ms);
                writer.undo.push(replaced, group);
            }
            StackChange::Push(group) => writer.undo.set_group(group),
            StackChange::Keep => {}
        }
        if undo_is_decision {
            writer.undo.set_live(revision);
        }
        facts(&draft);
        let next = NextTable {
            revision,
            compiled: draft.compiled,
            rosters: draft.state.rosters,
            leave: draft.leave,
        };
        Ok(self.swap(&mut writer, live, next, start))
    }

    /// Makes an earlier table live again under the number from `next`. Rosters are facts: the live ones stay.
    ///
    /// # Errors
    /// If there is no level to go back to, if `expected` is not live any more, or if the level must be compiled first.
    /// Nothing has changed then.
    pub fn rollback(
        &self,
        target: RollbackTarget,
        expected: Option<Revision>,
        next: impl FnOnce() -> Revision,
    ) -> Result<Swapped, RollbackError> {
        self.rollback_leaving(target, expected, Leave::ROLLBACK, next)
    }

    /// Like [`LiveTable::rollback`], with the way in which releases leave their routes by it.
    ///
    /// # Errors
    /// As [`LiveTable::rollback`].
    pub fn rollback_leaving(
        &self,
        target: RollbackTarget,
        expected: Option<Revision>,
        leave: Leave,
        next: impl FnOnce() -> Revision,
    ) -> Result<Swapped, RollbackError> {
        let mut writer = self.writer();
        let start = Instant::now();
        let live = self.current.load_full();
        if expected.is_some_and(|expected| expected != live.revision()) {
            return Err(RevisionConflict {
                live: live.revision(),
            }
            .into());
        }
        let place = writer
            .undo
            .place(target)
            .ok_or(RollbackError::NothingToUndo)?;
        let level = &writer.undo.levels()[place];
        let compiled = level
            .compiled
            .clone()
            .ok_or(RollbackError::Cold(level.revision))?;
        let (level, mut undone) = writer
            .undo
            .pop_to(place)
            .ok_or(RollbackError::NothingToUndo)?;
        let rosters: Arc<Rosters> = Arc::clone(&live.state().rosters);
        undone.push(writer.undo.live());
        undone.reverse();
        let revision = next();
        writer.undo.set_live(revision);
        let next = NextTable {
            revision,
            compiled,
            rosters,
            leave,
        };
        let swapped = self.swap(&mut writer, live, next, start);
        Ok(Swapped {
            restored: Some(level.revision),
            undid: undone,
            ..swapped
        })
    }

    fn swap(
        &self,
        writer: &mut Writer,
        replaced: Arc<RoutingTable>,
        next: NextTable,
        start: Instant,
    ) -> Swapped {
        let departures = replaced.departures().after(&Transition {
            before: replaced.compiled().spec(),
            after: next.compiled.spec(),
            leave: &next.leave,
            revision: next.revision,
            now_ms: unix_ms(),
        });
        let NextTable {
            revision,
            compiled,
            rosters,
            ..
        } = next;
        let table = RoutingTable::new(revision, compiled, rosters, departures, self.workers);
        let table = Arc::new(table);
        self.current.store(Arc::clone(&table));
        let took = start.elapsed();
        self.epochs.notify();
        self.swaps.notify_one();
        self.revisions.send_replace(table.revision());
        writer
            .previous
            .push((replaced.revision(), Arc::clone(replaced.in_flight())));
        self.forget_drained(writer);
        Swapped {
            undo_to: writer.undo.undo_to(),
            table,
            replaced,
            restored: None,
            undid: Vec::new(),
            took,
        }
    }

    /// Removes a revision's counter once no worker can select by it any more and it has no requests in flight.
    fn forget_drained(&self, writer: &mut Writer) {
        let oldest = self.epochs.oldest();
        writer
            .previous
            .retain(|(revision, counter)| *revision >= oldest || counter.sum() > 0);
    }

    /// Requests in flight on earlier revisions, by revision; those at zero are left out.
    pub fn in_flight_on_previous(&self) -> Vec<(Revision, u64)> {
        let mut writer = self.writer();
        self.forget_drained(&mut writer);
        let counts = writer
            .previous
            .iter()
            .map(|(revision, counter)| (*revision, counter.sum()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until the table has changed since this worker last waited. Cancel-safe.
    pub async fn changed(&self, worker: usize) {
        self.epochs.changed(worker).await;
    }

    /// Acknowledges a revision for a worker: whatever it commits from now on is by this one or a later one.
    pub fn acknowledge(&self, worker: usize, revision: Revision) {
        self.epochs.acknowledge(worker, revision);
    }

    /// Waits until the table was swapped since this was last waited for. For one waiter, the control plane. Cancel-safe.
    pub async fn swapped(&self) {
        self.swaps.notified().await;
    }

    /// A receiver that wakes after each swap, with the revision; for any number of followers.
    pub fn follow(&self) -> watch::Receiver<Revision> {
        self.revisions.subscribe()
    }

    /// The board between the control plane and the workers, about the work in flight.
    pub fn work(&self) -> &WorkBoard {
        &self.work
    }

    /// Marks a worker as stopped.
    pub fn leave(&self, worker: usize) {
        self.epochs.leave(worker);
        self.work.leave(worker);
    }

    /// Waits until every running worker has acknowledged a revision. Cancel-safe.
    pub async fn converged(&self, revision: Revision) {
        self.epochs.converged(revision).await;
    }

    /// Waits like [`LiveTable::converged`]; the last worker that acknowledged the revision, unless all had. Cancel-safe.
    pub async fn last_converged(&self, revision: Revision) -> Option<usize> {
        self.epochs.last_converged(revision).await
    }

    /// Acknowledged revision of each running worker.
    pub fn seen(&self) -> Vec<(usize, Revision)> {
        self.epochs.seen()
    }

    /// Workers that have not acknowledged a revision yet.
    pub fn waiting_for(&self, revision: Revision) -> Vec<usize> {
        self.epochs.lagging(revision)
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn level(table: &RoutingTable, undo: &UndoStack, now_ms: u64) -> UndoEntry {
    let compiled = Arc::clone(table.compiled());
    let spec: TableSpec = compiled.spec().clone();
    UndoEntry {
        revision: undo.live(),
        group: undo.live_group().cloned(),
        spec,
        compiled: Some(compiled),
        superseded_at_ms: now_ms,
    }
}

/// One worker's cached view of the live table: an atomic load and a comparison while it does not change.
#[derive(Debug)]
pub struct TableReader(Cache<Arc<ArcSwap<RoutingTable>>, Arc<RoutingTable>>);

impl TableReader {
    /// The live table. Called once per selection, in a synchronous function, never held across an `.await`.
    pub fn load(&mut self) -> &Arc<RoutingTable> {
        self.0.load()
    }
}

#[cfg(test)]
mod tests;
