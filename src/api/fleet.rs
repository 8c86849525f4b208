//! Nodes of a fleet: proxies that share one table.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{Digest, LocalRollback, Revision};

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
    /// The reason, where it cannot make live what it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the report.
    pub reported_at: Timestamp,
}

/// The node that leads a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetLeader {
    /// Its name.
    pub node: String,
    /// Time since when it leads.
    pub since: Timestamp,
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
