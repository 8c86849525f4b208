//! How far the disk is and how it is, as both threads tell it, and where a test may make it slow or sick.

use std::{io, sync::Arc};

use tokio::sync::watch;

use crate::model::Revision;

/// Called before each write, for tests of slow and failing disks.
pub type FaultInjector = Arc<dyn Fn(FaultPoint) -> io::Result<()> + Send + Sync>;

/// Where a [`FaultInjector`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before a transaction of the store is committed.
    Commit,
    /// Before a slot is written.
    Slot,
}

/// How far the disk is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last revision in the store.
    pub stored: Revision,
    /// The last revision in the slot file.
    pub slotted: Revision,
    /// How many errors there were.
    pub errors: u64,
}

impl Progress {
    /// The revision that a restart would bring.
    pub fn durable(&self) -> Revision {
        self.stored.max(self.slotted)
    }
}

/// How the disk is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryHealth {
    /// Records of what is live that are not in the store yet.
    pub pending: usize,
    /// What is wrong, while it is.
    pub error: Option<String>,
}

/// Where both threads say how far they are.
#[derive(Debug, Clone)]
pub(super) struct Reporter(pub(super) watch::Sender<Progress>);

impl Reporter {
    pub(super) fn stored(&self) -> Revision {
        self.0.borrow().stored
    }

    pub(super) fn slotted(&self, revision: Revision) {
        self.0
            .send_modify(|progress| progress.slotted = progress.slotted.max(revision));
    }
}
