//! Place of a record in the table that several proxies share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ChangeSet, FlagName, ReleaseName, RouteName};

/// A part of the table that is changed and rolled back by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TablePart {
    /// A flag.
    Flag(FlagName),
    /// A release.
    Release(ReleaseName),
    /// A route.
    Route(RouteName),
}

/// A rollback of one part that was made on a node and that the fleet does not have yet. What the part is on the node
/// stays so until it is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocalRollback {
    /// Identifier that no other rollback of the fleet has.
    pub id: String,
    /// The part.
    pub part: TablePart,
    /// Revision of the fleet from which it went back.
    pub of: u64,
    /// True if switchback itself went back: a person's change then ends it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_machine: bool,
    /// True if a person changed the part elsewhere: a person decides which of the two stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
    /// Identifiers of earlier ones of the part, from which this one went further back; the latest 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
}

/// The revision of the fleet that a node had taken up when it made a record, and its own rollbacks beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedMark {
    /// Revision of the fleet.
    pub revision: u64,
    /// Identifier of that revision, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Rollbacks that the fleet does not have yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollbacks: Vec<LocalRollback>,
    /// True if another node has made the change, and this one has taken it up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub followed: bool,
}

impl LocalRollback {
    /// Most earlier ones of the part that one names.
    pub const MOST_REPLACED: usize = 16;

    /// Identifier of the step in which it was made, with other parts maybe.
    pub fn step(&self) -> &str {
        self.id.split_once('/').map_or(&self.id, |(step, _)| step)
    }
}

impl std::fmt::Display for TablePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag `{name}`"),
            Self::Release(name) => write!(f, "release `{name}`"),
            Self::Route(name) => write!(f, "route `{name}`"),
        }
    }
}

impl ChangeSet {
    /// The parts of the table that it names.
    pub fn parts(&self) -> impl Iterator<Item = TablePart> {
        let routes = self.routes.iter().cloned().map(TablePart::Route);
        let releases = self.releases.iter().cloned().map(TablePart::Release);
        let flags = self.flags.iter().cloned().map(TablePart::Flag);
        routes.chain(releases).chain(flags)
    }
}
