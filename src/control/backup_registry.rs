//! The backup that is being taken: one at a time, since it is a copy of the history in memory.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The one place of a backup.
#[derive(Debug)]
pub(super) struct BackupRegistry {
    one: Semaphore,
}

impl Default for BackupRegistry {
    fn default() -> Self {
        Self {
            one: Semaphore::new(1),
        }
    }
}

impl BackupRegistry {
    /// Takes the place; `None` while another backup is being taken.
    pub(super) fn begin(&self) -> Option<SemaphorePermit<'_>> {
        self.one.try_acquire().ok()
    }
}
