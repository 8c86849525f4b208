//! Subcommands of drills.

use std::{fmt::Write as _, time::Duration};

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    options::{message, plain_name},
    output::Out,
    text::{Columns, clean},
};
use crate::{
    api::{Drill, DrillList, DrillRequest, DrillState, DrillStep},
    model::{DrillLevel, HumanDuration, Percent, RouteName},
};

/// Interval at which a drill that runs is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Arguments of a drill.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct DrillArgs {
    #[command(subcommand)]
    verb: Option<DrillVerb>,
    /// The route
    #[arg(required = true)]
    route: Option<RouteName>,
    /// The part of the way back that is rehearsed: mechanism, smoke, live or full
    #[arg(long, default_value_t = DrillLevel::Mechanism)]
    level: DrillLevel,
    /// Percents of the sessions that a live drill gives to the predecessor [default: 1]
    #[arg(long, value_name = "PERCENT")]
    share: Option<Percent>,
    /// Time of a live drill [default: 10m], or of each load of a full one [default: 10s]
    #[arg(long = "for", value_name = "TIME")]
    period: Option<HumanDuration>,
    /// Permit a full drill: all clients are served by the predecessor for a time
    #[arg(long)]
    visible: bool,
    /// Return at once, while a live or full drill runs
    #[arg(long)]
    no_wait: bool,
    /// Reason, for the report
    #[arg(short, long, value_parser = message)]
    message: Option<String>,
}

/// Subcommands of drills.
#[derive(Debug, Subcommand)]
enum DrillVerb {
    /// List the drills, the latest first
    #[command(after_help = "Example:\n  switchback drill list")]
    List,
    /// Show the report of a drill
    #[command(after_help = "Example:\n  switchback drill show chat")]
    Show {
        /// The drill, or its route
        #[arg(value_parser = drill_name)]
        drill: String,
    },
}

pub(super) async fn drill(client: &Client, args: DrillArgs) -> Result<Out, Failure> {
    match (args.verb, args.route) {
        (Some(DrillVerb::List), _) => list(client).await,
        (Some(DrillVerb::Show { drill }), _) => show(client, &drill).await,
        (None, None) => Err(Failure::new(Exit::Usage, "a drill needs a route")),
        (None, Some(route)) => {
            let request = DrillRequest {
                route,
                level: args.level,
                share: args.share,
                period: args.period,
                visible: args.visible,
                message: args.message,
            };
            begin(client, &request, args.no_wait).await
        }
    }
}

async fn begin(client: &Client, request: &DrillRequest, no_wait: bool) -> Result<Out, Failure> {
    let ask = ApiRequest::of(Method::POST, "/v1/drills").json(request);
    let mut answer = client.send(ask).await?;
    let mut drill: Drill = answer.read()?;
    while drill.state == DrillState::Running && !no_wait {
        tokio::time::sleep(LOOK).await;
        answer = client.send(ApiRequest::get(path(&drill.id))).await?;
        drill = answer.read()?;
    }
    let text = shown(&drill);
    let exit = match drill.state {
        DrillState::Passed | DrillState::Running => {
            let json = answer.body;
            return Ok(Out { text, json });
        }
        DrillState::Failed => Exit::Refused,
        DrillState::Inconclusive | DrillState::Superseded | DrillState::Interrupted => {
            Exit::TryAgain
        }
    };
    Err(Failure::new(exit, text.trim_end()).with_json(answer.body))
}

fn path(drill: &str) -> String {
    format!("/v1/drills/{drill}")
}

/// The id of a drill, or the name of a route.
fn drill_name(text: &str) -> Result<String, String> {
    plain_name(
        text,
        "neither the id of a drill nor the name of a route; `switchback drill list` shows both",
    )
}

async fn show(client: &Client, drill: &str) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get(path(drill))).await?;
    let text = shown(&answer.read()?);
    let json = answer.body;
    Ok(Out { text, json })
}

async fn list(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/drills")).await?;
    let list: DrillList = answer.read()?;
    let mut rows = Columns::titled(&["DRILL", "ROUTE", "LEVEL", "STATE", "STARTED", "REMARK"]);
    for drill in &list.drills {
        let remark = drill.failures.first().or(drill.notes.first());
        rows.row(vec![
            clean(&drill.id),
            route(drill),
            drill.level.to_string(),
            drill.state.as_str().to_owned(),
            drill.started_at.to_string(),
            remark.map(|remark| clean(remark)).unwrap_or_default(),
        ]);
    }
    let (text, json) = (rows.shown(), answer.body);
    Ok(Out { text, json })
}

fn route(drill: &Drill) -> String {
    match drill.routes {
        Some(routes) => format!("{} and {} more", drill.route, routes.saturating_sub(1)),
        None => drill.route.to_string(),
    }
}

fn shown(drill: &Drill) -> String {
    let mut text = format!(
        "drill {}  {}: {}, {}\n",
        clean(&drill.id),
        route(drill),
        drill.level,
        drill.state.as_str()
    );
    if let (Some(from), Some(to)) = (&drill.from, &drill.to) {
        let share = drill.share.map(|share| format!(", {share}%"));
        let period = drill.period.map(|period| format!(" for {period}"));
        let (share, period) = (share.unwrap_or_default(), period.unwrap_or_default());
        let _ = writeln!(text, "  from {from} back to {to}{share}{period}");
    }
    for one in &drill.steps {
        let _ = writeln!(text, "  {}", step(one));
    }
    for load in &drill.requests {
        let _ = writeln!(
            text,
            "  {}: {} synthetic requests, {} failed, the slowest took {:.1} ms",
            load.release, load.sent, load.failed, load.slowest_ms
        );
    }
    if let Some(verdict) = &drill.verdict {
        let _ = writeln!(text, "  {}", clean(&verdict.words));
        for metric in &verdict.metrics {
            let _ = writeln!(text, "    {}", clean(&metric.words));
        }
    }
    for failure in &drill.failures {
        let _ = writeln!(text, "  FAILED: {}", clean(failure));
    }
    for note in &drill.notes {
        let _ = writeln!(text, "  note: {}", clean(note));
    }
    text
}

fn step(step: &DrillStep) -> String {
    let time =
        |time: Option<f64>| time.map_or("not in time".to_owned(), |ms| format!("{ms:.1} ms"));
    let slowest = step
        .slowest_worker
        .map(|worker| format!(" (last: worker {worker})"));
    format!(
        "{:<8}  revision {}  live {:.1} ms, on the disk {}, on every worker {}{}",
        step.what.as_str(),
        step.revision,
        step.live_ms,
        time(step.durable_ms),
        time(step.converged_ms),
        slowest.unwrap_or_default()
    )
}
