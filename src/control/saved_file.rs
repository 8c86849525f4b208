//! A small file with JSON beside the history, replaced as a whole.

use std::{io, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use crate::history::BesideFiles;

/// The file. One write at a time; a disk that hangs holds that one, and the others are refused.
#[derive(Debug)]
pub(super) struct SavedFile {
    files: Arc<BesideFiles>,
    name: &'static str,
    writing: Arc<Mutex<()>>,
}

impl SavedFile {
    pub(super) fn new(files: &Arc<BesideFiles>, name: &'static str) -> Self {
        Self {
            files: Arc::clone(files),
            name,
            writing: Arc::default(),
        }
    }

    /// The content of the file. Of a damaged one none is known: it is kept under another name, an error is in the log, and
    /// the status names it.
    pub(super) fn read<T: DeserializeOwned + Default>(&self) -> T {
        let read = self
            .files
            .read(self.name)
            .and_then(|text| Ok(text.map(|text| serde_json::from_str(&text)).transpose()?));
        match read {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => {
                let kept = self.files.keep_aside(self.name);
                let kept = kept.unwrap_or_else(|error| error.to_string());
                tracing::error!(%error, file = self.name, kept, "the file beside the history cannot be read; its content is left out");
                T::default()
            }
        }
    }

    /// Writes what there is once earlier writes have ended, and waits for all of it at most so long. `false`, with an
    /// error in the log, if it is not known to be written.
    pub(super) async fn write<T: Serialize>(
        &self,
        content: impl FnOnce() -> T,
        within: Duration,
    ) -> bool {
        let written = self.try_write(content, within).await;
        if let Err(error) = &written {
            tracing::error!(%error, file = self.name, "the file beside the history cannot be written");
        }
        written.is_ok()
    }

    async fn try_write<T: Serialize>(
        &self,
        content: impl FnOnce() -> T,
        within: Duration,
    ) -> io::Result<()> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer in time");
        let lock = Arc::clone(&self.writing).lock_owned();
        let writing = tokio::time::timeout(within, lock).await.map_err(late)?;
        let text = serde_json::to_string(&content())?;
        let (files, name) = (Arc::clone(&self.files), self.name);
        let write = tokio::task::spawn_blocking(move || {
            let written = files.write(name, &text, within);
            drop(writing);
            written
        });
        let written = tokio::time::timeout(within, write).await.map_err(late)?;
        written.map_err(io::Error::other)?
    }
}
