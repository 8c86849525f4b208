//! Takes the configuration file over: at the start, and again on SIGHUP.

use std::path::Path;

use super::ServerError;
use crate::{
    api::{ImportReport, Wins},
    config::{self, Config},
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

/// Reads the file again: its table is taken over, and what needs a restart is named. A bad file changes nothing.
pub(super) async fn reload(controller: &Controller, path: &Path, running: &Config) {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return tracing::error!("the configuration file is left alone:\n{error}"),
    };
    let restart = needs_restart(running, &config);
    if !restart.is_empty() {
        tracing::warn!(
            keys = restart.join(", "),
            "these keys changed and need a restart"
        );
    }
    match import(controller, config.table(), None, "SIGHUP").await {
        Ok(report) => {
            if let Some(which) = conflicts(&report) {
                tracing::error!(
                    "the configuration file is left alone: {which}; `switchback apply FILE --wins file|live` settles it"
                );
            }
        }
        Err(error) => tracing::error!(%error, "the configuration file is left alone"),
    }
}

/// The static settings that differ.
fn needs_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    let differs = [
        ("workers", running.workers != new.workers),
        (
            "trusted_proxies",
            running.trusted_proxies != new.trusted_proxies,
        ),
        ("listeners", running.listeners != new.listeners),
        ("admin", running.admin != new.admin),
        ("observe", running.observe != new.observe),
        ("history", running.history != new.history),
        ("rollback", running.rollback != new.rollback),
        ("headers", running.headers != new.headers),
        ("limits", running.limits != new.limits),
        ("timeouts", running.timeouts != new.timeouts),
        ("discovery", running.discovery != new.discovery),
        ("health_checks", running.health_checks != new.health_checks),
        ("access_log", running.access_log != new.access_log),
        ("log", running.log != new.log),
        ("shutdown", running.shutdown != new.shutdown),
    ];
    differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named_and_a_changed_table_does_not() {
        let running = Config::default();
        let mut new = Config {
            workers: Some(3),
            ..Config::default()
        };
        new.routes.push(crate::model::RouteSpec::plain(
            "chat".parse().unwrap(),
            std::collections::BTreeMap::new(),
        ));
        new.shutdown.grace = Some(crate::model::Span::seconds(1));
        assert_eq!(needs_restart(&running, &new), ["workers", "shutdown"]);
    }
}
