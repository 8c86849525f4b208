//! How a command ends: the exit status, with what is said on standard error.

use std::process::ExitCode;

use crate::api::ProblemDocument;

/// Exit statuses, those of `sysexits.h` where they fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// What was asked for cannot be.
    Refused = 65,
    /// A file cannot be read.
    NoInput = 66,
    /// The admin API cannot be reached.
    Unreachable = 69,
    /// A mistake of ours.
    Internal = 70,
    /// The history cannot be read or written.
    History = 74,
    /// Not now.
    TryAgain = 75,
    /// The token does not allow it.
    NotAllowed = 77,
    /// The configuration has problems.
    Config = 78,
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub(super) struct Failure {
    /// The status to end with.
    pub(super) exit: Exit,
    /// What to say.
    pub(super) message: String,
    /// The answer of the admin API, for machines.
    pub(super) json: Option<Vec<u8>>,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            json: None,
        }
    }

    /// What the admin API answered instead of doing what was asked.
    pub(super) fn problem(status: u16, body: Vec<u8>) -> Self {
        let problem: ProblemDocument = serde_json::from_slice(&body).unwrap_or_else(|_| {
            ProblemDocument::new(status, "unknown", "the answer is not one of switchback's")
        });
        Self {
            exit: exit_of(status, problem.word()),
            message: told(&problem),
            json: Some(body),
        }
    }
}

fn exit_of(status: u16, word: &str) -> Exit {
    match (status, word) {
        (_, "not-durable" | "history") => Exit::History,
        (_, "not-ready" | "release-warm") | (412 | 429 | 503, _) => Exit::TryAgain,
        (401 | 403, _) => Exit::NotAllowed,
        (500.., _) => Exit::Internal,
        _ => Exit::Refused,
    }
}

/// A problem for people: what is wrong, every mistake, and the hint.
fn told(problem: &ProblemDocument) -> String {
    let mut lines = vec![
        problem
            .detail
            .clone()
            .unwrap_or_else(|| problem.title.clone()),
    ];
    lines.extend(problem.problems.iter().map(ToString::to_string));
    let who = |since: &crate::api::RevisionSummary| {
        let why = since.author.message.as_deref();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        format!(
            "  revision {} at {} by {}{why}",
            since.revision, since.published_at, since.author.name
        )
    };
    lines.extend(problem.since.iter().map(who));
    let conflict = |conflict: &crate::api::Conflict| {
        format!("  {} changed in the file and live", conflict.path)
    };
    lines.extend(problem.conflicts.iter().map(conflict));
    if let Some(revision) = problem.nearest_ready {
        lines.push(format!(
            "the nearest revision that is ready is {revision}: switchback rollback --to {revision}"
        ));
    }
    if let Some(hint) = &problem.hint {
        lines.push(format!("hint: {hint}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_decides_how_the_command_ends() {
        for (status, word, exit) in [
            (404, "unknown-route", Exit::Refused),
            (422, "invalid", Exit::Refused),
            (412, "conflict", Exit::TryAgain),
            (409, "not-ready", Exit::TryAgain),
            (409, "nothing-to-undo", Exit::Refused),
            (401, "unauthorized", Exit::NotAllowed),
            (503, "not-durable", Exit::History),
            (503, "overloaded", Exit::TryAgain),
            (500, "internal", Exit::Internal),
        ] {
            assert_eq!(exit_of(status, word), exit, "{status} {word}");
        }
    }

    #[test]
    fn a_rollback_that_is_not_ready_names_the_revision_that_is() {
        let mut problem = ProblemDocument::new(409, "not-ready", "not now");
        problem.nearest_ready = Some(crate::model::Revision(7));
        assert!(told(&problem).contains("switchback rollback --to 7"));
    }

    #[test]
    fn an_answer_of_somebody_else_is_told_as_such() {
        let failure = Failure::problem(502, b"<html>".to_vec());
        assert_eq!(failure.exit, Exit::Internal);
        assert!(failure.message.contains("not one of switchback's"));
    }
}
