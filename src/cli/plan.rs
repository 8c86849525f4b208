//! Plans: the effect of a change, a rollback or a rollout, without making it.
//!
//! A plan is the dry run of the same command. It is made even where the command itself would be refused, and says so.

use std::{fmt::Write as _, path::PathBuf};

use clap::Subcommand;

use super::{
    change::{self, RollbackArgs},
    client::Client,
    exit::Failure,
    options::{ChangeArgs, CommonArgs, GroupArgs, HealthArgs, revision},
    outlook,
    output::Out,
    rollouts::{self, StartArgs},
    split_args::SplitArgs,
    text::{clean, percent},
};
use crate::{
    api::{RolloutDryRun, RolloutRouteDryRun, RolloutStepDryRun},
    model::{PlanName, ReleaseName, Revision, RouteName},
};

/// Commands that can be planned.
#[derive(Debug, Subcommand)]
pub(super) enum PlanVerb {
    /// Plan a split
    #[command(after_help = "Example:\n  switchback plan split chat green=25")]
    Split {
        #[command(flatten)]
        split: SplitArgs,
    },
    /// Plan a switch
    #[command(after_help = "Example:\n  switchback plan switch chat green")]
    Switch {
        /// The route
        route: RouteName,
        /// The release
        to: ReleaseName,
    },
    /// Plan a promotion
    #[command(after_help = "Example:\n  switchback plan promote chat")]
    Promote {
        /// The route
        route: RouteName,
        /// The release to promote, where the canary is ambiguous
        #[arg(long)]
        to: Option<ReleaseName>,
    },
    /// Plan an abort
    #[command(after_help = "Example:\n  switchback plan abort chat")]
    Abort {
        /// The route
        route: RouteName,
    },
    /// Plan a rollback
    #[command(
        after_help = "Examples:\n  switchback plan rollback\n  switchback plan rollback 41\n  switchback plan rollback --route chat"
    )]
    Rollback {
        /// The revision to restore
        #[arg(value_name = "REVISION", value_parser = revision, conflicts_with_all = ["to", "step", "route"])]
        revision: Option<Revision>,
        /// The same, as with the command
        #[arg(long, value_name = "REVISION", value_parser = revision, conflicts_with_all = ["step", "route"])]
        to: Option<Revision>,
        /// Undo one revision only, even of a group
        #[arg(long, conflicts_with = "route")]
        step: bool,
        /// Restore only the previous split of this route
        #[arg(long)]
        route: Option<RouteName>,
    },
    /// Plan each step of a rollout
    #[command(
        after_help = "Examples:\n  switchback plan rollout chat green\n  switchback plan rollout chat green --plan careful"
    )]
    Rollout {
        /// The route and the release that gets its requests; of several routes each as ROUTE=RELEASE
        #[arg(value_name = "ROUTE RELEASE", required = true, num_args = 1..)]
        targets: Vec<String>,
        /// A plan of the configuration file
        #[arg(long, value_name = "NAME", conflicts_with = "plan_file")]
        plan: Option<PlanName>,
        /// A file with a plan in JSON; `-` for the standard input
        #[arg(long, value_name = "FILE")]
        plan_file: Option<PathBuf>,
    },
}

/// Options of a dry run that nothing refuses.
const fn common() -> CommonArgs {
    CommonArgs {
        message: None,
        dry_run: true,
        based_on: None,
        wait_fleet: None,
    }
}

const fn of_change() -> ChangeArgs {
    ChangeArgs {
        common: common(),
        group: GroupArgs { name: None },
    }
}

const FORCED: HealthArgs = HealthArgs {
    force: true,
    wait: None,
};

pub(super) async fn plan(client: &Client, verb: PlanVerb) -> Result<Out, Failure> {
    match verb {
        PlanVerb::Split { split } => {
            let (route, by) = (&split.route, split.by(true));
            change::split(client, route, &split.parts, by, &FORCED, of_change()).await
        }
        PlanVerb::Switch { route, to } => {
            change::switch(client, &route, to, &FORCED, of_change()).await
        }
        PlanVerb::Promote { route, to } => {
            change::promote(client, &route, to, &FORCED, of_change()).await
        }
        PlanVerb::Abort { route } => {
            change::abort(client, &route, (true, false, None), of_change()).await
        }
        PlanVerb::Rollback {
            revision,
            to,
            step,
            route,
        } => {
            let back = RollbackArgs {
                to: revision.or(to),
                step,
                route,
                force: true,
                cut: false,
                over: None,
            };
            let (out, _) = change::rollback(client, back, common()).await?;
            Ok(out)
        }
        PlanVerb::Rollout {
            targets,
            plan,
            plan_file,
        } => rollout(client, StartArgs::planned(targets, plan, plan_file)).await,
    }
}

async fn rollout(client: &Client, start: StartArgs) -> Result<Out, Failure> {
    let answer = client.send(rollouts::start(start)?.dry_run(true)).await?;
    Ok(Out {
        text: shown(&answer.read()?),
        json: answer.body,
    })
}

fn shown(planned: &RolloutDryRun) -> String {
    let name = planned.plan_name.as_ref();
    let plan = name.map_or_else(String::new, |name| format!(" by the plan `{name}`"));
    let mut text = String::new();
    for RolloutRouteDryRun {
        route,
        from,
        to,
        steps,
    } in &planned.routes
    {
        let _ = writeln!(
            text,
            "would give {to} the requests of {route} that {from} has, step by step{plan}; nothing has changed"
        );
        for step in steps {
            let _ = writeln!(text, "  {}", of_step(step));
        }
    }
    if let Some(refused) = &planned.refused {
        let _ = writeln!(text, "refused without --force: {}", clean(refused));
    }
    text.push_str("the first step:\n");
    outlook::push(&mut text, &planned.first);
    text
}

fn of_step(step: &RolloutStepDryRun) -> String {
    let from = |(release, share)| format!("{} from {release}", percent(share));
    let moves = step.moves.iter().map(|one| from((&one.from, one.share)));
    let moves: Vec<_> = moves.collect();
    let mut text = format!("{}%: {}", step.weight, moves.join(", "));
    for crowded in &step.crowded {
        let _ = write!(text, "; {crowded}");
    }
    text
}
