//! What can be asked of a table, and the pure function that does it.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{
    EndpointUrl, Hashed, Percents, Problem, ReleaseDocument, ReleaseName, RouteName, RouteSpec,
    TableDocument, TableState, Weights,
};

mod apply;
#[cfg(test)]
mod tests;

/// One change to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The route's stable release gets everything.
    Abort {
        /// The route.
        route: RouteName,
    },
    /// Some weights of a route change; the others stay.
    PatchSplit {
        /// The route.
        route: RouteName,
        /// The weights that change.
        #[schema(schema_with = super::schema::some_weights)]
        weights: Weights,
    },
    /// The route's canary gets everything and becomes stable.
    Promote {
        /// The route.
        route: RouteName,
        /// The release to promote; needed only where more than one could be meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<ReleaseName>,
    },
    /// A release is added or replaced.
    PutRelease {
        /// Its name.
        release: ReleaseName,
        /// What it is to be.
        document: Box<ReleaseDocument>,
    },
    /// A route is added (at the end) or replaced (in its place).
    PutRoute {
        /// What it is to be.
        route: Box<RouteSpec>,
    },
    /// A release is removed, and with it its place in splits where its weight is 0.
    RemoveRelease {
        /// Its name.
        release: ReleaseName,
    },
    /// A route is removed.
    RemoveRoute {
        /// Its name.
        route: RouteName,
    },
    /// The whole table is replaced.
    Replace {
        /// What it is to be.
        table: TableDocument,
    },
    /// Endpoints of a release are replaced, and nothing else.
    SetEndpoints {
        /// The release.
        release: ReleaseName,
        /// Its endpoints.
        endpoints: Vec<EndpointUrl>,
    },
    /// Some releases of a route get these percents; the others share the rest in the proportion that they have.
    SetPercents {
        /// The route.
        route: RouteName,
        /// The percents.
        #[schema(schema_with = super::schema::percents)]
        percents: Percents,
    },
    /// All weights of a route are replaced.
    SetSplit {
        /// The route.
        route: RouteName,
        /// All its weights.
        #[schema(schema_with = super::schema::weights)]
        weights: Weights,
    },
    /// One release of a route gets everything; the others stay in the split at 0.
    Switch {
        /// The route.
        route: RouteName,
        /// The release.
        to: ReleaseName,
    },
}

/// What a change touched, so that only that is compiled, and so that a later change can tell a conflict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Routes whose decision is another one now.
    pub routes: BTreeSet<RouteName>,
    /// Releases whose decision or roster is another one now.
    pub releases: BTreeSet<ReleaseName>,
    /// Whether routes came, went, moved or match differently, so that the index is made anew.
    pub structure: bool,
}

/// A change that was applied.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What the table is to be.
    pub state: TableState,
    /// What the change touched.
    pub touched: ChangeSet,
}

impl Applied {
    /// Whether only endpoints changed: a fact, which is recorded but not undone.
    pub fn is_fact(&self, before: &TableState) -> bool {
        self.state.spec.digest() == before.spec.digest() && self.state.rosters != before.rosters
    }

    /// Whether nothing changed at all.
    pub fn is_same(&self, before: &TableState) -> bool {
        self.state.spec.digest() == before.spec.digest() && self.state.rosters == before.rosters
    }
}

/// Why a change cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The names are right, but what is asked cannot be.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// A release has a weight in a split, so it cannot go.
    #[error("release `{release}` has a weight in the split of {}", list(.routes))]
    ReleaseInUse {
        /// The release.
        release: ReleaseName,
        /// The routes that name it.
        routes: Vec<RouteName>,
    },
    /// No release has that name.
    #[error("no release is called `{name}`")]
    UnknownRelease {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<ReleaseName>,
    },
    /// No route has that name.
    #[error("no route is called `{name}`")]
    UnknownRoute {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
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
    /// The route that the change is about, if it is about one.
    pub fn route(&self) -> Option<&RouteName> {
        match self {
            Self::Abort { route }
            | Self::PatchSplit { route, .. }
            | Self::Promote { route, .. }
            | Self::RemoveRoute { route }
            | Self::SetPercents { route, .. }
            | Self::SetSplit { route, .. }
            | Self::Switch { route, .. } => Some(route),
            Self::PutRoute { route } => Some(&route.name),
            Self::PutRelease { .. }
            | Self::RemoveRelease { .. }
            | Self::Replace { .. }
            | Self::SetEndpoints { .. } => None,
        }
    }

    /// The release that the change is about, if it is about one.
    pub fn release(&self) -> Option<&ReleaseName> {
        match self {
            Self::PutRelease { release, .. }
            | Self::RemoveRelease { release }
            | Self::SetEndpoints { release, .. } => Some(release),
            Self::Abort { .. }
            | Self::PatchSplit { .. }
            | Self::Promote { .. }
            | Self::PutRoute { .. }
            | Self::RemoveRoute { .. }
            | Self::Replace { .. }
            | Self::SetPercents { .. }
            | Self::SetSplit { .. }
            | Self::Switch { .. } => None,
        }
    }
}

impl ChangeSet {
    /// What differs between two states.
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
