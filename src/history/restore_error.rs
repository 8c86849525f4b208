//! Errors of restoring a backup.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::error::HistoryError;
use crate::{backup::BackupError, model::Revision};

/// Error of restoring a backup.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The file is damaged, or of a later version.
    #[error("the backup cannot be used")]
    Backup(#[from] BackupError),
    /// A revision differs from the one that was backed up.
    #[error(
        "the backup cannot be used: revision {revision} is not what it was when the backup was taken"
    )]
    Differs {
        /// The revision.
        revision: Revision,
    },
    /// Its history cannot be read.
    #[error("the backup cannot be used: its history is damaged: {what}")]
    Damaged {
        /// Description of the damage.
        what: String,
    },
    /// It has a file that this version does not know.
    #[error(
        "the backup has a file `{0}` that this version does not know; use the version that wrote it"
    )]
    UnknownFile(String),
    /// The history cannot be opened, read or written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// There is a history already.
    #[error("there is a history in `{}` already; `--force` replaces it, and keeps it in `before-restore`", .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be written or moved.
    #[error("`{}` cannot be written or moved", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl RestoreError {
    /// Its text with those of its causes.
    pub(super) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
