//! The set of releases that the fleet is to watch: to resolve, to check and to keep connected.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    sync::Arc,
};

use crate::{
    fleet::{RosterRole, WatchedRelease},
    model::{ReleaseName, Rosters, Version},
    table::{Compiled, RoutingTable},
};

/// A release and its version: the identity of a roster.
pub(super) type ReleaseKey = (ReleaseName, Version);

/// Releases to watch, each at most once.
#[derive(Debug, Default)]
pub(super) struct WatchSet(BTreeMap<ReleaseKey, WatchedRelease>);

impl WatchSet {
    /// The releases of tables, the live one last: of a release in several tables the last one counts.
    pub(super) fn of_tables(tables: &[Arc<Compiled>], rosters: &Rosters) -> Self {
        let mut set = Self::default();
        for (position, table) in tables.iter().enumerate() {
            let is_live = position + 1 == tables.len();
            set.add_table(
                table,
                rosters,
                if is_live {
                    RosterRole::Live
                } else {
                    RosterRole::Warm
                },
            );
        }
        set
    }

    fn add_table(&mut self, table: &Compiled, rosters: &Rosters, role: RosterRole) {
        for (name, release) in table.releases() {
            let key = (name.clone(), release.version().clone());
            let urls = rosters.get(&key).cloned().unwrap_or_else(|| Arc::new([]));
            let watched = WatchedRelease {
                roster: Arc::clone(release.roster()),
                spec: Arc::clone(release.spec()),
                urls,
                role,
            };
            self.0.insert(key, watched);
        }
    }

    /// Adds the candidates of changes that are not live yet. Returns those whose release is in the set already with
    /// another roster: they are watched beside it.
    pub(super) fn add_candidates<'a>(
        &mut self,
        candidates: impl Iterator<Item = &'a WatchedRelease>,
    ) -> Vec<WatchedRelease> {
        let mut beside = Vec::new();
        for candidate in candidates {
            match self.0.entry(key_of(candidate)) {
                Entry::Vacant(entry) => {
                    entry.insert(candidate.clone());
                }
                Entry::Occupied(other) if Arc::ptr_eq(&other.get().roster, &candidate.roster) => {}
                Entry::Occupied(_) => beside.push(candidate.clone()),
            }
        }
        beside
    }

    /// Adds a release that left the tables and still has requests in flight.
    pub(super) fn add_draining(&mut self, release: &WatchedRelease) {
        let draining = WatchedRelease {
            role: RosterRole::Draining,
            ..release.clone()
        };
        self.0.insert(key_of(release), draining);
    }

    pub(super) fn contains(&self, key: &ReleaseKey) -> bool {
        self.0.contains_key(key)
    }

    /// The releases in the order of their keys.
    pub(super) fn into_releases(self) -> Vec<WatchedRelease> {
        self.0.into_values().collect()
    }
}

pub(super) fn key_of(watched: &WatchedRelease) -> ReleaseKey {
    let roster = &watched.roster;
    (roster.release().clone(), roster.version().clone())
}

/// The keys of the live table's releases.
pub(super) fn live_keys(live: &RoutingTable) -> HashSet<ReleaseKey> {
    let releases = live.compiled().releases().iter();
    releases
        .map(|(name, release)| (name.clone(), release.version().clone()))
        .collect()
}

/// True if the fleet would watch the same releases in the same way.
pub(super) fn is_same(before: &[WatchedRelease], after: &[WatchedRelease]) -> bool {
    let is_same = |(a, b): (&WatchedRelease, &WatchedRelease)| {
        Arc::ptr_eq(&a.roster, &b.roster)
            && a.spec.hash() == b.spec.hash()
            && a.urls == b.urls
            && a.role == b.role
    };
    before.len() == after.len() && before.iter().zip(after).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::Fleet,
        model::{Hashed, ReleaseSpec},
    };

    fn candidate(roster: Arc<crate::fleet::Roster>) -> WatchedRelease {
        WatchedRelease {
            roster,
            spec: Arc::new(Hashed::new(ReleaseSpec::default())),
            urls: Arc::new([]),
            role: RosterRole::Candidate,
        }
    }

    #[test]
    fn a_candidate_with_a_roster_of_its_own_is_watched_beside_the_release() {
        let fleet = Fleet::new(1);
        let (name, version) = ("blue".parse().unwrap(), Version::default());
        let own = candidate(fleet.roster(&name, &version));
        let detached = candidate(fleet.candidate(&name, &version));
        let mut set = WatchSet::default();
        assert!(set.add_candidates([&own, &own].into_iter()).is_empty());
        let beside = set.add_candidates([&detached].into_iter());
        assert!(Arc::ptr_eq(&beside[0].roster, &detached.roster));
        let watched = set.into_releases();
        assert!(watched.len() == 1 && Arc::ptr_eq(&watched[0].roster, &own.roster));
    }

    #[test]
    fn another_role_is_another_watch() {
        let fleet = Fleet::new(1);
        let one = candidate(fleet.roster(&"blue".parse().unwrap(), &Version::default()));
        let mut set = WatchSet::default();
        set.add_draining(&one);
        let draining = set.into_releases();
        let one = std::slice::from_ref(&one);
        assert!(is_same(one, one) && !is_same(one, &draining) && !is_same(one, &[]));
    }
}
