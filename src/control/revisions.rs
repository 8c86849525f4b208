//! Queries about revisions: lists of them, one of them, the difference of two. None reads the disk.

use super::{
    ControlError,
    retention::undo_chain,
    revision_index::{RevisionFlags, summary},
    revision_log::RevisionLog,
};
use crate::{
    api::{RevisionDetail, RevisionPage},
    model::{Diff, Revision, TableDocument, TableState},
    table::LiveTable,
};

/// The largest number of revisions on one page.
const LARGEST_PAGE: usize = 200;

/// Revisions before one, latest first; all kept ones when `before` is absent.
pub(super) fn list(
    table: &LiveTable,
    log: &RevisionLog,
    before: Option<Revision>,
    limit: usize,
) -> RevisionPage {
    let chain = undo_chain(table);
    let flags = flags(log, &chain);
    let limit = limit.clamp(1, LARGEST_PAGE);
    let index = log.index();
    let end = before.unwrap_or(Revision(u64::MAX));
    let mut earlier = index.kept().range(..end).rev().map(|(_, kept)| kept);
    let revisions: Vec<_> = earlier
        .by_ref()
        .take(limit)
        .map(|kept| summary(kept, flags))
        .collect();
    let last = revisions.last().map(|summary| summary.revision);
    RevisionPage {
        next: last.filter(|_| earlier.next().is_some()),
        revisions,
    }
}

fn flags<'a>(log: &RevisionLog, chain: &'a [Revision]) -> RevisionFlags<'a> {
    RevisionFlags {
        live: chain.first().copied().unwrap_or_default(),
        chain,
        durable: log.restart_revision(),
    }
}

/// One revision, with its change and its table.
pub(super) fn detail(
    table: &LiveTable,
    log: &RevisionLog,
    revision: Revision,
) -> Result<RevisionDetail, ControlError> {
    let chain = undo_chain(table);
    let flags = flags(log, &chain);
    let (kept, parent) = {
        let index = log.index();
        let kept = index.get(revision).cloned();
        let kept = kept.ok_or_else(|| index.unknown(revision))?;
        let parent = index.state(kept.record.parent);
        (kept, parent)
    };
    let diff = parent.as_ref().zip(kept.state.as_ref());
    Ok(RevisionDetail {
        summary: summary(&kept, flags),
        change: kept.record.change.clone(),
        diff: diff.map(|(parent, state)| Diff::between(parent, state)),
        table: kept
            .state
            .as_ref()
            .map(TableDocument::of)
            .unwrap_or_default(),
    })
}

/// The difference of two revisions.
pub(super) fn diff(log: &RevisionLog, from: Revision, to: Revision) -> Result<Diff, ControlError> {
    let state = |revision| -> Result<TableState, ControlError> {
        let index = log.index();
        index.state(revision).ok_or_else(|| index.unknown(revision))
    };
    Ok(Diff::between(&state(from)?, &state(to)?))
}
