//! Subcommands of the quarantine.

use clap::Subcommand;
use hyper::Method;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    options::{message, version},
    output::Out,
    text::{Columns, clean},
};
use crate::{
    api::{QuarantineList, QuarantineRequest, QuarantinedRelease},
    model::{ReleaseName, Version},
};

/// Help below the list of its subcommands.
pub(super) const QUARANTINE_HELP: &str = "A version that a rollback or a rollout took back gets requests again by hand, and by no rollout and no edited file.\n\nExamples:\n  switchback quarantine list\n  switchback quarantine lift green";

/// Subcommands of the quarantine.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineVerb {
    /// List the releases that were taken back, the latest first
    #[command(after_help = "Example:\n  switchback quarantine list")]
    List,
    /// Put the live version of a release in quarantine
    #[command(after_help = "Example:\n  switchback quarantine add green -m 'wrong answers'")]
    Add {
        /// The release
        release: ReleaseName,
        /// Reason
        #[arg(short, long, value_parser = message)]
        message: String,
    },
    /// Let rollouts and edited files give a release requests again
    #[command(after_help = "Example:\n  switchback quarantine lift green")]
    Lift {
        /// The release
        release: ReleaseName,
        /// Only this version
        #[arg(long, value_name = "VERSION", value_parser = version)]
        version: Option<Version>,
    },
}

pub(super) async fn quarantine(client: &Client, verb: QuarantineVerb) -> Result<Out, Failure> {
    match verb {
        QuarantineVerb::List => list(client).await,
        QuarantineVerb::Add { release, message } => add(client, &release, message).await,
        QuarantineVerb::Lift { release, version } => lift(client, &release, version).await,
    }
}

async fn list(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/quarantine")).await?;
    let list: QuarantineList = answer.read()?;
    let text = if list.releases.is_empty() {
        "no release is in quarantine\n".to_owned()
    } else {
        shown(&list.releases)
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}

async fn add(client: &Client, release: &ReleaseName, reason: String) -> Result<Out, Failure> {
    let path = format!("/v1/quarantine/{release}");
    let ask = ApiRequest::of(Method::PUT, path).json(&QuarantineRequest { reason });
    let answer = client.send(ask).await?;
    let entry: QuarantinedRelease = answer.read()?;
    Ok(Out {
        text: shown(&[entry]),
        json: answer.body,
    })
}

async fn lift(
    client: &Client,
    release: &ReleaseName,
    version: Option<Version>,
) -> Result<Out, Failure> {
    let path = format!("/v1/quarantine/{release}");
    let mut ask = ApiRequest::of(Method::DELETE, path);
    if let Some(version) = version {
        ask = ask.argument("version", version);
    }
    let answer = client.send(ask).await?;
    let list: QuarantineList = answer.read()?;
    Ok(Out {
        text: format!("lifted:\n{}", shown(&list.releases)),
        json: answer.body,
    })
}

fn shown(releases: &[QuarantinedRelease]) -> String {
    let mut rows = Columns::titled(&["RELEASE", "VERSION", "SINCE", "BY", "REASON"]);
    for entry in releases {
        rows.row(vec![
            entry.release.to_string(),
            clean(entry.version.as_str()),
            entry.since.to_string(),
            clean(&entry.by),
            clean(&entry.reason),
        ]);
    }
    rows.shown()
}
