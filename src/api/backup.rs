//! Backups: requests.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/backup`: a backup with the keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Passphrase that the keys are encrypted with, of 12 to 1,024 bytes.
    #[schema(min_length = 12, max_length = 1024)]
    pub passphrase: String,
}

impl fmt::Debug for BackupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupRequest")
    }
}
