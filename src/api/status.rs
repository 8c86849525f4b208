//! All that a dashboard needs, in one answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{
    Author, Cause, Diff, Digest, EndpointUrl, ReleaseName, Revision, RouteName, RouteSpec, Version,
};

/// The state of things: what is decided, what is, and what could be undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The live revision.
    pub revision: Revision,
    /// The digest of its decisions.
    pub digest: Digest,
    /// When it became live.
    pub published_at: Timestamp,
    /// Who made it live, and why; absent for the empty table before the first revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// What made it live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// How many routes and releases there are, whichever of them are shown.
    #[serde(default)]
    pub totals: Totals,
    /// Routes in the order of the table: all of them, or those that were asked for.
    pub routes: Vec<RouteStatus>,
    /// On a page of routes after which more follow: its last one, which `after` takes for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RouteName>,
    /// Releases: those of the live table, then those that are warm, then those that drain; all of them, or those that
    /// belong to what was asked for.
    pub releases: Vec<ReleaseStatus>,
    /// What a bare rollback would do.
    pub rollback: RollbackStatus,
    /// How the history is.
    pub durability: DurabilityStatus,
    /// How far the workers are.
    pub convergence: ConvergenceStatus,
    /// Requests, streams and tunnels in flight, in all.
    pub in_flight: u64,
    /// The same by the revision that they were sent by, earlier ones only, latest first.
    pub in_flight_on_previous: Vec<InFlightOn>,
    /// How the live table differs from the file that was last imported.
    pub drift: Drift,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Routes of the live table.
    pub routes: usize,
    /// Those that give a weight to more than one release.
    pub split_routes: usize,
    /// Those that give a weight to a release without an endpoint that could answer.
    pub unready_routes: usize,
    /// Releases: of the live table, warm and draining.
    pub releases: usize,
    /// Those of the live table that have no endpoint that could answer.
    pub unready_releases: usize,
}

/// A route and its split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteStatus {
    /// Its name.
    pub name: RouteName,
    /// The host that it matches; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Further hosts that it matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The path that it matches exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path prefix that it matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The header fields that must be present with these values.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
    /// How requests are split, by name of the release.
    pub split: Vec<Share>,
    /// The release that an abort would give everything to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ReleaseName>,
    /// The revision that last changed it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Revision>,
}

/// A release in a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// The release.
    pub release: ReleaseName,
    /// Its weight.
    pub weight: u32,
    /// Its share of the requests, 0 to 1.
    pub share: f64,
}

/// What a release is for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is in the live table, and a split gives it a weight.
    Live,
    /// It is in the live table, and no split gives it a weight: checked and connected.
    Standby,
    /// It is not, but a rollback would bring it back; checked and connected.
    Warm,
    /// It is not; what is in flight on it may end.
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
    /// What it is for now.
    pub role: Role,
    /// Whether it could take requests: it has an endpoint that is not unhealthy.
    pub ready: bool,
    /// How many of its endpoints pass their checks; all of them where nothing is checked.
    pub healthy: usize,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// Requests that wait for a place under its concurrency limit.
    #[serde(default)]
    pub queued: u64,
    /// Its endpoints: one for each address.
    pub endpoints: Vec<EndpointStatus>,
    /// The revision that last changed it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Revision>,
}

/// What is known about an endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointHealth {
    /// It passes its checks.
    Healthy,
    /// It fails them.
    Unhealthy,
    /// It has a check that was not answered yet; it is used.
    Unknown,
    /// Its release has no check; it is used.
    Unchecked,
}

/// An endpoint at one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointStatus {
    /// As it is configured.
    pub url: EndpointUrl,
    /// The address that its host has.
    pub address: String,
    /// Its health.
    pub health: EndpointHealth,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// It was removed from its release, and stays until its last request ends.
    #[serde(default)]
    pub draining: bool,
}

/// What a bare rollback would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RollbackStatus {
    /// Whether there is something to go back to.
    pub available: bool,
    /// The revision whose content would be live again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// The revisions that would be undone, latest first.
    pub undoes: Vec<Revision>,
    /// What would change. A brief status has the first 50 differences.
    pub diff: Diff,
    /// How many differences there are.
    #[serde(default)]
    pub changes: usize,
    /// Whether every release that it would give a weight has an endpoint that is not unhealthy.
    pub ready: bool,
    /// Those that have not.
    pub not_ready: Vec<ReleaseName>,
    /// The nearest revision on the chain that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_ready: Option<Revision>,
    /// How many times one could roll back.
    pub depth: usize,
}

/// How the history is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DurabilityStatus {
    /// Whether the live revision would survive a restart and changes can be made durable.
    pub healthy: bool,
    /// Whether the live revision would survive a restart.
    pub durable: bool,
    /// The revision that a restart would bring.
    pub restart_revision: Revision,
    /// Records that wait to be written.
    pub pending_records: usize,
    /// What went wrong last, while it is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many revisions are kept.
    pub kept_revisions: usize,
    /// Where the history lies.
    pub path: String,
}

/// How far the workers are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConvergenceStatus {
    /// Whether all workers have taken up the live revision.
    pub converged: bool,
    /// Each worker, and the revision that it has taken up.
    pub workers: Vec<WorkerStatus>,
}

/// How far a worker is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    /// Its number.
    pub worker: usize,
    /// The revision by which it chooses; no request of it can still be sent by an earlier one.
    pub revision: Revision,
}

/// What is in flight by one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InFlightOn {
    /// The revision.
    pub revision: Revision,
    /// How many requests, streams and tunnels.
    pub in_flight: u64,
}

/// How the live table differs from the file that was last imported, or that was read since and not taken over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// Whether a file was ever imported.
    pub imported: bool,
    /// Whether the live table differs from it.
    pub drifted: bool,
    /// Whether the file was read again since, at a start or by a signal, and could not be taken over: both sides changed
    /// the same entries, or the table that they lead to is not valid. `diff` is about that file then.
    #[serde(default)]
    pub refused: bool,
    /// How: `before` is what the file says, `after` what is live. A brief status has the first 50 differences.
    pub diff: Diff,
    /// How many differences there are.
    #[serde(default)]
    pub changes: usize,
}

impl RouteStatus {
    /// A route as it is decided, and the revision that last changed it.
    pub fn of(route: &RouteSpec, changed_by: Option<Revision>) -> Self {
        // Added up once, not for each release: a split may have many.
        let total: f64 = route.split.values().map(|weight| f64::from(*weight)).sum();
        let share = |(release, weight): (&ReleaseName, &u32)| Share {
            release: release.clone(),
            weight: *weight,
            share: if total > 0.0 {
                f64::from(*weight) / total
            } else {
                0.0
            },
        };
        Self {
            name: route.name.clone(),
            host: route.host.clone(),
            hosts: route.hosts.clone(),
            path: route.path.clone(),
            path_prefix: route.path_prefix.clone(),
            headers: route.headers.clone(),
            split: route.split.iter().map(share).collect(),
            stable: route.stable_release().cloned(),
            changed_by,
        }
    }
}
