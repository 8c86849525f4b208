//! Subcommands for the whole table: import a file, print what is live, show a revision.

use std::path::Path;

use clap::Args;
use hyper::Method;
use serde_json::json;

use super::{
    client::{ApiRequest, Client},
    config_file::ConfigFile,
    exit::{Exit, Failure},
    options::{GroupArgs, HealthArgs, message},
    output::Out,
    queries, render,
    text::clean,
    toml_output::to_toml,
};
use crate::{
    api::{ConflictPolicy, ImportReport, ReloadReport, RevisionDetail, SettingsReport},
    config::{self, Config, ConfigError, LocatedProblem, changed_settings},
    model::{Revision, TableDocument},
};

/// Arguments of an import.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    config: ConfigFile,
    /// Show the effect without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Side that wins where the file and the live table changed the same entry
    #[arg(long, value_name = "file|live")]
    wins: Option<ConflictPolicy>,
    #[command(flatten)]
    health: HealthArgs,
    /// Reason, for the history
    #[arg(short, long, value_parser = message)]
    message: Option<String>,
    #[command(flatten)]
    group: GroupArgs,
}

/// Imports a file's table, and names its static settings that need a restart.
pub(super) async fn apply(client: &Client, import: Import) -> Result<Out, Failure> {
    let config = configuration(&import.config.path()?)?;
    let mut ask = ApiRequest::of(Method::POST, "/v1/import").json(&config.table());
    if let Some(wins) = import.wins {
        let word = match wins {
            ConflictPolicy::File => "file",
            ConflictPolicy::Live => "live",
        };
        ask = ask.argument("wins", word);
    }
    if let Some(message) = import.message {
        ask = ask.argument("message", message);
    }
    let ask = ask.dry_run(import.dry_run).group(&import.group);
    let answer = client.send(ask.health(&import.health)).await?;
    let text = imported(&answer.read()?, answer.is_forced)
        + &needs_restart(&restart_keys(client, &config).await?);
    Ok(Out {
        text,
        json: answer.body,
    })
}

/// Static settings of a file that differ from the running ones.
async fn restart_keys(client: &Client, config: &Config) -> Result<Vec<String>, Failure> {
    let running: SettingsReport = client.send(ApiRequest::get("/v1/settings")).await?.read()?;
    Ok(changed_settings(
        &running.settings,
        &config.settings_digests(),
    ))
}

fn needs_restart(keys: &[String]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    format!(
        "these keys of the file differ from the running settings and need a restart: {}\n",
        keys.join(", ")
    )
}

fn imported(report: &ImportReport, forced: bool) -> String {
    let mut text = match (&report.receipt, &report.dry_run) {
        (Some(receipt), _) => render::receipt(receipt),
        (None, Some(dry_run)) => render::dry_run(dry_run, forced),
        (None, None) => format!("revision {}  nothing to import\n", report.revision),
    };
    for kept in &report.kept {
        text = format!("{text}  {}: changed live, kept\n", clean(kept));
    }
    for conflict in &report.conflicts {
        text = format!(
            "{text}  {}: changed in the file and live\n",
            clean(&conflict.path)
        );
    }
    if !report.drift.is_empty() {
        text = format!("{text}the live table differs from the file:\n");
        for line in render::summary(&report.drift) {
            text = format!("{text}  {line}\n");
        }
    }
    text
}

/// Makes the process reload its files.
pub(super) async fn reload(client: &Client) -> Result<Out, Failure> {
    let answer = client
        .send(ApiRequest::of(Method::POST, "/v1/reload"))
        .await?;
    let report: ReloadReport = answer.read()?;
    let text = imported(&report.import, false) + &needs_restart(&report.restart);
    if report.certificates.is_empty() && report.access_log.is_none() {
        return Ok(Out {
            text,
            json: answer.body,
        });
    }
    let failed = report.certificates.iter().chain(&report.access_log);
    let failed: Vec<_> = failed.map(|error| clean(error)).collect();
    let message = format!(
        "{}\nhint: the previous certificates and access log stay in use",
        failed.join("\n")
    );
    Err(Failure::new(Exit::Config, message).with_json(answer.body))
}

/// Prints the live table; with a file, below the static settings of that file.
pub(super) async fn export(client: &Client, file: Option<&Path>) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/table")).await?;
    let table: TableDocument = answer.read()?;
    let text = match file {
        None => to_toml(&table)?,
        Some(file) => {
            let mut config = configuration(file)?;
            (config.releases, config.routes) = (table.releases, table.routes);
            config.normal_form()
        }
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}

/// Prints one revision: who, when, why, what it changed, and its table.
pub(super) async fn show_revision(client: &Client, revision: Revision) -> Result<Out, Failure> {
    let answer = client
        .send(ApiRequest::get(format!("/v1/revisions/{revision}")))
        .await?;
    let detail: RevisionDetail = answer.read()?;
    let summary = &detail.summary;
    let mut text = format!(
        "revision {revision}, {} by {} at {}",
        queries::what(summary),
        clean(&summary.author.name),
        summary.published_at
    );
    if let Some(message) = &summary.author.message {
        text = format!("{text}: {}", clean(message));
    }
    if let Some(group) = &summary.author.group {
        text = format!("{text} (group {})", clean(group));
    }
    text = format!("{text}\n{}", undo(summary.undo_to));
    for line in detail.diff.iter().flat_map(render::summary) {
        text = format!("{text}  {line}\n");
    }
    text = format!("{text}\n{}", to_toml(&detail.table)?);
    Ok(Out {
        text,
        json: answer.body,
    })
}

fn undo(to: Option<Revision>) -> String {
    match to {
        Some(to) => format!("a rollback from it goes to revision {to}; it changed:\n"),
        None => "there is no revision before it; it changed:\n".to_owned(),
    }
}

/// Reads a configuration file; a file with problems is not sent anywhere.
pub(super) fn configuration(file: &Path) -> Result<Config, Failure> {
    configuration_by(config::load, file)
}

/// Reads a configuration file with the given loader.
pub(super) fn configuration_by(
    load: impl FnOnce(&Path) -> Result<Config, ConfigError>,
    file: &Path,
) -> Result<Config, Failure> {
    load(file).map_err(|error| unusable(file, &error))
}

/// Failure for a file with problems, with the problems for machines.
pub(super) fn unusable(file: &Path, error: &ConfigError) -> Failure {
    let (exit, cause, problems) = match error {
        ConfigError::Invalid { problems, .. } => (Exit::Config, String::new(), problems.as_slice()),
        ConfigError::Read { source, .. } => (Exit::NoInput, format!(": {source}"), &[][..]),
    };
    let message = format!("{error}{cause}");
    Failure::new(exit, &*message).with_json(problem_list(file, &message, problems))
}

/// The problems of a file for machines: its path, the whole text, and each with its line.
fn problem_list(file: &Path, text: &str, problems: &[LocatedProblem]) -> Vec<u8> {
    let problem = |placed: &LocatedProblem| {
        json!({
            "line": placed.line,
            "path": placed.problem.path,
            "message": placed.problem.message,
            "hint": placed.problem.hint,
        })
    };
    let problems: Vec<_> = problems.iter().map(problem).collect();
    let list = json!({ "file": file, "valid": false, "error": text, "problems": problems });
    list.to_string().into_bytes()
}
