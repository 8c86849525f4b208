//! Nodes of a fleet: proxies that share one table.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FleetPeer, Timestamp};
use crate::model::{Digest, LocalRollback, ReleaseName, Revision, TablePart, Version};

/// State of a node towards the store of its fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FleetState {
    /// It shares its table with nobody: there is no `[fleet]`.
    #[default]
    Off,
    /// It has the store, and follows it.
    Following,
    /// It does not have the store: it serves on, makes rollbacks and refuses changes.
    Alone,
    /// The store is not the one that it followed, or an older one, or has what this version cannot read: a person decides.
    Stopped,
}

/// `GET /v1/fleet`: this node, and what all nodes of its fleet have taken up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetStatus {
    /// State of this node.
    pub state: FleetState,
    /// The reason, where it does not follow, or cannot make live what it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Name of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Revision of the fleet that this node has taken up.
    pub revision: u64,
    /// Time of the last answer of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<Timestamp>,
    /// Rollbacks of this node that the fleet does not have yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollbacks: Vec<LocalRollback>,
    /// The node that leads: it runs what is scheduled, and takes over rollouts of nodes that are gone. None while none is
    /// known to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<FleetLeader>,
    /// The nodes, by name; as of the last answer of the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<FleetNode>,
    /// Number of nodes; the status of a proxy has 50 of them at most, those that need attention first.
    #[serde(default)]
    pub node_count: usize,
    /// Time when the reports of the nodes were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes_read_at: Option<Timestamp>,
    /// Requests in flight on all nodes, by release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight: Vec<FleetWork>,
    /// Nodes that had reported, and have said nothing for longer than their lease; for 15 minutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<GoneNode>,
    /// The other nodes, as this one reaches them without the store (`[fleet.peers]`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<FleetPeer>,
}

/// Work in flight on one version of a release, on all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetWork {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// Number of nodes on which no route sends requests to it, and it is not drained.
    pub draining: usize,
}

/// A node that is not heard of any more: what it has in flight is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GoneNode {
    /// Its name.
    pub node: String,
    /// Time at which this was noticed.
    pub since: Timestamp,
}

/// Work that a node has left of one version of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeWork {
    /// The release.
    pub release: ReleaseName,
    /// Its version.
    pub version: Version,
    /// Requests, streams and tunnels in flight on it.
    pub in_flight: u64,
    /// True if no route of the node sends requests to it.
    #[serde(default)]
    pub draining: bool,
}

/// A node of a fleet, as it has reported itself. A node that is gone is forgotten after its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetNode {
    /// Its name.
    pub node: String,
    /// Version of switchback.
    pub version: String,
    /// Revision of the fleet that all of its workers have taken up.
    pub revision: u64,
    /// Revision of the fleet that it has read.
    #[serde(default)]
    pub followed: u64,
    /// Its own number of the live revision.
    pub live: Revision,
    /// Digest of its live decisions.
    pub digest: Digest,
    /// Number of its rollbacks that the fleet does not have yet.
    #[serde(default)]
    pub rollbacks: usize,
    /// Number of those about which a person has to decide.
    #[serde(default)]
    pub disputed: usize,
    /// The parts of the table that it keeps by those rollbacks, 20 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<TablePart>,
    /// The reason, where it cannot make live what it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the report.
    pub reported_at: Timestamp,
    /// Its work in flight, by release, with the releases to which sessions may still come; absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Vec<NodeWork>>,
}

/// The node that leads a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetLeader {
    /// Its name.
    pub node: String,
    /// Time since when it leads.
    pub since: Timestamp,
}

/// Progress of a change through a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetProgress {
    /// Revision of the fleet that has the change; absent while the fleet does not have it: a rollback is live before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Time when the workers of all nodes were found to have taken it up; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_at: Option<Timestamp>,
    /// Number of nodes, this one included.
    pub nodes: usize,
    /// Number of nodes of which that is not known.
    pub waiting_for: usize,
    /// Those nodes by name, 100 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingNode>,
    /// The reason why the fleet does not have the change, where it is not a matter of moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Node that is not known to have taken up a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingNode {
    /// Its name.
    pub node: String,
    /// Revision of the fleet that all of its workers have taken up; absent where there is no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The reason, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of its last report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Timestamp>,
}

/// Side of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FleetSide {
    /// Side of this node: it becomes what the fleet has.
    Mine,
    /// Side of the fleet: it becomes what this node has.
    Theirs,
}

/// `POST /v1/fleet/keep`: ends all disputes of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetKeepRequest {
    /// The side that is kept.
    pub keep: FleetSide,
}
