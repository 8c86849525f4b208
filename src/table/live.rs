//! The live table and its atomic swap.
//!
//! One atomic pointer for readers; one mutex for writers, held for microseconds and never across I/O: it keeps the
//! undo stack consistent with the live table. It does not know durability: the controller decides what is written
//! before a swap and after it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use arc_swap::{ArcSwap, Cache};

use super::{
    Compiled, Draft, RevisionConflict, RollbackError, RollbackTarget, RoutingTable, StackChange,
    Swapped, UndoEntry, undo::UndoStack, work_board::WorkBoard, worker_epochs::WorkerEpochs,
};
use crate::{
    model::{Digest, Revision, Rosters, TableSpec},
    stats::Sharded,
};

/// The live table, the undo stack below it, and the epochs of the workers that read it.
#[derive(Debug)]
pub struct LiveTable {
    current: Arc<ArcSwap<RoutingTable>>,
    writer: Mutex<Writer>,
    epochs: WorkerEpochs,
    work: WorkBoard,
    workers: usize,
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
        let table = RoutingTable::new(Revision(0), Compiled::empty(), Arc::default(), workers);
        Self {
            current: Arc::new(ArcSwap::from_pointee(table)),
            writer: Mutex::new(Writer {
                undo: UndoStack::default(),
                previous: Vec::new(),
            }),
            epochs: WorkerEpochs::new(workers),
            work: WorkBoard::new(workers),
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

    /// Restores the live table from the history, with the number of its decision and the levels
    /// below. Before any worker runs.
    pub fn restore(
        &self,
        draft: Draft,
        revision: Revision,
        decision: Revision,
        levels: Vec<UndoEntry>,
        group: Option<Arc<str>>,
    ) {
        let mut writer = self.writer();
        writer.undo = UndoStack::restored(levels, decision, group);
        let table = RoutingTable::new(revision, draft.compiled, draft.state.rosters, self.workers);
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
        let table = RoutingTable::new(revision, draft.compiled, draft.state.rosters, self.workers);
        Ok(self.swap(&mut writer, live, table, start))
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
        let table = RoutingTable::new(revision, compiled, rosters, self.workers);
        let swapped = self.swap(&mut writer, live, table, start);
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
        table: RoutingTable,
        start: Instant,
    ) -> Swapped {
        let table = Arc::new(table);
        self.current.store(Arc::clone(&table));
        let took = start.elapsed();
        self.epochs.notify();
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

    /// Levels that a rollback can go to, the deepest first.
    pub fn levels(&self) -> Vec<UndoEntry> {
        self.writer().undo.levels().to_vec()
    }

    /// At most `most` levels, the nearest first.
    pub fn nearest_levels(&self, most: usize) -> Vec<UndoEntry> {
        let writer = self.writer();
        let levels = writer.undo.levels().iter().rev();
        levels.take(most).cloned().collect()
    }

    /// Revisions of the decisions that a rollback undoes or goes to: the live one, then the levels, the nearest first.
    pub fn chain(&self) -> Vec<Revision> {
        let writer = self.writer();
        let levels = writer.undo.levels().iter().rev();
        std::iter::once(writer.undo.live())
            .chain(levels.map(|level| level.revision))
            .collect()
    }

    /// Revision of the live decision: the live revision, or the latest one before it that was not a fact.
    pub fn decision(&self) -> Revision {
        self.writer().undo.live()
    }

    /// Nearest level with these decisions.
    pub fn level_of(&self, digest: Digest) -> Option<UndoEntry> {
        let writer = self.writer();
        let mut levels = writer.undo.levels().iter().rev();
        levels.find(|level| level.spec.digest() == digest).cloned()
    }

    /// Level that a rollback target refers to, if any.
    pub fn level(&self, target: RollbackTarget) -> Option<UndoEntry> {
        let writer = self.writer();
        writer
            .undo
            .place(target)
            .map(|place| writer.undo.levels()[place].clone())
    }

    /// The live table and the target of a rollback, read together.
    pub fn undo_to(&self) -> (Arc<RoutingTable>, Option<Revision>) {
        let writer = self.writer();
        (self.load(), writer.undo.undo_to())
    }

    /// Group of the live revision.
    pub fn live_group(&self) -> Option<Arc<str>> {
        self.writer().undo.live_group().cloned()
    }

    /// Adds the compiled form to the level of a revision.
    pub fn mark_warm(&self, revision: Revision, compiled: &Arc<Compiled>) {
        self.writer().undo.mark_warm(revision, compiled);
    }

    /// Drops the compiled form of levels for which `warm` returns false; it gets the distance from the top, from 0.
    pub fn mark_cold(&self, warm: impl Fn(usize, &UndoEntry) -> bool) {
        self.writer().undo.mark_cold(warm);
    }

    /// Keeps at most this many levels; drops the deepest first.
    pub fn truncate(&self, most: usize) {
        self.writer().undo.truncate(most);
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

    /// Acknowledged revision of each running worker.
    pub fn seen(&self) -> Vec<(usize, Revision)> {
        self.epochs.seen()
    }

    /// Workers that have not acknowledged a revision yet.
    pub fn waiting_for(&self, revision: Revision) -> Vec<usize> {
        self.epochs.lagging(revision)
    }
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
