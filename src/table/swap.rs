//! Swaps of the live table: requests, results and errors.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use super::RoutingTable;
use crate::model::Revision;

/// Effect of a publish on the undo stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackChange {
    /// One route was rolled back to this revision: later levels are dropped, so that a rollback never
    /// leads to what was undone.
    Above(Revision),
    /// A fact: the target of a rollback stays the same.
    Keep,
    /// A decision, possibly of a group: a rollback goes to what it replaces.
    Push(Option<Arc<str>>),
}

/// A completed swap.
#[derive(Debug)]
pub struct Swapped {
    /// The live table.
    pub table: Arc<RoutingTable>,
    /// The table that was live before.
    pub replaced: Arc<RoutingTable>,
    /// Revision that a rollback restored.
    pub restored: Option<Revision>,
    /// Revisions that a rollback undid, the latest first.
    pub undid: Vec<Revision>,
    /// Target of the next rollback.
    pub undo_to: Option<Revision>,
    /// Time for which the mutex was held.
    pub took: Duration,
}

/// The live revision changed since the base of a publish was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("revision {live} is live, not the one that the change is based on")]
pub struct RevisionConflict {
    /// The live revision.
    pub live: Revision,
}

/// Reason why a rollback is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RollbackError {
    /// The level is not compiled: compile it and pass it to [`LiveTable::mark_warm`](super::LiveTable::mark_warm).
    #[error("the table of revision {0} is not compiled")]
    Cold(Revision),
    /// The undo stack does not contain the target.
    #[error("there is nothing to roll back to")]
    NothingToUndo,
    /// The live revision changed since the caller read it.
    #[error(transparent)]
    Stale(#[from] RevisionConflict),
}
