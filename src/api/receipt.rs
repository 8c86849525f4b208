//! What a change is answered with, what it would do, and the revisions that were.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{
    Author, Cause, Change, Diff, Digest, EndpointUrl, ReleaseName, Revision, RouteName,
    TableDocument,
};

/// The answer to a change: what it did, and how far it has got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The revision that is live by this change; the one that was live already where nothing changed.
    pub revision: Revision,
    /// The revision that was live before.
    pub parent: Revision,
    /// The digest of the decisions that are live.
    pub digest: Digest,
    /// Whether anything changed; equal content makes no revision.
    pub changed: bool,
    /// What made the revision live.
    pub cause: Cause,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What differs from before.
    pub diff: Diff,
    /// The revisions that a rollback took back, latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undid: Vec<Revision>,
    /// Whether a restart would bring this revision.
    pub durable: bool,
    /// The revision that a restart would bring, where it is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_revision: Option<Revision>,
    /// When the change went live.
    pub applied_at: Timestamp,
    /// When the last worker had taken it up; absent where some have not yet, and while a release is served by endpoints
    /// that the change took out (`unresolved`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_at: Option<Timestamp>,
    /// The workers that have not taken it up yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<usize>,
    /// Releases of the change with names for which there is no address, though the change has waited for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<UnresolvedRelease>,
    /// Requests, streams and tunnels that are still in flight by earlier revisions.
    pub in_flight_on_previous: u64,
    /// How long the swap itself took.
    pub swap_microseconds: u64,
    /// What would do something, where an abort finds nothing on trial and there is something to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A release with endpoints whose names have no address yet. They join as soon as they are looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnresolvedRelease {
    /// The release.
    pub release: ReleaseName,
    /// Its endpoints without an address.
    pub endpoints: Vec<EndpointUrl>,
    /// Endpoints from before the change that requests go to until one of those is looked up, because there is no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_served_by: Vec<EndpointUrl>,
}

/// What a change would do (`?dry_run=true`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// The revision that is live, and stays so.
    pub revision: Revision,
    /// The digest that the decisions would have.
    pub digest: Digest,
    /// Whether anything would change.
    pub changed: bool,
    /// What would differ.
    pub diff: Diff,
    /// The revision whose content a rollback would bring back: all of it, or its split of `route`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// The route that a rollback would bring back alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// The revisions that a rollback would take back, latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoes: Vec<Revision>,
    /// After a rollback of one route: the changes to other things that the next rollback of everything would take back
    /// too, latest first, because it goes back to before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_along: Vec<Revision>,
    /// Releases with a weight that have no healthy endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<ReleaseName>,
    /// Releases that would get more and have checks, of which none was answered yet: the change waits for the first one,
    /// and is refused if it is not good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<ReleaseName>,
}

/// A revision in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionSummary {
    /// Its number.
    pub revision: Revision,
    /// The revision that was live before it.
    pub parent: Revision,
    /// Where a rollback from it goes; absent at the bottom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_to: Option<Revision>,
    /// When it became live.
    pub published_at: Timestamp,
    /// Who, and why.
    pub author: Author,
    /// What made it live.
    pub cause: Cause,
    /// The digest of its decisions.
    pub digest: Digest,
    /// Whether it is live now.
    pub live: bool,
    /// Whether a rollback can reach it: it is on the undo chain of the live revision.
    pub undoable: bool,
    /// Whether it would survive a restart.
    pub durable: bool,
}

/// Some revisions, latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionPage {
    /// The revisions.
    pub revisions: Vec<RevisionSummary>,
    /// Where the next page begins (`?before=`); absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Revision>,
}

/// One revision with all that it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: RevisionSummary,
    /// What was asked for; absent for a rollback and for a number that never became live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What differs from its parent, where that one is still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// The whole table.
    pub table: TableDocument,
}
