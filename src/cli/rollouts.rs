//! Subcommands of rollouts.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    json_file,
    options::{message, over},
    outlook,
    output::Out,
    rollout_watch::{self, WatchArgs},
    rollout_words::{moves, rollout_name, state},
    text::{Columns, clean},
};
use crate::{
    api::{
        MessageRequest, PlanChoice, ReturnParts, Rollout, RolloutList, RolloutRequest,
        RolloutRoute, RouteChoice, RouteTo,
    },
    model::{HumanDuration, PlanName, ReleaseName, RouteName},
};

/// Subcommands of rollouts.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutVerb {
    /// Give a release the requests of a route step by step, judged by the traffic itself
    #[command(
        override_usage = "switchback rollout start [OPTIONS] ROUTE RELEASE\n       switchback rollout start [OPTIONS] ROUTE=RELEASE...",
        after_help = "Without a plan: 5, 25 and 50 percent until the release is fine there, and a bake of ten minutes. What is worse than the stable release is taken back at once.\n\nSeveral routes are a train: they get each step in one revision, and go back in one. Each is judged by its own requests.\n\nExamples:\n  switchback rollout start chat green\n  switchback rollout start chat green --plan careful -m 'release 2.0.0'\n  switchback rollout start chat green --plan-file plan.json\n  switchback rollout start chat=green tools=tools-2"
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
    /// Follow a rollout to its end
    #[command(
        after_help = "It writes the lines of its log as they come, and goes on after lost connections.\n\nExamples:\n  switchback rollout watch chat\n  switchback rollout watch chat --exit-code --junit rollout.xml --within 2h"
    )]
    Watch(WatchArgs),
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
    Abort(BackArgs),
    /// Take the release back, even if the rollout has succeeded
    #[command(
        after_help = "Examples:\n  switchback rollout rollback chat -m 'wrong answers'\n  switchback rollout rollback chat --over 30s"
    )]
    Rollback(BackArgs),
}

/// Arguments of a start.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The route and the release that gets its requests; of several routes each as ROUTE=RELEASE
    #[arg(value_name = "ROUTE RELEASE", required = true, num_args = 1..)]
    targets: Vec<String>,
    /// A plan of the configuration file
    #[arg(long, value_name = "NAME", conflicts_with = "plan_file")]
    plan: Option<PlanName>,
    /// A file with a plan in JSON; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    plan_file: Option<PathBuf>,
    /// Start although the release is in quarantine, or has no room
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

/// Arguments of a command that takes a release back.
#[derive(Debug, Args)]
pub(super) struct BackArgs {
    #[command(flatten)]
    command: CommandArgs,
    /// Proceed although the release does not allow it for its data
    #[arg(long)]
    force: bool,
    /// Give the requests back little by little in this time, such as `30s`; without it at once
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = over)]
    over: Option<HumanDuration>,
}

pub(super) async fn rollout(
    client: &Client,
    verb: RolloutVerb,
    json: bool,
) -> Result<Out, Failure> {
    let now = (false, None);
    let (args, command, (force, over)) = match verb {
        RolloutVerb::Start(args) => return one(client, start(args)?).await,
        RolloutVerb::List => return list(client).await,
        RolloutVerb::Show { rollout } => {
            return one(client, ApiRequest::get(path(&rollout))).await;
        }
        RolloutVerb::Watch(args) => return rollout_watch::watch(client, args, json).await,
        RolloutVerb::Pause(args) => (args, "pause", now),
        RolloutVerb::Resume(args) => (args, "resume", now),
        RolloutVerb::Approve(args) => (args, "approve", now),
        RolloutVerb::Skip(args) => (args, "skip", now),
        RolloutVerb::Promote(args) => (args, "promote", now),
        RolloutVerb::Abort(back) => (back.command, "abort", (back.force, back.over)),
        RolloutVerb::Rollback(back) => (back.command, "rollback", (back.force, back.over)),
    };
    let message = args.message;
    let place = format!("{}/{command}", path(&args.rollout));
    let mut request = ApiRequest::of(Method::POST, place)
        .json(&MessageRequest { message })
        .force(force);
    if let Some(over) = over {
        request = request.argument("over", over);
    }
    one(client, request).await
}

fn path(rollout: &str) -> String {
    format!("/v1/rollouts/{rollout}")
}

impl StartArgs {
    /// The arguments of a start that is planned only: nothing refuses it.
    pub(super) const fn planned(
        targets: Vec<String>,
        plan: Option<PlanName>,
        plan_file: Option<PathBuf>,
    ) -> Self {
        Self {
            targets,
            plan,
            plan_file,
            force: true,
            message: None,
        }
    }
}

