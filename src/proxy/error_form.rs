//! The form of our own error responses: what the protocol of the client's application reads.
//!
//! Clients of agents judge by these. An MCP client takes a 400 without a JSON-RPC error for a server of the older
//! generation and starts a session with it; since 2026-07-28 a 404 is an unknown method, and before that a lost session.

use std::io::Write as _;

use crate::http1::canonical_reason;
use crate::model::{AgentProtocol, Fault};

use super::error::ProxyError;
use super::forward::RequestId;
use super::io::RequestParts;

/// JSON-RPC: internal error.
const INTERNAL_ERROR: i32 = -32603;
/// JSON-RPC: the request is not valid.
const INVALID_REQUEST: i32 = -32600;

/// Form of an error response of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ErrorForm {
    /// A problem document (RFC 9457).
    #[default]
    Problem,
    /// A JSON-RPC error as MCP sends it, with the problem document as its data.
    McpJsonRpc,
    /// A JSON-RPC error as A2A 1.0 sends it, with a list of details as its data.
    A2aJsonRpc,
    /// `google.rpc.Status` as JSON, which the HTTP binding of A2A 1.0 sends.
    GoogleRpc,
}

// === impl ErrorForm ===

impl ErrorForm {
    /// The form for a request to agents that speak `protocol`.
    pub(super) fn of(protocol: AgentProtocol, parts: &RequestParts<'_>) -> Self {
        match protocol {
            AgentProtocol::Mcp => Self::McpJsonRpc,
            AgentProtocol::A2a if is_json_rpc(parts.method, parts.facts.target.path) => {
                Self::A2aJsonRpc
            }
            AgentProtocol::A2a => Self::GoogleRpc,
        }
    }

    pub(super) fn content_type(self) -> &'static [u8] {
        match self {
            Self::Problem => b"application/problem+json",
            Self::McpJsonRpc | Self::A2aJsonRpc | Self::GoogleRpc => b"application/json",
        }
    }

    /// Status of the response. A 404 of ours is no unknown method of MCP, but may be a session that is lost, or configured.
    pub(super) fn status(self, error: &ProxyError) -> u16 {
        let is_lost = matches!(
            error,
            ProxyError::ByRoute(_) | ProxyError::PinLost(_) | ProxyError::SessionLost(_)
        );
        match (self, error.status()) {
            (Self::McpJsonRpc, 404) if !is_lost => 400,
            (_, status) => status,
        }
    }

    /// The body. Everything in it is from closed lists, but the id, which has no character to escape.
    pub(super) fn body(self, error: &ProxyError, id: &RequestId) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        let (status, reason) = (self.status(error), error.reason().as_str());
        let title = canonical_reason(status);
        let problem = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{status},"reason":"{reason}","request_id":"{id}"}}"#
        );
        let details = || {
            let upper = reason.to_ascii_uppercase();
            format!(
                r#"[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{upper}","domain":"switchback","metadata":{{"requestId":"{id}"}}}}]"#
            )
        };
        // Writing to memory cannot fail.
        let _ = match self {
            Self::Problem => writeln!(body, "{problem}"),
            Self::McpJsonRpc => write_json_rpc(&mut body, error, &problem),
            Self::A2aJsonRpc => write_json_rpc(&mut body, error, &details()),
            Self::GoogleRpc => writeln!(
                body,
                r#"{{"error":{{"code":{status},"status":"{}","message":"{error}","details":{}}}}}"#,
                google_status(status),
                details()
            ),
        };
        body
    }
}

impl ErrorForm {
    /// True for the forms of JSON-RPC, whose errors carry the id of the request.
    pub(super) const fn is_json_rpc(self) -> bool {
        matches!(self, Self::McpJsonRpc | Self::A2aJsonRpc)
    }

    /// The fields of a last event in a stream of events that we end: a JSON-RPC error where the client waits for one.
    pub(super) fn event(self, error: &ProxyError, rpc_id: Option<&str>) -> String {
        let reason = error.reason().as_str();
        match rpc_id.filter(|_| self.is_json_rpc()) {
            Some(id) => format!(
                r#"data: {{"jsonrpc":"2.0","id":{id},"error":{{"code":{INTERNAL_ERROR},"message":"{error}","data":{{"reason":"{reason}"}}}}}}"#
            ),
            None => format!(
                "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{reason}\",\"code\":\"{reason}\",\"message\":\"{error}\"}}}}"
            ),
        }
    }
}

