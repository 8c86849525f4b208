//! Queue of requests that wait for an endpoint with room, where endpoints have a limit of requests in flight.
//!
//! The limit itself is the endpoint's count, which is compared and raised in one atomic step. The queue only decides who
//! looks next: a freed place calls the first request in it, and a request that finds the queue not empty joins it
//! instead of overtaking. A called request that takes a place calls the next one if there is room for it as well, so no
//! call is lost.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::Notify;

/// The waiting requests of a release, in order of arrival, of all workers.
#[derive(Debug, Default)]
pub(super) struct EndpointQueue {
    waiting: AtomicU32,
    line: Mutex<Line>,
}

/// A request in the queue, until dropped.
#[derive(Debug)]
pub struct EndpointTicket {
    queue: Arc<EndpointQueue>,
    waiter: Arc<Waiter>,
    number: u64,
    has_place: bool,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiters: BTreeMap<u64, Position>,
}

#[derive(Debug)]
struct Position {
    waiter: Arc<Waiter>,
    /// The endpoint that it was called for.
    called_for: Option<SocketAddr>,
}

#[derive(Debug)]
struct Waiter {
    /// The endpoint that its session is pinned to; any one if `None`.
    wanted: Option<SocketAddr>,
    is_called: AtomicBool,
    woken: Notify,
}

impl EndpointQueue {
    /// Number of requests in the queue.
    pub(super) fn waiting(&self) -> u32 {
        // Ordered after the count of a request that ended: either its place is seen, or the one who waits for it.
        self.waiting.load(Ordering::SeqCst)
    }

    /// Joins the end of the queue, unless `most` requests are in it.
    pub(super) fn join(
        self: &Arc<Self>,
        most: u32,
        wanted: Option<SocketAddr>,
    ) -> Option<EndpointTicket> {
        let mut line = self.lock();
        if self.waiting() >= most {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiter = Arc::new(Waiter {
            wanted,
            is_called: AtomicBool::new(false),
            woken: Notify::new(),
        });
        let number = line.next;
        line.next += 1;
        let position = Position {
            waiter: Arc::clone(&waiter),
            called_for: None,
        };
        line.waiters.insert(number, position);
        drop(line);
        Some(EndpointTicket {
            queue: Arc::clone(self),
            waiter,
            number,
            has_place: false,
        })
    }

    /// Calls the first request that may use a place on this endpoint.
    pub(super) fn call(&self, free: SocketAddr) {
        let mut line = self.lock();
        let may_use = |position: &&mut Position| {
            let wanted = position.waiter.wanted;
            position.called_for.is_none() && wanted.is_none_or(|wanted| wanted == free)
        };
        if let Some(first) = line.waiters.values_mut().find(may_use) {
            first.called_for = Some(free);
            first.waiter.is_called.store(true, Ordering::Release);
            first.waiter.woken.notify_one();
        }
    }

    /// True if a request was called and has not looked yet.
    pub(super) fn has_called(&self) -> bool {
        let line = self.lock();
        line.waiters
            .values()
            .any(|position| position.called_for.is_some())
    }

    // Safe to ignore poisoning: no step under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointTicket {
    /// True if it is in this queue.
    pub(super) fn is_of(&self, queue: &Arc<EndpointQueue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }

    /// The endpoint that it waits for, if not for any.
    pub fn wanted(&self) -> Option<SocketAddr> {
        self.waiter.wanted
    }

    /// Lets the request look although it was not called: endpoints also come and go without a place becoming free.
    pub fn look(&self) {
        self.waiter.is_called.store(true, Ordering::Release);
    }

    /// True if it is the request's turn to look.
    pub fn is_called(&self) -> bool {
        self.waiter.is_called.load(Ordering::Acquire)
    }

    /// Returns once it is the request's turn. Cancel-safe.
    pub async fn called(&self) {
        while !self.is_called() {
            self.waiter.woken.notified().await;
        }
    }

    /// Gives the turn up, since there was no place; the request keeps its position.
    pub(super) fn missed(&self) {
        let mut line = self.queue.lock();
        if let Some(position) = line.waiters.get_mut(&self.number) {
            position.called_for = None;
        }
        self.waiter.is_called.store(false, Ordering::Release);
    }

    /// Leaves the queue with a place.
    pub(super) fn leave(mut self) {
        self.has_place = true;
    }
}

impl Drop for EndpointTicket {
    fn drop(&mut self) {
        let position = self.queue.lock().waiters.remove(&self.number);
        self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        // A call that was not used is passed on.
        let called_for = position.and_then(|position| position.called_for);
        if let Some(free) = called_for.filter(|_| !self.has_place) {
            self.queue.call(free);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn the_first_that_may_use_the_place_is_called() {
        let queue = Arc::new(EndpointQueue::default());
        let pinned = queue.join(9, Some(address(2))).unwrap();
        let (first, second) = (queue.join(9, None).unwrap(), queue.join(9, None).unwrap());
        queue.call(address(1));
        let called = |ticket: &EndpointTicket| ticket.called().now_or_never().is_some();
        assert!(called(&first) && !called(&pinned) && !called(&second));
        queue.call(address(2));
        assert!(called(&pinned) && !called(&second));
        first.missed();
        queue.call(address(1));
        assert!(called(&first) && !called(&second), "it keeps its position");
        drop(first);
        assert!(called(&second), "a call that was not used is passed on");
        drop((second, pinned));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn the_queue_is_bounded() {
        let queue = Arc::new(EndpointQueue::default());
        let held = queue.join(1, None).unwrap();
        assert!(queue.join(1, None).is_none());
        drop(held);
        assert!(queue.join(1, None).is_some());
    }
}
