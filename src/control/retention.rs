//! The retention of revisions: old ones are pruned, and a whole table is written now and then.

use super::{revision_index::RevisionIndex, revision_log::RevisionLog};
use crate::{
    history::{KEPT_REVISIONS, plan_pruning},
    model::Revision,
    table::{LiveTable, RollbackTarget},
};

/// A whole table is written beside every so many records.
const SNAPSHOT_EVERY: usize = 64;

/// The revisions that rollbacks need: the live one, the decision that it holds, and what a rollback can reach.
pub(super) fn undo_chain(table: &LiveTable) -> Vec<Revision> {
    let live = table.load().revision();
    let chain = table.chain().into_iter();
    std::iter::once(live)
        .chain(chain.skip_while(|decision| *decision == live))
        .collect()
}

/// Prunes old revisions down to `keep`, and writes a whole table now and then.
pub(super) fn prune_history(table: &LiveTable, log: &RevisionLog, keep: usize) {
    let mut index = log.index();
    if index.kept().len() > keep {
        prune(table, log, &mut index, keep);
    }
    if index.since_snapshot >= SNAPSHOT_EVERY {
        let live = table.load().revision();
        if let Some(state) = index.state(live) {
            log.history.snapshot(live, state);
            index.since_snapshot = 0;
        }
    }
}

fn prune(table: &LiveTable, log: &RevisionLog, index: &mut RevisionIndex, keep: usize) {
    let chain = undo_chain(table);
    let pruned = plan_pruning(index.kept(), &chain, needed(table, &chain), keep);
    if pruned.remove.is_empty() {
        return;
    }
    let state = |revision: &Revision| Some((*revision, index.state(*revision)?));
    let snapshots = pruned.snapshots.iter().filter_map(state).collect();
    index.remove(&pruned.remove);
    log.history.prune(pruned.remove, snapshots);
    let levels = table.chain().into_iter().skip(1);
    let reachable = levels.filter(|revision| index.get(*revision).is_some());
    table.truncate(reachable.count());
}

/// The length of the chain, the live revision included, that one step back needs, and a rollback over a whole group if
/// it is not a very long one.
fn needed(table: &LiveTable, chain: &[Revision]) -> usize {
    let to = table
        .level(RollbackTarget::Previous)
        .map(|level| level.revision);
    let position = chain.iter().position(|revision| Some(*revision) == to);
    position.unwrap_or(1).min(KEPT_REVISIONS) + 1
}
