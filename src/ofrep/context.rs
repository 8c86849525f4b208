//! The context in the body of an evaluation.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use serde_json::{Map, Value};

use super::error::Mistake;
use crate::{model::TARGETING_KEY, table::FlagContext};

/// Longest body, in bytes.
const LONGEST: usize = 64 << 10;

/// Timeout for a body.
const TIME: Duration = Duration::from_secs(10);

/// Reads the context of a request.
pub(super) async fn read(body: Body) -> Result<FlagContext, Mistake> {
    let read = tokio::time::timeout(TIME, to_bytes(body, LONGEST)).await;
    let Ok(read) = read else {
        return Err(Mistake::general("timeout reading the body"));
    };
    let bytes = read.map_err(|_| {
        Mistake::invalid_context(format!(
            "the body is incomplete, or longer than {LONGEST} bytes"
        ))
    })?;
    parse(&bytes)
}

/// An empty body, and one without a context, is a context without attributes: SDKs send `{}`.
fn parse(bytes: &[u8]) -> Result<FlagContext, Mistake> {
    if bytes.trim_ascii().is_empty() {
        return Ok(FlagContext::default());
    }
    let body: Value = serde_json::from_slice(bytes)
        .map_err(|error| Mistake::parse_error(format!("the body is not JSON: {error}")))?;
    let Value::Object(mut body) = body else {
        return Err(Mistake::parse_error("the body is not a JSON object"));
    };
    let attributes = match body.remove("context") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(attributes)) => attributes,
        Some(_) => return Err(Mistake::invalid_context("`context` is not an object")),
    };
    let key = attributes.get(TARGETING_KEY);
    if key.is_some_and(|key| !key.is_string() && !key.is_null()) {
        return Err(Mistake::invalid_context("`targetingKey` is not a string"));
    }
    Ok(FlagContext::new(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_a_context_is_an_empty_one_and_a_wrong_one_a_mistake() {
        for empty in ["", " ", "{}", r#"{"context":{}}"#, r#"{"context":null}"#] {
            assert!(
                parse(empty.as_bytes()).unwrap().attributes().is_empty(),
                "{empty}"
            );
        }
        let context = parse(br#"{"context":{"targetingKey":"u","plan":"pro"}}"#).unwrap();
        assert_eq!(context.key(), Some("u"));
        let code = |body: &str| parse(body.as_bytes()).unwrap_err().code();
        assert_eq!(code("{"), "PARSE_ERROR");
        assert_eq!(code("[]"), "PARSE_ERROR");
        assert_eq!(code(r#"{"context":[]}"#), "INVALID_CONTEXT");
        assert_eq!(code(r#"{"context":{"targetingKey":5}}"#), "INVALID_CONTEXT");
    }
}
