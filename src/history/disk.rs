//! Disk access of a history: in this process, or by a separate writer process.
//!
//! A thread that the kernel blocks in a failing file system cannot be ended, nor can its process. So the
//! program writes its disk from a separate process; users of the library, and tests that inspect each write,
//! may write in their own process.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{
    batch::Batch,
    data_dir,
    durability::{FaultInjector, FaultPoint},
    error::{HistoryError, WriteError},
    record::Entry,
    replacement,
    rollback_journal::{JournalFile, JournalWrite},
    store::Store,
    writer_client::WriterClient,
};
use crate::model::Revision;

/// Disk of a history. The process that writes holds the lock on its folder.
#[derive(Debug, Clone)]
pub(super) enum Disk {
    Apart(Arc<WriterClient>),
    Here(Arc<InProcess>),
}

#[derive(Debug)]
pub(super) struct InProcess {
    folder: PathBuf,
    lock: Mutex<Option<File>>,
}

/// The open store.
#[derive(Debug)]
pub(super) enum OpenStore {
    Apart(Arc<WriterClient>),
    Here(Store),
}

/// The open rollback journal.
#[derive(Debug)]
pub(super) enum OpenJournal {
    Apart(Arc<WriterClient>),
    Here(Box<JournalFile>),
}

/// The open journal, and its content at that time.
#[derive(Debug)]
pub(super) struct JournalScan {
    pub(super) slots: OpenJournal,
    pub(super) entries: Vec<Entry>,
    pub(super) reserved: u64,
}

// === impl Disk ===

impl Disk {
    pub(super) fn here(path: &Path) -> Result<Self, HistoryError> {
        data_dir::make(path)?;
        let lock = data_dir::lock(path, std::process::id())?;
        replacement::go_on(path)?;
        Ok(Self::Here(Arc::new(InProcess {
            folder: path.to_owned(),
            lock: Mutex::new(Some(lock)),
        })))
    }

    pub(super) fn out_of_process(path: &Path, program: &Path) -> Result<Self, HistoryError> {
        WriterClient::start(path, program).map(|client| Self::Apart(Arc::new(client)))
    }

    /// Opens the store at a start, and reads it.
    pub(super) fn open_first(&self) -> Result<(OpenStore, Batch), HistoryError> {
        match self {
            Self::Apart(client) => {
                let rows = client.read_store()?;
                Ok((OpenStore::Apart(Arc::clone(client)), rows))
            }
            Self::Here(here) => {
                let store = Store::open_first(&here.folder)?;
                let rows = store.read()?;
                Ok((OpenStore::Here(store), rows))
            }
        }
    }

    /// Reopens the store after an error.
    pub(super) fn open_again(&self) -> Result<OpenStore, HistoryError> {
        match self {
            Self::Apart(client) => {
                client.start_again()?;
                Ok(OpenStore::Apart(Arc::clone(client)))
            }
            Self::Here(here) => Store::open(&here.folder).map(OpenStore::Here),
        }
    }

    /// Opens the journal. A history works without it, but a rollback is then only as durable as the store.
    pub(super) fn open_journal(&self) -> Option<JournalScan> {
        let found = match self {
            Self::Apart(client) => client
                .read_journal()
                .map(|(entries, reserved)| JournalScan {
                    slots: OpenJournal::Apart(Arc::clone(client)),
                    entries,
                    reserved,
                }),
            Self::Here(here) => JournalFile::open(&here.folder).map(|file| JournalScan {
                entries: file.read(),
                reserved: file.reserved(),
                slots: OpenJournal::Here(Box::new(file)),
            }),
        };
        let told =
            |error: &io::Error| tracing::warn!(%error, "the rollback journal cannot be used");
        found.inspect_err(told).ok()
    }

    /// Transfers records to the writer process, which writes them once the disk responds,
    /// after this process has ended.
    pub(super) fn transfer(&self, batches: &[Batch]) -> bool {
        match self {
            Self::Apart(client) => client.transfer(batches),
            Self::Here(_) => false,
        }
    }

    /// Releases the lock for another process while this one goes on; `false` if that is not known to be done in time.
    pub(super) fn release(&self, deadline: Instant) -> bool {
        match self {
            Self::Apart(client) => client.release(deadline),
            Self::Here(_) => false,
        }
    }

    /// Takes the lock again after [`Disk::release`].
    pub(super) fn retake(&self) -> Result<(), HistoryError> {
        match self {
            Self::Apart(client) => client.retake(),
            Self::Here(_) => Ok(()),
        }
    }

    /// Releases the lock for the next process.
    pub(super) fn release_lock(&self, deadline: Instant) {
        match self {
            Self::Apart(client) => {
                client.shutdown(deadline);
            }
            Self::Here(here) => {
                let mut lock = here.lock.lock().unwrap_or_else(PoisonError::into_inner);
                drop(lock.take());
            }
        }
    }
}

// === impl OpenStore ===

impl OpenStore {
    /// Writes a batch in one transaction; durable when it returns. While that takes long, the batches of `ahead` go to
    /// the writer process, which outlives this one and writes them.
    pub(super) fn write(
        &self,
        batch: &Batch,
        hook: Option<&FaultInjector>,
        ahead: impl FnMut(&mut dyn FnMut(&Batch) -> bool),
    ) -> Result<(), WriteError> {
        match self {
            Self::Apart(client) => client.write_store(batch, ahead),
            Self::Here(store) => store.write(batch, || {
                hook.map_or(Ok(()), |hook| hook(FaultPoint::Commit))
            }),
        }
    }

    /// Last record that is not void.
    pub(super) fn last(&self) -> Revision {
        match self {
            Self::Apart(client) => client.last_stored(),
            Self::Here(store) => store.last(),
        }
    }
}

// === impl OpenJournal ===

impl OpenJournal {
    /// Writes an entry in place; durable when it returns. While that takes long, the entries of `ahead` go to the
    /// writer process, which outlives this one and writes them.
    pub(super) fn write(
        &mut self,
        write: &JournalWrite,
        stored: Revision,
        hook: Option<&FaultInjector>,
        ahead: impl FnMut(&mut dyn FnMut(&JournalWrite) -> bool),
    ) -> io::Result<()> {
        match self {
            Self::Apart(client) => client.write_journal(write, stored, ahead),
            Self::Here(file) => file.write(write, stored, hook),
        }
    }
}
