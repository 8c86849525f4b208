//! Way back of a rollout that is spread over a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::HumanDuration;

/// Way back of a rollout that is spread over a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutReturn {
    /// Time from the first part to the last.
    pub over: HumanDuration,
    /// The latest part that is live, counted from 1.
    pub part: u32,
    /// Number of parts.
    pub parts: u32,
}
