//! The events of this process: a bounded ring that every client reads at its own pace.
//!
//! [`EventHub::publish`] is the one place where an event is published. Nothing waits for a client: the ring is shared, and
//! a client that is too slow finds that what it has not read is gone.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::sleep};

use super::{clock::now, metrics};
use crate::api::{Event, EventBody, KEPT_EVENTS, Timestamp};

/// Most events that a client takes at once.
const AT_ONCE: usize = 64;

/// Clients take an event in turns of a millisecond, so many turns: the work for a hundred clients is no burst that requests
/// on the same core would wait for.
const TURNS: usize = 50;

/// The ring of events.
#[derive(Debug)]
pub struct EventHub {
    /// Part of the ids that no other start has.
    start: u64,
    ring: Mutex<Ring>,
    /// The number of the next event.
    next: watch::Sender<u64>,
    clients: AtomicUsize,
}

#[derive(Debug, Default)]
struct Ring {
    next: u64,
    /// The last events; the latest has the number before `next`.
    events: VecDeque<Arc<PublishedEvent>>,
}

/// An event with the text that its first reader made of it, for all others.
#[derive(Debug)]
pub struct PublishedEvent {
    event: Event,
    text: OnceLock<Bytes>,
}

/// A client of the hub: its place in the ring.
#[derive(Debug)]
pub struct EventClient {
    hub: Arc<EventHub>,
    seen: watch::Receiver<u64>,
    /// The number of the next event that it takes.
    next: u64,
    /// True if it begins with a gap: it comes from another start.
    is_from_elsewhere: bool,
    /// The time between an event and its turn.
    turn: Duration,
}

/// The next part of the stream of a client.
#[derive(Debug, Clone)]
pub enum NextEvents {
    /// Events, the earliest first.
    Events(Vec<Arc<PublishedEvent>>),
    /// A gap: this marker takes the place of the events that are lost. The client goes on behind it.
    Gap(Event),
}

/// The place at which a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventStart {
    /// With what happens from now on.
    Now,
    /// With at most so many of the last events.
    Last(usize),
    /// Behind the event with this id.
    After(String),
}

impl Default for EventHub {
    fn default() -> Self {
        Self::new(now())
    }
}

impl EventHub {
    /// A hub without events; `start` is the time of the start.
    fn new(start: Timestamp) -> Self {
        Self {
            start: start.0,
            ring: Mutex::default(),
            next: watch::Sender::new(0),
            clients: AtomicUsize::new(0),
        }
    }

    // Safe to ignore poisoning: what panics under this lock leaves the ring whole.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an event.
    pub(super) fn publish(&self, body: EventBody) {
        let mut ring = self.ring();
        let event = Event {
            id: self.id(ring.next),
            at: now(),
            body,
        };
        if ring.events.len() == KEPT_EVENTS {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(PublishedEvent::from(event)));
        ring.next += 1;
        let next = ring.next;
        drop(ring);
        metrics::count_event();
        // It never goes back, whichever of two publishers comes first here.
        self.next.send_modify(|last| *last = next.max(*last));
    }

    /// The number of events so far.
    pub fn count(&self) -> u64 {
        *self.next.borrow()
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.start)
    }

    /// A new client. The caller limits their number.
    pub fn client(self: &Arc<Self>, start: &EventStart) -> EventClient {
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        let (next, is_from_elsewhere) = self.begin(start);
        let client = EventClient {
            seen: self.next.subscribe(),
            hub: Arc::clone(self),
            next,
            is_from_elsewhere,
            turn: turn(before),
        };
        client.hub.show_clients();
        client
    }

    /// The number of the first event of a client, and true if it comes from another start.
    fn begin(&self, start: &EventStart) -> (u64, bool) {
        let ring = self.ring();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let oldest = ring.next - count(ring.events.len());
        match start {
            EventStart::Now => (ring.next, false),
            EventStart::Last(last) => {
                let last = count(ring.events.len().min(*last));
                (ring.next - last, false)
            }
            EventStart::After(id) => {
                let own = id.split_once('-').and_then(|(start, number)| {
                    let start = u64::from_str_radix(start, 16).ok()?;
                    let number: u64 = number.parse().ok()?;
                    (start == self.start && number < ring.next).then_some(number + 1)
                });
                own.map_or((oldest, true), |next| (next, false))
            }
        }
    }

    fn show_clients(&self) {
        metrics::set_event_clients(self.clients.load(Ordering::Relaxed));
    }
}

impl EventClient {
    /// The next events, once there are any. Cancel-safe.
    pub async fn next(&mut self) -> NextEvents {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            // It ends only with the hub, which this holds.
            let _changed = self.seen.changed().await;
            if !self.turn.is_zero() {
                sleep(self.turn).await;
            }
        }
    }

    /// The next events, if there are any.
    fn take(&mut self) -> Option<NextEvents> {
        self.seen.mark_unchanged();
        let ring = self.hub.ring();
        let kept = u64::try_from(ring.events.len()).unwrap_or(u64::MAX);
        let oldest = ring.next - kept;
        if std::mem::take(&mut self.is_from_elsewhere) {
            return Some(NextEvents::Gap(self.gap(self.next, None)));
        }
        if self.next < oldest {
            let lost = oldest - self.next;
            metrics::count_lost_events(lost);
            self.next = oldest;
            return Some(NextEvents::Gap(self.gap(oldest, Some(lost))));
        }
        let from = usize::try_from(self.next - oldest).unwrap_or(usize::MAX);
        let events: Vec<_> = ring
            .events
            .iter()
            .skip(from)
            .take(AT_ONCE)
            .cloned()
            .collect();
        self.next += u64::try_from(events.len()).unwrap_or_default();
        (!events.is_empty()).then_some(NextEvents::Events(events))
    }

    /// The marker of a gap before an event: a client that comes back with its id begins with that event.
    fn gap(&self, next: u64, lost: Option<u64>) -> Event {
        let id = match next.checked_sub(1) {
            Some(last) => self.hub.id(last),
            None => format!("{:x}-", self.hub.start),
        };
        Event {
            id,
            at: now(),
            body: EventBody::Gap { lost },
        }
    }
}

