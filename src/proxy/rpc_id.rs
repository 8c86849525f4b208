//! The id of a JSON-RPC request, for an error that must carry it: a client waits for its own id, and for minutes.

use serde::Deserialize;
use serde_json::Value;

/// Longest body that is read for its id.
const LONGEST_BODY: usize = 16 * 1024;
/// Longest id that is kept.
const LONGEST_ID: usize = 256;

#[derive(Deserialize)]
struct Call {
    id: Option<Value>,
}

/// The id in a body, as JSON; `None` if the body is not one whole call with an id.
pub(super) fn rpc_id(body: &[u8]) -> Option<Box<str>> {
    if body.len() > LONGEST_BODY || body.first() != Some(&b'{') {
        return None;
    }
    let call: Call = serde_json::from_slice(body).ok()?;
    let id = call.id.filter(|id| id.is_string() || id.is_number())?;
    let text = id.to_string();
    (text.len() <= LONGEST_ID).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_whole_call_is_found_and_nothing_else_is() {
        let of = |text: &str| rpc_id(text.as_bytes());
        assert_eq!(
            of(r#"{"jsonrpc":"2.0","id":7,"method":"x"}"#).as_deref(),
            Some("7")
        );
        assert_eq!(
            of(r#"{"params":{"id":1},"id":"a\"b"}"#).as_deref(),
            Some(r#""a\"b""#)
        );
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(LONGEST_ID));
        for none in [
            "",
            "[1]",
            r#"{"id":null}"#,
            r#"{"id":{}}"#,
            r#"{"id":1"#,
            r#"{"method":"x"}"#,
            &long,
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        let large = format!(r#"{{"id":1,"x":"{}"}}"#, "x".repeat(LONGEST_BODY));
        assert_eq!(of(&large), None);
    }
}
