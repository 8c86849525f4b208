//! Errors of reading a backup.

use thiserror::Error;

/// Error of reading a backup. Nothing of it was used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackupError {
    /// The file is something else.
    #[error("it is not a backup of switchback")]
    NotABackup,
    /// It was written by a later version.
    #[error("it has format {0}, of a later version; use the version that wrote it")]
    UnknownFormat(u32),
    /// Its end is missing.
    #[error("its end is missing: it was not written or copied whole")]
    Truncated,
    /// A section is not what was written.
    #[error("its section `{0}` is damaged")]
    Damaged(String),
    /// The whole is not what was written.
    #[error("it is damaged: its digest differs from that of its content")]
    Digest,
    /// A section is larger than allowed.
    #[error("its section `{0}` is larger than 1 GiB")]
    Large(String),
    /// A section does not have the content that it must have.
    #[error("its section `{section}` cannot be read: {reason}")]
    Content {
        /// The section.
        section: String,
        /// The reason.
        reason: String,
    },
    /// The keys cannot be decrypted.
    #[error("the passphrase is not the one that the keys were encrypted with")]
    Passphrase,
    /// The passphrase can be guessed, or is no passphrase.
    #[error("the passphrase has to have 12 to 1024 characters")]
    WeakPassphrase,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers to encrypt the keys with")]
    Random,
}

impl BackupError {
    /// Error of a section's content.
    pub(super) fn content(section: &str, reason: &(impl ToString + ?Sized)) -> Self {
        Self::Content {
            section: section.to_owned(),
            reason: reason.to_string(),
        }
    }
}
