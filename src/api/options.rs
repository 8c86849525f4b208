//! Bounds of a change's options: enforced by the admin API, and by the command line before it sends a request.

use std::time::Duration;

/// Longest time that a change may wait for health.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Longest message, in characters; at most four bytes each keeps it within the size of a record.
const LONGEST_MESSAGE: usize = 256;

/// Longest name of a group, in bytes.
const LONGEST_GROUP: usize = 64;

/// Error in the message of a change.
pub fn message_error(message: &str) -> Option<String> {
    let fits = message.chars().count() <= LONGEST_MESSAGE;
    (!fits).then(|| format!("`message` is longer than {LONGEST_MESSAGE} characters"))
}

/// Error in the name of a group.
pub fn group_error(group: &str) -> Option<String> {
    let fits =
        (1..=LONGEST_GROUP).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_graphic());
    (!fits).then(|| format!("`group` is not 1 to {LONGEST_GROUP} visible ASCII characters"))
}
