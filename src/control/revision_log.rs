//! The log of revisions: kept in memory for every query, and written to the history.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{ControlError, revision_index::RevisionIndex};
use crate::{
    history::{AppendError, Entry, FullWeight, History, Loaded, StoredRevision},
    model::{Cause, ChangeSet, Revision, TableDocument},
};

/// Longest time that a rollback's receipt waits for the disk.
const DURABILITY: Duration = Duration::from_millis(50);
/// The part of that which the rollback journal has for itself, before the store begins beside it.
const JOURNAL_ALONE: Duration = Duration::from_millis(10);
/// Longest time that a refusal waits until the record that it voids cannot come back.
const VOIDED: Duration = Duration::from_millis(500);

/// The revisions in memory and on the disk.
#[derive(Debug)]
pub(super) struct RevisionLog {
    pub(super) history: History,
    // Held for moments, never across I/O or an await: a swap and its entry here are one step.
    index: Mutex<RevisionIndex>,
}

impl RevisionLog {
    pub(super) fn new(history: History, loaded: Loaded) -> Self {
        Self {
            history,
            index: Mutex::new(RevisionIndex::of(loaded)),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves each map whole.
    pub(super) fn index(&self) -> MutexGuard<'_, RevisionIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revision that a restart would bring.
    pub(super) fn restart_revision(&self) -> Revision {
        self.history.progress().borrow().durable()
    }

    /// True if a restart would bring this revision, or one that was made live after it. A record that was written but
    /// never became live, and is not voided on the disk yet, is neither.
    pub(super) fn is_durable(&self, revision: Revision) -> bool {
        let restart = self.restart_revision();
        let was_live = || {
            let index = self.index();
            index.get(restart).is_some_and(|kept| kept.state.is_some())
        };
        restart == revision || restart > revision && was_live()
    }

    /// Waits, within a limit, until a rollback is on the disk: in its journal, or in the store if that takes long.
    pub(super) async fn wait_durable(&self, revision: Revision) {
        let mut progress = self.history.progress();
        for limit in [JOURNAL_ALONE, DURABILITY.saturating_sub(JOURNAL_ALONE)] {
            let written = progress.wait_for(|progress| progress.durable() >= revision);
            if tokio::time::timeout(limit, written).await.is_ok() {
                return;
            }
            self.history.resume();
        }
    }

    /// Makes a record durable, within the time it has. Where that is not certain the record is voided.
    pub(super) async fn append(
        &self,
        kept: &StoredRevision,
        imported: Option<&Arc<TableDocument>>,
        within: Duration,
    ) -> Result<(), ControlError> {
        let reason = match self.write(kept, imported, within).await {
            Ok(()) => return Ok(()),
            Err(AppendError::Unknown(reason)) => reason,
            Err(error) => return Err(ControlError::NotDurable(error)),
        };
        if self.void(kept, imported.is_some()).await {
            return Err(ControlError::NotDurable(AppendError::NotWritten(reason)));
        }
        Err(may_return(kept.record.revision, &reason))
    }

    async fn write(
        &self,
        kept: &StoredRevision,
        imported: Option<&Arc<TableDocument>>,
        within: Duration,
    ) -> Result<(), AppendError> {
        let entry = Entry::new((*kept.record).clone());
        let written = self.history.append(entry, imported.cloned())?;
        let too_slow = || format!("the disk did not respond within {within:?}");
        match tokio::time::timeout(within, written).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(writer_gone()),
            Err(_) if self.history.cancel(kept.record.revision) => {
                Err(AppendError::NotWritten(too_slow()))
            }
            Err(_) => Err(AppendError::Unknown(too_slow())),
        }
    }

    /// Records that a revision never became live although its record may be on the disk. What is refused must not come
    /// back, so this waits until that record cannot be lost with this process; `false` if that takes too long.
    pub(super) async fn void(&self, kept: &StoredRevision, imported: bool) -> bool {
        let safe = self.record_void(kept, imported);
        matches!(tokio::time::timeout(VOIDED, safe).await, Ok(Ok(())))
    }

    fn record_void(
        &self,
        kept: &StoredRevision,
        imported: bool,
    ) -> tokio::sync::oneshot::Receiver<()> {
        let mut record = (*kept.record).clone();
        record.cause = Cause::Void;
        record.change = None;
        record.undo_to = None;
        record.author.idempotency_key = None;
        let mut index = self.index();
        let before = imported.then_some(index.imported.as_deref());
        let safe = self.history.void(Entry::new(record.clone()), before);
        index.insert(StoredRevision {
            record: Arc::new(record),
            whole: FullWeight::new(),
            state: None,
            touched: ChangeSet::default(),
        });
        safe
    }

    /// Remembers an imported file that changed nothing live, so that the next comparison begins with it.
    pub(super) async fn remember_import(
        &self,
        file: &Arc<TableDocument>,
        within: Duration,
    ) -> Result<(), ControlError> {
        let written = self.history.remember_import(Arc::clone(file));
        let written = written.map_err(ControlError::NotDurable)?;
        let late = || AppendError::Unknown("the disk did not respond in time".to_owned());
        tokio::time::timeout(within, written)
            .await
            .map_err(|_| late())
            .and_then(|written| written.map_err(|_| writer_gone()))
            .and_then(|written| written)
            .map_err(ControlError::NotDurable)?;
        self.index().imported = Some(Arc::clone(file));
        Ok(())
    }
}

/// The error for a reply of the history that will never come.
pub(super) fn writer_gone() -> AppendError {
    AppendError::Unknown("the history thread has ended".to_owned())
}

/// The error for a change that is not live, and of which a restart may find the record before that which voids it.
pub(super) fn may_return(revision: Revision, reason: &str) -> ControlError {
    ControlError::NotDurable(AppendError::Unknown(format!(
        "revision {revision} is not live, but a restart in the next moments may restore it: {reason}"
    )))
}
