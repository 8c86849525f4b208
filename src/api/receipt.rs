//! Receipts, dry runs and revisions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Crowded, DataGuard, FleetProgress, LastDrill, QuarantinedRelease, ReturnParts, RouteMoves,
    Timestamp, Unproven, VerificationSummary, WayBack,
};
use crate::model::{
    Author, Cause, Change, Diff, Digest, EndpointUrl, ReleaseName, Revision, RevisionRecord,
    RouteName, TableDocument,
};

/// Response to a change: its effect and its progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The revision that this change made live; the live one where nothing changed.
    pub revision: Revision,
    /// The revision that was live before.
    pub parent: Revision,
    /// Digest of the live decisions.
    pub digest: Digest,
    /// True if anything changed; equal content makes no revision.
    pub changed: bool,
    /// The cause of the revision.
    pub cause: Cause,
    /// The reason in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Differences from before.
    pub diff: Diff,
    /// Revisions undone by a rollback, latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undid: Vec<Revision>,
    /// Id of the verification that a rollback or an abort begins: `GET /v1/verifications/{id}` says what has become of
    /// users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    /// True if this revision survives a restart.
    pub durable: bool,
    /// The revision that a restart would restore, where it is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_revision: Option<Revision>,
    /// Time of going live.
    pub applied_at: Timestamp,
    /// Time when the last worker had applied it; absent until then, and while a release is served by endpoints that the
    /// change removed (`unresolved`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_at: Option<Timestamp>,
    /// Progress through the fleet of proxies (`?wait=fleet` waits for it); absent on a proxy of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetProgress>,
    /// Workers that have not applied it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<usize>,
    /// Releases of the change with unresolved host names, although the change has waited for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<UnresolvedRelease>,
    /// Requests, streams and tunnels in flight on earlier revisions.
    pub in_flight_on_previous: u64,
    /// Duration of the swap itself, in microseconds.
    pub swap_microseconds: u64,
    /// With `?wait=drained`: true if nothing is in flight any more on the releases that left a route by the change,
    /// false if that was not certain when the time was over. Absent where the request changed nothing, since it says
    /// nothing of a release then: `GET /v1/releases/{release}/work` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<bool>,
    /// Releases that a rollback or an abort gives more to and that have no room for it. Neither is refused for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded: Vec<Crowded>,
    /// A useful next step: where an abort finds nothing on trial and a rollback is possible, and where a way back over a
    /// time ends a rollout or has nothing that could go in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The progress of a rollback or an abort over a time (`?over=30s`), of which this is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub going_back: Option<ReturnParts>,
}

/// A release with endpoints whose host names have no address yet. They join as soon as they are resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnresolvedRelease {
    /// The release.
    pub release: ReleaseName,
    /// Its endpoints without an address.
    pub endpoints: Vec<EndpointUrl>,
    /// Endpoints from before the change that get requests until one of those is resolved, because there is no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_served_by: Vec<EndpointUrl>,
}

/// Effect of a change (`?dry_run=true`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// The live revision, which does not change.
    pub revision: Revision,
    /// Digest of the resulting decisions.
    pub digest: Digest,
    /// True if anything would change.
    pub changed: bool,
    /// Differences.
    pub diff: Diff,
    /// The revision that a rollback would restore: all of it, or its split of `route`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// The route that a rollback would restore alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// Revisions that a rollback would undo, latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoes: Vec<Revision>,
    /// Revisions of other changes that a later rollback of everything would undo as well, latest first, because it goes
    /// back to before them. Set for the rollback of one route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_along: Vec<Revision>,
    /// Releases with a weight that have no healthy endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<ReleaseName>,
    /// Releases that would get more and have checks without a result yet: the change waits for the first one, and is
    /// refused if it fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<ReleaseName>,
    /// Releases that would get more and have no room for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded: Vec<Crowded>,
    /// Releases that would get more requests a second than they have shown in the last day: a notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<Unproven>,
    /// Sessions, or requests, that would move to other releases, by route; 50 routes at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<RouteMoves>,
    /// Releases that would get more, and are in quarantine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedRelease>,
    /// Releases that would be left for an earlier one, though they do not allow that for their data, or only by a check.
    /// A dry run asks no check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<DataGuard>,
    /// The last rehearsal of the way back of each of those routes; not for a rollback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<LastDrill>,
    /// A bare rollback from there; absent if there would be none, or if no decision would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<WayBack>,
    /// All of that in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

/// A revision in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionSummary {
    /// Its number.
    pub revision: Revision,
    /// The revision that was live before it.
    pub parent: Revision,
    /// The target of a rollback from it; absent at the bottom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_to: Option<Revision>,
    /// Time of going live.
    pub published_at: Timestamp,
    /// The author, with the reason.
    pub author: Author,
    /// The cause of the revision.
    pub cause: Cause,
    /// The digest of its decisions.
    pub digest: Digest,
    /// True if it is live.
    pub live: bool,
    /// True if a rollback can reach it: it is on the undo chain of the live revision.
    pub undoable: bool,
    /// True if it survives a restart.
    pub durable: bool,
    /// Verification of this rollback, as long as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationSummary>,
}

impl RevisionSummary {
    /// A record that is on the disk and on no undo chain.
    pub fn of(record: &RevisionRecord, live: Revision) -> Self {
        Self {
            revision: record.revision,
            parent: record.parent,
            undo_to: record.undo_to,
            published_at: Timestamp::from_millis(record.published_at_ms),
            author: record.author.clone(),
            cause: record.cause.clone(),
            digest: record.digest,
            live: record.revision == live,
            undoable: false,
            durable: true,
            verification: None,
        }
    }
}

/// A page of revisions, latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionPage {
    /// The revisions.
    pub revisions: Vec<RevisionSummary>,
    /// Start of the next page (`?before=`); absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Revision>,
}

/// One revision with all its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionDetail {
    /// The list entry.
    #[serde(flatten)]
    pub summary: RevisionSummary,
    /// The request; absent for a rollback and for a number that never became live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Differences from its parent, if that one is still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// The whole table.
    pub table: TableDocument,
}
