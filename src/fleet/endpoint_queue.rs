//! Queue of requests that wait for an endpoint with room, where endpoints have a limit of requests in flight.
//!
//! The limit itself is the endpoint's count, which is compared and raised in one atomic step. The queue only decides who
//! looks next: a freed place calls the first request in it, and a request that finds the queue not empty joins it
//! instead of overtaking. A called request that takes a place calls the next one if there is room for it as well, so no
//! call is lost.
//!
//! Those who wait for any endpoint and those who wait for one that their session is pinned to are lines of their own,
//! each with the whole bound: a session that sends much to its busy endpoint keeps no other session out.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::Notify;

use super::endpoint::Endpoint;

/// The waiting requests of a release, in order of arrival, of all workers.
#[derive(Debug, Default)]
pub(super) struct EndpointQueue {
    waiting: AtomicU32,
    lines: Mutex<Lines>,
}

/// A request in the queue, until dropped.
#[derive(Debug)]
pub struct EndpointTicket {
    queue: Arc<EndpointQueue>,
    waiter: Arc<Waiter>,
    number: u64,
    has_place: bool,
}

/// A free place on an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct FreePlace {
    endpoint: SocketAddr,
    /// False if only requests that are pinned to the endpoint may use it.
    takes_new_work: bool,
}

/// The waiting requests by the endpoint that they wait for, each line in order of arrival. No line is empty.
#[derive(Debug, Default)]
struct Lines {
    next: u64,
    by_wanted: BTreeMap<Option<SocketAddr>, Line>,
    // Number of requests that were called and have not looked yet, by the endpoint that they were called for.
    called: BTreeMap<SocketAddr, u32>,
}

/// The requests that wait for the same, by their number.
type Line = BTreeMap<u64, Position>;

#[derive(Debug)]
struct Position {
    waiter: Arc<Waiter>,
    /// The place that it was called for.
    called_for: Option<FreePlace>,
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

    /// Number of requests that wait for any endpoint.
    pub(super) fn waiting_for_any(&self) -> u32 {
        self.lock().waiting_for(None)
    }

