//! The durable history: every table that was ever live, numbered, with who made it live, when and why.
//!
//! A publish is durable before it is live, a rollback is live before it is durable. So there are two ways in:
//! [`History::append`] answers once the record is on the disk, [`History::run_writer_process`] returns at once and writes behind, for
//! as long as it takes. Behind both stand two threads: one owns the store (an embedded database, which needs free blocks
//! and may hang with its file system), the other owns a small file written in full long ago, which takes the latest
//! rollbacks in place. Nobody who decides ever waits for either without a limit. The program has both written by a
//! process of its own, the keeper, so that a file system that hangs never holds the proxy itself.
//!
//! This module keeps and finds records; what may become live, and in which order, is decided by the control plane.

mod batch;
mod call;
mod data_dir;
mod disk;
mod durability;
mod error;
mod guarded;
mod ipc;
mod mark;
mod prune;
mod queue;
mod record;
mod replay;
mod revision_allocator;
mod rollback_journal;
mod seal;
mod store;
mod stored_response;
mod transaction;
mod writer;
mod writer_client;
mod writer_process;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

use self::{
    batch::Contents,
    disk::{Disk, JournalScan},
    queue::{Job, Pending},
    revision_allocator::RevisionAllocator,
    rollback_journal::JournalWriter,
    writer::Writer,
};
pub use self::{
    durability::{FaultInjector, FaultPoint, HistoryHealth, Progress},
    error::HistoryError,
    prune::{KEPT_REVISIONS, Pruned, plan_pruning},
    queue::AppendError,
    record::{Entry, FullWeight, with_whole},
    replay::{Loaded, StoredRevision},
    stored_response::{AnswerRow, StoredResponse},
    writer_process::{SUBCOMMAND, run_writer_process},
};
use crate::model::{Revision, TableDocument, TableState};

/// The durable history, open. Dropping it leaves what is pending to a restart; [`History::close`] writes it.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    numbers: Arc<RevisionAllocator>,
    writer: Writer,
    slots: Option<JournalWriter>,
    progress: watch::Receiver<Progress>,
    disk: Disk,
}

impl History {
    /// Opens the history in a folder, which is made if there is none, and reads all that it holds.
    ///
    /// # Errors
    /// When another process holds it, or when it cannot be read or written.
    pub fn open(path: &Path) -> Result<(Self, Loaded), HistoryError> {
        Self::open_hooked(path, None)
    }