/// The request of a start.
pub(super) fn start(start: StartArgs) -> Result<ApiRequest, Failure> {
    let plan = match (start.plan, &start.plan_file) {
        (Some(name), _) => Some(PlanChoice::Named(name)),
        (None, Some(file)) => Some(PlanChoice::Given(Box::new(json_file::read(file)?))),
        (None, None) => None,
    };
    let request = RolloutRequest {
        plan,
        force: start.force,
        message: start.message,
        ..targets(&start.targets).map_err(|mistake| Failure::new(Exit::Usage, mistake))?
    };
    Ok(ApiRequest::of(Method::POST, "/v1/rollouts").json(&request))
}

/// The routes and releases of a start: `chat green`, or `chat=green tools=tools-2`.
fn targets(words: &[String]) -> Result<RolloutRequest, String> {
    let name = |error: &dyn std::fmt::Display, word: &str| format!("`{word}`: {error}");
    let route = |word: &str| {
        word.parse::<RouteName>()
            .map_err(|error| name(&error, word))
    };
    let release = |word: &str| {
        word.parse::<ReleaseName>()
            .map_err(|error| name(&error, word))
    };
    let pair = |word: &String| {
        let Some((on, to)) = word.split_once('=') else {
            return Err(format!(
                "`{word}` names no release: write `ROUTE RELEASE` for one route, or ROUTE=RELEASE for each of several"
            ));
        };
        let (route, to) = (route(on)?, Some(release(to)?));
        Ok(RouteChoice::Given(RouteTo { route, to }))
    };
    if let [on, to] = words
        && !on.contains('=')
        && !to.contains('=')
    {
        return Ok(RolloutRequest {
            route: Some(route(on)?),
            to: Some(release(to)?),
            ..RolloutRequest::default()
        });
    }
    let routes: Result<Vec<_>, String> = words.iter().map(pair).collect();
    Ok(RolloutRequest {
        routes: routes?,
        ..RolloutRequest::default()
    })
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
        rollout.route_names(),
        rollout.from_names(),
        rollout.to_names(),
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
        "rollout {}  {}  {}, step {} of {}, {}% for {}\n",
        clean(&rollout.id),
        moves(rollout),
        state(rollout.state, rollout.paused_for),
        rollout.step + 1,
        rollout.plan.steps.len(),
        rollout.weight,
        rollout.held
    );
    if let Some(node) = &rollout.node {
        let _ = writeln!(text, "  node: {}", clean(node));
    }
    for route in &rollout.routes {
        text.push_str(&judged(route, rollout.routes.len() > 1));
    }
    if let Some(verification) = &rollout.verification {
        let (id, words) = (clean(&verification.id), clean(&verification.words));
        let _ = writeln!(text, "  verification {id}: {words}");
    }
    if let Some(reason) = &rollout.waiting_for {
        let _ = writeln!(text, "  waiting: {}", clean(reason));
    }
    if let Some(back) = &rollout.going_back {
        let _ = writeln!(text, "  {}", goes_back(back));
    }
    if let Some(next) = &rollout.next {
        let _ = writeln!(
            text,
            "  `switchback rollout approve {}` would:",
            clean(&rollout.id)
        );
        let mut words = String::new();
        outlook::push(&mut words, next);
        for line in words.lines() {
            let _ = writeln!(text, "  {line}");
        }
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

/// The way back in parts, in words.
pub(super) fn goes_back(back: &ReturnParts) -> String {
    let ReturnParts {
        over, part, parts, ..
    } = back;
    format!("goes back over {over}, part {part} of {parts}")
}

/// The verdict by the requests of a route, with the name of one of several.
fn judged(route: &RolloutRoute, is_named: bool) -> String {
    let Some(verdict) = &route.verdict else {
        return String::new();
    };
    let name = if is_named {
        format!("{}, {}%: ", route.route, route.weight)
    } else {
        String::new()
    };
    let mut text = format!("  {name}{}\n", clean(&verdict.words));
    for metric in &verdict.metrics {
        let _ = writeln!(text, "    {}", clean(&metric.words));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_names_one_route_or_several() {
        let start = |words: &str| {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            let request = targets(&words)?;
            let targets = request
                .targets()
                .map_err(|problems| problems[0].to_string())?;
            let targets = targets.iter().map(|(route, to)| format!("{route} {to}"));
            Ok::<_, String>(targets.collect::<Vec<_>>())
        };
        assert_eq!(start("chat green").unwrap(), ["chat green"]);
        assert_eq!(start("chat=green").unwrap(), ["chat green"]);
        assert_eq!(
            start("chat=green tools=tools-2").unwrap(),
            ["chat green", "tools tools-2"]
        );
        assert_eq!(
            targets(&["chat".into(), "green".into()]).unwrap().routes,
            []
        );
        for (words, mistake) in [
            ("chat", "`chat` names no release"),
            ("chat green tools", "`chat` names no release"),
            ("chat=green tools", "`tools` names no release"),
            ("chat=", "``: "),
            ("chat=a=b", "`a=b`: "),
            (
                "chat=green chat=blue",
                "routes[1]: route `chat` is there twice",
            ),
        ] {
            let found = start(words).unwrap_err();
            assert!(found.starts_with(mistake), "{words}: {found}");
        }
    }
}
