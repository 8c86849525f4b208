//! Errors of messages.

use thiserror::Error;

use super::refusal::Refusal;
use crate::net::LongLine;

/// Reason why a message says nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// It has more bytes than it may.
    #[error("a message has more than {0} bytes")]
    Large(usize),
    /// It is not one of etcd.
    #[error("a message cannot be read: {0}")]
    Malformed(String),
    /// etcd refuses.
    #[error("{}", .0.message)]
    Refused(Refusal),
}

impl WireError {
    /// The error of a parser. It names places, and no content.
    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        let kind = error.classify();
        Self::Malformed(format!(
            "{kind:?} error at byte {} of line {}",
            error.column(),
            error.line()
        ))
    }
}

impl From<LongLine> for WireError {
    fn from(LongLine(most): LongLine) -> Self {
        Self::Large(most)
    }
}
