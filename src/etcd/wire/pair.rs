//! A key with its value.

use serde::Deserialize;

use super::{
    lease_id::LeaseId,
    number::{bytes, number},
};

/// A key with its value, and the revisions that made them.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Revision that made the key.
    pub create_revision: u64,
    /// Revision that wrote it last.
    pub mod_revision: u64,
    /// Number of writes since it was made.
    pub version: u64,
    /// Lease that it ends with.
    pub lease: Option<LeaseId>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct PairText {
    #[serde(deserialize_with = "bytes")]
    pub(super) key: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    value: Vec<u8>,
    #[serde(deserialize_with = "number")]
    create_revision: u64,
    #[serde(deserialize_with = "number")]
    pub(super) mod_revision: u64,
    #[serde(deserialize_with = "number")]
    version: u64,
    #[serde(deserialize_with = "number")]
    lease: u64,
}

impl From<PairText> for KeyValue {
    fn from(text: PairText) -> Self {
        Self {
            key: text.key,
            value: text.value,
            create_revision: text.create_revision,
            mod_revision: text.mod_revision,
            version: text.version,
            lease: LeaseId::of_wire(text.lease),
        }
    }
}

impl std::fmt::Debug for KeyValue {
    /// Without the value, which may be large or a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("KeyValue");
        shown.field("key", &String::from_utf8_lossy(&self.key));
        shown.field("bytes", &self.value.len());
        shown
            .field("mod_revision", &self.mod_revision)
            .finish_non_exhaustive()
    }
}
