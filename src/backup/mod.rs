//! Format of a backup: one file that a proxy can be restored from, on another machine too. Pure: bytes in, bytes out.
//!
//! The file is a list of sections, each compressed and with a digest, and a digest of the whole at its end; so a byte
//! that is not what was written is found before anything is used. `docs/backup.md` describes it.

mod archive;
mod container;
mod error;
mod keys;
mod manifest;

pub use self::{
    archive::Backup,
    error::BackupError,
    keys::{Keys, LARGEST_PASSPHRASE, SHORTEST_PASSPHRASE},
    manifest::{BackupRows, ConfigFile, Manifest, RevisionDigest},
};

/// Largest backup, and largest section once it is decompressed.
pub const LARGEST_BACKUP: u64 = 1 << 30;
