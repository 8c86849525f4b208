//! Candidates: the releases that a change would give more to, checked before it is live.

use std::{collections::BTreeMap, sync::Arc};

use super::reconcile::UpcomingGuard;
use crate::{
    fleet::Roster,
    model::{ReleaseName, ReleaseSpec},
};

/// Releases that a change waited for. Their rosters are resolved and checked until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Candidates<'a> {
    rosters: BTreeMap<ReleaseName, Arc<Roster>>,
    _guard: Option<UpcomingGuard<'a>>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(
        rosters: BTreeMap<ReleaseName, Arc<Roster>>,
        guard: UpcomingGuard<'a>,
    ) -> Self {
        Self {
            rosters,
            _guard: Some(guard),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &ReleaseName> {
        self.rosters.keys()
    }

    pub(super) fn roster(&self, name: &ReleaseName) -> Option<&Arc<Roster>> {
        self.rosters.get(name)
    }
}

/// True if the result of a check of an endpoint as the one release holds for the other too.
pub(super) fn checks_alike(one: &ReleaseSpec, other: &ReleaseSpec) -> bool {
    (&one.health, one.protocol, &one.tls) == (&other.health, other.protocol, &other.tls)
}
