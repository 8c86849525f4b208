//! Options of changes.

use clap::Args;

use crate::{
    api::{LONGEST_PREVIEW, LONGEST_WAIT, group_error, message_error},
    model::{HumanDuration, Revision, Version},
};

/// Most of the last events that `watch` begins with.
const MOST_EVENTS: u16 = 1_024;

/// A text that can be an id or a name, and so stands in a path as it is.
///
/// # Errors
/// `refusal`, for any other.
pub(super) fn plain_name(text: &str, refusal: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(refusal.to_owned());
    }
    Ok(text.to_owned())
}

/// Options of every change, rollback included.
#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// Reason, for the history
    #[arg(short, long, value_parser = message)]
    pub(super) message: Option<String>,
    /// Show the effect without changing anything
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Only if nothing it is about has changed since this revision; by default the one that is live when the command
    /// starts
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    pub(super) based_on: Option<Revision>,
    /// Wait after the change until every node of the fleet of proxies has it, for 30s or the time that is given, at most
    /// 60s; the exit status is 75 if one does not have it then
    #[arg(
        long,
        value_name = "TIME",
        value_parser = wait,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30s"
    )]
    pub(super) wait_fleet: Option<HumanDuration>,
}

/// Options of every change that a rollback can undo.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    #[command(flatten)]
    pub(super) group: GroupArgs,
}

/// The group of a change.
#[derive(Debug, Args)]
pub(super) struct GroupArgs {
    /// Group of the change, such as deploy-7: one `rollback` undoes all changes in a row of one group
    #[arg(long = "group", value_name = "NAME", value_parser = group)]
    pub(super) name: Option<String>,
}

/// Health options of a change that may give more to a release.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Proceed although a release that gets a larger share has no healthy endpoint
    #[arg(long)]
    pub(super) force: bool,
    /// Time to wait until every release that gets a larger share is healthy, such as 30s; at most 60s
    #[arg(long, value_name = "TIME", value_parser = wait, conflicts_with = "force")]
    pub(super) wait: Option<HumanDuration>,
}

/// Parses the number of a revision.
pub(super) fn revision(text: &str) -> Result<Revision, String> {
    text.parse()
        .map(Revision)
        .map_err(|_| format!("`{text}` is not a revision number"))
}

/// Parses the label of a version.
pub(super) fn version(text: &str) -> Result<Version, String> {
    Version::new(text).map_err(|error| error.to_string())
}

/// Parses the message of a change.
pub(super) fn message(text: &str) -> Result<String, String> {
    message_error(text).map_or_else(|| Ok(text.to_owned()), Err)
}

/// Parses the time for which a preview token holds.
pub(super) fn period(text: &str) -> Result<HumanDuration, String> {
    let span: HumanDuration = text.parse()?;
    if span < HumanDuration::seconds(1) || span > LONGEST_PREVIEW {
        return Err("a token holds for 1s to 30d".to_owned());
    }
    Ok(span)
}

/// Parses the time over which a way back is spread.
pub(super) fn over(text: &str) -> Result<HumanDuration, String> {
    let span: HumanDuration = text.parse()?;
    if span < HumanDuration::seconds(1) || span > HumanDuration::seconds(3_600) {
        return Err(
            "a way back is spread over 1s to 1h; without --over it is gone at once".to_owned(),
        );
    }
    Ok(span)
}

/// Parses the number of the last events to begin with.
pub(super) fn last_events(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| *number <= MOST_EVENTS);
    number.ok_or_else(|| {
        format!("`{text}` is not a number of events: write one from 0 to {MOST_EVENTS}")
    })
}

fn group(text: &str) -> Result<String, String> {
    group_error(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn wait(text: &str) -> Result<HumanDuration, String> {
    let span: HumanDuration = text.parse()?;
    if span.0 > LONGEST_WAIT {
        let most = LONGEST_WAIT.as_secs();
        return Err(format!("`{text}` is too long; the maximum is {most}s"));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_would_refuse_is_refused_before_it_is_asked() {
        assert_eq!(wait("60s").unwrap().0, LONGEST_WAIT);
        assert_eq!(
            wait("90s").unwrap_err(),
            "`90s` is too long; the maximum is 60s"
        );
        assert!(wait("soon").is_err());
        assert_eq!(period("30d").unwrap(), LONGEST_PREVIEW);
        for wrong in ["90d", "0s"] {
            assert_eq!(period(wrong).unwrap_err(), "a token holds for 1s to 30d");
        }
        for wrong in ["0s", "500ms", "61m"] {
            assert!(over(wrong).unwrap_err().contains("1s to 1h"), "{wrong}");
        }
        assert!(over("-5s").unwrap_err().contains("not a duration"));
        assert_eq!((last_events("0"), last_events("1024")), (Ok(0), Ok(1_024)));
        for wrong in ["-1", "1025", "all"] {
            assert!(
                last_events(wrong).unwrap_err().contains("0 to 1024"),
                "{wrong}"
            );
        }
        assert!(message(&"x".repeat(257)).is_err());
        assert_eq!(group("deploy-7").unwrap(), "deploy-7");
        for wrong in ["", "a b", "ä"] {
            assert!(group(wrong).is_err(), "{wrong}");
        }
    }
}
