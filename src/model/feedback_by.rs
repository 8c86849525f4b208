//! Names that feedback may have for the answers of a route, beside a stamp.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name of an answer that the worker which gave it remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackBy {
    /// The id of its request, `x-request-id`.
    RequestId,
    /// The key of its session, for the last answer of that session.
    Session,
}
