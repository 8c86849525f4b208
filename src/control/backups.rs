//! Backups of this proxy: what it takes to restore it, as one file.
//!
//! The revisions come from the index in memory, where each is from the moment it is live; so a backup is of one moment,
//! waits for no disk that is written, and delays no change.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;
use tokio::{task::spawn_blocking, time::timeout};

use super::{Controller, clock::now_ms};
use crate::{
    backup::{BackupError, ConfigFile, Keys},
    history::{BackupSource, SEAL_KEY},
};

/// Timeout for reading the small files.
const READ: Duration = Duration::from_secs(10);
/// Largest configuration file that is read.
const LARGEST_CONFIG: u64 = 64 << 20;

/// Error of taking a backup.
#[derive(Debug, Error)]
pub enum TakeBackupError {
    /// Another backup is being taken.
    #[error("another backup is being taken")]
    Busy,
    /// There is no folder for backups.
    #[error("there is no folder for backups")]
    NoFolder,
    /// The keys cannot be encrypted.
    #[error(transparent)]
    Keys(#[from] BackupError),
    /// A file cannot be read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// The file.
        what: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl Controller {
    /// Takes a backup of this moment; with the keys if there is a passphrase to encrypt them with.
    ///
    /// # Errors
    /// If another one is being taken, or a file cannot be read.
    pub async fn back_up(&self, passphrase: Option<String>) -> Result<Vec<u8>, TakeBackupError> {
        let one = self.backups.begin();
        let _one = one.ok_or(TakeBackupError::Busy)?;
        self.compose_backup(passphrase).await
    }

    /// The bytes of a backup of this moment. The caller has the one place.
    pub(super) async fn compose_backup(
        &self,
        passphrase: Option<String>,
    ) -> Result<Vec<u8>, TakeBackupError> {
        let small = self.read_small_files(passphrase.is_some()).await?;
        let (keys, source) = self.backup_source(small);
        let composed = spawn_blocking(move || {
            let backup = source.compose();
            let backup = match passphrase {
                Some(passphrase) => backup.with_keys(&keys, &passphrase)?,
                None => backup,
            };
            Ok(backup.to_bytes())
        });
        composed.await.map_err(|error| unreadable("it", error))?
    }

    /// The small files are read first: what they say may be older than the revisions, as after a kill, and not younger.
    async fn read_small_files(&self, with_keys: bool) -> Result<SmallFiles, TakeBackupError> {
        let (beside, file) = (self.log.history.beside(), self.settings.file.clone());
        let key = self.log.history.path().join(SEAL_KEY);
        let key = with_keys.then_some(key);
        let read = spawn_blocking(move || {
            Ok(SmallFiles {
                beside: beside
                    .all()
                    .map_err(|error| unreadable("a file beside the history", error))?,
                config: file.map(|file| config_file(&file)).transpose()?,
                keys: key.map(key_file).transpose()?.unwrap_or_default(),
                node: node(),
            })
        });
        let late = |_| unreadable("a file", io::Error::from(io::ErrorKind::TimedOut));
        let read = timeout(READ, read).await.map_err(late)?;
        read.map_err(|error| unreadable("a file", error))?
    }

    fn backup_source(&self, small: SmallFiles) -> (Keys, BackupSource) {
        let (kept, imported) = {
            let index = self.log.index();
            let kept = index.kept().values().cloned().collect();
            (kept, index.imported.clone())
        };
        let source = BackupSource {
            kept,
            imported,
            answers: self.idempotency.all(),
            // After the revisions: none of them has a higher number.
            reserved: self.log.history.reserved(),
            files: small.beside,
            config: small.config,
            node: small.node,
            taken_at_ms: now_ms(),
        };
        (small.keys, source)
    }
}

/// All that is read from files.
struct SmallFiles {
    beside: BTreeMap<String, String>,
    config: Option<ConfigFile>,
    keys: Keys,
    node: Option<String>,
}

fn config_file(path: &Path) -> Result<ConfigFile, TakeBackupError> {
    let read = || {
        if std::fs::metadata(path)?.len() > LARGEST_CONFIG {
            return Err(io::Error::other("it is larger than 64 MiB"));
        }
        std::fs::read_to_string(path)
    };
    let what = "the configuration file";
    let text = read().map_err(|error| unreadable(what, error))?;
    let path = std::path::absolute(path).map_err(|error| unreadable(what, error))?;
    Ok(ConfigFile {
        path: path.to_string_lossy().into_owned(),
        text,
    })
}

/// The key of the history's folder; there is none if the configuration has keys.
fn key_file(path: PathBuf) -> Result<Keys, TakeBackupError> {
    match std::fs::read_to_string(path) {
        Ok(key) => Ok(Keys::from([(SEAL_KEY.to_owned(), key)])),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Keys::new()),
        Err(error) => Err(unreadable("the key for session ids", error)),
    }
}

/// The name of this machine, asked of the kernel: a service may see no `/proc/sys` (`ProcSubset=pid`).
fn node() -> Option<String> {
    let machine = rustix::system::uname();
    let name = machine.nodename().to_string_lossy().into_owned();
    Some(name).filter(|name| !name.is_empty())
}

fn unreadable(what: &str, error: impl Into<io::Error>) -> TakeBackupError {
    TakeBackupError::Unreadable {
        what: what.to_owned(),
        source: error.into(),
    }
}
