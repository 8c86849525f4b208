//! Metrics of the backups that the proxy makes by itself.

use metrics::{counter, gauge};

use crate::{
    api::{BackupRun, BackupStatus},
    telemetry::names,
};

/// Counts an attempt.
pub(super) fn count(run: &BackupRun) {
    let outcome = if run.error.is_none() {
        "made"
    } else {
        "failed"
    };
    counter!(names::BACKUPS.0, "outcome" => outcome).increment(1);
}

/// Sets what is known of the last one.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and times are good to the millisecond"
)]
pub(super) fn set(status: &BackupStatus) {
    let is_failing = status.last.as_ref().is_some_and(|run| run.error.is_some());
    gauge!(names::BACKUP_FAILING.0).set(f64::from(u8::from(is_failing)));
    gauge!(names::BACKUP_BYTES.0).set(status.good_bytes as f64);
    let seconds = status.good_at.map_or(0.0, |at| at.0 as f64 / 1_000_000.0);
    gauge!(names::BACKUP_TIMESTAMP.0).set(seconds);
    let every = status.every.map_or(0.0, |every| every.0.as_secs_f64());
    gauge!(names::BACKUP_INTERVAL.0).set(every);
}