    /// Like [`History::open`], with a hook that is called before each write, for tests of slow and failing disks.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn open_hooked(
        path: &Path,
        hook: Option<FaultInjector>,
    ) -> Result<(Self, Loaded), HistoryError> {
        Self::open_on(path, Disk::here(path)?, hook)
    }

    /// Like [`History::open`], with the disk written by a process of its own: `program` is started with [`SUBCOMMAND`] as its
    /// only argument and calls [`writer_process`]. This process then never waits inside the kernel for the history's disk.
    ///
    /// # Errors
    /// As [`History::open`], and when the program cannot be started.
    pub fn open_apart(path: &Path, program: &Path) -> Result<(Self, Loaded), HistoryError> {
        Self::open_on(path, Disk::out_of_process(path, program)?, None)
    }

    fn open_on(
        path: &Path,
        disk: Disk,
        hook: Option<FaultInjector>,
    ) -> Result<(Self, Loaded), HistoryError> {
        let (store, rows) = disk.open_first()?;
        let contents = Contents::of(&rows, path)?;
        let (slots, slot_contents, slot_reserved) = match disk.open_slots() {
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
        };
        history.settle(&loaded, late)?;
        Ok((history, loaded))
    }

    /// Before anything is decided: numbers are reserved durably, and what only the slot file knew is in the store.
    fn settle(&self, loaded: &Loaded, late: Vec<Entry>) -> Result<(), HistoryError> {
        const PATIENCE: Duration = Duration::from_secs(5);
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

    /// Where the history lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next number. It was reserved durably before, so it is never given out again, whatever happens.
    pub fn reserve(&self) -> Revision {
        let (revision, refill) = self.numbers.take();
        if refill {
            self.writer.refill();
        }
        revision
    }

    /// Writes a record that must be durable before it becomes live. The answer comes once it is on the disk.
    ///
    /// # Errors
    /// When the store is known to be sick: nothing was written, and nothing will be.
    pub fn append(
        &self,
        entry: Entry,
        imported: Option<Arc<TableDocument>>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        self.writer.append(entry, imported)
    }

    /// Takes back a record that nobody began to write. `false` when it is too late to tell.
    pub fn cancel(&self, revision: Revision) -> bool {
        self.writer.cancel(revision)
    }

    /// Writes a record of what is live already, behind everything else, trying until it is written. A rollback's goes
    /// to the slot file first: the store begins when it is told to [go on](History::go_on), when something else comes, or
    /// when the slot cannot be written, so that the two do not get into each other's way while somebody waits.
    pub fn append_async(&self, entry: Entry) {
        let slots = self.slots.as_ref().filter(|_| entry.is_rollback());
        // The store has it before the slot does, so that it is never nowhere.
        let write = slots.map(|slots| slots.prepare(&entry));
        self.writer.append_async(Pending::new(entry));
        let begun = slots
            .zip(write)
            .is_some_and(|(slots, write)| slots.write(write));
        if !begun {
            self.writer.resume();
        }
    }

    /// Records that a number never became live although its record was, or may be, written. `imported` is the imported
    /// file that was the last before, where the record came with another: `Some(None)` where there was none. The answer
    /// comes once the record cannot be lost with this process: it is on the disk, or with a keeper that will write it.
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

    /// Lets the store begin with what it has, wherever the slot file is.
    pub fn resume(&self) {
        self.writer.resume();
    }

    /// Remembers the file that was imported, when the import itself made no revision.
    ///
    /// # Errors
    /// When the store is known to be sick.
    pub fn remember_import(
        &self,
        document: Arc<TableDocument>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        self.writer.remember_import(document)
    }

    /// Keeps answers under idempotency keys, or forgets them.
    ///
    /// # Errors
    /// When the store is known to be sick.
    pub fn keep_answers(
        &self,
        rows: Vec<AnswerRow>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        self.writer.keep_answers(rows)
    }

    /// Writes a whole table beside a record, so that a start need not go further back.
    pub fn snapshot(&self, revision: Revision, state: TableState) {
        self.writer.push_unless_sick(Job::Prune {
            remove: Vec::new(),
            snapshots: vec![(revision, state)],
        });
    }

    /// Lets old records go, and writes the whole tables that those which stay need.
    pub fn prune(&self, remove: Vec<Revision>, snapshots: Vec<(Revision, TableState)>) {
        self.writer
            .push_unless_sick(Job::Prune { remove, snapshots });
    }

    /// How far the disk is; changes wake whoever watches.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// How the disk is.
    pub fn standing(&self) -> HistoryHealth {
        self.writer.standing(Instant::now())
    }

    /// Writes what is pending, within a limit, gives back the numbers that were not used, and lets the next process in.
    /// What is live and could not be written in time is left to the keeper, if there is one.
    pub fn close(&self, patience: Duration) {
        const END: Duration = Duration::from_millis(500);
        let last = self.numbers.last_taken();
        let deadline = Instant::now() + patience;
        let written = self.writer.close(last, deadline);
        if let Some(slots) = &self.slots {
            // The higher of the two counts, so both have to know.
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
                "the history's disk does not answer; its client writes what is pending once it does, and until then a \
                 restart has to wait"
            );
        } else {
            tracing::error!(
                pending, restart_revision, %path,
                "the history could not be written before the end; a restart brings the revision named here"
            );
        }
    }
}

#[cfg(test)]
mod tests;
