//! What was: lists of revisions, one of them, and what differs between two. Nothing here reads the disk.

use super::{
    ControlError, Controller,
    revision_index::{RevisionFlags, RevisionIndex, summary},
};
use crate::{
    api::{RevisionDetail, RevisionPage},
    model::{Diff, Revision, TableDocument, TableState},
};

/// The most revisions on one page.
const LARGEST_PAGE: usize = 200;

impl Controller {
    /// Revisions before one, latest first; all kept ones when `before` is absent.
    pub fn revisions(&self, before: Option<Revision>, limit: usize) -> RevisionPage {
        let chain = self.undo_chain();
        let standing = self.standing(&chain);
        let limit = limit.clamp(1, LARGEST_PAGE);
        let index = self.revision_index();
        let end = before.unwrap_or(Revision(u64::MAX));
        let mut earlier = index.kept().range(..end).rev().map(|(_, kept)| kept);
        let revisions: Vec<_> = earlier
            .by_ref()
            .take(limit)
            .map(|kept| summary(kept, standing))
            .collect();
        let last = revisions.last().map(|summary| summary.revision);
        RevisionPage {
            next: last.filter(|_| earlier.next().is_some()),
            revisions,
        }
    }

    fn standing<'a>(&self, chain: &'a [Revision]) -> RevisionFlags<'a> {
        RevisionFlags {
            live: chain.first().copied().unwrap_or_default(),
            chain,
            durable: self.history.progress().borrow().durable(),
        }
    }

    /// One revision, with its change and its table.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn revision(&self, revision: Revision) -> Result<RevisionDetail, ControlError> {
        let chain = self.undo_chain();
        let standing = self.standing(&chain);
        let (kept, parent) = {
            let index = self.revision_index();
            let kept = index
                .get(revision)
                .cloned()
                .ok_or_else(|| unknown(&index, revision))?;
            let parent = index.state(kept.record.parent);
            (kept, parent)
        };
        let diff = parent.as_ref().zip(kept.state.as_ref());
        Ok(RevisionDetail {
            summary: summary(&kept, standing),
            change: kept.record.change.clone(),
            diff: diff.map(|(parent, state)| Diff::between(parent, state)),
            table: kept
                .state
                .as_ref()
                .map(TableDocument::of)
                .unwrap_or_default(),
        })
    }

    /// What differs between two revisions.
    ///
    /// # Errors
    /// When one of them is not kept.
    pub fn diff(&self, from: Revision, to: Revision) -> Result<Diff, ControlError> {
        let state = |revision| -> Result<TableState, ControlError> {
            let index = self.revision_index();
            index
                .state(revision)
                .ok_or_else(|| unknown(&index, revision))
        };
        Ok(Diff::between(&state(from)?, &state(to)?))
    }
}

fn unknown(index: &RevisionIndex, revision: Revision) -> ControlError {
    ControlError::UnknownRevision {
        revision,
        oldest: index.oldest(),
    }
}
