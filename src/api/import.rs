//! What taking over a configuration file did.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Preview, Receipt};
use crate::model::{Diff, Revision};

/// Which side wins where both the file and the live table changed since the last import.
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

/// What a three-way comparison of the file as last imported, the live table and the file as it is now led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// The live revision afterwards.
    pub revision: Revision,
    /// Whether this was the first file that this history has seen.
    pub first: bool,
    /// Entries that changed only in the file and were applied: `releases.blue`, `routes.chat`.
    pub applied: Vec<String>,
    /// Entries that changed only live and were kept.
    pub kept: Vec<String>,
    /// Entries that changed on both sides in different ways; empty once somebody said which side wins.
    pub conflicts: Vec<Conflict>,
    /// Which side won, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wins: Option<ConflictPolicy>,
    /// What differs between the file and the live table afterwards.
    pub drift: Diff,
    /// The receipt of the revision that the import made, if it made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// What the import would do, where it was only asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// An entry that changed in the file and live, in different ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// The entry: `releases.blue`, `routes.chat` or `routes.(order)`.
    pub path: String,
    /// What the file said when it was last imported; absent when it had no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Value>,
    /// What is live; absent when there is no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Value>,
    /// What the file says now; absent when it has no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Value>,
    /// The revision that last changed the entry live, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_live_by: Option<Revision>,
}
