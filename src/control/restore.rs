//! The start from a history: its last revision is made live, with the undo stack below it.

use std::sync::Arc;

use super::{
    ControlError, leave::departures, revision_index::RevisionIndex, revision_log::RevisionLog,
};
use crate::{
    fleet::Fleet,
    model::{ChangeSet, Revision},
    table::{LiveTable, UndoEntry, compile},
};

/// Makes the last revision of a log live, if there is one.
pub(super) fn restore(
    log: &RevisionLog,
    table: &LiveTable,
    fleet: &Fleet,
) -> Result<(), ControlError> {
    let index = log.index();
    let Some(live) = index.kept().values().rfind(|kept| kept.state.is_some()) else {
        return Ok(());
    };
    let state = live
        .state
        .clone()
        .expect("the record was chosen for its state");
    let touched = ChangeSet::default();
    let draft = compile(state, &touched, None, fleet).map_err(ControlError::Invalid)?;
    let group = live.record.author.group.as_deref().map(Arc::from);
    let revision = live.record.revision;
    let decision = index.decision(revision);
    let levels = levels(&index, decision);
    let departures = departures(index.kept().values());
    table.restore(draft, revision, decision, levels, group, departures);
    Ok(())
}

/// The undo stack below a decision according to the records: each says where a rollback from it goes.
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
