//! Exit statuses and failures, with their messages on standard error.

use std::process::ExitCode;

use super::text::clean;
use crate::api::ProblemDocument;

/// Exit statuses, shown below every help text.
pub(super) const EXITS: &str = "\
Exit status:
  0   done, or nothing had to be done; for `status`: the admin API responded
  64  the command line is wrong
  65  refused: an unknown name, invalid weights, nothing to roll back to
  66  a file cannot be read, or a token file is empty
  69  the admin API cannot be reached
  70  an internal error of switchback
  73  a file cannot be written
  74  the history cannot be read or written
  75  not now: another change came first, file and live table conflict, a release is not ready or not drained, or, with --wait-fleet, a node does not have the change
  77  the token is missing, unknown or read-only
  78  the configuration has problems; all of them are shown
  80  with --verify: the rollback is made, and users have not recovered; the release was not the (only) cause
  81  with --verify: the rollback is made, and users are worse off than with the release
  82  with --verify: the rollback is made, and there was not enough data for a verdict
  83  with --exit-code: the rollout has taken its release back
  84  with --exit-code: the rollout was aborted
  85  with --exit-code: the rollout was superseded by a change of others";

/// Exit statuses, those of `sysexits.h` where they fit; the verdicts of a verification come after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// The request cannot be fulfilled.
    Refused = 65,
    /// A file cannot be read.
    NoInput = 66,
    /// The admin API cannot be reached.
    Unreachable = 69,
    /// An internal error.
    Internal = 70,
    /// A file cannot be written.
    NoOutput = 73,
    /// The history cannot be read or written.
    History = 74,
    /// Not now: try again.
    TryAgain = 75,
    /// The token does not allow it.
    NotAllowed = 77,
    /// The configuration has problems.
    Config = 78,
    /// A rollback was made, and users have not recovered.
    NotRecovered = 80,
    /// A rollback was made, and users are worse off.
    Worse = 81,
    /// A rollback was made, and its verification has shown nothing.
    NotVerified = 82,
    /// A rollout has taken its release back.
    RolledBack = 83,
    /// A rollout was aborted.
    Aborted = 84,
    /// A rollout was superseded.
    Superseded = 85,
}

/// Failure of a command.
#[derive(Debug)]
pub(super) struct Failure {
    /// Exit status.
    pub(super) exit: Exit,
    /// Message on standard error.
    pub(super) message: String,
    /// Response of the admin API, for machines.
    pub(super) json: Option<Vec<u8>>,
    /// True if the object of the request does not exist.
    unknown: bool,
    /// True if a release is not ready.
    not_ready: bool,
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
            unknown: false,
            not_ready: false,
        }
    }

    /// Adds a response for `--json`.
    pub(super) fn with_json(mut self, json: Vec<u8>) -> Self {
        self.json = Some(json);
        self
    }

    /// The problem in a response of the admin API; `None` if the response is not from it.
    pub(super) fn problem(status: u16, body: &[u8]) -> Option<Self> {
        let problem: ProblemDocument = serde_json::from_slice(body).ok()?;
        if !problem.is_of_admin() {
            return None;
        }
        Some(Self {
            exit: exit_of(status, problem.word()),
            message: outcome_line(&problem),
            unknown: problem.word().starts_with("unknown-") && status == 404,
            not_ready: problem.word() == "not-ready",
            json: Some(body.to_vec()),
        })
    }

    /// Replaces the API's names by the equivalent flags.
    pub(super) fn in_flags(mut self, words: &[(&str, &str)]) -> Self {
        for (of_api, flag) in words {
            self.message = self.message.replacen(of_api, flag, 1);
        }
        self
    }

    /// Adds the option of a command that can wait for a release, if it can.
    pub(super) fn hinting_at_wait(mut self, can_wait: bool) -> Self {
        if self.not_ready && can_wait {
            self.message
                .push_str("\nhint: `--wait 30s` waits until an endpoint is healthy");
        }
        self
    }

    /// True if what the request was about does not exist.
    pub(super) fn is_unknown(&self) -> bool {
        self.unknown
    }
}

fn exit_of(status: u16, word: &str) -> Exit {
    match (status, word) {
        (_, "not-durable" | "history") => Exit::History,
        // As `check` has it.
        (_, "invalid-file") => Exit::Config,
        // The stamp is at fault, and not the token.
        (_, "forged-stamp") => Exit::Refused,
        (_, "not-ready" | "import-conflict") | (412 | 429 | 503, _) => Exit::TryAgain,
        (401 | 403, _) => Exit::NotAllowed,
        (500.., _) => Exit::Internal,
        _ => Exit::Refused,
    }
}

