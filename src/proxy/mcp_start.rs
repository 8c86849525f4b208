//! The start of an MCP session that passes: what is kept of it, so that the session can be begun anew elsewhere.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;

use crate::fleet::{McpSession, McpSessions};
use crate::model::{AgentProtocol, MCP_SESSION_FIELD, McpAgreement, RequestView};
use crate::telemetry::names;

use super::io::RequestParts;
use super::retry_body::RetryBody;

/// Longest `initialize` request that is kept.
pub(super) const LONGEST_REQUEST: usize = 16 * 1024;
/// Longest response to it that is read.
pub(super) const LONGEST_RESPONSE: usize = 64 * 1024;

/// A request that may begin a session, and the id that its response hands out.
#[derive(Debug, Default)]
pub(super) struct SessionStart {
    request: OnceCell<Bytes>,
    /// The id that the client gets.
    id: OnceCell<Box<[u8]>>,
}

impl SessionStart {
    /// `None` for a request that begins no session: those of MCP before 2026-07-28 begin with a POST without an id.
    #[inline]
    pub(super) fn of(protocol: AgentProtocol, parts: &RequestParts<'_>) -> Option<Self> {
        let is_mcp = protocol == AgentProtocol::Mcp;
        (is_mcp && begins(parts)).then(Self::default)
    }

    /// Notes a sealed field of the response, if it is the id of the session that begins.
    pub(super) fn note(&self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(MCP_SESSION_FIELD.as_bytes()) {
            // A second one would be a fault of the server; the first is what clients take.
            let _is_first = self.id.set(value.into());
        }
    }

    /// Keeps the body of the request, before its buffer is emptied.
    pub(super) fn keep_request(&self, body: &RetryBody) {
        if self.id.get().is_some()
            && let Some(bytes) = body.copy(LONGEST_REQUEST)
        {
            let _is_first = self.request.set(bytes.into());
        }
    }

    /// True if the response begins a session and the request is kept: most requests without an id begin none.
    pub(super) fn has_begun(&self) -> bool {
        self.request.get().is_some()
    }

    /// Keeps the session if a message of the response is the agreement of client and server; true if it is.
    pub(super) fn agree(&self, message: &[u8], sessions: &McpSessions) -> bool {
        let Some((id, initialize)) = self.id.get().zip(self.request.get()) else {
            return false;
        };
        let Some(agreement) = McpAgreement::parse(message) else {
            return false;
        };
        let session = McpSession {
            initialize: initialize.clone(),
            agreement: Arc::new(agreement),
        };
        count_evicted(sessions.insert(id, session));
        true
    }
}

/// True if a request to an MCP server is the probe of its generation, or begins a session of the older one.
pub(super) fn opens_session(parts: &RequestParts<'_>) -> bool {
    let opens = |method| [&b"server/discover"[..], b"initialize"].contains(&method);
    begins(parts) || parts.method == b"POST" && parts.header("mcp-method").is_some_and(opens)
}

/// True for a POST of the older generation without a session. It names no method in a header.
fn begins(parts: &RequestParts<'_>) -> bool {
    let has = |name| parts.header(name).is_some();
    parts.method == b"POST" && !has(MCP_SESSION_FIELD) && !has("mcp-method")
}

/// Counts sessions whose start was forgotten.
pub(super) fn count_evicted(count: u64) {
    if count > 0 {
        metrics::counter!(names::MCP_SESSIONS_EVICTED.0).increment(count);
    }
}
