//! Subcommands of rollouts.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    json_file,
    options::{message, plain_name},
    output::Out,
    text::{Columns, clean},
};
use crate::{
    api::{
        MessageRequest, PlanChoice, Rollout, RolloutList, RolloutPause, RolloutRequest,
        RolloutState,
    },
    model::{PlanName, ReleaseName, RouteName},
};

/// Subcommands of rollouts.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutVerb {
    /// Give a release the requests of a route step by step, judged by the traffic itself
    #[command(
        after_help = "Without a plan: 5, 25 and 50 percent until the release is fine there, and a bake of ten minutes. What is worse than the stable release is taken back at once.\n\nExamples:\n  switchback rollout start chat green\n  switchback rollout start chat green --plan careful -m 'release 2.0.0'\n  switchback rollout start chat green --plan-file plan.json"
    )]
    Start(StartArgs),
    /// List the rollouts, the latest first
    #[command(after_help = "Example:\n  switchback rollout list")]
    List,
    /// Show a rollout: its step, its verdict and its log
    #[command(after_help = "Example:\n  switchback rollout show chat")]
    Show {
        /// The rollout, or its route
        #[arg(value_parser = rollout_name)]
        rollout: String,
    },
    /// Go no further; what is worse is still taken back
    #[command(after_help = "Example:\n  switchback rollout pause chat")]
    Pause(CommandArgs),
    /// Go on after a pause
    #[command(after_help = "Example:\n  switchback rollout resume chat")]
    Resume(CommandArgs),
    /// Approve the step that waits for an approval
    #[command(after_help = "Example:\n  switchback rollout approve chat -m 'looks good'")]
    Approve(CommandArgs),
    /// End the step now, whatever it waits for
    #[command(after_help = "Example:\n  switchback rollout skip chat")]
    Skip(CommandArgs),
    /// Give the release everything now
    #[command(after_help = "Example:\n  switchback rollout promote chat")]
    Promote(CommandArgs),
    /// Give up: the route gets its earlier split again
    #[command(after_help = "Example:\n  switchback rollout abort chat")]
    Abort(CommandArgs),
    /// Take the release back, even if the rollout has succeeded
    #[command(after_help = "Example:\n  switchback rollout rollback chat -m 'wrong answers'")]
    Rollback(CommandArgs),
}

/// Arguments of a start.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The route
    route: RouteName,
    /// The release that gets the requests
    to: ReleaseName,
    /// A plan of the configuration file
    #[arg(long, value_name = "NAME", conflicts_with = "plan_file")]
    plan: Option<PlanName>,
    /// A file with a plan in JSON; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    plan_file: Option<PathBuf>,
    /// Start although the release is in quarantine
    #[arg(long)]
    force: bool,
    /// Reason, for the history
    #[arg(short, long, value_parser = message)]
    message: Option<String>,
}

/// Arguments of a command.
#[derive(Debug, Args)]
pub(super) struct CommandArgs {
    /// The rollout, or its route
    #[arg(value_parser = rollout_name)]
    rollout: String,
    /// Reason, for its log
    #[arg(short, long, value_parser = message)]
    message: Option<String>,
}

pub(super) async fn rollout(client: &Client, verb: RolloutVerb) -> Result<Out, Failure> {
    let (args, command) = match verb {
        RolloutVerb::Start(start) => return begin(client, start).await,
        RolloutVerb::List => return list(client).await,
        RolloutVerb::Show { rollout } => {
            return one(client, ApiRequest::get(path(&rollout))).await;
        }
        RolloutVerb::Pause(args) => (args, "pause"),
        RolloutVerb::Resume(args) => (args, "resume"),
        RolloutVerb::Approve(args) => (args, "approve"),
        RolloutVerb::Skip(args) => (args, "skip"),
        RolloutVerb::Promote(args) => (args, "promote"),
        RolloutVerb::Abort(args) => (args, "abort"),
        RolloutVerb::Rollback(args) => (args, "rollback"),
    };
    let message = args.message;
    let place = format!("{}/{command}", path(&args.rollout));
    one(
        client,
        ApiRequest::of(Method::POST, place).json(&MessageRequest { message }),
    )
    .await
}

