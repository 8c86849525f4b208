//! The way back from a release, as its operator declares it: the data guard.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HookName;

/// Longest reason in bytes.
pub const LONGEST_REASON: usize = 256;

/// Declaration about the way back from a release to an earlier one, once it has had requests: what it has written may be
/// nothing that an earlier release can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackSpec {
    /// False if it is not safe for the data; then only `force` goes back.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub allowed: bool,
    /// Reason, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, nullable = false)]
    pub reason: Option<String>,
    /// Hook that is asked each time; without its `continue` only `force` goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub check: Option<HookName>,
}

impl RollbackSpec {
    /// True if it restricts the way back.
    pub const fn is_guard(&self) -> bool {
        !self.allowed || self.check.is_some()
    }
}

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_yes(value: &bool) -> bool {
    *value
}
