//! Backups: the one that is being taken, and what is known of those that the proxy has made by itself.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    api::{BackupRun, BackupStatus, Timestamp},
    config::Backups,
    history::BesideFiles,
};

/// The one place of a backup, since it is a copy of the history in memory, and the last outcomes.
#[derive(Debug)]
pub(super) struct BackupRegistry {
    pub(super) settings: Backups,
    /// Writes and verifies them, in a process of its own.
    pub(super) writer: Arc<BesideFiles>,
    one: Semaphore,
    outcomes: Mutex<Outcomes>,
}

/// Outcomes of the backups that were made.
#[derive(Debug, Clone, Default)]
struct Outcomes {
    last: Option<BackupRun>,
    good: Option<(Timestamp, u64)>,
    failed_at: Option<Instant>,
}

impl BackupRegistry {
    pub(super) fn new(settings: Backups, writer: BesideFiles) -> Self {
        Self {
            settings,
            writer: Arc::new(writer),
            one: Semaphore::new(1),
            outcomes: Mutex::default(),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves the outcomes whole.
    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place; `None` while another backup is being taken.
    pub(super) fn begin(&self) -> Option<SemaphorePermit<'_>> {
        self.one.try_acquire().ok()
    }

    /// The folder, if there is one.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.settings.path.clone()
    }

    /// Notes the latest good one, as it was found at the start.
    pub(super) fn found(&self, at: Timestamp, bytes: u64) {
        self.lock().good.get_or_insert((at, bytes));
    }

    /// Notes an attempt.
    pub(super) fn note(&self, run: &BackupRun) {
        let mut outcomes = self.lock();
        if run.file.is_some() {
            outcomes.good = Some((run.ended_at, run.bytes));
        }
        outcomes.failed_at = run.error.is_some().then(Instant::now);
        outcomes.last = Some(run.clone());
    }

    /// Time of the latest good one, and of the last attempt if that has failed.
    pub(super) fn times(&self) -> (Option<Timestamp>, Option<Instant>) {
        let outcomes = self.lock();
        (outcomes.good.map(|(at, _)| at), outcomes.failed_at)
    }

    /// The status.
    pub(super) fn status(&self) -> BackupStatus {
        let path = self.settings.path.as_ref();
        let outcomes = self.lock().clone();
        BackupStatus {
            path: path.map(|path| path.to_string_lossy().into_owned()),
            every: self.settings.every,
            last: outcomes.last,
            good_at: outcomes.good.map(|(at, _)| at),
            good_bytes: outcomes.good.map_or(0, |(_, bytes)| bytes),
        }
    }
}