/// The id of a rollout, or the name of a route.
fn rollout_name(text: &str) -> Result<String, String> {
    plain_name(
        text,
        "neither the id of a rollout nor the name of a route; `switchback rollout list` shows both",
    )
}

fn path(rollout: &str) -> String {
    format!("/v1/rollouts/{rollout}")
}

async fn begin(client: &Client, start: StartArgs) -> Result<Out, Failure> {
    let plan = match (start.plan, &start.plan_file) {
        (Some(name), _) => Some(PlanChoice::Named(name)),
        (None, Some(file)) => Some(PlanChoice::Given(Box::new(json_file::read(file)?))),
        (None, None) => None,
    };
    let request = RolloutRequest {
        route: start.route,
        to: start.to,
        plan,
        force: start.force,
        message: start.message,
    };
    one(
        client,
        ApiRequest::of(Method::POST, "/v1/rollouts").json(&request),
    )
    .await
}

async fn list(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/rollouts")).await?;
    let list: RolloutList = answer.read()?;
    let mut rows = Columns::titled(&[
        "ROLLOUT", "ROUTE", "FROM", "TO", "STATE", "STEP", "WEIGHT", "VERDICT",
    ]);
    for rollout in &list.rollouts {
        rows.row(row(rollout));
    }
    Ok(Out {
        text: rows.shown(),
        json: answer.body,
    })
}

fn row(rollout: &Rollout) -> Vec<String> {
    let verdict = rollout
        .verdict
        .as_ref()
        .map(|verdict| clean(&verdict.words));
    vec![
        clean(&rollout.id),
        rollout.route.to_string(),
        rollout.from.to_string(),
        rollout.to.to_string(),
        state(rollout.state, rollout.paused_for),
        format!("{}/{}", rollout.step + 1, rollout.plan.steps.len()),
        weight(rollout),
        verdict.unwrap_or_default(),
    ]
}

/// The weight; what the release of an ended rollout has by now is none of it.
fn weight(rollout: &Rollout) -> String {
    if rollout.ended_at.is_some() {
        return "-".to_owned();
    }
    format!("{}%", rollout.weight)
}

/// The state, with the reason of a pause.
pub(super) fn state(state: RolloutState, paused_for: Option<RolloutPause>) -> String {
    let state = state.as_str();
    match paused_for {
        Some(reason) => format!("{state} ({})", reason.as_str()),
        None => state.to_owned(),
    }
}

async fn one(client: &Client, ask: ApiRequest) -> Result<Out, Failure> {
    let answer = client.send(ask).await?;
    let text = shown(&answer.read()?);
    Ok(Out {
        text,
        json: answer.body,
    })
}

fn shown(rollout: &Rollout) -> String {
    let mut text = format!(
        "rollout {}  {}: {} → {}  {}, step {} of {}, {}% for {}\n",
        clean(&rollout.id),
        rollout.route,
        rollout.from,
        rollout.to,
        state(rollout.state, rollout.paused_for),
        rollout.step + 1,
        rollout.plan.steps.len(),
        rollout.weight,
        rollout.held
    );
    if let Some(verdict) = &rollout.verdict {
        let _ = writeln!(text, "  {}", clean(&verdict.words));
        for metric in &verdict.metrics {
            let _ = writeln!(text, "    {}", clean(&metric.words));
        }
    }
    if let Some(verification) = &rollout.verification {
        let (id, words) = (clean(&verification.id), clean(&verification.words));
        let _ = writeln!(text, "  verification {id}: {words}");
    }
    if let Some(reason) = &rollout.waiting_for {
        let _ = writeln!(text, "  waiting: {}", clean(reason));
    }
    for entry in &rollout.log {
        let _ = writeln!(
            text,
            "  {}  {}  {}",
            entry.at,
            clean(&entry.by),
            clean(&entry.what)
        );
    }
    text
}
