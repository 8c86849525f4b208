//! `backup`: takes a backup of a running proxy.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Args;
use hyper::Method;
use serde_json::json;

use super::{
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    output::Out,
    passphrase::PassphraseArgs,
    private_file,
    text::{clean, count},
};
use crate::{
    api::{BackupRequest, BackupRun},
    history::CheckedBackup,
};

/// Help below the options.
pub(super) const BACKUP_HELP: &str = "It has the history, the revision numbers, what is kept beside the history, and the configuration file; with --with-keys also the key for session ids. Every revision in it is checked before the file gets its name.\n\nExamples:\n  switchback backup\n  switchback backup -o /backups/switchback.backup\n  switchback backup -o - | ssh backups 'cat > switchback.backup'\n  switchback backup --with-keys --passphrase-file /etc/switchback/backup.pass\n  switchback backup --by-proxy";

/// Arguments of a backup.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file, `-` for standard output [default: a name with the time, in the current folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Include the key for session ids, encrypted with a passphrase
    #[arg(long)]
    with_keys: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Have the proxy make one now, in the folder of `[backup] path`, verified and kept like those that it makes by itself
    #[arg(long, conflicts_with_all = ["output", "with_keys"])]
    by_proxy: bool,
}

pub(super) async fn backup(client: &Client, args: BackupArgs) -> Result<Out, Failure> {
    if args.by_proxy {
        return by_proxy(client).await;
    }
    let ask = if args.with_keys {
        let passphrase = args.passphrase.required()?;
        ApiRequest::of(Method::POST, "/v1/backup").json(&BackupRequest { passphrase })
    } else {
        ApiRequest::get("/v1/backup")
    };
    let bytes = client.download(ask).await?;
    // What is kept for the bad day is read as on that day.
    let read = CheckedBackup::read(&bytes);
    let checked = read.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let output = args.output.unwrap_or_else(by_time);
    if output == Path::new("-") {
        let written = std::io::stdout().write_all(&bytes);
        written.map_err(|error| unwritten(&output, &error))?;
        return Ok(Out::default());
    }
    private_file::replace(&output, &bytes).map_err(|error| unwritten(&output, &error))?;
    Ok(written(&output, bytes.len(), &checked))
}

async fn by_proxy(client: &Client) -> Result<Out, Failure> {
    let answer = client
        .send(ApiRequest::of(Method::POST, "/v1/backups"))
        .await?;
    let run: BackupRun = answer.read()?;
    let file = run.file.as_deref().unwrap_or("none");
    let text = format!(
        "{}  {}, revision {} is live, {} bytes; restored and compared\n",
        clean(file),
        count(run.revisions as u64, "revision"),
        run.live,
        run.bytes
    );
    if let Some(error) = &run.error {
        return Err(Failure::new(Exit::History, clean(error)).with_json(answer.body));
    }
    let json = answer.body;
    Ok(Out { text, json })
}

fn written(file: &Path, bytes: usize, checked: &CheckedBackup) -> Out {
    let (manifest, kept) = (&checked.backup().manifest, checked.revisions().len());
    let text = format!(
        "{}  {}, revision {} is live, {bytes} bytes; every revision checked\n",
        file.display(),
        count(kept as u64, "revision"),
        manifest.live
    );
    let json = json!({
        "file": file,
        "bytes": bytes,
        "live": manifest.live,
        "revisions": kept,
        "keys": checked.backup().has_keys(),
    });
    Out {
        text,
        json: json.to_string().into_bytes(),
    }
}

/// A name that sorts by time, such as `switchback-20270131T120000Z.backup`.
fn by_time() -> PathBuf {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let now = now.replace(['-', ':'], "");
    format!("switchback-{now}.backup").into()
}

fn unwritten(file: &Path, error: &std::io::Error) -> Failure {
    let message = format!("`{}` cannot be written: {error}", file.display());
    Failure::new(Exit::History, message)
}
