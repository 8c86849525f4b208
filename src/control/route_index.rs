//! An index of the live table's routes for status queries: the split ones, and those that a release gets requests from.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    model::{ReleaseName, Revision, TableSpec},
    table::RoutingTable,
};

/// The index of the last revision that was asked for.
#[derive(Debug, Default)]
pub(super) struct RouteIndexCache(Mutex<Option<Arc<RouteIndex>>>);

/// An index of the routes of one revision. Positions are those in the table.
#[derive(Debug)]
pub(super) struct RouteIndex {
    revision: Revision,
    /// The routes with more than one weight.
    pub(super) split: BTreeSet<usize>,
    weighing: HashMap<ReleaseName, Vec<usize>>,
}

// === impl RouteIndexCache ===

impl RouteIndexCache {
    pub(super) fn get(&self, live: &RoutingTable) -> Arc<RouteIndex> {
        // Held to copy a pointer, not while routes are walked.
        let cache = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache().clone();
        if let Some(known) = known.filter(|known| known.revision == live.revision()) {
            return known;
        }
        let index = Arc::new(RouteIndex::of(live.compiled().spec(), live.revision()));
        *cache() = Some(Arc::clone(&index));
        index
    }
}

// === impl RouteIndex ===

impl RouteIndex {
    fn of(spec: &TableSpec, revision: Revision) -> Self {
        let mut index = Self {
            revision,
            split: BTreeSet::new(),
            weighing: HashMap::new(),
        };
        for (position, route) in spec.routes().iter().enumerate() {
            if route.weighed().count() > 1 {
                index.split.insert(position);
            }
            for release in route.weighed() {
                match index.weighing.get_mut(release) {
                    Some(positions) => positions.push(position),
                    None => drop(index.weighing.insert(release.clone(), vec![position])),
                }
            }
        }
        index
    }

    /// The routes that give a weight to one of these releases.
    pub(super) fn weighing<'a>(
        &self,
        releases: impl Iterator<Item = &'a ReleaseName>,
    ) -> BTreeSet<usize> {
        let positions = releases.filter_map(|release| self.weighing.get(release));
        positions.flatten().copied().collect()
    }
}
