//! Durable history: every table that was ever live, numbered, with author, time and cause.
//!
//! A publish is durable before it is live, a rollback is live before it is durable. So there are two ways to
//! write: [`History::append`] reports when the record is on the disk; [`History::append_async`] returns at once
//! and the record is written later, for as long as it takes. Two threads do that: one owns the store (an embedded
//! database, which needs free blocks and may hang with its file system), the other owns the rollback journal, a
//! small preallocated file that takes the latest rollbacks in place. The control plane never waits for either
//! without a limit. The program has both written by a separate writer process, so that a file system that hangs
//! never blocks the proxy itself.
//!
//! This module stores and finds records; the control plane decides which of them become live, and in which order.

mod backup;
mod backup_folder;
mod batch;
mod beside;
mod beside_files;
mod call;
mod data_dir;
mod disk;
mod durability;
mod error;
mod guarded;
mod ipc;
mod journal_writer;
mod mark;
mod messages;
mod pending;
mod prune;
mod queue;
mod record;
mod release;
mod replacement;
mod replay;
mod restore;
mod restore_error;
mod revision_allocator;
mod rollback_journal;
mod seal;
mod store;
mod stored_response;
mod transaction;
mod wire_forms;
mod writer;
mod writer_client;
mod writer_process;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

pub use self::{
    backup::{BackupSource, CheckedBackup},
    backup_folder::{FoundBackup, StoreBackup, StoredBackup, backup_name, latest_backup},
    beside_files::BesideFiles,
    data_dir::{FLEET_SEAL_KEYS, SEAL_KEY, TAKEOVER_SOCKET, TAKEOVER_SOCKET_NEW},
    durability::{FaultInjector, FaultPoint, HistoryHealth, Progress},
    error::HistoryError,
    ipc::{BESIDE, HISTORY_WRITER},
    prune::{KEPT_REVISIONS, Pruned, plan_pruning},
    queue::AppendError,
    record::{Entry, FullWeight, with_whole},
    replay::{Loaded, StoredRevision},
    restore::{restore, verify},
    restore_error::RestoreError,
    stored_response::{AnswerRow, StoredResponse},
    writer_process::{run_beside_process, run_writer_process},
};
use self::{
    batch::Contents,
    disk::{Disk, JournalScan},
    journal_writer::JournalWriter,
    pending::Pending,
    queue::Job,
    revision_allocator::RevisionAllocator,
    writer::Writer,
};
use crate::model::{Revision, TableDocument, TableState};

/// An open durable history. Dropping it leaves pending records unwritten; [`History::close`] writes them.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    numbers: Arc<RevisionAllocator>,
    writer: Writer,
    slots: Option<JournalWriter>,
    progress: watch::Receiver<Progress>,
    disk: Disk,
    beside: Arc<BesideFiles>,
    // True while another process has, or may take, the lock.
    is_released: AtomicBool,
}

impl History {
    /// Opens the history in a folder, which is created if there is none, and reads it.
    ///
    /// # Errors
    /// If another process holds it, or if it cannot be read or written.
    pub fn open(path: &Path) -> Result<(Self, Loaded), HistoryError> {
        Self::open_hooked(path, None)
    }

