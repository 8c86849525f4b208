//! `restore`: a backup becomes the history of a proxy that does not run, or a part of it a change of one that does.

use std::{
    fmt::Write as _,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{
    access::AccessArgs,
    exit::{Exit, Failure},
    options::{CommonArgs, revision},
    output::Out,
    passphrase::PassphraseArgs,
    private_file, queries, restore_part,
    runtime::runtime,
    table::configuration,
    text::{Columns, clean, count},
};
use crate::{
    api::{RevisionSummary, Timestamp},
    backup::{Keys, LARGEST_BACKUP},
    history::{self, CheckedBackup, RestoreError},
    model::{Revision, RouteName},
    telemetry::ErrorChain,
};

/// Help below the options.
pub(super) const RESTORE_HELP: &str = "Without --revision and --route the proxy of that folder must not run. Nothing is written before all of the backup is checked; a history that was there stays in the folder `before-restore`.\n\nExamples:\n  switchback restore switchback.backup --list\n  switchback restore switchback.backup --history /var/lib/switchback\n  switchback restore switchback.backup --history /var/lib/switchback --config-to /etc/switchback.toml\n  switchback restore switchback.backup --revision 41 -m 'back to Friday'\n  switchback restore switchback.backup --route chat --dry-run";

/// Arguments of a restore.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the content: the revisions, with their authors and digests
    #[arg(long, conflicts_with_all = ["history", "config", "config_to", "revision", "route"])]
    list: bool,
    /// Folder of the history to restore into
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    history: Option<PathBuf>,
    /// Configuration file whose `[history] path` is that folder
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File to write the configuration in the backup to; without --history and --config nothing else is restored
    #[arg(long, value_name = "FILE")]
    config_to: Option<PathBuf>,
    /// Bring this revision out of the backup, as a change of the running proxy
    #[arg(long, value_name = "REVISION", value_parser = revision, conflicts_with_all = ["history", "config", "config_to"])]
    revision: Option<Revision>,
    /// Bring only this route out of the backup, as a change of the running proxy
    #[arg(long, value_name = "ROUTE", conflicts_with_all = ["history", "config", "config_to"])]
    route: Option<RouteName>,
    /// Replace a history and a configuration that are there; with --revision and --route: proceed although a release has
    /// no healthy endpoint
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    change: CommonArgs,
}

pub(super) fn restore(access: &AccessArgs, args: RestoreArgs) -> Result<Out, Failure> {
    let bytes = bytes(&args.file)?;
    // Whatever it is, the file is at fault.
    let checked = CheckedBackup::read(&bytes)
        .map_err(|error| Failure::new(Exit::Config, ErrorChain(&error).to_string()))?;
    if args.list {
        return Ok(list(&checked));
    }
    if args.revision.is_some() || args.route.is_some() {
        let part = restore_part::Part {
            revision: args.revision,
            route: args.route,
            force: args.force,
        };
        let client = access.client()?;
        return runtime()?.block_on(restore_part::change(&client, &checked, part, args.change));
    }
    whole(&checked, &args)
}

