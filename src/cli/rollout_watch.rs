//! Follows a rollout to its end, for people and for CI jobs.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use clap::Args;

use super::{
    client::{ApiRequest, Client},
    exit::{Exit, Failure},
    junit,
    output::{Out, print},
    private_file, rollout_words,
    text::clean,
};
use crate::{
    api::{Rollout, RolloutEntry, RolloutPause, RolloutState, Timestamp},
    model::HumanDuration,
};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// The rollout, or its route
    #[arg(value_parser = rollout_words::rollout_name)]
    rollout: String,
    /// Exit with 0 only if it succeeds, and with 83, 84 or 85 if it does not
    #[arg(long)]
    exit_code: bool,
    /// Write a report for CI servers, XML as of `JUnit`, to this file at the end; `-` is standard output, which then has
    /// nothing else
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Longest time to wait for the end, such as `2h`; without it there is no limit
    #[arg(long, value_name = "TIME")]
    within: Option<HumanDuration>,
}

impl WatchArgs {
    fn is_report_alone(&self) -> bool {
        self.junit.as_deref() == Some(Path::new("-"))
    }
}

/// Writes each new line of the log until the rollout has ended, over lost connections.
pub(super) async fn watch(client: &Client, args: WatchArgs, json: bool) -> Result<Out, Failure> {
    let begin = Instant::now();
    let (mut rollout, mut body) = read(client, &args.rollout).await?;
    let mut shown = Shown::default();
    loop {
        if !json && !args.is_report_alone() {
            print(shown.news(&rollout).as_bytes());
        }
        if rollout.ended_at.is_some() {
            break;
        }
        let within = args.within.map(|within| within.0);
        if within.is_some_and(|within| begin.elapsed() >= within) {
            let failure = not_ended(&rollout);
            write_report(&args, &rollout, &failure.message)?;
            return Err(failure.with_json(body));
        }
        tokio::time::sleep(LOOK).await;
        // By its id: the route may have another one by then.
        match read(client, &rollout.id).await {
            Ok(read) => (rollout, body) = read,
            Err(failure) if matches!(failure.exit, Exit::Unreachable | Exit::TryAgain) => {
                let _ = writeln!(std::io::stderr(), "{}; trying again", failure.message);
            }
            Err(failure) => return Err(failure),
        }
    }
    write_report(&args, &rollout, &result(&rollout))?;
    match ended(rollout.state).filter(|_| args.exit_code) {
        Some(exit) => Err(Failure::new(exit, result(&rollout)).with_json(body)),
        None if args.is_report_alone() => Ok(Out {
            text: String::new(),
            json: Vec::new(),
        }),
        None => Ok(Out {
            text: result(&rollout),
            json: body,
        }),
    }
}

async fn read(client: &Client, rollout: &str) -> Result<(Rollout, Vec<u8>), Failure> {
    let answer = client
        .send(ApiRequest::get(format!("/v1/rollouts/{rollout}")))
        .await?;
    Ok((answer.read()?, answer.body))
}

/// Exit status of an end that is no success.
fn ended(state: RolloutState) -> Option<Exit> {
    match state {
        RolloutState::RolledBack => Some(Exit::RolledBack),
        RolloutState::Aborted => Some(Exit::Aborted),
        RolloutState::Superseded => Some(Exit::Superseded),
        _ => None,
    }
}

/// Writes the report. A failure says the result as well, whose exit status it takes the place of.
fn write_report(args: &WatchArgs, rollout: &Rollout, result: &str) -> Result<(), Failure> {
    let Some(file) = &args.junit else {
        return Ok(());
    };
    let report = junit::report(rollout, Timestamp::of(SystemTime::now()));
    if args.is_report_alone() {
        print(report.as_bytes());
        return Ok(());
    }
    private_file::replace(file, report.as_bytes()).map_err(|error| {
        let message = format!(
            "{result}\nthe report cannot be written to {}: {error}\nhint: the rollout is not affected; `switchback rollout show {}` has the same figures",
            file.display(),
            clean(&rollout.id)
        );
        Failure::new(Exit::NoOutput, message)
    })
}

/// The result in a line, with the verdict, and with what users had from the way back.
fn result(rollout: &Rollout) -> String {
    let mut text = format!(
        "rollout {} has {}",
        clean(&rollout.id),
        match rollout.state {
            RolloutState::RolledBack => "been rolled back",
            RolloutState::Aborted => "been aborted",
            RolloutState::Superseded =>
                "been superseded: others have changed a route or a release of it",
            _ => "succeeded",
        }
    );
    for words in [
        rollout.verdict.as_ref().map(|verdict| &verdict.words),
        rollout.verification.as_ref().map(|one| &one.words),
    ]
    .into_iter()
    .flatten()
    {
        text.push('\n');
        text.push_str(&clean(words));
    }
    text
}

