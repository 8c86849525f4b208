//! Metrics of the history, and of the backups that the proxy makes by itself.

use super::metric::{Kind, Metric};

/// Backups, by outcome.
pub const BACKUPS: Metric = (
    "switchback_backups_total",
    Kind::Counter,
    "Backups that the proxy has tried to make in its folder, by outcome: made or failed",
);
/// Size of the latest good backup.
pub const BACKUP_BYTES: Metric = (
    "switchback_backup_bytes",
    Kind::Gauge,
    "Size of the latest good backup in bytes",
);
/// True if the last attempt has failed.
pub const BACKUP_FAILING: Metric = (
    "switchback_backup_failing",
    Kind::Gauge,
    "1 if the last backup, or the command after it, has failed",
);
/// Interval of backups.
pub const BACKUP_INTERVAL: Metric = (
    "switchback_backup_interval_seconds",
    Kind::Gauge,
    "Interval of backups; 0 if they are only made when ordered",
);
/// Time of the latest good backup.
pub const BACKUP_TIMESTAMP: Metric = (
    "switchback_backup_timestamp_seconds",
    Kind::Gauge,
    "Time of the latest good backup, in seconds since 1970; 0 if there is none",
);
/// Revision that a restart would restore.
pub const HISTORY_DURABLE_REVISION: Metric = (
    "switchback_history_durable_revision",
    Kind::Gauge,
    "The revision that a restart would restore",
);
/// Files beside the history that could not be read at the start.
pub const HISTORY_DAMAGED_FILES: Metric = (
    "switchback_history_damaged_files",
    Kind::Gauge,
    "Files beside the history that could not be read at the start",
);
/// Failed writes to the history.
pub const HISTORY_ERRORS: Metric = (
    "switchback_history_errors_total",
    Kind::Counter,
    "Failed writes to the history",
);
/// Records waiting to be written.
pub const HISTORY_PENDING: Metric = (
    "switchback_history_pending_records",
    Kind::Gauge,
    "Revisions waiting to be written to the history",
);
