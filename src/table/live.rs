//! Where the live table stands, and how another one takes its place.
//!
//! One atomic pointer for readers; one mutex, held for microseconds and never across I/O, for those who swap: it keeps
//! the undo stack in step with what is live. The cell knows nothing of durability: the controller decides what must be
//! written before a swap and what after.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, Cache};

use super::{
    Compiled, Draft, RevisionConflict, RollbackError, RollbackTarget, RoutingTable, StackChange,
    Swapped, UndoEntry, undo::UndoStack, worker_epochs::WorkerEpochs,
};
use crate::{
    model::{Digest, Revision, Rosters, TableSpec},
    stats::Sharded,
};

/// The live table, the undo stack below it, and the workers that read it.
#[derive(Debug)]
pub struct LiveTable {
    current: Arc<ArcSwap<RoutingTable>>,
    writer: Mutex<Writer>,
    epochs: WorkerEpochs,
    recalls: AtomicU64,
    workers: usize,
}

#[derive(Debug)]
struct Writer {
    undo: UndoStack,
    // Counters of revisions that are not live any more but may still have requests in flight.
    previous: Vec<(Revision, Arc<Sharded>)>,
}

impl LiveTable {
    /// A cell with an empty table, under revision 0, read by this many workers.
    pub fn new(workers: usize) -> Self {
        let table = RoutingTable::new(Revision(0), Compiled::empty(), Arc::default(), workers);
        Self {
            current: Arc::new(ArcSwap::from_pointee(table)),
            writer: Mutex::new(Writer {
                undo: UndoStack::default(),
                previous: Vec::new(),
            }),
            recalls: AtomicU64::new(0),
            epochs: WorkerEpochs::new(workers),
            workers,
        }
    }

    /// The live table, for the control plane.
    pub fn load(&self) -> Arc<RoutingTable> {
        self.current.load_full()
    }

    /// A reader with a copy of its own, for one worker.
    pub fn reader(&self) -> TableReader {
        TableReader(Cache::new(Arc::clone(&self.current)))
    }

    // What the lock guards is whole between any two statements, so a poisoned lock is as good as another.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what a history says was live, with the number of its decision and the levels below it. Before any worker runs.
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

    /// Makes a draft live, if what it is based on still is.
    ///
    /// # Errors
    /// [`RevisionConflict`] with what is live instead; nothing has changed then.
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

    /// The same, and before the swap, once nothing can keep it from taking place, `facts` sets what belongs to it outside
    /// the table: whoever selects by the new table finds it.
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
        // Below the first revision there is nothing to go back to: an empty table would answer nobody.
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

    /// Makes an earlier table live again under the number that `next` gives. Rosters are facts: the live ones stay.
    ///
    /// # Errors
    /// When there is nothing to go back to, when `expected` is not live any more, or when the level has to be compiled
    /// first. Nothing has changed then.
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

    /// A counter may go once no worker can select by its revision any more and nothing is in flight on it.
    fn forget_drained(&self, writer: &mut Writer) {
        let oldest = self.epochs.oldest();
        writer
            .previous
            .retain(|(revision, counter)| *revision >= oldest || counter.sum() > 0);
    }

    /// The levels that a rollback can go to, the deepest first.
    pub fn levels(&self) -> Vec<UndoEntry> {
        self.writer().undo.levels().to_vec()
    }

    /// So many levels, the nearest first.
    pub fn nearest_levels(&self, most: usize) -> Vec<UndoEntry> {
        let writer = self.writer();
        let levels = writer.undo.levels().iter().rev();
        levels.take(most).cloned().collect()
    }

    /// The revisions of the decisions that a rollback undoes or goes to: the live one, then the levels, the nearest first.
    pub fn chain(&self) -> Vec<Revision> {
        let writer = self.writer();
        let levels = writer.undo.levels().iter().rev();
        std::iter::once(writer.undo.live())
            .chain(levels.map(|level| level.revision))
            .collect()
    }

    /// The decision that is live: the live revision, or the one before it that was no fact.
    pub fn decision(&self) -> Revision {
        self.writer().undo.live()
    }

    /// The nearest level that has these decisions.
    pub fn level_of(&self, digest: Digest) -> Option<UndoEntry> {
        let writer = self.writer();
        let mut levels = writer.undo.levels().iter().rev();
        levels.find(|level| level.spec.digest() == digest).cloned()
    }

    /// The level that a rollback means, if there is one.
    pub fn level(&self, target: RollbackTarget) -> Option<UndoEntry> {
        let writer = self.writer();
        writer
            .undo
            .place(target)
            .map(|place| writer.undo.levels()[place].clone())
    }

    /// Where a rollback from the live table goes, and what is live, read together.
    pub fn undo_to(&self) -> (Arc<RoutingTable>, Option<Revision>) {
        let writer = self.writer();
        (self.load(), writer.undo.undo_to())
    }

    /// The group that the live revision belongs to.
    pub fn live_group(&self) -> Option<Arc<str>> {
        self.writer().undo.live_group().cloned()
    }

    /// Gives the level of a revision its compiled form.
    pub fn mark_warm(&self, revision: Revision, compiled: &Arc<Compiled>) {
        self.writer().undo.mark_warm(revision, compiled);
    }

    /// Drops the compiled form of levels for which `warm` says no; it gets the distance from the top, from 0.
    pub fn mark_cold(&self, warm: impl Fn(usize, &UndoEntry) -> bool) {
        self.writer().undo.mark_cold(warm);
    }

    /// Keeps at most this many levels; the deepest go first.
    pub fn truncate(&self, most: usize) {
        self.writer().undo.truncate(most);
    }

    /// Requests in flight on revisions before the live one, by revision; those without any are left out.
    pub fn in_flight_on_previous(&self) -> Vec<(Revision, u64)> {
        let mut writer = self.writer();
        self.forget_drained(&mut writer);
        let counts = writer
            .previous
            .iter()
            .map(|(revision, counter)| (*revision, counter.sum()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until the table has changed since this worker last waited. Cancelling it loses nothing.
    pub async fn changed(&self, worker: usize) {
        self.epochs.changed(worker).await;
    }

    /// Makes every worker look at once whether what it has in flight is to end. The table stays as it is.
    pub fn recall(&self) {
        self.recalls.fetch_add(1, Ordering::Release);
        self.epochs.notify();
    }

    /// How often that was asked for.
    pub fn recalls(&self) -> u64 {
        self.recalls.load(Ordering::Acquire)
    }

    /// A worker says that its loop has seen a revision: whatever it commits from now on is by this one or a later one.
    pub fn acknowledge(&self, worker: usize, revision: Revision) {
        self.epochs.acknowledge(worker, revision);
    }

    /// A worker says that it does not run any more.
    pub fn leave(&self, worker: usize) {
        self.epochs.leave(worker);
    }

    /// Waits until every running worker has seen a revision. Cancelling it loses nothing.
    pub async fn converged(&self, revision: Revision) {
        self.epochs.converged(revision).await;
    }

    /// The revision that each running worker has seen.
    pub fn seen(&self) -> Vec<(usize, Revision)> {
        self.epochs.seen()
    }

    /// The workers that have not seen a revision yet.
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

/// One worker's view of the live table: an atomic load and a comparison while nothing changes.
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
