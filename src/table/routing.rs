//! The routing table: a compiled set of decisions under a revision number.

use std::sync::Arc;

use super::{Compiled, Departure, Departures, Route};
use crate::{
    model::{Digest, RequestView, Revision, Rosters, TableState},
    stats::{CounterValue, Sharded},
};

/// All decisions, immutable, with the revision number that made them live.
#[derive(Debug)]
pub struct RoutingTable {
    revision: Revision,
    compiled: Arc<Compiled>,
    rosters: Arc<Rosters>,
    in_flight: Arc<Sharded>,
    departures: Departures,
}

impl RoutingTable {
    pub(super) fn new(
        revision: Revision,
        compiled: Arc<Compiled>,
        rosters: Arc<Rosters>,
        departures: Departures,
        workers: usize,
    ) -> Self {
        Self {
            revision,
            compiled,
            rosters,
            departures,
            in_flight: Arc::new(Sharded::new(workers)),
        }
    }

    /// Revision number under which it became live.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Digest of its decisions.
    pub fn digest(&self) -> Digest {
        self.compiled.spec().digest()
    }

    /// Compiled decisions, shared with an earlier table after a rollback.
    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// Releases that left a route, as of this revision.
    pub fn departures(&self) -> &Departures {
        &self.departures
    }

    /// The departure of the release at an entry of a route's split; `None` if it has a weight, or never left.
    pub fn departure(&self, route: &Route, entry: usize) -> Option<&Arc<Departure>> {
        let entry = route.split().entries().get(entry)?;
        if entry.weight() > 0 {
            return None;
        }
        let place = self.compiled.spec().place(&route.spec().name)?;
        let release = entry.release();
        self.departures.of(place, release.name(), release.version())
    }

    /// Decisions and rosters as of this revision.
    pub fn state(&self) -> TableState {
        TableState {
            spec: self.compiled.spec().clone(),
            rosters: Arc::clone(&self.rosters),
        }
    }

    /// Finds the route of a request.
    #[inline]
    pub fn route(&self, request: &impl RequestView) -> Option<&Arc<Route>> {
        self.compiled.route(request, request.path().as_bytes())
    }

    /// Counts a request on this revision until the guard is dropped.
    pub fn count(&self, slot: usize) -> RevisionInFlight {
        RevisionInFlight(self.in_flight.count(slot))
    }

    /// Requests that were selected by this table and have not ended.
    pub fn in_flight(&self) -> &Arc<Sharded> {
        &self.in_flight
    }
}

/// A request counted on a revision. It holds its worker's part of the revision's counter, never the table.
#[derive(Debug)]
pub struct RevisionInFlight(
    #[expect(dead_code, reason = "it counts until it is dropped")] CounterValue,
);
