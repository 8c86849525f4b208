//! The bounds of what comes with a change: held by the admin API, and by the command line before it asks.

use std::time::Duration;

/// The longest that a change may wait for health.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The longest message, in characters; four bytes each at most keeps it within what a record holds.
const LONGEST_MESSAGE: usize = 256;

/// The longest name of a group, in bytes.
const LONGEST_GROUP: usize = 64;

/// What is wrong with the message of a change.
pub fn message_error(message: &str) -> Option<String> {
    let fits = message.chars().count() <= LONGEST_MESSAGE;
    (!fits).then(|| format!("`message` is longer than {LONGEST_MESSAGE} characters"))
}

/// What is wrong with the name of a group.
pub fn group_error(group: &str) -> Option<String> {
    let fits =
        (1..=LONGEST_GROUP).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_graphic());
    (!fits).then(|| format!("`group` is not 1 to {LONGEST_GROUP} visible ASCII characters"))
}
