//! A revision of the fleet, and its form in the store: JSON, compressed where it is large.

use std::{collections::BTreeMap, io::Read as _};

use ruzstd::{
    decoding::StreamingDecoder,
    encoding::{CompressionLevel, compress_to_vec},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::ChangeKind;
use crate::model::{
    Author, Change, Digest, LeaveCause, LocalRollback, RouteName, TableDocument, TablePart,
    TableState,
};

/// Format that this version writes, and the latest that it reads.
const FORMAT: u32 = 1;
/// Size from which a value is compressed.
const SMALL: usize = 8 << 10;
/// First bytes of what is compressed (RFC 8878).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest table of a fleet, before compression.
pub const LARGEST_TABLE: u64 = 64 << 20;

/// A revision of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedRevision {
    /// Format: [`SharedRevision::new`] gives that of this version.
    pub format: u32,
    /// Identifier that no other revision has: a lost answer is found by it.
    pub id: String,
    /// Name of the node that made it.
    pub node: String,
    /// Time when it was made: milliseconds since 1970, UTC.
    pub made_at_ms: u64,
    /// Author and reason.
    pub author: Author,
    /// Origin.
    pub kind: ChangeKind,
    /// The changes, which lead to the table that `digest` names.
    pub changes: Vec<Change>,
    /// Digest of the table's decisions after it.
    pub digest: Digest,
    /// Identifiers of the rollbacks that it settles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settles: Vec<String>,
    /// Identifiers of earlier rollbacks, which those had replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// The parts of those rollbacks: it decides about them, also where it leaves them as they are in the fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<TablePart>,
    /// Cause for which releases leave their routes by it.
    pub leave: LeaveCause,
    /// Causes of routes that have one of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leave_by_route: BTreeMap<RouteName, LeaveCause>,
    /// True if what is in flight on releases that leave is cut at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Error of a value that this version cannot read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// It is not compressed as it should be.
    #[error("it cannot be decompressed: {0}")]
    Compression(String),
    /// A later version wrote it.
    #[error("it has format {0}, which a later version of switchback wrote")]
    Format(u32),
    /// It is not the JSON that it should be.
    #[error("it is not what it should be")]
    Json(#[from] serde_json::Error),
}

/// The format alone, which is read before anything else.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct WholeTable {
    format: u32,
    table: TableDocument,
}

impl SharedRevision {
    /// A revision that changes nothing yet.
    pub fn new(id: String, node: String, made_at_ms: u64, author: Author) -> Self {
        Self {
            format: FORMAT,
            id,
            node,
            made_at_ms,
            author,
            kind: ChangeKind::Human,
            changes: Vec::new(),
            digest: Digest::default(),
            settles: Vec::new(),
            replaces: Vec::new(),
            parts: Vec::new(),
            leave: LeaveCause::Split,
            leave_by_route: BTreeMap::new(),
            cut: false,
        }
    }

    /// The same, settling these rollbacks.
    #[must_use]
    pub fn settling(self, rollbacks: &[LocalRollback]) -> Self {
        let ids = rollbacks.iter().map(|one| one.id.clone());
        let replaced = rollbacks.iter().flat_map(|one| one.replaces.clone());
        Self {
            settles: ids.collect(),
            replaces: replaced.collect(),
            parts: rollbacks.iter().map(|one| one.part.clone()).collect(),
            ..self
        }
    }

    /// Its form in the store.
    pub fn encode(&self) -> Vec<u8> {
        packed(self)
    }

    /// A revision from the store.
    ///
    /// # Errors
    /// When a later version wrote it, or when it is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        unpacked(bytes)
    }
}

/// The form of a whole table in the store.
pub fn encode_table(state: &TableState) -> Vec<u8> {
    packed(&WholeTable {
        format: FORMAT,
        table: TableDocument::of(state),
    })
}

/// A whole table from the store. What is equal in another one is shared with it.
///
/// # Errors
/// When a later version wrote it, or when it is damaged.
pub fn decode_table(bytes: &[u8], before: &TableState) -> Result<TableState, DecodeError> {
    let whole: WholeTable = unpacked(bytes)?;
    Ok(whole.table.into_state(before))
}

/// The form of a value in the store: JSON, compressed where it is large. It has its `format`.
///
/// # Panics
/// If a map of the value has keys that are no strings.
pub fn packed(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(value);
    let text = text.expect("types of the model have string keys and finite numbers");
    if text.len() < SMALL {
        return text;
    }
    compress_to_vec(text.as_slice(), CompressionLevel::Fastest)
}

/// A value from the store.
///
/// # Errors
/// When a later version wrote it, or when it is damaged.
pub fn unpacked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut text = Vec::new();
    if bytes.starts_with(&ZSTD) {
        let decoder = StreamingDecoder::new(bytes);
        let decoder = decoder.map_err(|error| DecodeError::Compression(error.to_string()))?;
        let read = decoder.take(LARGEST_TABLE).read_to_end(&mut text);
        read.map_err(|error| DecodeError::Compression(error.to_string()))?;
    } else {
        text.extend_from_slice(bytes);
    }
    let FormatOnly { format } = serde_json::from_slice(&text)?;
    if format > FORMAT {
        return Err(DecodeError::Format(format));
    }
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Actor;

    fn revision(changes: Vec<Change>) -> SharedRevision {
        let author = Author {
            actor: Actor::Api,
            name: "test".to_owned(),
            message: None,
            idempotency_key: None,
            group: None,
        };
        SharedRevision {
            changes,
            ..SharedRevision::new("a-1".to_owned(), "a".to_owned(), 1, author)
        }
    }

    fn routes(count: usize) -> TableDocument {
        let route = |number: usize| {
            serde_json::json!({"name": format!("route-{number}"), "path_prefix": format!("/agents/{number}"),
                "split": {"blue": 90, "green": 10}, "affinity": [{"header": "x-session-id"}]})
        };
        let routes: Vec<_> = (0..count).map(route).collect();
        let table = serde_json::json!({"releases": {"blue": {"endpoints": ["http://127.0.0.1:1"]},
            "green": {"endpoints": ["http://127.0.0.1:2"]}}, "routes": routes});
        serde_json::from_value(table).unwrap()
    }

    #[test]
    fn a_revision_is_read_as_it_was_written_large_or_small() {
        for count in [1, 1_000] {
            let table = routes(count);
            let made = revision(vec![Change::Replace { table }]);
            assert_eq!(SharedRevision::decode(&made.encode()).unwrap(), made);
        }
    }

    #[test]
    fn a_table_of_ten_thousand_routes_fits_into_a_request_of_etcd() {
        let state = routes(10_000).into_state(&TableState::default());
        let written = encode_table(&state);
        assert!(written.len() < 1_000_000, "{}", written.len());
        let read = decode_table(&written, &TableState::default()).unwrap();
        assert_eq!(read.spec.digest(), state.spec.digest());
    }

    #[test]
    fn what_a_later_version_wrote_or_nobody_did_is_refused() {
        let later = br#"{"format":2,"other":[]}"#;
        let refused = SharedRevision::decode(later).unwrap_err();
        assert!(matches!(refused, DecodeError::Format(2)), "{refused}");
        for damaged in [&b""[..], b"{}", b"\x28\xb5\x2f\xfd\x00\x00", &ZSTD] {
            SharedRevision::decode(damaged).unwrap_err();
        }
    }

    #[test]
    fn an_unknown_field_of_a_neighbouring_version_is_no_error() {
        let mut value = serde_json::to_value(revision(Vec::new())).unwrap();
        value["new"] = true.into();
        SharedRevision::decode(value.to_string().as_bytes()).unwrap();
    }
}