    /// Like [`History::open`], with a fault injector, for tests of slow and failing disks.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn open_hooked(
        path: &Path,
        hook: Option<FaultInjector>,
    ) -> Result<(Self, Loaded), HistoryError> {
        Self::open_on(path, (Disk::here(path)?, None), hook)
    }

    /// Like [`History::open`], with the disk written by a separate process: `program` is started with
    /// [`HISTORY_WRITER`] as its only argument and calls [`run_writer_process`]. This process then never blocks in the
    /// kernel on the history's disk.
    ///
    /// # Errors
    /// As [`History::open`], and if the program cannot be started.
    pub fn open_apart(path: &Path, program: &Path) -> Result<(Self, Loaded), HistoryError> {
        let disk = Disk::out_of_process(path, program)?;
        Self::open_on(path, (disk, Some(program)), None)
    }

    fn open_on(
        path: &Path,
        (disk, program): (Disk, Option<&Path>),
        hook: Option<FaultInjector>,
    ) -> Result<(Self, Loaded), HistoryError> {
        let (store, rows) = disk.open_first()?;
        let contents = Contents::of(&rows, path)?;
        let (slots, slot_contents, slot_reserved) = match disk.open_journal() {
            Some(JournalScan {
                slots,
                entries,
                reserved,
            }) => (Some(slots), entries, reserved),
            None => (None, Vec::new(), 0),
        };
        let (loaded, late) =
            replay::replay(path, contents.records, &contents.snapshots, &slot_contents)?;
        let loaded = Loaded {
            imported: contents.imported,
            answers: contents.answers,
            ..loaded
        };
        loaded.reaches(rows.slotted, path)?;
        let last = loaded.kept.last().map_or(0, |kept| kept.record.revision.0);
        let numbers = Arc::new(RevisionAllocator::after(
            last.max(contents.reserved).max(slot_reserved),
        ));
        let (writer, progress) = Writer::start(
            &disk,
            store,
            hook.clone(),
            Arc::clone(&numbers),
            contents.last,
        );
        let slots = slots.map(|file| {
            JournalWriter::start(file, writer.reporter(), hook, &numbers, writer.waker())
        });
        let history = Self {
            path: path.to_owned(),
            numbers,
            writer,
            slots,
            progress,
            disk,
            beside: Arc::new(BesideFiles::new(path, program)),
            is_released: AtomicBool::new(false),
        };
        history.settle(&loaded, late)?;
        Ok((history, loaded))
    }

    /// Prepares a start: reserves numbers durably, and copies records that only the journal has to the store.
    fn settle(&self, loaded: &Loaded, late: Vec<Entry>) -> Result<(), HistoryError> {
        for entry in late {
            self.writer.append_async(Pending::new(entry));
        }
        for revision in &loaded.void {
            let kept = loaded
                .kept
                .iter()
                .find(|kept| kept.record.revision == *revision);
            if let Some(kept) = kept {
                let entry = Entry::new((*kept.record).clone());
                self.writer.append_async(Pending::new(entry));
            }
        }
        self.writer.resume();
        self.reserve_numbers()
    }

    /// Reserves a block of numbers durably.
    fn reserve_numbers(&self) -> Result<(), HistoryError> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let reserved = self.writer.reserve_first(PATIENCE);
        let by_slots = self
            .slots
            .as_ref()
            .is_some_and(|slots| slots.reserve_first(PATIENCE));
        if reserved.is_ok() || by_slots {
            return Ok(());
        }
        Err(HistoryError::NotWritable {
            path: self.path.clone(),
            reason: reserved.err().unwrap_or_default(),
        })
    }

    /// The small files beside it.
    pub fn beside(&self) -> Arc<BesideFiles> {
        Arc::clone(&self.beside)
    }

    /// Folder of the history.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next revision number. It is reserved durably already, so it is never used again, whatever happens.
    pub fn reserve(&self) -> Revision {
        let (revision, refill) = self.numbers.take();
        if refill {
            self.writer.refill();
        }
        revision
    }

    /// Upper end of the reserved numbers: those above were never used.
    pub fn reserved(&self) -> u64 {
        self.numbers.upper_end()
    }

    /// Writes a record that must be durable before it becomes live. The result comes once it is on the disk.
    ///
    /// # Errors
    /// If the store is failing: nothing was written, and nothing will be.
    pub fn append(
        &self,
        entry: Entry,
        imported: Option<Arc<TableDocument>>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        self.writer.append(entry, imported)
    }

    /// Cancels a record that the writer has not taken yet. `false` if it is too late.
    pub fn cancel(&self, revision: Revision) -> bool {
        self.writer.cancel(revision)
    }

    /// Writes a record that is live already, after everything else, and retries until it is written. A rollback goes
    /// to the journal first: the store starts at [`History::resume`], when another job comes, or when the journal
    /// cannot be written, so that the two writes do not slow each other down while a client waits.
    pub fn append_async(&self, entry: Entry) {
        let slots = self.slots.as_ref().filter(|_| entry.is_rollback());
        // The store's queue has it before the journal does, so that it is never missing from both.
        let write = slots.map(|slots| slots.prepare(&entry));
        self.writer.append_async(Pending::new(entry));
        let begun = slots
            .zip(write)
            .is_some_and(|(slots, write)| slots.write(write));
        if !begun {
            self.writer.resume();
        }
    }

    /// Records that a number never became live although its record was, or may be, written. `imported` is the previous
    /// imported file, if the record came with another: `Some(None)` if there was none. The result comes once the
    /// record cannot be lost with this process: it is on the disk, or a writer process will write it.
    pub fn void(
        &self,
        entry: Entry,
        imported: Option<Option<&TableDocument>>,
    ) -> oneshot::Receiver<()> {
        let (safe, answer) = oneshot::channel();
        let none = Vec::new;
        self.writer.append_async(Pending {
            imported: imported.map(|document| document.map_or_else(none, record::encode_document)),
            safe: Some(safe),
            ..Pending::new(entry)
        });
        self.writer.resume();
        answer
    }

    /// Starts the store's writes, whatever the state of the journal.
    pub fn resume(&self) {
        self.writer.resume();
    }

    /// Stores the imported file if the import itself made no revision.
    ///
    /// # Errors
    /// If the store is failing.
    pub fn remember_import(
        &self,
        document: Arc<TableDocument>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        self.writer.remember_import(document)
    }

    /// Stores responses under idempotency keys, or removes them.
    ///
    /// # Errors
    /// If the store is failing.
    pub fn keep_answers(
        &self,
        rows: Vec<AnswerRow>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        self.writer.keep_answers(rows)
    }

    /// Writes a whole table next to a record, so that a start need not replay from further back.
    pub fn snapshot(&self, revision: Revision, state: TableState) {
        self.writer.push_unless_sick(Job::Prune {
            remove: Vec::new(),
            snapshots: vec![(revision, state)],
        });
    }

    /// Removes old records, and writes the whole tables that the remaining ones need.
    pub fn prune(&self, remove: Vec<Revision>, snapshots: Vec<(Revision, TableState)>) {
        self.writer
            .push_unless_sick(Job::Prune { remove, snapshots });
    }

    /// Subscribes to the progress of the writes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Health of the disk.
    pub fn standing(&self) -> HistoryHealth {
        self.writer.standing(Instant::now())
    }

    /// Writes pending records within a time limit, returns unused numbers, and releases the lock. Live records that
    /// could not be written in time are transferred to the writer process, if there is one.
    pub fn close(&self, patience: Duration) {
        const END: Duration = Duration::from_millis(500);
        if self.is_released() {
            // The thread ends without a write.
            drop(self.writer.take_kept());
            return;
        }
        let last = self.numbers.last_taken();
        let deadline = Instant::now() + patience;
        let written = self.writer.close(last, deadline);
        if let Some(slots) = &self.slots {
            // A start uses the higher of the two, so both must be written.
            let _both = written && slots.reserve(last, deadline);
        }
        if written {
            self.disk.release_lock(deadline.max(Instant::now() + END));
        } else {
            self.close_store();
        }
    }

    fn close_store(&self) {
        let pending = self.standing().pending;
        let restart_revision = self.progress.borrow().durable().0;
        let path = self.path.display();
        if self.disk.transfer(&self.writer.take_kept()) {
            tracing::warn!(
                pending, restart_revision, %path,
                "the history's disk does not respond; the writer process writes what is pending once it does, and \
                 until then a restart has to wait"
            );
        } else {
            tracing::error!(
                pending, restart_revision, %path,
                "the history could not be written before shutdown; a restart restores the revision in this message"
            );
        }
    }
}

#[cfg(test)]
mod tests;