fn not_ended(rollout: &Rollout) -> Failure {
    let state = rollout_words::state(rollout.state, rollout.paused_for);
    let id = clean(&rollout.id);
    let next = match rollout.paused_for {
        Some(RolloutPause::Approval) => format!("`switchback rollout approve {id}` lets it go on"),
        _ => format!("it goes on; `switchback rollout abort {id}` takes it back"),
    };
    let message = format!("rollout {id} has not ended in time: it is {state}\nhint: {next}");
    Failure::new(Exit::TryAgain, message)
}

/// State and lines that were shown so far.
#[derive(Debug, Default)]
struct Shown {
    last: Option<RolloutEntry>,
    is_waiting: bool,
}

impl Shown {
    /// The lines of the log since the last call, and a line when it begins to wait for a person.
    fn news(&mut self, rollout: &Rollout) -> String {
        let log = &rollout.log;
        let known = self.last.as_ref();
        let after = known.and_then(|last| log.iter().rposition(|entry| entry == last));
        let mut text = String::new();
        for entry in log.iter().skip(after.map_or(0, |at| at + 1)) {
            let (by, what) = (clean(&entry.by), clean(&entry.what));
            let _ = writeln!(text, "{}  {by}  {what}", entry.at);
        }
        self.last = log.last().cloned();
        let waits = rollout.paused_for == Some(RolloutPause::Approval);
        if waits && !std::mem::replace(&mut self.is_waiting, waits) {
            let id = clean(&rollout.id);
            let _ = writeln!(text, "waiting: `switchback rollout approve {id}`");
        }
        self.is_waiting = waits;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(log: &[(&str, &str)], paused: bool) -> Rollout {
        let log: Vec<_> = log
            .iter()
            .map(|(at, what)| serde_json::json!({ "at": at, "by": "ci", "what": what }))
            .collect();
        let mut rollout: Rollout = serde_json::from_value(serde_json::json!({
            "id": "r1", "route": "chat", "from": "blue", "from_version": "1", "to": "green",
            "to_version": "2", "state": "running", "step": 0, "weight": 5, "held": "1s",
            "plan": { "steps": [{ "weight": 100 }] }, "group": "g",
            "started_at": "2026-11-20T10:00:00Z", "author": "ci", "log": log,
        }))
        .unwrap();
        rollout.paused_for = paused.then_some(RolloutPause::Approval);
        rollout
    }

    #[test]
    fn each_line_of_the_log_is_shown_once() {
        let (a, b) = ("2026-11-20T10:00:01Z", "2026-11-20T10:00:02Z");
        let mut shown = Shown::default();
        let first = shown.news(&rollout(&[(a, "one"), (a, "two")], false));
        assert_eq!(first.lines().count(), 2, "{first}");
        assert_eq!(shown.news(&rollout(&[(a, "one"), (a, "two")], false)), "");
        let more = shown.news(&rollout(&[(a, "two"), (b, "three")], true));
        assert_eq!(
            more,
            "2026-11-20T10:00:02.000000Z  ci  three\nwaiting: `switchback rollout approve r1`\n"
        );
        assert_eq!(shown.news(&rollout(&[(a, "two"), (b, "three")], true)), "");
        // The oldest are dropped: what is left is new.
        assert_eq!(
            shown.news(&rollout(&[(b, "four")], true)).lines().count(),
            1
        );
    }

    #[test]
    fn a_report_that_cannot_be_written_does_not_hide_the_result() {
        let args = WatchArgs {
            rollout: "chat".to_owned(),
            exit_code: true,
            junit: Some("/".into()),
            within: None,
        };
        let failure = write_report(&args, &rollout(&[], false), "it has been rolled back");
        let failure = failure.unwrap_err();
        assert_eq!(failure.exit, Exit::NoOutput);
        let mut lines = failure.message.lines();
        assert_eq!(lines.next(), Some("it has been rolled back"));
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with("the report cannot be written to /")
        );
    }

    #[test]
    fn only_a_success_is_none_of_the_exit_statuses_of_an_end() {
        assert_eq!(ended(RolloutState::Succeeded), None);
        assert_eq!(ended(RolloutState::RolledBack), Some(Exit::RolledBack));
        assert_eq!(ended(RolloutState::Aborted), Some(Exit::Aborted));
        assert_eq!(ended(RolloutState::Superseded), Some(Exit::Superseded));
    }
}
