//! Why a history cannot be opened, and what to do about it.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a history cannot be opened. Each message names the file and says what to do.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// What it holds makes no sense.
    #[error(
        "the history in `{path}` is damaged: {what}; restore the folder from a copy, or move it away to begin anew with \
         the table of the configuration file"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another process has it open.
    #[error(
        "the history in `{path}` is held by another process{}; stop that one first, or give this one another \
         `[history] path`", .pid.as_ref().map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process that said it holds it.
        pid: Option<String>,
    },
    /// Nothing can be written to it.
    #[error(
        "the history in `{path}` cannot be written: {reason}; make the folder writable, or make room on its disk"
    )]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the disk said.
        reason: String,
    },
    /// It was written by a later version.
    #[error(
        "the history in `{path}` has format {found}, and this version knows formats up to 1; start the version that \
         wrote it, or move the folder away"
    )]
    UnknownFormat {
        /// The folder.
        path: PathBuf,
        /// The format that was found.
        found: u64,
    },
    /// It cannot be opened or read.
    #[error(
        "the history in `{path}` cannot be opened; check that the folder exists and belongs to this user"
    )]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
