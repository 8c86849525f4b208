//! Spec of the pause of a route: its requests wait until it is resumed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HumanDuration;

/// Pause of a route: further requests wait, and what is in flight goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseSpec {
    /// Longest wait of a request, 1 second to 10 minutes; then it gets 503.
    pub max_wait: HumanDuration,
    /// Requests that may wait; further ones get 503 at once. 0 lets none wait.
    #[schema(maximum = 10_000)]
    pub max_waiting: u32,
}

impl Default for PauseSpec {
    fn default() -> Self {
        Self {
            max_wait: HumanDuration::seconds(30),
            max_waiting: 1_000,
        }
    }
}
