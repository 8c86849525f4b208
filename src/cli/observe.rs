//! Subcommands that show how the traffic does.

use clap::Subcommand;

use super::{
    calibration,
    client::Client,
    effect,
    exit::Failure,
    kpis,
    options::{last_events, revision},
    output::Out,
    watch,
};
use crate::model::{HumanDuration, Revision, RouteName};

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
    /// Show the key figures before and after a revision, side by side: did it help?
    #[command(
        after_help = "The five minutes before it and after it, or up to the next revision of the route. The second of the revision itself is in neither. They are kept for the last 100 revisions since the start.\n\nExamples:\n  switchback effect\n  switchback effect 42"
    )]
    Effect {
        /// The revision; the live one by default
        #[arg(value_parser = revision)]
        revision: Option<Revision>,
    },
    /// Show what the judge of rollouts makes of two halves of one release: its false alarms on your own traffic
    #[command(
        after_help = "The routes are those of `[calibrate]` in the configuration file. In each rehearsal the stable release's requests are split in halves, and the judge compares one with the other as it compares a canary with stable; it needs an e-value of 100 to say worse.\n\nExamples:\n  switchback judge --calibrate\n  switchback judge --calibrate chat\n  switchback judge --calibrate --json | jq '.routes[] | {route, rehearsals, alarms}'"
    )]
    Judge {
        /// Show the rehearsals of the last days
        #[arg(long, required = true)]
        calibrate: bool,
        /// The route; all of `[calibrate]` by default
        route: Option<RouteName>,
    },
    /// Follow what happens: revisions, rollouts, health, drained releases
    #[command(
        after_help = "On a terminal the key figures of the last 10 seconds are drawn in place, with the latest events below them; elsewhere each event is a line, or JSON with --json. It ends with ctrl-c; a lost connection is made again, and what was missed is shown.\n\nExamples:\n  switchback watch\n  switchback watch --last 100 | grep NOT\n  switchback watch --json | jq -c 'select(.type == \"revision\")'"
    )]
    Watch {
        /// Begin with so many of the last events
        #[arg(long, default_value_t = 10, allow_hyphen_values = true, value_parser = last_events)]
        last: u16,
    },
}

/// Runs one of them.
pub(super) async fn observe(
    client: &Client,
    verb: ObserveCommand,
    json: bool,
) -> Result<Out, Failure> {
    match verb {
        ObserveCommand::Effect { revision } => effect::effect(client, revision).await,
        ObserveCommand::Judge { route, .. } => {
            calibration::calibration(client, route.as_ref()).await
        }
        ObserveCommand::Watch { last } => watch::watch(client, last, json).await,
        ObserveCommand::Kpis { route, window } => kpis::kpis(client, route.as_ref(), window).await,
    }
}
