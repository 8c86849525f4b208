//! Record of a published table: number, author, time and cause.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Digest, FlagName, RouteName, SharedMark};

/// Revision number. Numbers only go up; gaps are normal. Zero is the empty table before the first revision.
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

/// Source of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person or a tool, through the admin API.
    Api,
    /// The configuration file, at start, on `SIGHUP` or by `apply`.
    File,
    /// switchback itself: an automatic rollback, or a step of a rollout.
    System,
}

/// Author of a change, and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// Source of the change.
    pub actor: Actor,
    /// Name of the token, or of the part of switchback. At most 64 bytes.
    pub name: String,
    /// Reason given, at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Idempotency key, which identifies a repeated request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Group of the change, such as one rollout: a bare rollback undoes the whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Cause of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// A change was published.
    Publish,
    /// An earlier revision was made live again; `to` is the source of its content.
    Rollback {
        /// The revision whose content is live again.
        to: Revision,
    },
    /// One flag became what it was before.
    RollbackFlag {
        /// The flag.
        flag: FlagName,
        /// The revision whose flag is live again.
        to: Revision,
    },
    /// One route got its previous split back.
    RollbackRoute {
        /// The route; not recorded by earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<RouteName>,
        /// The revision whose split of the route is live again.
        #[serde(default)]
        to: Revision,
    },
    /// A part of a way back that is spread over a time (`?over=30s`).
    ReturnPart {
        /// The revision that it leads to; absent for an abort, which leads to the stable release.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Revision>,
        /// The part, counted from 1.
        part: u32,
        /// Number of parts.
        parts: u32,
    },
    /// Only endpoints joined or left: a fact, not a decision.
    Roster,
    /// A drill made live what was live already, or took that back: a fact, not a decision.
    Drill {
        /// The decision that was gone back to; absent for the publish before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Revision>,
    },
    /// The configuration file was imported.
    Import,
    /// A number that was reserved but never became live.
    Void,
}

impl Cause {
    /// True for a rollback, which is live before it is durable.
    pub const fn is_rollback(&self) -> bool {
        matches!(
            self,
            Self::Rollback { .. }
                | Self::RollbackFlag { .. }
                | Self::RollbackRoute { .. }
                | Self::ReturnPart { to: Some(_), .. }
                | Self::Drill { to: Some(_) }
        )
    }

    /// True for a part of a way back after which others are still to come.
    pub const fn is_amid_return(&self) -> bool {
        matches!(self, Self::ReturnPart { part, parts, .. } if *part < *parts)
    }

    /// True for a revision of a drill: it has the content of the one before it.
    pub const fn is_drill(&self) -> bool {
        matches!(self, Self::Drill { .. })
    }

    /// Name in metrics and tables.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Publish | Self::ReturnPart { to: None, .. } => "publish",
            Self::Rollback { .. }
            | Self::RollbackFlag { .. }
            | Self::RollbackRoute { .. }
            | Self::ReturnPart { to: Some(_), .. } => "rollback",
            Self::Roster => "roster",
            Self::Drill { .. } => "drill",
            Self::Import => "import",
            Self::Void => "void",
        }
    }
}

/// One entry of the history. It holds the change; the table results from all changes up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionRecord {
    /// Its number.
    pub revision: Revision,
    /// The revision that was live before it.
    pub parent: Revision,
    /// Target of a rollback from here; absent at the bottom of the undo stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_to: Option<Revision>,
    /// Time when it became live: milliseconds since 1970, UTC.
    pub published_at_ms: u64,
    /// Author and reason.
    pub author: Author,
    /// Cause.
    pub cause: Cause,
    /// Digest of the table's decisions.
    pub digest: Digest,
    /// The change; absent for a rollback of everything, whose content is that of the revision in its cause, and for a void number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Digest of the request if it differs from the change: an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
    /// True if what was in flight on the releases that left by it was cut, and their sessions move.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Place in the table that several proxies share; absent on a proxy of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedMark>,
}
