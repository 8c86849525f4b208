//! The error of a change that does not take place. Nothing has changed then, unless the error says that this is unknown.

use thiserror::Error;

use crate::{
    api::{Crowded, DataGuard, GoingBack, QuarantinedRelease, RevisionSummary},
    history::AppendError,
    model::{ChangeError, Problem, ReleaseName, Revision, RouteName},
    shared_table::StoreError,
    table::FlagError,
};

/// The error of a change that does not take place.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Too many changes wait.
    #[error("other changes are still being written")]
    Busy,
    /// The change cannot be applied to the table.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The table that it leads to is not valid.
    #[error("the table would not be valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// The rule of a flag that matches has several variants, and the context no key to choose one by.
    #[error(transparent)]
    KeyMissing(FlagError),
    /// It goes back in parts already.
    #[error("{} goes back already, over {}: part {} of {} is live", goes_back(.0), .0.parts.over, .0.parts.part, .0.parts.parts)]
    GoesBack(Box<GoingBack>),
    /// The key was used for another request.
    #[error("the idempotency key belongs to another request{}", of_revision(*.revision))]
    KeyReused {
        /// The revision in the response to the other request, once it has one.
        revision: Option<Revision>,
    },
    /// The history cannot take the record in time, so nothing is live.
    #[error("the change is not live, because it could not be made durable")]
    NotDurable(#[source] AppendError),
    /// The store of the fleet did not take the change.
    #[error("the fleet {} the change: {reason}", if *.is_unknown { "may have" } else { "did not take" })]
    NotShared {
        /// The reason.
        reason: String,
        /// True if the fleet may have it all the same, and this node gets it then.
        is_unknown: bool,
    },
    /// Another node of the fleet was faster, each time.
    #[error("other nodes of the fleet made changes at the same time")]
    Overtaken,
    /// A release that would get requests has no endpoint for them.
    #[error("{}", unready(.releases, .unknown))]
    NotReady {
        /// The releases.
        releases: Vec<ReleaseName>,
        /// Those among them whose first check got no response in time.
        unknown: Vec<ReleaseName>,
        /// The nearest revision on the undo chain whose releases are ready.
        nearest: Option<Revision>,
    },
    /// Releases have no room for the requests that they would get.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoRoom(Vec<Crowded>),
    /// A release declares that the way back from it is not safe for its data.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    RollbackNotAllowed(Vec<DataGuard>),
    /// No rollback leads to the revision any more, so its weights cannot go back in parts.
    #[error("revision {0} is not on the undo stack, so its weights cannot go back in parts")]
    NotOnStack(Revision),
    /// There is nothing to roll back to.
    #[error("there is nothing to roll back to")]
    NothingToUndo,
    /// A whole table must name the revision that it is based on.
    #[error("a write of the whole table must name its base revision; revision {live} is live")]
    PreconditionRequired {
        /// The live revision.
        live: Revision,
    },
    /// The release is still of use.
    #[error("release `{release}` is still in use: {reason}")]
    ReleaseWanted {
        /// The release.
        release: ReleaseName,
        /// The use that it is of.
        reason: String,
    },
    /// A split that is set leaves out a release that has a weight.
    #[error("the split of `{route}` would lose {}, which gets requests now", names(.releases))]
    WouldDrop {
        /// The route.
        route: RouteName,
        /// The releases.
        releases: Vec<ReleaseName>,
    },
    /// The release was taken back, and is not to get a larger share by itself.
    #[error("release `{}` in version `{}` is in quarantine since {}: {}", .0.release, .0.version, .0.since, .0.reason)]
    Quarantined(Box<QuarantinedRelease>),
    /// The base of the change is out of date.
    #[error(
        "revision {live} is live, and what the change is about has changed since revision {expected}"
    )]
    Stale {
        /// The live revision.
        live: Revision,
        /// The base of the change.
        expected: Revision,
        /// The changes since, latest first.
        since: Vec<RevisionSummary>,
    },
    /// No such revision is kept.
    #[error("revision {revision} is not kept")]
    UnknownRevision {
        /// The revision that was asked for.
        revision: Revision,
        /// The oldest that is kept.
        oldest: Option<Revision>,
    },
}

impl ControlError {
    /// True if a restart may bring the refused change: its record may be on the disk, and that which voids it not yet.
    pub fn may_return(&self) -> bool {
        matches!(self, Self::NotDurable(AppendError::Unknown(_)))
    }
}

impl From<StoreError> for ControlError {
    fn from(StoreError { reason, is_unknown }: StoreError) -> Self {
        Self::NotShared { reason, is_unknown }
    }
}

fn goes_back(GoingBack { to, routes, .. }: &GoingBack) -> String {
    match (to, routes.first()) {
        (None, Some(route)) => format!("route `{route}`"),
        _ => "the table".to_owned(),
    }
}

fn of_revision(revision: Option<Revision>) -> String {
    revision.map_or_else(String::new, |revision| {
        format!(", answered with revision {revision}")
    })
}

fn unready(releases: &[ReleaseName], unknown: &[ReleaseName]) -> String {
    if unknown.is_empty() {
        return format!("no healthy endpoint in {}", names(releases));
    }
    format!(
        "no endpoint is known to be healthy in {}; the first check of {} has no result yet",
        names(releases),
        names(unknown)
    )
}

fn names(releases: &[ReleaseName]) -> String {
    let names: Vec<_> = releases.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
