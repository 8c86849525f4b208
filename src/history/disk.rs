//! Where a history's disk is written: in this process, or by a keeper in a process of its own.
//!
//! A thread that the kernel holds in a sick file system cannot be ended, nor can its process. So the program has its
//! disk written apart; a library's user, and a test that wants to see each write, may have it written here.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{
    batch::Batch,
    error::{HistoryError, WriteError},
    folder,
    keeper::Keeper,
    progress::{Hook, Moment},
    record::Entry,
    slots::{SlotFile, SlotWrite},
    store::Store,
};
use crate::model::Revision;

/// The disk under a history. The lock on its folder is held by the process that writes.
#[derive(Debug, Clone)]
pub(super) enum Disk {
    Apart(Arc<Keeper>),
    Here(Arc<Here>),
}

#[derive(Debug)]
pub(super) struct Here {
    folder: PathBuf,
    lock: Mutex<Option<File>>,
}

/// The open store.
#[derive(Debug)]
pub(super) enum OpenStore {
    Apart(Arc<Keeper>),
    Here(Store),
}

/// The open slot file.
#[derive(Debug)]
pub(super) enum OpenSlots {
    Apart(Arc<Keeper>),
    Here(Box<SlotFile>),
}

/// The slot file and what it held when it was opened.
#[derive(Debug)]
pub(super) struct FoundSlots {
    pub(super) slots: OpenSlots,
    pub(super) entries: Vec<Entry>,
    pub(super) reserved: u64,
}

// === impl Disk ===

impl Disk {
    pub(super) fn here(path: &Path) -> Result<Self, HistoryError> {
        folder::make(path)?;
        let lock = folder::lock(path, std::process::id())?;
        Ok(Self::Here(Arc::new(Here {
            folder: path.to_owned(),
            lock: Mutex::new(Some(lock)),
        })))
    }

    pub(super) fn apart(path: &Path, program: &Path) -> Result<Self, HistoryError> {
        Keeper::start(path, program).map(|keeper| Self::Apart(Arc::new(keeper)))
    }

    /// Opens the store at a start, and reads it.
    pub(super) fn open_first(&self) -> Result<(OpenStore, Batch), HistoryError> {
        match self {
            Self::Apart(keeper) => {
                let rows = keeper.read_store()?;
                Ok((OpenStore::Apart(Arc::clone(keeper)), rows))
            }
            Self::Here(here) => {
                let store = Store::open_first(&here.folder)?;
                let rows = store.read()?;
                Ok((OpenStore::Here(store), rows))
            }
        }
    }

    /// Opens the store after an error.
    pub(super) fn open_again(&self) -> Result<OpenStore, HistoryError> {
        match self {
            Self::Apart(keeper) => {
                keeper.start_again()?;
                Ok(OpenStore::Apart(Arc::clone(keeper)))
            }
            Self::Here(here) => Store::open(&here.folder).map(OpenStore::Here),
        }
    }

    /// Opens the slot file. Without it a history works, but a rollback is only as durable as the store.
    pub(super) fn open_slots(&self) -> Option<FoundSlots> {
        let found = match self {
            Self::Apart(keeper) => keeper.read_slots().map(|(entries, reserved)| FoundSlots {
                slots: OpenSlots::Apart(Arc::clone(keeper)),
                entries,
                reserved,
            }),
            Self::Here(here) => SlotFile::open(&here.folder).map(|file| FoundSlots {
                entries: file.read(),
                reserved: file.reserved(),
                slots: OpenSlots::Here(Box::new(file)),
            }),
        };
        let told = |error: &io::Error| tracing::warn!(%error, "the slot file for rollbacks cannot be used");
        found.inspect_err(told).ok()
    }

    /// Leaves records to the keeper, which writes them once its disk answers, after this process has ended.
    pub(super) fn hand_over(&self, batches: &[Batch]) -> bool {
        match self {
            Self::Apart(keeper) => keeper.hand_over(batches),
            Self::Here(_) => false,
        }
    }

    /// Lets the next process in.
    pub(super) fn let_go(&self, deadline: Instant) {
        match self {
            Self::Apart(keeper) => keeper.dismiss(deadline),
            Self::Here(here) => {
                let mut lock = here.lock.lock().unwrap_or_else(PoisonError::into_inner);
                drop(lock.take());
            }
        }
    }
}

// === impl OpenStore ===

impl OpenStore {
    /// Writes a batch in one transaction; when it returns, the batch is on the disk. While that takes long, the batches
    /// that `ahead` has go to whoever outlives this process and will write them.
    pub(super) fn write(
        &self,
        batch: &Batch,
        hook: Option<&Hook>,
        ahead: impl FnMut(&mut dyn FnMut(&Batch) -> bool),
    ) -> Result<(), WriteError> {
        match self {
            Self::Apart(keeper) => keeper.write_store(batch, ahead),
            Self::Here(store) => {
                store.write(batch, || hook.map_or(Ok(()), |hook| hook(Moment::Commit)))
            }
        }
    }

    /// The last record that is not void.
    pub(super) fn last(&self) -> Revision {
        match self {
            Self::Apart(keeper) => keeper.last_stored(),
            Self::Here(store) => store.last(),
        }
    }
}

// === impl OpenSlots ===

impl OpenSlots {
    /// Writes a slot in place, and returns once it is on the disk. While that takes long, the writes that `ahead` has go
    /// to whoever outlives this process and will do them.
    pub(super) fn write(
        &mut self,
        write: &SlotWrite,
        stored: Revision,
        hook: Option<&Hook>,
        ahead: impl FnMut(&mut dyn FnMut(&SlotWrite) -> bool),
    ) -> io::Result<()> {
        match self {
            Self::Apart(keeper) => keeper.write_slot(write, stored, ahead),
            Self::Here(file) => file.write(write, stored, hook),
        }
    }
}
