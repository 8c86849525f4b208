//! Requests to the writer process, and replies that are no plain result.
//!
//! Both ends are the same program, so the encoding has no version. A request is sent with borrowed content (`&Batch`)
//! and arrives with its own.

use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    backup_folder::StoreBackup, batch::Batch, rollback_journal::JournalWrite, wire_forms::os_path,
};
use crate::model::Revision;

/// Request on the store's channel.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StoreRequest<B = Batch> {
    /// Takes the lock on the folder; the reply is `Result<(), HistoryError>`.
    Lock {
        #[serde(with = "os_path")]
        folder: PathBuf,
        /// Process id of the proxy.
        owner: u32,
    },
    /// Opens the store and reads it; the reply is `Result<Batch, HistoryError>`.
    Open,
    /// Writes a batch; the reply is `Result<(), WriteError>`.
    Write(B),
    /// Asks for the last revision in the store; the reply is a `Revision`.
    Last,
}

/// Request on the journal's channel.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum JournalRequest<W = JournalWrite> {
    /// Opens the journal and reads it; the reply is `Result<JournalContents, String>`.
    Open,
    /// Writes an entry; the reply is `Result<(), String>`.
    Write {
        /// Last revision in the store.
        stored: Revision,
        write: W,
    },
}

/// Request to the process that writes the files beside the history.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum BesideRequest {
    /// Replaces a file; the reply is `Result<(), String>`.
    Write {
        #[serde(with = "os_path")]
        folder: PathBuf,
        name: String,
        json: String,
    },
    /// Keeps a backup; the reply is `Result<StoredBackup, String>`.
    Backup(StoreBackup),
}

/// Content of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JournalContents {
    /// Upper end of the reserved numbers.
    pub(super) reserved: u64,
    /// Its encoded records.
    pub(super) entries: Vec<Bytes>,
}
