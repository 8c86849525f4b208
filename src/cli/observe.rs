//! Subcommands that show how the traffic does.

use clap::Subcommand;

use super::{client::Client, exit::Failure, kpis, output::Out};
use crate::model::{HumanDuration, RouteName};

/// Subcommands that show how the traffic does.
#[derive(Debug, Subcommand)]
pub(super) enum ObserveCommand {
    /// Show key figures of routes and releases: requests, failures, latency, each release beside the stable one
    #[command(
        after_help = "The figures are kept in the process: seconds for 5 minutes, 10 seconds for 2 hours, 2 minutes for 2 days. They decide nothing; `switchback rollout show` has the verdict of a rollout.\n\nExamples:\n  switchback kpis\n  switchback kpis chat\n  switchback kpis chat --window 2h --json | jq .routes[0].releases"
    )]
    Kpis {
        /// The route; all of them by default
        route: Option<RouteName>,
        /// Time that is summed up, up to 48h
        #[arg(long, value_name = "TIME", default_value = "1m")]
        window: HumanDuration,
    },
}

/// Runs one of them.
pub(super) async fn observe(client: &Client, verb: ObserveCommand) -> Result<Out, Failure> {
    match verb {
        ObserveCommand::Kpis { route, window } => kpis::kpis(client, route.as_ref(), window).await,
    }
}
