//! What has to be true before a change is made: that it is based on what is live, and that it was not made already.

use super::{
    ControlError, Controller,
    revision_index::{RevisionFlags, RevisionIndex, summary},
};
use crate::{
    history::StoredRevision,
    model::{Change, ReleaseName, Revision, RouteName},
};

/// Changes that an error tells of at most.
const MOST_SINCE: usize = 10;

/// What a change is based on (`If-Match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// On whatever is live.
    Any,
    /// What it is about must not have changed after this revision.
    Unchanged(Revision),
}

/// What a change is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    Release(&'a ReleaseName),
    Route(&'a RouteName),
    Whole,
}

impl<'a> Scope<'a> {
    pub(super) fn of(change: &'a Change) -> Self {
        match (change.route(), change.release()) {
            (Some(route), _) => Self::Route(route),
            (None, Some(release)) => Self::Release(release),
            (None, None) => Self::Whole,
        }
    }

    fn changed(self, index: &RevisionIndex) -> Option<Revision> {
        match self {
            Self::Release(name) => index.release_changed(name),
            Self::Route(name) => index.route_changed(name),
            Self::Whole => None,
        }
    }

    fn touched_by(self, kept: &StoredRevision) -> bool {
        match self {
            Self::Release(name) => kept.touched.releases.contains(name),
            Self::Route(name) => kept.touched.routes.contains(name),
            Self::Whole => true,
        }
    }
}

impl Controller {
    /// Whether what a change is based on is still so.
    pub(super) fn check(
        &self,
        index: &RevisionIndex,
        live: Revision,
        scope: Scope<'_>,
        expected: Expected,
    ) -> Result<(), ControlError> {
        let Expected::Unchanged(expected) = expected else {
            return Ok(());
        };
        let whole = matches!(scope, Scope::Whole);
        let unchanged =
            expected < live && !whole && scope.changed(index).is_none_or(|by| by <= expected);
        if expected == live || unchanged {
            return Ok(());
        }
        Err(self.stale(index, live, scope, expected))
    }

    /// The error that says who changed what since.
    pub(super) fn stale(
        &self,
        index: &RevisionIndex,
        live: Revision,
        scope: Scope<'_>,
        expected: Revision,
    ) -> ControlError {
        let standing = RevisionFlags {
            live,
            chain: &[],
            durable: self.history.progress().borrow().durable(),
        };
        let since = index.since(expected, |kept| scope.touched_by(kept));
        ControlError::Stale {
            live,
            expected,
            since: since
                .take(MOST_SINCE)
                .map(|kept| summary(kept, standing))
                .collect(),
        }
    }

    /// The revision that an earlier request with the same key made, if there was one. `same` says whether that request
    /// asked for the same.
    pub(super) fn idempotent_replay(
        index: &RevisionIndex,
        key: Option<&String>,
        same: impl FnOnce(&StoredRevision) -> bool,
    ) -> Result<Option<StoredRevision>, ControlError> {
        let Some(kept) = key.and_then(|key| index.by_key(key)) else {
            return Ok(None);
        };
        if same(kept) {
            return Ok(Some(kept.clone()));
        }
        Err(ControlError::KeyReused {
            revision: Some(kept.record.revision),
        })
    }
}
