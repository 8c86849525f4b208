//! The protocol that the agents behind a route speak inside HTTP.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Protocol of the agents behind a route. It sets the defaults and the form of our own error responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentProtocol {
    /// `Agent2Agent`: JSON-RPC, or HTTP with JSON.
    A2a,
    /// Model Context Protocol over streamable HTTP.
    Mcp,
}
