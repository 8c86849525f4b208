//! Backups: requests, and reports of those that the proxy makes by itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::{HumanDuration, Revision};

/// `POST /v1/backup`: a backup with the keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Passphrase that the keys are encrypted with, of 12 to 1,024 characters.
    #[schema(min_length = 12, max_length = 1024)]
    pub passphrase: String,
}

impl fmt::Debug for BackupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupRequest")
    }
}

/// Backups that the proxy makes in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupStatus {
    /// The folder; absent if none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The interval; absent if they are only made when ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<HumanDuration>,
    /// The last attempt since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<BackupRun>,
    /// Time of the latest good one, made before the start or since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_at: Option<Timestamp>,
    /// Size of the latest good one in bytes.
    pub good_bytes: u64,
}

/// One attempt to make a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupRun {
    /// Its file; absent if none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// End.
    pub ended_at: Timestamp,
    /// Size in bytes.
    pub bytes: u64,
    /// Its live revision.
    pub live: Revision,
    /// Number of its revisions, each of which was compared after a restore.
    pub revisions: usize,
    /// Reason for which none was made, or for which the command after it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
