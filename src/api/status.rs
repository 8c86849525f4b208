//! The status: everything for a dashboard, in one response.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    BackupStatus, CertificateStatus, Crowded, DataGuard, FleetStatus, GoingBack,
    QuarantinedRelease, ServiceWatchStatus, StaleFlag, Timestamp, Unproven, VerificationStatus,
    rollout_status::RolloutStatus, route_status::RouteStatus,
};
use crate::model::{
    Author, Cause, Diff, Digest, EndpointSpec, EndpointUrl, ReleaseName, Revision, RouteName,
    Version,
};

/// Status: the live table, its health, and what can be undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The live revision.
    pub revision: Revision,
    /// Digest of its decisions.
    pub digest: Digest,
    /// Time of going live.
    pub published_at: Timestamp,
    /// The author, with the reason; absent for the empty table before the first revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// The cause of the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Numbers of all routes and releases, shown or not.
    #[serde(default)]
    pub totals: Totals,
    /// Routes in the order of the table: all of them, or the requested ones.
    pub routes: Vec<RouteStatus>,
    /// The last route of the page, if more follow: the next page is `after` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RouteName>,
    /// Releases: those of the live table, then the warm ones, then the draining ones; all of them, or those of the
    /// requested routes.
    pub releases: Vec<ReleaseStatus>,
    /// Effect of a bare rollback.
    pub rollback: RollbackStatus,
    /// State of the history.
    pub durability: DurabilityStatus,
    /// Convergence of the workers.
    pub convergence: ConvergenceStatus,
    /// Requests, streams and tunnels in flight, in total.
    pub in_flight: u64,
    /// Requests in flight on earlier revisions, latest first.
    pub in_flight_on_previous: Vec<InFlightOn>,
    /// Differences between the live table and the last imported file.
    pub drift: Drift,
    /// Rollouts that have not ended, the latest first; `/v1/rollouts` has the ended ones too.
    #[serde(default)]
    pub rollouts: Vec<RolloutStatus>,
    /// Rollbacks and aborts that are under way in parts (`?over=30s`).
    #[serde(default)]
    pub going_back: Vec<GoingBack>,
    /// Releases in quarantine, the latest first.
    #[serde(default)]
    pub quarantine: Vec<QuarantinedRelease>,
    /// The latest verification of each route that a rollback moved, the latest first.
    #[serde(default)]
    pub verifications: Vec<VerificationStatus>,
    /// Flags after the last day on which they were expected to exist, at most 20.
    #[serde(default)]
    pub stale_flags: Vec<StaleFlag>,
    /// Watches of Services in a cluster; empty without `[discovery.kubernetes]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_watches: Vec<ServiceWatchStatus>,
    /// Backups that the proxy makes in its folder; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// The fleet of proxies that share the table, as this node knows it; absent on a proxy of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetStatus>,
    /// Certificates that an authority issues (ACME), in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
}

/// Numbers of routes and releases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Routes of the live table.
    pub routes: usize,
    /// Flags of the live table.
    #[serde(default)]
    pub flags: usize,
    /// Routes that give a weight to more than one release.
    pub split_routes: usize,
    /// Routes that give a weight to a release without a usable endpoint.
    pub unready_routes: usize,
    /// Releases: of the live table, warm and draining.
    pub releases: usize,
    /// Releases of the live table without a usable endpoint.
    pub unready_releases: usize,
}

/// Role of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
pub enum ReleaseRole {
    /// In the live table with a weight in a split.
    Live,
    /// In the live table without a weight in any split: health-checked and connected.
    Standby,
    /// Not in the live table, but a rollback would restore it: health-checked and connected.
    Warm,
    /// Not in the live table; requests in flight on it may finish.
    Draining,
    /// A change that would give it requests waits for its health.
    Candidate,
}

/// A release and its endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseStatus {
    /// Its name.
    pub name: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Its role.
    pub role: ReleaseRole,
    /// True if it can take requests: it has an endpoint that is not unhealthy.
    pub ready: bool,
    /// Number of endpoints that pass their checks; all of them without checks.
    pub healthy: usize,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// Requests queued for one of its limits.
    #[serde(default)]
    pub queued: u64,
    /// Its endpoints: one for each address.
    pub endpoints: Vec<EndpointStatus>,
    /// The revision that last changed it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Revision>,
}

