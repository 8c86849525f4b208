//! Errors of opening a history, with advice.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::wire_forms::{io_error, os_path};

/// Error of opening a history. Each message names the file and says what to do.
#[derive(Debug, Error, Serialize, Deserialize)]
pub enum HistoryError {
    /// Its content is invalid.
    #[error(
        "the history in `{path}` is damaged: {what}; restore the folder from a backup, or move it away to start over \
         with the table of the configuration file"
    )]
    Damaged {
        /// The folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// Description of the damage.
        what: String,
    },
    /// Another process has it open.
    #[error(
        "the history in `{path}` is locked by another process{}; stop that one first, or give this one another \
         `[history] path`", .pid.as_ref().map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    Held {
        /// The folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// Process id noted in the lock.
        pid: Option<String>,
    },
    /// The history writer cannot be started, or has ended.
    #[error(
        "the history writer of `{path}` cannot be started, or has ended; the log has the details"
    )]
    Writer {
        /// The folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// The system's error.
        #[source]
        #[serde(with = "io_error")]
        source: io::Error,
    },
    /// It is not writable.
    #[error(
        "the history in `{path}` cannot be written: {reason}; make the folder writable, or free space on its disk"
    )]
    NotWritable {
        /// The folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// Error of the disk.
        reason: String,
    },
    /// The writes of an ended process are not finished.
    #[error(
        "the history in `{path}` is still being written by the history writer of process {ended}, although that process has ended: its disk \
         hangs or is slow; start again once the disk responds"
    )]
    StillWritten {
        /// The folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// Id of the ended process.
        ended: u32,
    },
    /// It was written by a later version.
    #[error(
        "the history in `{path}` has format {found}, and this version supports formats up to 2; start the version that \
         wrote it, or move the folder away"
    )]
    UnknownFormat {
        /// The folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// The format found.
        found: u64,
    },
    /// It cannot be opened or read.
    #[error(
        "the history in `{path}` cannot be opened; check that the folder exists and belongs to this user"
    )]
    Unreadable {
        /// The file or folder.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// The system's error.
        #[source]
        #[serde(with = "io_error")]
        source: io::Error,
    },
}

/// Failed transaction, which may have reached the disk all the same.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WriteError {
    pub(super) reason: String,
    pub(super) begun: bool,
    /// The writer process is gone, and another one may be used.
    #[serde(skip)]
    pub(super) gone: bool,
}
