//! Imports the configuration file: at the start, and again on SIGHUP.

use std::path::Path;

use super::{Options, ServerError, hooks, preflight};
use crate::{
    admin::ReloadError,
    api::{ConflictPolicy, ImportReport, ReloadReport},
    config::{Config, SettingsDigests, changed_settings},
    control::{Consent, ControlError, Controller, Expected},
    model::{Actor, Author, Revision, TableDocument},
    telemetry::ErrorChain,
};

/// Imports the table of a file and describes the result in one line.
async fn import(
    controller: &Controller,
    table: TableDocument,
    wins: Option<ConflictPolicy>,
    by: &str,
    consent: Consent,
) -> Result<ImportReport, ControlError> {
    let author = Author {
        actor: Actor::File,
        name: by.to_owned(),
        message: None,
        idempotency_key: None,
        group: None,
    };
    let report = controller
        .import(table, wins, author, Expected::Any, consent)
        .await?;
    if report.conflicts.is_empty() {
        tracing::info!(
            revision = %report.revision,
            applied = report.applied.join(","),
            kept = report.kept.join(","),
            drift = report.drift.0.len(),
            "configuration file imported"
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
            "the file and the live table both changed {} since the last import",
            paths.join(", ")
        )
    })
}

fn unresolved(which: &str) -> ServerError {
    ServerError::Import(format!(
        "{which}\n  hint: start with `--wins file` to take the file's side, with `--wins live` to keep what is live"
    ))
}

/// Imports the table of the file that the process was started with. If that fails, the last live table of the history
/// stays live, unless there is none, or the operator asked not to start then.
pub(super) async fn import_first(
    controller: &Controller,
    config: &Config,
    options: &Options,
) -> Result<(), ServerError> {
    // Nothing is checked yet, and host names may be unresolved: neither refuses a start. What was taken back stays so.
    let consent = Consent {
        force: true,
        ..Consent::default()
    };
    let nothing_live = controller.live().revision() == Revision(0);
    let strict = options.strict || nothing_live;
    let why = match import(controller, config.table(), options.wins, "start", consent).await {
        Err(error) if strict => return Err(ServerError::Control(error)),
        Err(error) => ErrorChain(&error).to_string(),
        Ok(report) => match conflicts(&report) {
            None => return Ok(()),
            Some(which) if strict => {
                return Err(unresolved(&which));
            }
            Some(which) => which,
        },
    };
    // A machine that reboots has to serve what it served before.
    tracing::warn!(
        revision = %controller.live().revision(),
        "the configuration file's table is not imported, and the last live table is served: {why}; `switchback status` \
         shows the difference, `switchback apply FILE --wins file|live` resolves it"
    );
    Ok(())
}

/// Checks that the first import of a strict start has no conflict, without making it.
///
/// # Errors
/// As [`import_first`].
pub(super) fn check_first(
    controller: &Controller,
    config: &Config,
    options: &Options,
) -> Result<(), ServerError> {
    if !options.strict {
        return Ok(());
    }
    let report = controller
        .dry_run_import(&config.table(), options.wins, Expected::Any, true)
        .map_err(ServerError::Control)?;
    conflicts(&report).map_or(Ok(()), |which| Err(unresolved(&which)))
}

/// Reloads the file and imports its table; static settings that differ are named. A file with problems changes nothing.
pub(super) async fn reload(
    controller: &Controller,
    path: &Path,
    running: &SettingsDigests,
    by: &str,
) -> Result<ReloadReport, ReloadError> {
    let config =
        preflight::load(path).map_err(|error| ReloadError::File(ErrorChain(&error).to_string()))?;
    let hooks = hooks::load(&config).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        ReloadError::File(lines.join("\n\n"))
    })?;
    let import = import(controller, config.table(), None, by, Consent::default()).await?;
    controller.set_hooks(hooks);
    controller.set_plans(config.plans.clone());
    Ok(ReloadReport {
        import,
        restart: changed_settings(running, &config.settings_digests()),
        certificates: Vec::new(),
        access_log: None,
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
                    "the configuration file is not imported: {which}; `switchback apply FILE --wins file|live` resolves it"
                );
            }
        }
        // A demo has no file, which is no error.
        Err(ReloadError::NoFile) => {}
        Err(error) => tracing::error!("the configuration file is not imported:\n{error}"),
    }
}
