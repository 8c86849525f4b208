//! The levels below the live table, as its undo stack has them.

use std::sync::Arc;

use super::LiveTable;
use crate::{
    model::{Digest, Revision},
    table::{Compiled, RollbackTarget, RoutingTable, UndoEntry},
};

impl LiveTable {
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
}
