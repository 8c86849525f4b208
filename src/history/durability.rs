//! Progress and health of the disk, reported by both threads, and fault injection for tests.

use std::{io, sync::Arc};

use tokio::sync::watch;

use crate::model::Revision;

/// Called before each write, for tests of slow and failing disks.
pub type FaultInjector = Arc<dyn Fn(FaultPoint) -> io::Result<()> + Send + Sync>;

/// Point at which a [`FaultInjector`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before a transaction of the store commits.
    Commit,
    /// Before a journal entry is written.
    Slot,
}

/// Progress of the writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Last revision in the store.
    pub stored: Revision,
    /// Last revision in the rollback journal.
    pub slotted: Revision,
    /// Number of errors.
    pub errors: u64,
}

impl Progress {
    /// Revision that a restart would restore.
    pub fn durable(&self) -> Revision {
        self.stored.max(self.slotted)
    }
}

/// Health of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryHealth {
    /// Number of live records that are not in the store yet.
    pub pending: usize,
    /// The current error.
    pub error: Option<String>,
}

/// Sender of the progress of both threads.
#[derive(Debug, Clone)]
pub(super) struct Reporter(pub(super) watch::Sender<Progress>);

impl Reporter {
    pub(super) fn stored(&self) -> Revision {
        self.0.borrow().stored
    }

    pub(super) fn report_journaled(&self, revision: Revision) {
        self.0
            .send_modify(|progress| progress.slotted = progress.slotted.max(revision));
    }
}
