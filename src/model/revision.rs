//! A table that was published, with its number, and who did it, when and why.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Digest, RouteName};

/// The number of a revision. Numbers only go up; gaps are normal. Zero is the empty table before the first revision.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of hand made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person or a tool, through the admin API.
    Api,
    /// The configuration file, at start, on `SIGHUP` or by `apply`.
    File,
    /// switchback itself: an automatic rollback, a rollout's step.
    System,
}

/// Who makes a change, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// What kind of hand.
    pub actor: Actor,
    /// Its name: that of the token, or of the part of switchback. At most 64 bytes.
    pub name: String,
    /// The reason given, at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The key under which a repeated request is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The group that the change belongs to, such as one rollout: a bare rollback undoes the whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What made a revision live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// A change was published.
    Publish,
    /// An earlier revision was made live again; `to` is whose content it has.
    Rollback {
        /// The revision whose content is live again.
        to: Revision,
    },
    /// One route got its previous split back.
    RollbackRoute {
        /// The route; earlier versions did not write it down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<RouteName>,
        /// The revision whose split of the route is live again.
        #[serde(default)]
        to: Revision,
    },
    /// Only endpoints joined or left: a fact, not a decision.
    Roster,
    /// The configuration file was taken over.
    Import,
    /// A number that was given out but never became live.
    Void,
}

impl Cause {
    /// Whether it went back, live first.
    pub const fn is_rollback(&self) -> bool {
        matches!(self, Self::Rollback { .. } | Self::RollbackRoute { .. })
    }

    /// The word in metrics and tables.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Rollback { .. } | Self::RollbackRoute { .. } => "rollback",
            Self::Roster => "roster",
            Self::Import => "import",
            Self::Void => "void",
        }
    }
}

/// One entry of the history. It holds the change; the table is what all changes up to it make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionRecord {
    /// Its number.
    pub revision: Revision,
    /// The revision that was live before it.
    pub parent: Revision,
    /// Where a rollback from here goes; absent at the bottom of the undo stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_to: Option<Revision>,
    /// When it became live: milliseconds since 1970, UTC.
    pub published_at_ms: u64,
    /// Who, and why.
    pub author: Author,
    /// What made it live.
    pub cause: Cause,
    /// The digest of the table's decisions.
    pub digest: Digest,
    /// What changed; absent for a rollback, whose content is that of the revision in its cause, and for a void number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The digest of what was asked for, where the change does not say it: an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
}
