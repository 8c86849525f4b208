//! Report of an import of a configuration file.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{DryRun, Receipt};
use crate::model::{Diff, Revision};

/// Side that wins where both the file and the live table changed since the last import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// The file: what changed live is overwritten.
    File,
    /// The live table: the file's change is not applied.
    Live,
}

impl std::str::FromStr for ConflictPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "file" => Ok(Self::File),
            "live" => Ok(Self::Live),
            _ => Err(format!("`{text}` is neither `file` nor `live`")),
        }
    }
}

/// Result of a three-way comparison of the file as last imported, the live table and the file as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// The live revision after the import.
    pub revision: Revision,
    /// True if this history had no earlier import.
    pub first: bool,
    /// Entries that changed only in the file and were applied: `releases.blue`, `routes.chat`.
    pub applied: Vec<String>,
    /// Entries that changed only live and were kept.
    pub kept: Vec<String>,
    /// Entries that changed on both sides in different ways; empty if a winning side was chosen.
    pub conflicts: Vec<Conflict>,
    /// The side that won, if one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wins: Option<ConflictPolicy>,
    /// Differences between the file and the live table after the import.
    pub drift: Diff,
    /// Receipt of the import's revision, if it made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Result of a dry run of the import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRun>,
}

/// An entry that changed in the file and live, in different ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// The entry: `releases.blue`, `routes.chat` or `routes.(order)`.
    pub path: String,
    /// The entry in the file as last imported; absent when it had no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Value>,
    /// The live entry; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Value>,
    /// The entry in the file now; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Value>,
    /// The revision that last changed the entry live, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_live_by: Option<Revision>,
}
