//! Events of a watch: one JSON object a line.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    error::ApiError,
    slice::{Slice, SliceObject},
};

/// Longest message of an API server that is kept.
const LONGEST_MESSAGE: usize = 500;

/// Event of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WatchEvent {
    /// A slice is new or has changed.
    Put(Slice),
    /// A slice is gone, or has another Service.
    Deleted {
        /// Its name.
        name: Box<str>,
        /// The version of that.
        version: Box<str>,
    },
    /// Nothing has changed up to this version.
    Bookmark(Box<str>),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct BookmarkObject {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: Box<str>,
}

/// `Status` of the API, as in errors.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusObject {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

impl WatchEvent {
    /// Reads a line.
    ///
    /// # Errors
    /// If it is none, or an error of the API server.
    pub(super) fn read(line: &[u8]) -> Result<Self, ApiError> {
        let Line { kind, object } =
            serde_json::from_slice(line).map_err(|error| malformed(&error))?;
        let object = object.get();
        let slice = || serde_json::from_str::<SliceObject>(object).map(Slice::from);
        match &*kind {
            "ADDED" | "MODIFIED" => Ok(Self::Put(slice().map_err(|error| malformed(&error))?)),
            "DELETED" => {
                let Slice { name, version, .. } = slice().map_err(|error| malformed(&error))?;
                Ok(Self::Deleted { name, version })
            }
            "BOOKMARK" => {
                let bookmark: BookmarkObject =
                    serde_json::from_str(object).map_err(|error| malformed(&error))?;
                Ok(Self::Bookmark(bookmark.metadata.resource_version))
            }
            "ERROR" => {
                let status: StatusObject =
                    serde_json::from_str(object).map_err(|error| malformed(&error))?;
                let message = short(&status.message);
                Err(ApiError::of_status(status.code, message, None))
            }
            _ => Err(ApiError::Malformed(
                "an event of an unknown type".to_owned(),
            )),
        }
    }
}

/// The reason in the body of a refusal.
pub(super) fn message_of(body: &[u8]) -> String {
    match serde_json::from_slice::<StatusObject>(body) {
        Ok(status) if !status.message.is_empty() => short(&status.message),
        _ => "without a reason".to_owned(),
    }
}

/// A text of a server, in one line and not too long for a log.
fn short(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST_MESSAGE).map(printable).collect()
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::Malformed(short(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<WatchEvent, String> {
        WatchEvent::read(line.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_event_is_read() {
        let object = r#"{"kind":"EndpointSlice","metadata":{"name":"a","resourceVersion":"8"},"addressType":"IPv4",
            "endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"name":"","port":80,"protocol":"TCP"}]}"#;
        for kind in ["ADDED", "MODIFIED"] {
            let event = read(&format!(r#"{{"type":"{kind}","object":{object}}}"#)).unwrap();
            let WatchEvent::Put(slice) = event else {
                panic!("{event:?}")
            };
            assert_eq!(
                (&*slice.name, &*slice.version, slice.addresses.len()),
                ("a", "8", 1)
            );
        }
        assert_eq!(
            read(&format!(r#"{{"type":"DELETED","object":{object}}}"#)).unwrap(),
            WatchEvent::Deleted {
                name: "a".into(),
                version: "8".into()
            }
        );
        let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"EndpointSlice","metadata":{"resourceVersion":"12746",
            "creationTimestamp":null},"addressType":"","endpoints":null,"ports":null}}"#;
        assert_eq!(
            read(bookmark).unwrap(),
            WatchEvent::Bookmark("12746".into())
        );
    }

    #[test]
    fn an_error_is_one_and_410_means_to_list_again() {
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410,
            "message":"too old resource version: 1 (2)"}}"#;
        assert!(matches!(
            WatchEvent::read(gone.as_bytes()),
            Err(ApiError::Expired)
        ));
        let other = r#"{"type":"ERROR","object":{"code":500,"message":"etcd\nis away"}}"#;
        assert_eq!(
            read(other).unwrap_err(),
            "the API server answered 500: etcd is away"
        );
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for line in [
            "",
            "{",
            "[]",
            r#"{"type":"ADDED"}"#,
            r#"{"type":"ADDED","object":{}}"#,
            r#"{"type":"ADDED","object":{"metadata":{"name":"a"},"ports":[{"port":70000}]}}"#,
            r#"{"type":"BOOKMARK","object":{"metadata":{}}}"#,
            r#"{"type":"RENAMED","object":{"metadata":{"name":"a"}}}"#,
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_short_and_in_one_line() {
        let body = format!(r#"{{"message":"{}\u0007"}}"#, "x".repeat(2_000));
        assert_eq!(message_of(body.as_bytes()).len(), LONGEST_MESSAGE);
        assert_eq!(message_of(b"<html>"), "without a reason");
    }
}
