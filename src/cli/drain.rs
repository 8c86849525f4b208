//! The subcommand that waits until nothing is in flight on a release.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{
    client::{ApiRequest, ApiResponse, Client},
    exit::{Exit, Failure},
    output::Out,
    text::{Columns, clean, count},
};
use crate::{
    api::{UndrainedNode, Work, WorkState},
    model::{HumanDuration, ReleaseName, RouteName, Version},
};

/// Longest wait of one request: a longer one is made of several.
const ONCE: Duration = Duration::from_secs(20);
/// Longest wait in all: more than a process lives, and little enough to be added to the clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Interval at which it looks while too many others wait.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments of a drain.
pub(super) struct DrainArgs {
    pub(super) release: ReleaseName,
    pub(super) version: Option<Version>,
    pub(super) wait: bool,
    pub(super) timeout: HumanDuration,
}

/// Shows the work in flight on a release; with `wait`, once nothing is left, or with a failure when the time is over.
pub(super) async fn drain(client: &Client, args: DrainArgs) -> Result<Out, Failure> {
    let until = Instant::now() + args.timeout.0.min(LONGEST);
    let mut seen = ask(client, &args, None).await?;
    if !args.wait {
        return Ok(shown(&seen.0, seen.1.body));
    }
    loop {
        let (work, answer) = seen;
        let left = until.saturating_duration_since(Instant::now());
        match work.state {
            WorkState::Drained => return Ok(shown(&work, answer.body)),
            WorkState::Active => return Err(still_active(&work).with_json(answer.body)),
            WorkState::Draining if left.is_zero() => {
                return Err(still_draining(&work, args.timeout).with_json(answer.body));
            }
            WorkState::Draining => seen = wait(client, &args, left).await?,
        }
    }
}

/// Waits for a while, at the server or, if too many wait there, here.
async fn wait(
    client: &Client,
    args: &DrainArgs,
    left: Duration,
) -> Result<(Work, ApiResponse), Failure> {
    match ask(client, args, Some(left.min(ONCE))).await {
        Err(failure) if failure.exit == Exit::TryAgain => {
            tokio::time::sleep(left.min(LOOK)).await;
            ask(client, args, None).await
        }
        done => done,
    }
}

async fn ask(
    client: &Client,
    args: &DrainArgs,
    wait: Option<Duration>,
) -> Result<(Work, ApiResponse), Failure> {
    let mut ask = ApiRequest::get(format!("/v1/releases/{}/work", args.release));
    if let Some(version) = &args.version {
        ask = ask.argument("version", version);
    }
    if let Some(wait) = wait {
        // At least a millisecond, which is the shortest that is written.
        let wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(0).max(1));
        ask = ask.waiting_for("drained", wait);
    }
    let answer = client.send(ask).await?;
    Ok((answer.read()?, answer))
}

fn still_active(work: &Work) -> Failure {
    let message = format!(
        "`{}` still gets requests, from {}\nhint: give its weight to another release first, such as with `switchback switch`; where it is the `fallback` of a route, make another one stable",
        work.release,
        names(&work.routes)
    );
    Failure::new(Exit::Refused, message)
}

fn names(routes: &[RouteName]) -> String {
    let names: Vec<_> = routes.iter().map(|route| format!("`{route}`")).collect();
    names.join(", ")
}

fn still_draining(work: &Work, timeout: HumanDuration) -> Failure {
    let message = format!(
        "`{}` is not drained after {timeout}: {} in flight\n{}{}{}",
        work.release,
        count(work.in_flight, "request"),
        if work.in_flight > 0 {
            table(work)
        } else {
            String::new()
        },
        sessions(work),
        nodes(work)
    );
    let message = message.trim_end().to_owned();
    Failure::new(Exit::TryAgain, message)
}

fn shown(work: &Work, json: Vec<u8>) -> Out {
    let state = match work.state {
        WorkState::Active => "active",
        WorkState::Draining => "draining",
        WorkState::Drained => "drained",
    };
    let mut text = format!("{} {}  {state}\n", work.release, work.version);
    if !work.routes.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "gets requests from {}", names(&work.routes));
    }
    if work.in_flight > 0 {
        text.push_str(&table(work));
    }
    text.push_str(&sessions(work));
    text.push_str(&nodes(work));
    for endpoint in &work.removed_endpoints {
        let (url, address) = (&endpoint.url, clean(&endpoint.address));
        let in_flight = endpoint.in_flight;
        let _ = writeln!(
            text,
            "removed endpoint {url} ({address}): {in_flight} in flight"
        );
    }
    Out { text, json }
}

/// The other nodes on which it is not drained, a line each.
fn nodes(work: &Work) -> String {
    let line = |one: &UndrainedNode| format!("node {}: {}\n", clean(&one.node), clean(&one.reason));
    work.nodes.iter().map(line).collect()
}

/// The routes whose sessions may still come.
fn sessions(work: &Work) -> String {
    if work.sessions.is_empty() {
        return String::new();
    }
    // A policy that is set now holds for the next departure.
    format!(
        "sessions with a pin may still come, of {}\nhint: they move once the release is out of the split, such as by `switchback split {} OTHER=1 --replace`\n",
        names(&work.sessions),
        work.sessions[0]
    )
}

fn table(work: &Work) -> String {
    let mut columns = Columns::titled(&["CLASS", "IN FLIGHT", "OLDEST"]);
    for class in work.classes.iter().filter(|class| class.count > 0) {
        columns.row(vec![
            class.class.as_str().to_owned(),
            class.count.to_string(),
            age(class.oldest_seconds.unwrap_or_default()),
        ]);
    }
    columns.shown()
}

/// An age in whole seconds, with units.
fn age(seconds: f64) -> String {
    let age = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    HumanDuration::seconds(age.as_secs()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_units_and_nothing_can_break_it() {
        assert_eq!(age(252.9), "4m 12s");
        assert_eq!(age(0.2), "0s");
        assert_eq!(age(f64::NAN), "0s");
    }
}
