//! Takes the configuration file over: at the start, and again on SIGHUP.

use std::{error::Error as _, path::Path};

use super::ServerError;
use crate::{
    admin::ReloadError,
    api::{ImportReport, ReloadReport, Wins},
    config::{self, Config, ConfigError, SettingsDigests, changed_settings},
    control::{ControlError, Controller, Expected},
    model::{Actor, Author, TableDocument},
};

/// Takes over the table of a file and says in one line what happened.
async fn import(
    controller: &Controller,
    table: TableDocument,
    wins: Option<Wins>,
    by: &str,
) -> Result<ImportReport, ControlError> {
    let author = Author {
        actor: Actor::File,
        name: by.to_owned(),
        message: None,
        idempotency_key: None,
        group: None,
    };
    let report = controller
        .import(table, wins, author, Expected::Any)
        .await?;
    if report.conflicts.is_empty() {
        tracing::info!(
            revision = %report.revision,
            applied = report.applied.join(","),
            kept = report.kept.join(","),
            drift = report.drift.0.len(),
            "configuration file taken over"
        );
    }
    Ok(report)
}

fn conflicts(report: &ImportReport) -> Option<String> {
    let paths: Vec<_> = report
        .conflicts
        .iter()
        .map(|conflict| format!("`{}`", conflict.path))
        .collect();
    (!paths.is_empty()).then(|| {
        format!(
            "the file and the live table both changed {} since the file was last taken over",
            paths.join(", ")
        )
    })
}

/// Takes over the table of the file that the process was started with.
pub(super) async fn import_first(
    controller: &Controller,
    config: &Config,
    wins: Option<Wins>,
) -> Result<(), ServerError> {
    let report = import(controller, config.table(), wins, "start")
        .await
        .map_err(ServerError::Control)?;
    match conflicts(&report) {
        None => Ok(()),
        Some(which) => Err(ServerError::Import(format!(
            "{which}\n  hint: start with `--wins file` to take the file's side, with `--wins live` to keep what is live"
        ))),
    }
}

/// Reads the file again and takes its table over; static settings that differ are named. A bad file changes nothing.
pub(super) async fn reload(
    controller: &Controller,
    path: &Path,
    running: &SettingsDigests,
    by: &str,
) -> Result<ReloadReport, ReloadError> {
    let config = config::load(path).map_err(|error| ReloadError::File(chain(&error)))?;
    let import = import(controller, config.table(), None, by).await?;
    Ok(ReloadReport {
        import,
        restart: changed_settings(running, &config.settings_digests()),
        certificates: Vec::new(),
    })
}

/// Logs the result of a reload.
pub(super) fn log_reload(result: &Result<ReloadReport, ReloadError>) {
    match result {
        Ok(report) => {
            if !report.restart.is_empty() {
                tracing::warn!(
                    keys = report.restart.join(", "),
                    "these keys changed and need a restart"
                );
            }
            if let Some(which) = conflicts(&report.import) {
                tracing::error!(
                    "the configuration file is left alone: {which}; `switchback apply FILE --wins file|live` settles it"
                );
            }
        }
        // A demo has no file, and nothing is wrong with that.
        Err(ReloadError::NoFile) => {}
        Err(error) => tracing::error!("the configuration file is left alone:\n{error}"),
    }
}

fn chain(error: &ConfigError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
