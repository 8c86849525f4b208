//! `switchback maintenance`: the switch of a route's maintenance.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{
    change::done,
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    options::ChangeArgs,
    output::Out,
    resources::{route_path, write},
};
use crate::model::{HumanDuration, LONGEST_ANSWER, MaintenanceSpec, RouteName, RouteSpec};

/// Text for the help of `maintenance`, beside that of its options.
pub(super) const MAINTENANCE_HELP: &str = "While it is on, requests get a 503 with `Retry-After`; those that name their release by a preview token go there all the same. What is in flight goes on.\nThe page of the route and its `Retry-After` stay for the next time; a rollback takes either switch back.\n\nExamples:\n  switchback maintenance chat on -m 'new database'\n  switchback maintenance chat on --retry-after 5m --page down.html\n  switchback maintenance chat off";

/// Arguments of `maintenance`.
#[derive(Debug, Args)]
pub(super) struct MaintenanceArgs {
    /// The route
    route: RouteName,
    /// The switch
    state: Switch,
    /// Time after which clients may come again; 60s by default
    #[arg(long, value_name = "TIME")]
    retry_after: Option<HumanDuration>,
    /// File with an HTML page, at most 16 KiB, for clients that ask for HTML
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// State of a maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) async fn maintenance(client: &Client, args: MaintenanceArgs) -> Result<Out, Failure> {
    let path = route_path(&args.route);
    let live = client.send(ApiRequest::get(&path)).await?;
    let mut spec: RouteSpec = live.read()?;
    let mut maintenance = spec.maintenance.take().unwrap_or_default();
    maintenance.on = args.state == Switch::On;
    maintenance.retry_after = args.retry_after.or(maintenance.retry_after);
    if let Some(file) = &args.page {
        (maintenance.body, maintenance.content_type) = (page(file)?, None);
    }
    // What says nothing is left out, so that the route is again what it was before.
    spec.maintenance = Some(maintenance).filter(|spec| *spec != MaintenanceSpec::default());
    let ask = write(path, &spec, live.revision, &args.change);
    done(client.send(ask).await?)
}

fn page(file: &Path) -> Result<String, Failure> {
    let failed = |why: String| {
        let message = format!("{}: {why}", file.display());
        Failure::new(Exit::Usage, message)
    };
    let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?;
    if length.len() > LONGEST_ANSWER as u64 {
        return Err(failed(format!(
            "{} bytes; the maximum is {LONGEST_ANSWER}",
            length.len()
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    if text.trim().is_empty() {
        return Err(failed("the page is empty".to_owned()));
    }
    Ok(text)
}
