//! One request in flight, counted on its endpoint and its release.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crossbeam_utils::CachePadded;

use super::{
    endpoint::Endpoint,
    endpoint_queue::{EndpointQueue, FreePlace},
};
use crate::stats::Sharded;

/// Requests in flight on a release.
#[derive(Debug)]
pub(super) struct Load {
    count: Sharded,
    /// Requests that wait for an endpoint with room.
    pub(super) queue: Arc<EndpointQueue>,
}

/// State that a request refers to, with a copy per worker: so of a request's counters only that of its endpoint, which
/// must be exact, is in a cache line that several workers write to.
#[derive(Debug)]
pub(super) struct WorkerCounters {
    pub(super) endpoints: Arc<Vec<Arc<Endpoint>>>,
    pub(super) load: Arc<Load>,
    /// State of this worker's round robin, for each endpoint.
    pub(super) turns: Box<[AtomicI64]>,
}

/// One request in flight: counted on its endpoint and its release until dropped.
#[derive(Debug)]
pub struct InFlight {
    counters: Arc<CachePadded<WorkerCounters>>,
    // Invariant: a valid index into the endpoints.
    index: u32,
    slot: u32,
    picked_ms: u64,
}

impl Load {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            count: Sharded::new(workers),
            queue: Arc::default(),
        }
    }

    pub(super) fn sum(&self) -> u64 {
        self.count.sum()
    }
}

impl InFlight {
    /// Counts a request on the endpoint at an index, if it exists.
    #[inline]
    pub(super) fn new(
        hold: &Arc<CachePadded<WorkerCounters>>,
        index: usize,
        (slot, now_ms): (usize, u64),
    ) -> Option<Self> {
        hold.endpoints
            .get(index)?
            .in_flight
            .fetch_add(1, Ordering::Relaxed);
        Some(Self::counted(hold, index, (slot, now_ms)))
    }

    /// Counts a request on the endpoint at an index, unless `limit` are in flight on it.
    pub(super) fn limited(
        hold: &Arc<CachePadded<WorkerCounters>>,
        index: usize,
        (slot, now_ms): (usize, u64),
        limit: u32,
    ) -> Option<Self> {
        let is_counted = hold.endpoints.get(index)?.count(limit);
        is_counted.then(|| Self::counted(hold, index, (slot, now_ms)))
    }

    fn counted(
        hold: &Arc<CachePadded<WorkerCounters>>,
        index: usize,
        (slot, now_ms): (usize, u64),
    ) -> Self {
        hold.load.count.add(slot);
        Self {
            counters: Arc::clone(hold),
            index: u32::try_from(index).unwrap_or_default(),
            slot: u32::try_from(slot).unwrap_or_default(),
            picked_ms: now_ms,
        }
    }

    /// True if it is counted on a release with this load.
    pub(super) fn is_of(&self, load: &Arc<Load>) -> bool {
        Arc::ptr_eq(&self.counters.load, load)
    }

    /// Time at which it was picked, in milliseconds of the caller's clock.
    pub fn picked_ms(&self) -> u64 {
        self.picked_ms
    }

    /// The picked endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.counters.endpoints[self.index as usize]
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        let endpoint = self.endpoint();
        // Ordered before the look at the queue: either the place is seen there, or the one who waits for it here.
        endpoint.in_flight.fetch_sub(1, Ordering::SeqCst);
        let load = &self.counters.load;
        load.count.sub(self.slot as usize);
        if load.queue.waiting() > 0 {
            load.queue.call(FreePlace::on(endpoint));
        }
    }
}
