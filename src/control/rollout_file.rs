//! The file of the rollouts, beside the history: each with its state and its evidence.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::rollout_record::RolloutRecord;
use crate::history::{read_beside, write_beside};

/// Name of the file in the folder of the history.
const FILE: &str = "rollouts.json";

/// The file. One write at a time; a disk that hangs holds that one, and the others are refused.
#[derive(Debug)]
pub(super) struct RolloutFile {
    folder: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl RolloutFile {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            writing: Arc::default(),
        }
    }

    /// The rollouts in the file. Of a damaged one none is known, so that nothing happens on its own.
    pub(super) fn read(&self) -> Vec<RolloutRecord> {
        let text = read_beside(&self.folder, FILE).unwrap_or_else(|error| {
            tracing::error!(%error, "the rollouts cannot be read; none goes on");
            None
        });
        let Some(text) = text else { return Vec::new() };
        serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::error!(%error, "the rollouts cannot be read; none goes on");
            Vec::new()
        })
    }

    /// Writes all rollouts, and waits for it at most so long. `false`, with an error in the log, if they are not known to
    /// be written.
    pub(super) async fn write(&self, rollouts: &[Arc<RolloutRecord>], within: Duration) -> bool {
        let written = self.try_write(rollouts, within).await;
        if let Err(error) = &written {
            tracing::error!(%error, "the rollouts cannot be written");
        }
        written.is_ok()
    }

    async fn try_write(&self, rollouts: &[Arc<RolloutRecord>], within: Duration) -> io::Result<()> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer in time");
        let lock = Arc::clone(&self.writing).lock_owned();
        let writing = tokio::time::timeout(within, lock).await.map_err(late)?;
        let text = serde_json::to_string(rollouts)?;
        let folder = self.folder.clone();
        let write = tokio::task::spawn_blocking(move || {
            let written = write_beside(&folder, FILE, &text);
            drop(writing);
            written
        });
        let written = tokio::time::timeout(within, write).await.map_err(late)?;
        written.map_err(io::Error::other)?
    }
}
