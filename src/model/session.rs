//! Sessions of a route: where the affinity key of a request comes from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Source of a session's affinity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AffinitySource {
    /// The credentials: the value of `Authorization`.
    Bearer,
    /// The client's address, as the trusted proxies in front give it.
    ClientAddress,
    /// The value of a cookie.
    Cookie(String),
    /// The value of a cookie that switchback sets if the request has none. The last source.
    GeneratedCookie(String),
    /// The value of a header field.
    Header(String),
    /// The value of a tool's parameter that MCP clients repeat in the field `Mcp-Param-NAME`.
    McpParam(String),
    /// The value of a query parameter, as it is written.
    Query(String),
}

/// Start of the names of fields with parameters of tools (MCP 2026-07-28).
pub const MCP_PARAM: &str = "mcp-param-";
