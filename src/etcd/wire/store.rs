//! State of the store, as the head of each message tells it.

use serde::Deserialize;

use super::number::number;

/// State of the store as the member that answered knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct StoreState {
    /// Id of the cluster.
    #[serde(rename = "cluster_id", deserialize_with = "number")]
    pub cluster: u64,
    /// Id of the member.
    #[serde(rename = "member_id", deserialize_with = "number")]
    pub member: u64,
    /// Revision of the store.
    #[serde(deserialize_with = "number")]
    pub revision: u64,
    /// Number of the election.
    #[serde(rename = "raft_term", deserialize_with = "number")]
    pub term: u64,
}
