//! Changes of a table, and the pure function that applies them.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{
    EndpointSpec, FlagName, FlagPatch, FlagSpec, FlagState, Hashed, PauseSpec, Percents, Problem,
    ReleaseDocument, ReleaseName, RouteName, RouteSpec, TableDocument, TableState, Weights,
};

mod apply;
mod batch;
mod flags;
mod pause;
mod routes;
#[cfg(test)]
mod tests;

/// One change to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Gives all weight to the route's stable release.
    Abort {
        /// The route.
        route: RouteName,
    },
    /// Makes several changes as one, in their order.
    Batch {
        /// The changes; none of them is a batch.
        #[schema(no_recursion)]
        changes: Vec<Change>,
    },
    /// Changes some keys of a flag.
    PatchFlag {
        /// The flag.
        flag: FlagName,
        /// The keys that change.
        patch: FlagPatch,
    },
    /// Sets some weights of a route; the others stay.
    PatchSplit {
        /// The route.
        route: RouteName,
        /// The new weights.
        #[schema(schema_with = super::schema::some_weights)]
        weights: Weights,
    },
    /// Gives all weight to the route's canary, which becomes stable.
    Promote {
        /// The route.
        route: RouteName,
        /// Release to promote; required only if there is more than one candidate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<ReleaseName>,
    },
    /// Adds or replaces a flag.
    PutFlag {
        /// Its name.
        flag: FlagName,
        /// The new flag.
        spec: Box<FlagSpec>,
    },
    /// Adds or replaces a release.
    PutRelease {
        /// Its name.
        release: ReleaseName,
        /// The new release.
        document: Box<ReleaseDocument>,
    },
    /// Adds a route (at the end) or replaces it (at its position).
    PutRoute {
        /// The new route.
        route: Box<RouteSpec>,
    },
    /// Removes a flag.
    RemoveFlag {
        /// Its name.
        flag: FlagName,
    },
    /// Removes a release, and its entries of weight 0 in splits.
    RemoveRelease {
        /// Its name.
        release: ReleaseName,
    },
    /// Removes a route.
    RemoveRoute {
        /// Its name.
        route: RouteName,
    },
    /// Replaces the whole table.
    Replace {
        /// The new table.
        table: TableDocument,
    },
    /// Replaces the endpoints of a release, and nothing else.
    SetEndpoints {
        /// The release.
        release: ReleaseName,
        /// The new endpoints.
        endpoints: Vec<EndpointSpec>,
    },
    /// Switches a flag on or off.
    SetFlagState {
        /// The flag.
        flag: FlagName,
        /// The new state.
        state: FlagState,
    },
    /// Pauses a route, or resumes it.
    SetPause {
        /// The route.
        route: RouteName,
        /// The pause; without one, the route is resumed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pause: Option<PauseSpec>,
    },
    /// Gives percents to some releases of a route; the others share the rest in their present proportion.
    SetPercents {
        /// The route.
        route: RouteName,
        /// The percents.
        #[schema(schema_with = super::schema::percents)]
        percents: Percents,
    },
    /// Replaces all weights of a route.
    SetSplit {
        /// The route.
        route: RouteName,
        /// The new weights.
        #[schema(schema_with = super::schema::weights)]
        weights: Weights,
    },
    /// Gives all weight to one release of a route; the others stay in the split at 0.
    Switch {
        /// The route.
        route: RouteName,
        /// The release.
        to: ReleaseName,
    },
}

/// Entries that a change modifies, so that only these are compiled, and later changes can detect conflicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Routes with another decision.
    pub routes: BTreeSet<RouteName>,
    /// Releases with another decision or roster.
    pub releases: BTreeSet<ReleaseName>,
    /// Flags with another decision.
    pub flags: BTreeSet<FlagName>,
    /// True if routes were added, removed, moved or match differently, so that the index must be rebuilt.
    pub structure: bool,
}

/// Result of applying a change.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The new state.
    pub state: TableState,
    /// Entries that changed.
    pub touched: ChangeSet,
}

impl Applied {
    /// True if only endpoints changed: a fact, which is recorded but not undone.
    pub fn is_fact(&self, before: &TableState) -> bool {
        self.state.spec.digest() == before.spec.digest() && self.state.rosters != before.rosters
    }

    /// True if nothing changed.
    pub fn is_same(&self, before: &TableState) -> bool {
        self.state.spec.digest() == before.spec.digest() && self.state.rosters == before.rosters
    }
}

