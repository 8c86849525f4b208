//! Way back that is spread over a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;
use crate::model::HumanDuration;

/// Way back that is spread over a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReturnParts {
    /// Time from the first part to the last.
    pub over: HumanDuration,
    /// The latest part that is live, counted from 1.
    pub part: u32,
    /// Number of parts.
    pub parts: u32,
    /// Time at which the last part is due.
    #[serde(default)]
    pub ends_at: Timestamp,
}
