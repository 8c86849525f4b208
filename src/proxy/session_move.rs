//! The move of an MCP session that a request needs before it can be sent, and the reasons why there is none.

use crate::fleet::McpSessions;
use crate::model::ReleaseName;

/// A session that its request has to move first.
pub(super) struct SessionMove {
    /// The id that its client has sent.
    pub(super) known_as: Box<[u8]>,
    /// The id that leads to the session now.
    pub(super) id: Box<[u8]>,
    /// The release to begin it anew on.
    pub(super) release: ReleaseName,
}

/// The reason why a session cannot be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MoveError {
    /// The release offers less than the client relies on.
    #[error("the release agrees on another version, or offers fewer capabilities")]
    Less,
    /// The release did not begin a session.
    #[error("the release did not begin a session")]
    Refused,
    /// It took too long.
    #[error("timeout while the session was begun anew")]
    Timeout,
    /// The release could not respond at the moment.
    #[error("the release could not begin the session at the moment")]
    Unavailable,
    /// Its start is not known here: it is too old, too large, or began at another proxy.
    #[error("the start of the session is not known")]
    Unknown,
}

impl SessionMove {
    /// The move of the session that its client knows by `id`.
    pub(super) fn new(sessions: &McpSessions, release: &ReleaseName, id: &[u8]) -> Self {
        let current = sessions.current(id);
        Self {
            known_as: id.into(),
            id: current.as_deref().map_or(id, str::as_bytes).into(),
            release: release.clone(),
        }
    }
}

impl MoveError {
    /// True if the next request of the session may move it.
    pub(super) const fn is_temporary(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable)
    }

    /// Label of the metric.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Less => "less",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}