/// Health of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointHealth {
    /// Its checks pass.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// It has a check without a result yet; it is used.
    Unknown,
    /// Its release has no check; it is used.
    Unchecked,
}

const fn whole_weight() -> u32 {
    EndpointSpec::WEIGHT
}

/// Reason of an ejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EjectionCause {
    /// It refused connections.
    ConnectFailed,
    /// It failed several times in a row.
    ConsecutiveFailures,
    /// It failed as a gateway does several times in a row.
    ConsecutiveGatewayFailures,
}

/// An endpoint at one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointStatus {
    /// Its configured URL.
    pub url: EndpointUrl,
    /// The resolved address.
    pub address: String,
    /// Its health.
    pub health: EndpointHealth,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// Its weight among the endpoints of its release; 0 takes no new work.
    #[serde(default = "whole_weight")]
    pub weight: u32,
    /// Reason of its ejection, while it is ejected or probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected: Option<EjectionCause>,
    /// True if it was removed from its release, and stays until its last request ends.
    #[serde(default)]
    pub draining: bool,
}

/// Effect of a bare rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RollbackStatus {
    /// True if a rollback is possible.
    pub available: bool,
    /// The revision that would be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// The revisions that would be undone, latest first.
    pub undoes: Vec<Revision>,
    /// Differences. A brief status has the first 50.
    pub diff: Diff,
    /// Number of differences.
    #[serde(default)]
    pub changes: usize,
    /// True if every release that it would give a weight has an endpoint that is not unhealthy.
    pub ready: bool,
    /// Releases whose endpoints are all unhealthy.
    pub not_ready: Vec<ReleaseName>,
    /// Releases that it would give more to and that have no room for it, by the requests in flight now. A rollback is not
    /// refused for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded: Vec<Crowded>,
    /// Releases that it would leave for an earlier one, though they do not allow that for their data, or only by a check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<DataGuard>,
    /// Releases that it would give more requests a second than they have shown in the last day: a notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<Unproven>,
    /// The nearest revision on the chain that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_ready: Option<Revision>,
    /// Number of possible rollbacks.
    pub depth: usize,
}

/// State of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DurabilityStatus {
    /// True if the live revision survives a restart and changes can be made durable.
    pub healthy: bool,
    /// True if the live revision survives a restart.
    pub durable: bool,
    /// The revision that a restart would restore.
    pub restart_revision: Revision,
    /// Records that wait to be written.
    pub pending_records: usize,
    /// The last error, until it is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Number of revisions kept.
    pub kept_revisions: usize,
    /// Folder of the history.
    pub path: String,
    /// Files beside it that could not be read at the start, by the names under which they are kept: what was saved of
    /// rollouts, drills, verifications or the quarantine is not known then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// Convergence of the workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConvergenceStatus {
    /// True if all workers have applied the live revision.
    pub converged: bool,
    /// Each worker, with its revision.
    pub workers: Vec<WorkerStatus>,
}

/// Progress of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    /// Its number.
    pub worker: usize,
    /// The revision that it routes by; none of its requests can still start on an earlier one.
    pub revision: Revision,
}

/// Requests in flight on one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InFlightOn {
    /// The revision.
    pub revision: Revision,
    /// Number of requests, streams and tunnels.
    pub in_flight: u64,
}

/// Differences between the live table and the last imported file, or a later one that was refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// True if a file was ever imported.
    pub imported: bool,
    /// True if the live table differs from it.
    pub drifted: bool,
    /// True if a later version of the file, read at a start or reload, could not be imported: both sides changed the
    /// same entries (`wins` of an import resolves it), a release is not ready (`wait` or `force`), or the resulting
    /// table is not valid. `diff` is about that file then.
    #[serde(default)]
    pub refused: bool,
    /// Differences: `before` is the file, `after` is live. A brief status has the first 50.
    pub diff: Diff,
    /// Number of differences.
    #[serde(default)]
    pub changes: usize,
}
