//! Sessions of a route: where the affinity key of a request comes from, and which ids of endpoints pin it.

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

/// Field that carries a session id of the endpoints, which leaves sealed and pins the requests that bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PinSource {
    /// A cookie, by its name.
    Cookie(String),
    /// A header field, by its name.
    Header(String),
}

/// Handling of a request whose pinned endpoint is gone or unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinLost {
    /// Another endpoint of the same release serves it.
    #[default]
    Another,
    /// It gets a 404, which says that the session is gone.
    #[serde(rename = "404")]
    NotFound,
    /// It gets a 503 until the endpoint is back.
    #[serde(rename = "503")]
    Unavailable,
}

impl PinLost {
    /// True for the default.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Status of the response; `None` if another endpoint serves the request.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Another => None,
            Self::NotFound => Some(404),
            Self::Unavailable => Some(503),
        }
    }
}

/// Requests that may name their release themselves, by `x-switchback-release`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overrides {
    /// Those with the name of a release in the field, on any listener.
    Plain,
    /// Those with a preview token; a name only on a listener with `preview`.
    #[default]
    Token,
}

impl Overrides {
    /// True for the default.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Field by which a request names its release: a name, or a preview token.
pub const OVERRIDE_FIELD: &str = "x-switchback-release";

/// Response field with the sealed stamp of the answer.
pub const STAMP_FIELD: &str = "x-switchback-stamp";
