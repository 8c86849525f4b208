//! What a swap is asked for, what it did, and why one does not take place.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use super::RoutingTable;
use crate::model::Revision;

/// How a publish treats the undo stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackChange {
    /// One route got back what it had in this revision: the levels that are later go, so that a rollback never leads to
    /// what was taken back.
    Above(Revision),
    /// A fact: a rollback goes where it would have gone before.
    Keep,
    /// A decision, perhaps of a group: a rollback goes to what it replaces.
    Push(Option<Arc<str>>),
}

/// A swap that took place.
#[derive(Debug)]
pub struct Swapped {
    /// What is live now.
    pub table: Arc<RoutingTable>,
    /// What was live before.
    pub replaced: Arc<RoutingTable>,
    /// The revision that was gone back to, in a rollback.
    pub restored: Option<Revision>,
    /// The revisions that a rollback undid, the latest first.
    pub undid: Vec<Revision>,
    /// Where a rollback would go now.
    pub undo_to: Option<Revision>,
    /// How long the mutex was held.
    pub took: Duration,
}

/// The table is not the one any more that a publish is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("revision {live} is live, not the one that the change is based on")]
pub struct RevisionConflict {
    /// What is live.
    pub live: Revision,
}

/// Why a rollback does not take place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RollbackError {
    /// The level that is meant is not compiled; compile it and hand it over with [`LiveTable::mark_warm`](super::LiveTable::warm).
    #[error("the table of revision {0} is not compiled")]
    Cold(Revision),
    /// The undo stack does not hold what is asked for.
    #[error("there is nothing to roll back to")]
    NothingToUndo,
    /// The table is not the one any more that the caller saw.
    #[error(transparent)]
    Stale(#[from] RevisionConflict),
}