/// The time between an event and the turn of a client that found so many others.
fn turn(others: usize) -> Duration {
    Duration::from_millis(u64::try_from(others % TURNS).unwrap_or_default())
}

impl PublishedEvent {
    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Its text, which `write` makes for the first reader. All readers write it alike.
    pub fn text(&self, write: impl FnOnce(&Event) -> String) -> &Bytes {
        self.text.get_or_init(|| write(&self.event).into())
    }
}

impl From<Event> for PublishedEvent {
    fn from(event: Event) -> Self {
        Self {
            event,
            text: OnceLock::new(),
        }
    }
}

impl Drop for EventClient {
    fn drop(&mut self) {
        self.hub.clients.fetch_sub(1, Ordering::Relaxed);
        self.hub.show_clients();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Arc<EventHub> {
        Arc::new(EventHub::new(Timestamp(0xabc)))
    }

    fn publish(hub: &EventHub, count: usize) {
        for _ in 0..count {
            hub.publish(EventBody::RollbackReadiness { ready: true });
        }
    }

    fn client(hub: &Arc<EventHub>, start: &EventStart) -> EventClient {
        hub.client(start)
    }

    /// The ids of everything that a client can take now, a gap as its loss.
    fn taken(client: &mut EventClient) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(next) = client.take() {
            match next {
                NextEvents::Events(events) => {
                    ids.extend(events.iter().map(|event| event.event().id.clone()));
                }
                NextEvents::Gap(gap) => ids.push(format!("{} {:?}", gap.id, gap.body)),
            }
        }
        ids
    }

    #[tokio::test]
    async fn a_client_gets_what_happens_from_its_begin_on() {
        let hub = hub();
        publish(&hub, 3);
        let mut now = client(&hub, &EventStart::Now);
        assert_eq!(taken(&mut now), [""; 0]);
        let mut last = client(&hub, &EventStart::Last(2));
        assert_eq!(taken(&mut last), ["abc-1", "abc-2"]);
        assert_eq!(taken(&mut client(&hub, &EventStart::Last(99))).len(), 3);
        let mut back = client(&hub, &EventStart::After("abc-0".to_owned()));
        assert_eq!(taken(&mut back), ["abc-1", "abc-2"]);
        let (next, ()) = tokio::join!(now.next(), async { publish(&hub, 1) });
        let NextEvents::Events(events) = next else {
            panic!("{next:?}");
        };
        assert_eq!(events[0].event().id, "abc-3");
        assert_eq!(taken(&mut back), ["abc-3"]);
    }

    #[test]
    fn clients_take_turns_and_the_first_waits_for_nobody() {
        assert_eq!(turn(0), Duration::ZERO);
        assert_eq!(turn(7), Duration::from_millis(7));
        assert_eq!(turn(TURNS), Duration::ZERO);
        assert!(turn(usize::MAX) < Duration::from_millis(50));
    }

    #[test]
    fn a_text_is_made_once() {
        let hub = hub();
        publish(&hub, 1);
        let read = |text: &'static str| {
            let next = client(&hub, &EventStart::Last(1)).take();
            let Some(NextEvents::Events(events)) = next else {
                panic!("{next:?}");
            };
            events[0].text(|_| text.to_owned()).clone()
        };
        assert_eq!(read("first"), "first");
        assert_eq!(read("second"), "first");
    }

    #[test]
    fn a_client_of_another_start_is_given_everything_behind_a_gap() {
        let hub = hub();
        publish(&hub, 2);
        for id in ["xyz-1", "abc-2", "abc-x", "nonsense", ""] {
            let mut client = client(&hub, &EventStart::After(id.to_owned()));
            assert_eq!(
                taken(&mut client),
                ["abc- Gap { lost: None }", "abc-0", "abc-1"],
                "{id}"
            );
        }
    }

    #[test]
    fn a_slow_client_finds_a_gap_and_the_ring_stays_bounded() {
        let hub = hub();
        let mut slow = client(&hub, &EventStart::Now);
        publish(&hub, KEPT_EVENTS + 5);
        assert_eq!(hub.ring().events.len(), KEPT_EVENTS);
        let ids = taken(&mut slow);
        assert_eq!(ids[0], "abc-4 Gap { lost: Some(5) }");
        assert_eq!((ids[1].as_str(), ids.len()), ("abc-5", KEPT_EVENTS + 1));
        let mut again = client(&hub, &EventStart::After("abc-4".to_owned()));
        assert_eq!(taken(&mut again)[0], "abc-5", "the id of the marker");
        let mut long_ago = client(&hub, &EventStart::After("abc-1".to_owned()));
        assert_eq!(taken(&mut long_ago)[0], "abc-4 Gap { lost: Some(3) }");
    }
}
