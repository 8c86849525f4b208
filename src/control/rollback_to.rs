//! Destinations of rollbacks.

use std::time::Duration;

use super::revision_log::RevisionLog;
use crate::{
    model::{Cause, FlagName, Revision, RouteName},
    table::{LiveTable, RollbackTarget, UndoEntry},
};

/// The destination of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTo {
    /// One flag as it was before its last change; everything else stays.
    Flag(FlagName),
    /// The revision before the live one, with the whole group that it belongs to.
    Previous,
    /// The same, in parts over this time.
    PreviousOver(Duration),
    /// A revision: if it is not on the undo chain, its content goes on top of what is live.
    Revision(Revision),
    /// A revision on the undo chain, in parts over this time.
    RevisionOver(Revision, Duration),
    /// The previous split of one route; everything else stays.
    Route(RouteName),
    /// One record back, within a group too.
    Step,
}

/// The level that a revision means: its own, or the nearest with the same decisions. A fact beside a decision, or a
/// rollback to it, has a number of its own and is the same place to go back to.
pub(super) fn level_of(
    table: &LiveTable,
    log: &RevisionLog,
    revision: Revision,
) -> Option<UndoEntry> {
    let own = table.level(RollbackTarget::Revision(revision));
    own.or_else(|| {
        let state = log.index().state(revision)?;
        table.level_of(state.spec.digest())
    })
}

/// True if a record with this cause was made by a rollback to the same target.
pub(super) fn is_rollback_to(cause: &Cause, target: RollbackTarget) -> bool {
    matches!(cause, Cause::Rollback { to } if match target {
        RollbackTarget::Revision(revision) => *to == revision,
        RollbackTarget::Previous | RollbackTarget::Step => true,
    })
}
