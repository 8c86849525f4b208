//! Requests that wait on a paused route, over all workers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::model::RouteName;

/// Number of the requests that wait on one route.
#[derive(Debug, Default)]
pub struct PausedRequests(AtomicU32);

/// The place of a request that waits; given back when it is dropped.
#[derive(Debug)]
pub struct PausedRequest(Arc<PausedRequests>);

/// The numbers of all paused routes. It holds them weakly.
#[derive(Debug, Default)]
pub(super) struct PausedRoutes(Mutex<BTreeMap<RouteName, Weak<PausedRequests>>>);

impl PausedRequests {
    /// A place for a request, if fewer than `most` wait.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<PausedRequest> {
        let one_more = |waiting: u32| (waiting < most).then(|| waiting + 1);
        let order = Ordering::Relaxed;
        let entered = self.0.fetch_update(order, order, one_more);
        entered.is_ok().then(|| PausedRequest(Arc::clone(self)))
    }

    /// Number of requests that wait.
    pub fn waiting(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for PausedRequest {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PausedRoutes {
    /// The number of a route; zero if nothing waits there.
    pub(super) fn of(&self, route: &RouteName) -> Arc<PausedRequests> {
        let mut routes = self.lock();
        if let Some(requests) = routes.get(route).and_then(Weak::upgrade) {
            return requests;
        }
        routes.retain(|_, requests| requests.strong_count() > 0);
        let requests = Arc::<PausedRequests>::default();
        routes.insert(route.clone(), Arc::downgrade(&requests));
        requests
    }

    /// The routes that a table pauses, and how many requests wait on each.
    pub(super) fn all(&self) -> Vec<(RouteName, u32)> {
        let routes = self.lock();
        let waiting = |(route, requests): (&RouteName, &Weak<PausedRequests>)| {
            Some((route.clone(), requests.upgrade()?.waiting()))
        };
        routes.iter().filter_map(waiting).collect()
    }

    // Safe to ignore poisoning: a panic under the lock leaves the map intact.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RouteName, Weak<PausedRequests>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_as_may_and_a_place_comes_back() {
        let routes = PausedRoutes::default();
        let chat: RouteName = "chat".parse().unwrap();
        let requests = routes.of(&chat);
        let places = [requests.enter(2), requests.enter(2)];
        assert!(places.iter().all(Option::is_some) && requests.enter(2).is_none());
        assert!(routes.of(&chat).enter(3).is_some(), "the same number");
        assert_eq!(routes.all(), [(chat.clone(), 2)]);
        drop(places);
        assert_eq!(requests.waiting(), 0);
        drop(requests);
        assert!(routes.all().is_empty());
        assert_eq!(routes.of(&chat).waiting(), 0);
    }
}