/// Writes a JSON-RPC error. Its id is null if that of the request was not read.
fn write_json_rpc(body: &mut Vec<u8>, error: &ProxyError, data: &str) -> std::io::Result<()> {
    let code = match error.fault() {
        Fault::Client => INVALID_REQUEST,
        Fault::Switchback | Fault::Upstream => INTERNAL_ERROR,
    };
    writeln!(
        body,
        r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{error}","data":{data}}}}}"#
    )
}

/// True if a request to an A2A agent is one of its JSON-RPC binding: a POST to the agent's address. The HTTP binding
/// posts to methods such as `/message:send`, and to the lists of push notifications.
fn is_json_rpc(method: &[u8], path: &[u8]) -> bool {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    method == b"POST" && !last.contains(&b':') && last != b"pushNotificationConfigs"
}

/// Name of the `google.rpc.Code` for a status.
const fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        413 | 414 | 429 | 431 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::{Reason, Rejection};

    fn body(form: ErrorForm, error: &ProxyError) -> Value {
        serde_json::from_slice(&form.body(error, &RequestId::Own(7))).unwrap()
    }

    #[test]
    fn the_last_event_of_a_stream_is_what_its_client_waits_for() {
        let error = ProxyError::NoEndpoint;
        let plain = ErrorForm::Problem.event(&error, Some("7"));
        let (name, data) = plain.split_once("\ndata: ").unwrap();
        assert_eq!(name, "event: error");
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["error"]["code"], "no_endpoint");
        assert_eq!(ErrorForm::McpJsonRpc.event(&error, None), plain);
        let rpc = ErrorForm::McpJsonRpc.event(&error, Some(r#""a""#));
        let data: Value = serde_json::from_str(rpc.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(
            (&data["id"], &data["error"]["code"]),
            (&json!("a"), &json!(-32603))
        );
        assert_eq!(data["error"]["data"]["reason"], "no_endpoint");
    }

    #[test]
    fn mcp_clients_get_a_json_rpc_error_and_no_404() {
        let form = ErrorForm::McpJsonRpc;
        let answer = body(form, &ProxyError::NoEndpoint);
        assert_eq!(answer["jsonrpc"], "2.0");
        assert_eq!(answer["id"], Value::Null);
        assert_eq!(answer["error"]["code"], -32603);
        assert_eq!(answer["error"]["message"], "no endpoint is available");
        assert_eq!(answer["error"]["data"]["reason"], "no_endpoint");
        let unknown = ProxyError::UnknownRelease;
        assert_eq!(form.status(&unknown), 400);
        assert_eq!(body(form, &unknown)["error"]["code"], -32600);
        assert_eq!(ErrorForm::Problem.status(&unknown), 404);
    }

    #[test]
    fn a2a_clients_get_the_error_of_their_binding() {
        let answer = body(ErrorForm::A2aJsonRpc, &ProxyError::Overloaded);
        assert_eq!(answer["error"]["data"][0]["reason"], "OVERLOADED");
        let answer = body(ErrorForm::GoogleRpc, &ProxyError::Overloaded);
        assert_eq!(answer["error"]["code"], 503);
        assert_eq!(answer["error"]["status"], "UNAVAILABLE");
        let info = &answer["error"]["details"][0];
        assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(info["domain"], "switchback");
        for (method, path, is) in [
            ("POST", "/", true),
            ("POST", "/agents/a", true),
            ("POST", "/message:send", false),
            ("POST", "/v1/tasks/7:cancel", false),
            ("POST", "/tasks/7/pushNotificationConfigs", false),
            ("GET", "/tasks/7", false),
            ("GET", "/.well-known/agent-card.json", false),
        ] {
            assert_eq!(
                is_json_rpc(method.as_bytes(), path.as_bytes()),
                is,
                "{path}"
            );
        }
    }

    #[test]
    fn every_form_of_every_kind_of_error_is_json() {
        let refused = ProxyError::from(Rejection::request(Reason::AmbiguousPath));
        let errors = [ProxyError::RequestTimeout, ProxyError::NoRoute, refused];
        let forms = [
            ErrorForm::Problem,
            ErrorForm::McpJsonRpc,
            ErrorForm::A2aJsonRpc,
            ErrorForm::GoogleRpc,
        ];
        for (error, form) in errors
            .iter()
            .flat_map(|error| forms.map(|form| (error, form)))
        {
            assert_ne!(body(form, error), json!(null));
        }
    }
}