    /// Joins the end of the queue, unless `most` requests wait for the same.
    pub(super) fn join(
        self: &Arc<Self>,
        most: u32,
        wanted: Option<SocketAddr>,
    ) -> Option<EndpointTicket> {
        let mut lines = self.lock();
        if lines.waiting_for(wanted) >= most {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiter = Arc::new(Waiter {
            wanted,
            is_called: AtomicBool::new(false),
            woken: Notify::new(),
        });
        let number = lines.push(Arc::clone(&waiter));
        drop(lines);
        Some(EndpointTicket {
            queue: Arc::clone(self),
            waiter,
            number,
            has_place: false,
        })
    }

    /// Calls the first request that may use the place.
    pub(super) fn call(&self, free: FreePlace) {
        self.lock().call(free);
    }

    /// Calls the first request that may use one of the endpoint's free places, unless as many were called for it already.
    /// A call for another endpoint is no reason to wait: its request may take a place there, or find none.
    pub(super) fn call_for_any_of(&self, free: FreePlace, places: u32) {
        let mut lines = self.lock();
        if lines.called_for(free.endpoint) < places {
            lines.call(free);
        }
    }

    // Safe to ignore poisoning: no step under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FreePlace {
    pub(super) fn on(endpoint: &Endpoint) -> Self {
        Self {
            endpoint: endpoint.address(),
            takes_new_work: endpoint.weight() > 0,
        }
    }

    fn is_for(&self, wanted: Option<SocketAddr>) -> bool {
        wanted.map_or(self.takes_new_work, |wanted| wanted == self.endpoint)
    }
}

impl Lines {
    fn waiting_for(&self, wanted: Option<SocketAddr>) -> u32 {
        let length = self.by_wanted.get(&wanted).map_or(0, Line::len);
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    /// Adds a request at the end; returns its number.
    fn push(&mut self, waiter: Arc<Waiter>) -> u64 {
        let number = self.next;
        self.next += 1;
        let line = self.by_wanted.entry(waiter.wanted).or_default();
        line.insert(
            number,
            Position {
                waiter,
                called_for: None,
            },
        );
        number
    }

    fn called_for(&self, endpoint: SocketAddr) -> u32 {
        self.called.get(&endpoint).copied().unwrap_or(0)
    }

    fn call(&mut self, free: FreePlace) {
        let mut first: Option<(u64, &mut Position)> = None;
        for (wanted, line) in &mut self.by_wanted {
            if !free.is_for(*wanted) {
                continue;
            }
            let mut uncalled = line
                .iter_mut()
                .filter(|(_, position)| position.called_for.is_none());
            if let Some((number, position)) = uncalled.next()
                && first.as_ref().is_none_or(|(first, _)| number < first)
            {
                first = Some((*number, position));
            }
        }
        if let Some((_, first)) = first {
            first.called_for = Some(free);
            first.waiter.is_called.store(true, Ordering::Release);
            first.waiter.woken.notify_one();
            *self.called.entry(free.endpoint).or_default() += 1;
        }
    }

    /// Takes a call back; returns the place that it was for.
    fn uncall(&mut self, (wanted, number): (Option<SocketAddr>, u64)) -> Option<FreePlace> {
        let position = self.by_wanted.get_mut(&wanted)?.get_mut(&number)?;
        let called_for = position.called_for.take()?;
        let left = self.called_for(called_for.endpoint).saturating_sub(1);
        if left == 0 {
            self.called.remove(&called_for.endpoint);
        } else {
            self.called.insert(called_for.endpoint, left);
        }
        Some(called_for)
    }

    /// Removes a request; returns the place that it was called for.
    fn remove(&mut self, (wanted, number): (Option<SocketAddr>, u64)) -> Option<FreePlace> {
        let called_for = self.uncall((wanted, number));
        if let Some(line) = self.by_wanted.get_mut(&wanted) {
            line.remove(&number);
            if line.is_empty() {
                self.by_wanted.remove(&wanted);
            }
        }
        called_for
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
        let mut lines = self.queue.lock();
        lines.uncall(self.position());
        self.waiter.is_called.store(false, Ordering::Release);
    }

    /// Leaves the queue with a place.
    pub(super) fn leave(mut self) {
        self.has_place = true;
    }

    fn position(&self) -> (Option<SocketAddr>, u64) {
        (self.waiter.wanted, self.number)
    }
}

impl Drop for EndpointTicket {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        let called_for = lines.remove(self.position());
        self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        // A call that was not used is passed on.
        if let Some(free) = called_for.filter(|_| !self.has_place) {
            lines.call(free);
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

    fn free(port: u16) -> FreePlace {
        FreePlace {
            endpoint: address(port),
            takes_new_work: true,
        }
    }

    #[test]
    fn the_first_that_may_use_the_place_is_called() {
        let queue = Arc::new(EndpointQueue::default());
        let pinned = queue.join(9, Some(address(2))).unwrap();
        let (first, second) = (queue.join(9, None).unwrap(), queue.join(9, None).unwrap());
        queue.call(free(1));
        let called = |ticket: &EndpointTicket| ticket.called().now_or_never().is_some();
        assert!(called(&first) && !called(&pinned) && !called(&second));
        queue.call(free(2));
        assert!(called(&pinned) && !called(&second));
        first.missed();
        queue.call(free(1));
        assert!(called(&first) && !called(&second), "it keeps its position");
        drop(first);
        assert!(called(&second), "a call that was not used is passed on");
        drop((second, pinned));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn a_place_without_weight_is_for_those_who_are_pinned_to_it() {
        let queue = Arc::new(EndpointQueue::default());
        let (any, pinned) = (
            queue.join(9, None).unwrap(),
            queue.join(9, Some(address(1))).unwrap(),
        );
        queue.call(FreePlace {
            takes_new_work: false,
            ..free(1)
        });
        assert!(!any.is_called() && pinned.is_called());
        drop(pinned);
        assert!(!any.is_called(), "nor if the call is passed on");
    }

    #[test]
    fn no_more_are_called_for_room_than_there_are_places() {
        let queue = Arc::new(EndpointQueue::default());
        let tickets = [(); 4].map(|()| queue.join(9, None).unwrap());
        (0..9).for_each(|_| queue.call_for_any_of(free(1), 2));
        queue.call_for_any_of(free(2), 1);
        assert_eq!(
            tickets.each_ref().map(EndpointTicket::is_called),
            [true, true, true, false]
        );
    }

    #[test]
    fn the_queue_is_bounded() {
        let queue = Arc::new(EndpointQueue::default());
        let held = queue.join(1, None).unwrap();
        assert!(queue.join(1, None).is_none());
        drop(held);
        assert!(queue.join(1, None).is_some());
    }

    #[test]
    fn a_session_that_fills_the_line_of_its_endpoint_keeps_no_other_out() {
        let queue = Arc::new(EndpointQueue::default());
        let flood: Vec<_> = (0..99)
            .filter_map(|_| queue.join(2, Some(address(1))))
            .collect();
        assert_eq!(flood.len(), 2);
        let others = [None, None, Some(address(2))].map(|wanted| queue.join(2, wanted).unwrap());
        assert!(queue.join(2, None).is_none());
        assert_eq!((queue.waiting(), queue.waiting_for_any()), (5, 2));
        drop((flood, others));
        assert_eq!((queue.waiting(), queue.waiting_for_any()), (0, 0));
        assert!(queue.lock().by_wanted.is_empty(), "no line is kept");
    }

    #[test]
    fn those_who_wait_for_any_and_those_who_wait_for_one_are_called_in_order_of_arrival() {
        let queue = Arc::new(EndpointQueue::default());
        let wanted = [None, Some(address(1)), None, Some(address(1))];
        let tickets = wanted.map(|wanted| queue.join(9, wanted).unwrap());
        for number in 0..4 {
            queue.call(free(1));
            let called = tickets.each_ref().map(EndpointTicket::is_called);
            assert_eq!(called, [0, 1, 2, 3].map(|other| other <= number));
        }
        queue.call(free(1));
        assert_eq!(queue.lock().called_for(address(1)), 4);
        tickets.iter().for_each(EndpointTicket::missed);
        assert!(queue.lock().called.is_empty());
    }
}
