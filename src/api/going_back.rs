//! Rollbacks and aborts that are under way in parts, for the status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ReturnParts, Timestamp};
use crate::model::{Revision, RouteName};

/// Command that gives requests back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnCommand {
    /// A rollback of everything.
    Rollback,
    /// An abort of one route.
    Abort,
}

/// A rollback or an abort that is under way in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GoingBack {
    /// The command.
    pub command: ReturnCommand,
    /// The revision that a rollback leads to; absent for an abort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// Routes whose weights go back in parts.
    pub routes: Vec<RouteName>,
    /// The progress.
    pub parts: ReturnParts,
    /// Name of the token that ordered it.
    pub by: String,
    /// Time of the order; after a restart, that of the start.
    pub since: Timestamp,
    /// Reason for which it could not go on yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

impl ReturnCommand {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Abort => "abort",
        }
    }
}
