//! Content of a backup's sections, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{Digest, Revision};

/// Origin of a backup, and the digests that a restore is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program that wrote it.
    pub version: String,
    /// Name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Time, in milliseconds since 1970.
    pub taken_at_ms: u64,
    /// The live revision; 0 if there was none.
    pub live: Revision,
    /// Revision numbers up to this one may have been used.
    pub reserved: u64,
    /// Every kept revision, the oldest first.
    pub revisions: Vec<RevisionDigest>,
}

/// A revision and the digest of the decisions that it made live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionDigest {
    /// The revision.
    pub revision: Revision,
    /// The digest; none for a number that never became live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its path.
    pub path: String,
    /// Its text. Secrets are in files and variables that it names, and never in itself.
    pub text: String,
}

/// Rows of a history's store, each in the envelope in which the store has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BackupRows {
    /// Records of revisions.
    pub records: Vec<(Revision, Box<RawValue>)>,
    /// Whole tables beside some of them.
    pub snapshots: Vec<(Revision, Box<RawValue>)>,
    /// The configuration file's table as it was last imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Box<RawValue>>,
    /// Responses under idempotency keys.
    #[serde(default)]
    pub answers: Vec<(String, Box<RawValue>)>,
}