/// Reason why a change cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The names exist, but the change is invalid.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// The release has a weight in a split and cannot be removed.
    #[error("release `{release}` has a weight in the split of {}", list(.routes))]
    ReleaseInUse {
        /// The release.
        release: ReleaseName,
        /// Routes whose split contains it.
        routes: Vec<RouteName>,
    },
    /// There is no flag of that name.
    #[error("no flag is called `{name}`")]
    UnknownFlag {
        /// The unknown name.
        name: String,
        /// Existing names.
        known: Vec<FlagName>,
    },
    /// There is no release of that name.
    #[error("no release is called `{name}`")]
    UnknownRelease {
        /// The unknown name.
        name: String,
        /// Existing names.
        known: Vec<ReleaseName>,
    },
    /// There is no route of that name.
    #[error("no route is called `{name}`")]
    UnknownRoute {
        /// The unknown name.
        name: String,
        /// Existing names.
        known: Vec<RouteName>,
    },
}

fn list(names: &[RouteName]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Change {
    /// Route of the change, if it is about a single one.
    pub fn route(&self) -> Option<&RouteName> {
        match self {
            Self::Abort { route }
            | Self::PatchSplit { route, .. }
            | Self::Promote { route, .. }
            | Self::RemoveRoute { route }
            | Self::SetPause { route, .. }
            | Self::SetPercents { route, .. }
            | Self::SetSplit { route, .. }
            | Self::Switch { route, .. } => Some(route),
            Self::PutRoute { route } => Some(&route.name),
            Self::Batch { .. }
            | Self::PatchFlag { .. }
            | Self::PutFlag { .. }
            | Self::PutRelease { .. }
            | Self::RemoveFlag { .. }
            | Self::RemoveRelease { .. }
            | Self::Replace { .. }
            | Self::SetEndpoints { .. }
            | Self::SetFlagState { .. } => None,
        }
    }

    /// Release of the change, if it is about a single one.
    pub fn release(&self) -> Option<&ReleaseName> {
        match self {
            Self::PutRelease { release, .. }
            | Self::RemoveRelease { release }
            | Self::SetEndpoints { release, .. } => Some(release),
            Self::Abort { .. }
            | Self::Batch { .. }
            | Self::PatchFlag { .. }
            | Self::PatchSplit { .. }
            | Self::Promote { .. }
            | Self::PutFlag { .. }
            | Self::PutRoute { .. }
            | Self::RemoveFlag { .. }
            | Self::RemoveRoute { .. }
            | Self::Replace { .. }
            | Self::SetFlagState { .. }
            | Self::SetPause { .. }
            | Self::SetPercents { .. }
            | Self::SetSplit { .. }
            | Self::Switch { .. } => None,
        }
    }

    /// Flag of the change, if it is about a single one.
    pub fn flag(&self) -> Option<&FlagName> {
        match self {
            Self::PatchFlag { flag, .. }
            | Self::PutFlag { flag, .. }
            | Self::RemoveFlag { flag }
            | Self::SetFlagState { flag, .. } => Some(flag),
            Self::Abort { .. }
            | Self::Batch { .. }
            | Self::PatchSplit { .. }
            | Self::Promote { .. }
            | Self::PutRelease { .. }
            | Self::PutRoute { .. }
            | Self::RemoveRelease { .. }
            | Self::RemoveRoute { .. }
            | Self::Replace { .. }
            | Self::SetEndpoints { .. }
            | Self::SetPause { .. }
            | Self::SetPercents { .. }
            | Self::SetSplit { .. }
            | Self::Switch { .. } => None,
        }
    }
}

impl ChangeSet {
    /// Difference between two states.
    pub fn between(before: &TableState, after: &TableState) -> Self {
        let (old, new) = (before.spec.routes(), after.spec.routes());
        let mut touched = Self::default();
        for place in old.differences(new, Hashed::is_same) {
            let pair = (old.get(place), new.get(place));
            touched.structure |=
                !matches!(pair, (Some(a), Some(b)) if a.name == b.name && a.matches_like(b));
            touched.routes.extend(
                [pair.0, pair.1]
                    .into_iter()
                    .flatten()
                    .map(|route| route.name.clone()),
            );
        }
        let (old, new) = (before.spec.flags(), after.spec.flags());
        touched.flags.extend(old.differences(new, Hashed::is_same));
        let (old, new) = (before.spec.releases(), after.spec.releases());
        if std::ptr::eq(old, new) && Arc::ptr_eq(&before.rosters, &after.rosters) {
            return touched;
        }
        let names = old.keys().chain(new.keys());
        let hash = |state: &TableState, name: &ReleaseName| {
            state.spec.release(name).map(|spec| spec.hash())
        };
        let differs = |name: &&ReleaseName| {
            hash(before, name) != hash(after, name)
                || before.endpoints(name) != after.endpoints(name)
        };
        touched.releases = names.filter(differs).cloned().collect();
        touched
    }
}
