//! The loop of backups that the proxy makes by itself, and the making of one.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    Controller, TakeBackupError, backup_metrics,
    clock::now,
    drill_schedule::{due_in, look_in},
};
use crate::{
    api::{BackupRun, BackupStatus, EventBody, Timestamp},
    history::{StoreBackup, StoredBackup, backup_name, latest_backup},
    hooks::run_command,
    model::Revision,
    telemetry::ErrorChain,
};

/// Timeout for the disk: to write a backup, to read and to restore it.
const STORE: Duration = Duration::from_secs(300);
/// Timeout for the command after it.
const AFTER: Duration = Duration::from_secs(600);
/// Timeout for a look at the folder at the start.
const FIND: Duration = Duration::from_secs(10);
/// Largest output of the command that is read.
const LARGEST: usize = 64 * 1024;
/// Longest time until the next attempt after one that has failed.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

impl Controller {
    /// Makes the backups that `[backup]` asks for, for as long as it is polled. Without an interval it has no timer.
    pub(super) async fn run_backups(&self) {
        let settings = &self.backups.settings;
        let Some(folder) = settings.path.clone() else {
            return;
        };
        self.find_backup(folder).await;
        self.show_backups();
        let Some(every) = settings.every.map(|every| every.0) else {
            return;
        };
        let (start, jitter) = (Instant::now(), rand::random());
        let mut next = Duration::ZERO;
        loop {
            sleep(look_in(next, every)).await;
            next = self.backup_due_in(start.elapsed(), every, jitter);
            if next.is_zero() {
                // Its failure is noted.
                drop(self.make_backup().await);
            }
        }
    }

    async fn find_backup(&self, folder: PathBuf) {
        let find = timeout(FIND, spawn_blocking(move || latest_backup(&folder)));
        match find.await {
            Ok(Ok(Ok(Some(found)))) => {
                self.backups
                    .found(Timestamp::of(found.written_at), found.bytes);
            }
            Ok(Ok(Ok(None))) => {}
            _ => tracing::warn!("the folder of the backups cannot be read"),
        }
    }

    /// Time until the next one: after a failure sooner than the interval.
    fn backup_due_in(&self, uptime: Duration, every: Duration, jitter: f64) -> Duration {
        let (good_at, failed_at) = self.backups.times();
        let age = good_at.map(|at| Duration::from_micros(now().0.saturating_sub(at.0)));
        let due = due_in(age, uptime, every, jitter);
        let retry = (every / 10).min(LONGEST_RETRY);
        let pause = failed_at.map(|at| retry.saturating_sub(at.elapsed()));
        due.max(pause.unwrap_or_default())
    }

    /// Makes a backup in the folder of the configuration: written, read again, restored and compared, and then named.
    ///
    /// # Errors
    /// If there is no folder, or another backup is being taken. An attempt that fails is in the report.
    pub async fn make_backup(&self) -> Result<BackupRun, TakeBackupError> {
        let folder = self.backups.folder().ok_or(TakeBackupError::NoFolder)?;
        let one = self.backups.begin();
        let _one = one.ok_or(TakeBackupError::Busy)?;
        let name = backup_name(SystemTime::now());
        let file = folder.join(&name);
        let run = match self.store_backup(folder, name).await {
            Ok((stored, bytes)) => self.stored(&file, &stored, bytes).await,
            Err(error) => failed(error),
        };
        self.backups.note(&run);
        self.tell(&run);
        Ok(run)
    }

    async fn store_backup(
        &self,
        folder: PathBuf,
        name: String,
    ) -> Result<(StoredBackup, u64), String> {
        let bytes = self.compose_backup(None).await;
        let bytes = bytes.map_err(|error| ErrorChain(&error).to_string())?;
        let length = bytes.len() as u64;
        let (writer, keep) = (self.backups.writer.clone(), self.backups.settings.keep);
        let request = StoreBackup {
            folder,
            name,
            keep,
            bytes: bytes.into(),
        };
        let store = spawn_blocking(move || writer.store_backup(request, STORE));
        let stored = timeout(STORE + FIND, store).await;
        let stored = stored.map_err(|_| "the disk does not answer in time".to_owned())?;
        let stored = stored.map_err(|error| error.to_string())?;
        stored
            .map(|stored| (stored, length))
            .map_err(|error| error.to_string())
    }

    /// The report of a backup that is kept, once the command after it has run.
    async fn stored(&self, file: &Path, stored: &StoredBackup, bytes: u64) -> BackupRun {
        let path = file.to_string_lossy().into_owned();
        let mut words = self.backups.settings.after.clone();
        let mut error = None;
        if !words.is_empty() {
            words.push(path.clone());
            let run = run_command(&words, String::new(), LARGEST, AFTER).await;
            let said = |error| format!("the command after it has failed: {}", ErrorChain(&error));
            error = run.err().map(said);
        }
        BackupRun {
            file: Some(path),
            ended_at: now(),
            bytes,
            live: stored.live,
            revisions: stored.revisions,
            error,
        }
    }

    fn tell(&self, run: &BackupRun) {
        backup_metrics::count(run);
        self.show_backups();
        let BackupRun {
            file,
            bytes,
            revisions,
            error,
            ..
        } = run;
        let path = file.as_deref().unwrap_or("none");
        match error {
            None => tracing::info!(
                file = path,
                bytes,
                revisions,
                "a backup is made and verified"
            ),
            Some(error) => tracing::error!(file = path, error, "the backup has failed"),
        }
        self.events.publish(EventBody::Backup {
            file: file.clone(),
            bytes: *bytes,
            error: error.clone(),
        });
    }

    fn show_backups(&self) {
        backup_metrics::set(&self.backups.status());
    }

    /// The backups that this proxy makes by itself.
    pub fn backups(&self) -> BackupStatus {
        self.backups.status()
    }
}

fn failed(error: String) -> BackupRun {
    BackupRun {
        file: None,
        ended_at: now(),
        bytes: 0,
        live: Revision(0),
        revisions: 0,
        error: Some(error),
    }
}
