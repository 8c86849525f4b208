//! Work in flight on a release, and the waits for its end.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{EndpointUrl, ReleaseName, Revision, RouteName, Version, WorkClass};

/// Work in flight on one version of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Work {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// The state: `drained` means that its endpoints can be stopped.
    pub state: WorkState,
    /// The live revision.
    pub revision: Revision,
    /// Time of the answer.
    pub at: Timestamp,
    /// Routes that give it a weight; the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteName>,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// All classes, with the requests in flight of each.
    pub classes: Vec<ClassWork>,
    /// Requests in flight by the revision that selected it, latest first.
    pub revisions: Vec<RevisionWork>,
    /// Removed endpoints that still have requests in flight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_endpoints: Vec<EndpointWork>,
    /// Other versions of the release that are known, such as one that drains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_versions: Vec<Version>,
    /// Workers that may still select by an earlier revision, or that have not counted in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<usize>,
}

/// State of a release as regards its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// A live route gives it a weight.
    Active,
    /// No live route gives it a weight, and something is in flight or may still come.
    Draining,
    /// No live route gives it a weight, no worker can select it any more by a weight, and nothing is in flight.
    Drained,
}

/// Work of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassWork {
    /// The class.
    pub class: WorkClass,
    /// Number of requests.
    pub count: u64,
    /// Age of the oldest in seconds; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
}

/// Work that one revision selected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionWork {
    /// The revision.
    pub revision: Revision,
    /// Number of requests.
    pub count: u64,
    /// Age of the oldest in seconds.
    pub oldest_seconds: f64,
}

/// Work on one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointWork {
    /// Its configured URL.
    pub url: EndpointUrl,
    /// The resolved address.
    pub address: String,
    /// Number of requests.
    pub in_flight: u64,
}

/// State to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitUntil {
    /// Nothing is in flight any more.
    Drained,
}
