//! The index of the kept revisions, in memory, so that no query reads the disk.
//!
//! Tables share what did not change, so a thousand of them cost little more than one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::ControlError;
use crate::{
    api::RevisionSummary,
    history::{Loaded, StoredRevision},
    model::{FlagName, ReleaseName, Revision, RollbackSpec, RouteName, TableDocument, TableState},
};

/// The kept revisions, by number, idempotency key, route, release and flag.
#[derive(Debug, Default)]
pub(super) struct RevisionIndex {
    kept: BTreeMap<Revision, StoredRevision>,
    keys: HashMap<String, Revision>,
    routes: HashMap<RouteName, Revision>,
    releases: HashMap<ReleaseName, Revision>,
    flags: HashMap<FlagName, Revision>,
    /// True if a release of a revision has a data guard; it is never false again.
    has_guards: bool,
    /// The configuration file as it was last imported.
    pub(super) imported: Option<Arc<TableDocument>>,
    /// The configuration file as it was last read, if it was refused.
    pub(super) refused: Option<Arc<TableDocument>>,
    /// Revisions since a whole table was last written.
    pub(super) since_snapshot: usize,
}

impl RevisionIndex {
    pub(super) fn of(loaded: Loaded) -> Self {
        let mut index = Self {
            imported: loaded.imported.map(Arc::new),
            ..Self::default()
        };
        let first = loaded.kept.iter().find_map(|kept| kept.state.as_ref());
        // Later ones touch the releases that they bring.
        index.has_guards =
            first.is_some_and(|state| has_guard(state.spec.releases().keys(), state));
        for kept in loaded.kept {
            index.insert(kept);
        }
        index
    }

    /// Adds a revision. It becomes the last one of its key, routes, releases and flags.
    pub(super) fn insert(&mut self, kept: StoredRevision) {
        let revision = kept.record.revision;
        let state = kept.state.as_ref();
        self.has_guards |=
            state.is_some_and(|state| has_guard(kept.touched.releases.iter(), state));
        if kept.state.is_some() {
            if let Some(key) = &kept.record.author.idempotency_key {
                self.keys.insert(key.clone(), revision);
            }
            let StoredRevision { touched, .. } = &kept;
            let routes = touched.routes.iter().map(|name| (name.clone(), revision));
            self.routes.extend(routes);
            let releases = touched.releases.iter().map(|name| (name.clone(), revision));
            self.releases.extend(releases);
            let flags = touched.flags.iter().map(|name| (name.clone(), revision));
            self.flags.extend(flags);
        }
        self.since_snapshot += 1;
        self.kept.insert(revision, kept);
    }

    /// True if a kept release may have a data guard: without one there is nothing to look for.
    pub(super) const fn has_guards(&self) -> bool {
        self.has_guards
    }

    pub(super) fn kept(&self) -> &BTreeMap<Revision, StoredRevision> {
        &self.kept
    }

    pub(super) fn get(&self, revision: Revision) -> Option<&StoredRevision> {
        self.kept.get(&revision)
    }

    /// The table of a revision; that of revision 0 is empty.
    pub(super) fn state(&self, revision: Revision) -> Option<TableState> {
        if revision == Revision(0) {
            return Some(TableState::default());
        }
        self.kept.get(&revision)?.state.clone()
    }

    /// The decision that a live revision holds: itself, or the last one before it that was no fact. A fact changes neither
    /// the digest of the decisions nor the destination of a rollback.
    pub(super) fn decision(&self, live: Revision) -> Revision {
        let Some(record) = self.get(live).map(|kept| &kept.record) else {
            return live;
        };
        let earlier = self.kept.range(..=live).rev();
        let was_live = earlier.filter(|(_, kept)| kept.state.is_some());
        let mut decision = live;
        for (revision, kept) in was_live {
            let same = kept.record.digest == record.digest && kept.record.undo_to == record.undo_to;
            if !same {
                break;
            }
            decision = *revision;
            let cause = &kept.record.cause;
            if cause.is_rollback() && !cause.is_drill() {
                break;
            }
        }
        decision
    }

    /// The error for a revision that is not kept.
    pub(super) fn unknown(&self, revision: Revision) -> ControlError {
        ControlError::UnknownRevision {
            revision,
            oldest: self.kept.keys().next().copied(),
        }
    }

    /// The revision that was made under an idempotency key.
    pub(super) fn by_key(&self, key: &str) -> Option<&StoredRevision> {
        self.get(*self.keys.get(key)?)
    }

    /// The revision that last changed a route.
    pub(super) fn route_changed(&self, name: &RouteName) -> Option<Revision> {
        self.routes.get(name).copied()
    }

    /// The revision that last changed a release.
    pub(super) fn release_changed(&self, name: &ReleaseName) -> Option<Revision> {
        self.releases.get(name).copied()
    }

    /// The revision that last changed a flag.
    pub(super) fn flag_changed(&self, name: &FlagName) -> Option<Revision> {
        self.flags.get(name).copied()
    }

    pub(super) fn remove(&mut self, revisions: &[Revision]) {
        for revision in revisions {
            let Some(kept) = self.kept.remove(revision) else {
                continue;
            };
            let key = kept.record.author.idempotency_key.as_ref();
            if let Some(key) = key.filter(|key| self.keys.get(*key) == Some(revision)) {
                self.keys.remove(key);
            }
        }
    }

    /// The live revisions after `revision` for which `about` is true, latest first.
    pub(super) fn since<'a>(
        &'a self,
        revision: Revision,
        about: impl Fn(&StoredRevision) -> bool + 'a,
    ) -> impl Iterator<Item = &'a StoredRevision> {
        let later = (
            std::ops::Bound::Excluded(revision),
            std::ops::Bound::Unbounded,
        );
        let later = self.kept.range(later).rev().map(|(_, kept)| kept);
        later.filter(move |kept| kept.state.is_some() && about(kept))
    }
}

fn has_guard<'a>(mut names: impl Iterator<Item = &'a ReleaseName>, state: &TableState) -> bool {
    names.any(|name| {
        let spec = state.spec.release(name);
        let declared = spec.and_then(|spec| spec.rollback.as_ref());
        declared.is_some_and(RollbackSpec::is_guard)
    })
}

/// The part of a summary that is not in the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct RevisionFlags<'a> {
    pub(super) live: Revision,
    pub(super) chain: &'a [Revision],
    pub(super) durable: Revision,
}

pub(super) fn summary(kept: &StoredRevision, flags: RevisionFlags<'_>) -> RevisionSummary {
    let record = &kept.record;
    RevisionSummary {
        undoable: flags.chain.contains(&record.revision),
        durable: record.revision <= flags.durable,
        ..RevisionSummary::of(record, flags.live)
    }
}