/// A problem as text: the message, every single problem, and the hint.
fn outcome_line(problem: &ProblemDocument) -> String {
    let mut lines = match problem.problems.as_slice() {
        // The detail of a single problem says the same.
        [only] => vec![only.to_string()],
        all => {
            let detail = problem
                .detail
                .clone()
                .unwrap_or_else(|| problem.title.clone());
            std::iter::once(detail)
                .chain(all.iter().map(ToString::to_string))
                .collect()
        }
    };
    lines.extend(problem.since.iter().map(changed_since));
    let conflict = |conflict: &crate::api::Conflict| {
        format!("  {} changed in the file and live", conflict.path)
    };
    lines.extend(problem.conflicts.iter().map(conflict));
    if let Some(revision) = problem.nearest_ready {
        lines.push(format!(
            "the nearest revision that is ready is {revision}: switchback rollback --to {revision}"
        ));
    }
    if let Some(hint) = hint(problem) {
        lines.push(format!("hint: {hint}"));
    }
    // The response may quote untrusted input.
    let shown = lines.join("\n");
    let shown: Vec<_> = shown.lines().map(clean).collect();
    shown.join("\n")
}

fn changed_since(since: &crate::api::RevisionSummary) -> String {
    let why = since.author.message.as_deref();
    let why = why
        .map(|why| format!(": {}", clean(why)))
        .unwrap_or_default();
    format!(
        "  revision {} at {} by {}{why}",
        since.revision,
        since.published_at,
        clean(&since.author.name)
    )
}

/// The hint in terms of the command line; the API's own speaks of queries and methods.
fn hint(problem: &ProblemDocument) -> Option<String> {
    let own = match problem.word() {
        "conflict" => "check `switchback status`, and try again",
        "import-conflict" => {
            "choose a side with `switchback apply FILE --wins file` or `--wins live`, or edit the file"
        }
        "precondition-required" => {
            "give the revision that you have seen with `--based-on REVISION`"
        }
        "rollback-not-allowed" => "see to the data first; `--force` goes back all the same",
        "release-wanted" => {
            "`--force` removes it anyway, unless a split gives it a weight or a route is mirrored to it"
        }
        "not-ready" => "`switchback releases` shows its endpoints; `--force` skips the check",
        "unauthorized" => "give the token with `--token-file FILE` or `SWITCHBACK_TOKEN`",
        "no-file" => {
            "`switchback split`, `switchback route` and `switchback release` change the live table"
        }
        "unknown-revision" => "`switchback history` lists the kept revisions",
        "would-drop" => "give percents without `--replace`, give it a weight of 0, or add `--drop`",
        _ if problem.problems.len() == 1 => return None,
        _ => return problem.hint.clone(),
    };
    Some(own.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_decides_how_the_command_ends() {
        for (status, word, exit) in [
            (404, "unknown-route", Exit::Refused),
            (422, "invalid", Exit::Refused),
            (422, "invalid-file", Exit::Config),
            (412, "conflict", Exit::TryAgain),
            (409, "not-ready", Exit::TryAgain),
            // Same status as `serve --strict`.
            (409, "import-conflict", Exit::TryAgain),
            (409, "nothing-to-undo", Exit::Refused),
            (401, "unauthorized", Exit::NotAllowed),
            (403, "forged-stamp", Exit::Refused),
            (503, "not-durable", Exit::History),
            (503, "overloaded", Exit::TryAgain),
            (500, "internal", Exit::Internal),
        ] {
            assert_eq!(exit_of(status, word), exit, "{status} {word}");
        }
    }

    #[test]
    fn only_a_command_that_can_wait_is_told_of_the_option() {
        let body = |word| serde_json::to_vec(&ProblemDocument::new(409, word, "no")).unwrap();
        let told = |word| Failure::problem(409, &body(word)).unwrap();
        assert!(!told("not-ready").message.contains("--wait"));
        assert!(
            !told("not-ready")
                .hinting_at_wait(false)
                .message
                .contains("--wait")
        );
        let wait = |word| told(word).hinting_at_wait(true).message;
        assert!(wait("not-ready").ends_with("`--wait 30s` waits until an endpoint is healthy"));
        assert!(!wait("invalid").contains("--wait"));
    }

    #[test]
    fn a_rollback_that_is_not_ready_names_the_revision_that_is() {
        let mut problem = ProblemDocument::new(409, "not-ready", "not now");
        problem.nearest_ready = Some(crate::model::Revision(7));
        assert!(outcome_line(&problem).contains("switchback rollback --to 7"));
    }

    #[test]
    fn an_answer_of_another_server_is_no_problem_document() {
        for other in [
            "<html>",
            "{}",
            r#"{"type":"about:blank","title":"x","status":404}"#,
        ] {
            assert!(Failure::problem(502, other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_single_mistake_is_told_once() {
        let mut problem = ProblemDocument::new(409, "invalid", "cannot be");
        problem.detail = Some("routes.chat: which release?".to_owned());
        problem.hint = Some("name one".to_owned());
        let only = crate::model::Problem::new("routes.chat", "which release?").hint("name one");
        problem.problems = vec![only];
        assert_eq!(
            outcome_line(&problem),
            "routes.chat: which release?\n  hint: name one"
        );
    }
}