fn whole(checked: &CheckedBackup, args: &RestoreArgs) -> Result<Out, Failure> {
    let folder = match (&args.history, &args.config) {
        (Some(folder), _) => folder.clone(),
        (None, Some(file)) => configuration(file)?.history.path,
        (None, None) if args.config_to.is_some() => return config_alone(checked, args),
        (None, None) => {
            let message = "it is not said where to\nhint: `--history FOLDER`, or `--config FILE` for its `[history] \
                           path`; `--config-to FILE` for the configuration alone; `--list` shows what is in the backup";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let keys = keys(checked, args)?;
    let config = config_to(checked, args)?;
    history::restore(checked, &keys, &folder, args.force).map_err(|error| refused(&error))?;
    if let Some((file, text)) = config {
        private_file::replace(file, text.as_bytes()).map_err(|error| {
            let message = format!(
                "the history is restored, and `{}` cannot be written: {error}",
                file.display()
            );
            Failure::new(Exit::History, message)
        })?;
    }
    Ok(restored(checked, &folder, &keys))
}

/// Writes the configuration and leaves the history alone.
fn config_alone(checked: &CheckedBackup, args: &RestoreArgs) -> Result<Out, Failure> {
    let Some((file, text)) = config_to(checked, args)? else {
        return Ok(Out::default());
    };
    private_file::replace(file, text.as_bytes()).map_err(|error| {
        let message = format!("`{}` cannot be written: {error}", file.display());
        Failure::new(Exit::NoOutput, message)
    })?;
    let text = format!(
        "{}  written; no history is restored without `--history FOLDER` or `--config FILE`\n",
        file.display()
    );
    Ok(Out {
        text,
        json: json!({ "config": file }).to_string().into_bytes(),
    })
}

fn keys(checked: &CheckedBackup, args: &RestoreArgs) -> Result<Keys, Failure> {
    match args.passphrase.read()? {
        Some(passphrase) => {
            let keys = checked.backup().keys(&passphrase);
            keys.map_err(|error| Failure::new(Exit::NotAllowed, error.to_string()))
        }
        None => Ok(Keys::new()),
    }
}

/// The file that the configuration is written to, and its text.
fn config_to<'a>(
    checked: &'a CheckedBackup,
    args: &'a RestoreArgs,
) -> Result<Option<(&'a Path, &'a str)>, Failure> {
    let Some(file) = args.config_to.as_deref() else {
        return Ok(None);
    };
    let Some(config) = &checked.backup().config else {
        let message = "there is no configuration file in the backup";
        return Err(Failure::new(Exit::Refused, message));
    };
    if file.exists() && !args.force {
        let message = format!(
            "`{}` is there already; `--force` replaces it",
            file.display()
        );
        return Err(Failure::new(Exit::Refused, message));
    }
    Ok(Some((file, &config.text)))
}

fn restored(checked: &CheckedBackup, folder: &Path, keys: &Keys) -> Out {
    let (backup, kept) = (checked.backup(), checked.revisions().len());
    let mut text = format!(
        "{}  {} restored, every digest compared; the next start serves revision {}\n",
        folder.display(),
        count(kept as u64, "revision"),
        backup.manifest.live
    );
    if backup.has_keys() && keys.is_empty() {
        text.push_str("its keys are not restored: they need `--passphrase-file FILE`\n");
    }
    let json = json!({
        "folder": folder,
        "revisions": kept,
        "live": backup.manifest.live,
        "keys": !keys.is_empty(),
    });
    Out {
        text,
        json: json.to_string().into_bytes(),
    }
}

fn list(checked: &CheckedBackup) -> Out {
    let backup = checked.backup();
    let manifest = &backup.manifest;
    let node = manifest.node.as_deref().unwrap_or("unknown");
    let taken = Timestamp::from_millis(manifest.taken_at_ms);
    let mut text = format!(
        "backup of {taken} by switchback {} on {}\n  revision {} is live; numbers up to {} may have been used\n",
        clean(&manifest.version),
        clean(node),
        manifest.live,
        manifest.reserved
    );
    if let Some(config) = &backup.config {
        let _ = writeln!(
            text,
            "  configuration file {}, {} bytes",
            clean(&config.path),
            config.text.len()
        );
    }
    let files: Vec<_> = backup.files.keys().map(|name| clean(name)).collect();
    if !files.is_empty() {
        let _ = writeln!(text, "  files: {}", files.join(", "));
    }
    let keys = if backup.has_keys() {
        "encrypted"
    } else {
        "none"
    };
    let _ = writeln!(text, "  keys: {keys}\n");
    let revisions = checked.revisions().iter().rev();
    let revisions: Vec<_> = revisions
        .map(|kept| RevisionSummary::of(&kept.record, manifest.live))
        .collect();
    text.push_str(&table(&revisions));
    let json = json!({
        "version": manifest.version,
        "node": manifest.node,
        "taken_at": taken,
        "live": manifest.live,
        "reserved": manifest.reserved,
        "config": backup.config.as_ref().map(|config| &config.path),
        "files": files,
        "keys": backup.has_keys(),
        "revisions": revisions,
    });
    Out {
        text,
        json: json.to_string().into_bytes(),
    }
}

/// The revisions in columns.
fn table(revisions: &[RevisionSummary]) -> String {
    let mut columns = Columns::titled(&["REVISION", "", "WHEN", "WHO", "WHAT", "DIGEST", "WHY"]);
    for one in revisions {
        columns.row(vec![
            one.revision.to_string(),
            if one.live { "live" } else { "" }.to_owned(),
            one.published_at.to_string(),
            clean(&one.author.name),
            queries::what(one),
            one.digest.to_string().chars().take(12).collect(),
            clean(one.author.message.as_deref().unwrap_or_default()),
        ]);
    }
    columns.shown()
}

/// The bytes of a backup, of which none is larger than allowed.
fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        if file == Path::new("-") {
            let stdin = std::io::stdin().lock();
            stdin.take(LARGEST_BACKUP + 1).read_to_end(&mut bytes)?;
        } else {
            let file = std::fs::File::open(file)?;
            file.take(LARGEST_BACKUP + 1).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 > LARGEST_BACKUP {
            return Err(std::io::Error::other("it is larger than 1 GiB"));
        }
        Ok(bytes)
    };
    read().map_err(|error| {
        let message = format!("`{}` cannot be read: {error}", file.display());
        Failure::new(Exit::NoInput, message)
    })
}

fn refused(error: &RestoreError) -> Failure {
    let exit = match error {
        RestoreError::NotEmpty(_) => Exit::Refused,
        RestoreError::Backup(_)
        | RestoreError::Differs { .. }
        | RestoreError::Damaged { .. }
        | RestoreError::UnknownFile(_) => Exit::Config,
        RestoreError::History(_) | RestoreError::Io { .. } => Exit::History,
    };
    Failure::new(exit, ErrorChain(error).to_string())
}
