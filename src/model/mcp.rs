//! The agreement of client and server at the start of an MCP session.
//!
//! Sessions exist in the generation of the protocol up to 2025-11-25: the response to `initialize` names the negotiated
//! version and the server's capabilities, on which the client relies for as long as the session lasts.

use std::collections::BTreeSet;

use serde_json::Value;

/// Field with the id of a session.
pub const MCP_SESSION_FIELD: &str = "mcp-session-id";

/// Nesting of capabilities that is looked at; the specification has two levels.
const DEEPEST: usize = 4;
/// Longest path of a capability: paths repeat the names above them, so that longer ones would make a small body large.
const LONGEST_PATH: usize = 256;

/// Result of an `initialize` request: the protocol version, and the capabilities of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpAgreement {
    version: Box<str>,
    // Paths of what the server offers, such as `resources.subscribe`.
    capabilities: BTreeSet<Box<str>>,
}

impl McpAgreement {
    /// Reads the JSON-RPC response to `initialize`. `None` if the message is another one, or an error.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let response: Value = serde_json::from_slice(message).ok()?;
        let result = response.get("result")?;
        let mut capabilities = BTreeSet::new();
        collect("", result.get("capabilities")?, DEEPEST, &mut capabilities)?;
        Some(Self {
            version: result.get("protocolVersion")?.as_str()?.into(),
            capabilities,
        })
    }

    /// True if a client that relies on `before` can go on with this: the same version, and no capability less.
    pub fn covers(&self, before: &Self) -> bool {
        self.version == before.version && self.capabilities.is_superset(&before.capabilities)
    }

    /// The negotiated protocol version, such as `2025-11-25`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Size in memory, in bytes, about.
    pub fn size(&self) -> usize {
        let names = self.capabilities.iter().map(|name| name.len() + 32);
        self.version.len() + names.sum::<usize>()
    }
}

/// Adds the path of each capability. `false` and `null` offer nothing; an empty object is an offer without options.
/// `None` if a path is too long.
fn collect(path: &str, value: &Value, depth: usize, into: &mut BTreeSet<Box<str>>) -> Option<()> {
    let Value::Object(members) = value else {
        return Some(());
    };
    for (name, value) in members {
        if matches!(value, Value::Null | Value::Bool(false)) {
            continue;
        }
        if path.len() + 1 + name.len() > LONGEST_PATH {
            return None;
        }
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        if depth > 1 {
            collect(&path, value, depth - 1, into)?;
        }
        into.insert(path.into());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(version: &str, capabilities: &str) -> McpAgreement {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{{"name":"a","version":"1"}}}}}}"#
        );
        McpAgreement::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_client_can_go_on_where_nothing_that_it_relies_on_is_missing() {
        let before = agreed(
            "2025-06-18",
            r#"{"tools":{"listChanged":true},"resources":{"subscribe":false}}"#,
        );
        for (version, capabilities, covers) in [
            (
                "2025-06-18",
                r#"{"tools":{"listChanged":true},"resources":{}}"#,
                true,
            ),
            (
                "2025-06-18",
                r#"{"tools":{"listChanged":true},"resources":{"subscribe":true},"prompts":{}}"#,
                true,
            ),
            (
                "2025-06-18",
                r#"{"tools":{"listChanged":false},"resources":{}}"#,
                false,
            ),
            ("2025-06-18", r#"{"tools":{"listChanged":true}}"#, false),
            (
                "2025-11-25",
                r#"{"tools":{"listChanged":true},"resources":{}}"#,
                false,
            ),
        ] {
            let now = agreed(version, capabilities);
            assert_eq!(now.covers(&before), covers, "{version} {capabilities}");
        }
        assert_eq!(before.version(), "2025-06-18");
    }

    #[test]
    fn errors_and_other_bodies_agree_on_nothing() {
        for body in [
            &b""[..],
            b"hello",
            br#"{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"no"}}"#,
            br#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1,"capabilities":{}}}"#,
            br#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}"#,
            b"data: {\"result\":\n\n",
        ] {
            assert_eq!(McpAgreement::parse(body), None);
        }
    }

    #[test]
    fn a_long_name_with_many_below_it_is_no_agreement() {
        let below: Vec<String> = (0..5_000).map(|at| format!("\"{at}\":1")).collect();
        let long = |length| {
            let name = "n".repeat(length);
            format!(
                r#"{{"result":{{"protocolVersion":"1","capabilities":{{"{name}":{{{}}}}}}}}}"#,
                below.join(",")
            )
        };
        let agreed = McpAgreement::parse(long(200).as_bytes()).unwrap();
        assert!(agreed.size() < 2 << 20);
        assert_eq!(McpAgreement::parse(long(30_000).as_bytes()), None);
    }

    #[test]
    fn deep_nesting_is_not_followed() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert!(agreed("1", &deep).size() < 200);
    }
}
