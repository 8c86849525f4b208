//! Preconditions of a change: it is based on what is live, and was not made already.

use super::{
    ControlError,
    revision_index::{RevisionFlags, RevisionIndex, summary},
    revision_log::RevisionLog,
};
use crate::{
    history::StoredRevision,
    model::{Author, Change, FlagName, ReleaseName, Revision, RouteName},
};

/// Number of later changes that an error lists at most.
const MOST_SINCE: usize = 10;

/// The base of a change (`If-Match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Any live revision.
    Any,
    /// The scope of the change must not have changed after this revision.
    Unchanged(Revision),
}

/// The part of the table that a change is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    Flag(&'a FlagName),
    Release(&'a ReleaseName),
    Route(&'a RouteName),
    Whole,
}

impl<'a> Scope<'a> {
    pub(super) fn of(change: &'a Change) -> Self {
        match (change.route(), change.release(), change.flag()) {
            (Some(route), _, _) => Self::Route(route),
            (None, Some(release), _) => Self::Release(release),
            (None, None, Some(flag)) => Self::Flag(flag),
            (None, None, None) => Self::Whole,
        }
    }

    fn changed(self, index: &RevisionIndex) -> Option<Revision> {
        match self {
            Self::Flag(name) => index.flag_changed(name),
            Self::Release(name) => index.release_changed(name),
            Self::Route(name) => index.route_changed(name),
            Self::Whole => None,
        }
    }

    fn touched_by(self, kept: &StoredRevision) -> bool {
        match self {
            Self::Flag(name) => kept.touched.flags.contains(name),
            Self::Release(name) => kept.touched.releases.contains(name),
            Self::Route(name) => kept.touched.routes.contains(name),
            Self::Whole => true,
        }
    }
}

/// Refuses a change whose scope has changed since its base.
pub(super) fn check_base(
    log: &RevisionLog,
    live: Revision,
    scope: Scope<'_>,
    expected: Expected,
) -> Result<(), ControlError> {
    let Expected::Unchanged(expected) = expected else {
        return Ok(());
    };
    let whole = matches!(scope, Scope::Whole);
    let unchanged = {
        let index = log.index();
        let changed = scope.changed(&index);
        expected < live
            && if whole {
                only_drills_since(&index, expected)
            } else {
                changed.is_none_or(|by| by <= expected)
            }
    };
    if expected == live || unchanged {
        return Ok(());
    }
    Err(stale(log, live, scope, expected))
}

/// True if all that was made live since a revision are drills: they change nothing, so no base is out of date by them.
fn only_drills_since(index: &RevisionIndex, revision: Revision) -> bool {
    let is_change = |kept: &StoredRevision| !kept.record.cause.is_drill();
    index.get(revision).is_some() && index.since(revision, is_change).next().is_none()
}

/// The error that lists what changed since the base.
pub(super) fn stale(
    log: &RevisionLog,
    live: Revision,
    scope: Scope<'_>,
    expected: Revision,
) -> ControlError {
    let flags = RevisionFlags {
        live,
        chain: &[],
        durable: log.restart_revision(),
    };
    let index = log.index();
    let since = index.since(expected, |kept| scope.touched_by(kept));
    ControlError::Stale {
        live,
        expected,
        since: since
            .take(MOST_SINCE)
            .map(|kept| summary(kept, flags))
            .collect(),
    }
}

/// The revision that an earlier request with the same idempotency key made, if there was one. `is_same` is true if that
/// request asked for the same.
pub(super) fn idempotent_replay(
    log: &RevisionLog,
    by: &Author,
    is_same: impl FnOnce(&StoredRevision) -> bool,
) -> Result<Option<StoredRevision>, ControlError> {
    let index = log.index();
    let key = by.idempotency_key.as_ref();
    let Some(kept) = key.and_then(|key| index.by_key(key)) else {
        return Ok(None);
    };
    if is_same(kept) {
        return Ok(Some(kept.clone()));
    }
    Err(ControlError::KeyReused {
        revision: Some(kept.record.revision),
    })
}
