//! The connections of a listener: limited in number, but a new one is always accepted.
//!
//! At the limit, the least useful connection is evicted: one without a valid token before one with, one of an address
//! with many connections before one of an address with few, and of those the longest idle. A connection that applies a
//! change is never evicted.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

/// Connections of one listener.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limit: usize,
    start: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Arc<Connection>>,
}

/// An open connection, shared with its requests.
#[derive(Debug)]
pub(super) struct Connection {
    start: Instant,
    peer: IpAddr,
    is_known: AtomicBool,
    changes: AtomicU32,
    requests: AtomicU64,
    // Microseconds after `start`.
    active: AtomicU64,
    cut: Notify,
}

/// Permit of a connection, released on drop.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<ConnectionTable>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

/// Protects a connection from eviction while it applies a change.
pub(super) struct Changing(Arc<Connection>);

// === impl ConnectionTable ===

impl ConnectionTable {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            start: Instant::now(),
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for a new connection; `None` if every other one is applying a change.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let connection = Arc::new(Connection::new(self.start, peer));
        let mut open = self.open();
        if open.connections.len() >= self.limit {
            let victim = open.least_useful()?;
            if let Some(victim) = open.connections.remove(&victim) {
                victim.cut.notify_one();
            }
        }
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, Arc::clone(&connection));
        Some(Place {
            table: Arc::clone(self),
            number,
            connection,
        })
    }
}

impl Open {
    fn least_useful(&self) -> Option<u64> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.connections.values() {
            *held.entry(network(connection.peer)).or_default() += 1;
        }
        let idle = self.connections.iter();
        let idle = idle.filter(|(_, connection)| connection.changes.load(Ordering::Relaxed) == 0);
        let worth = |connection: &Connection| {
            let held = held.get(&network(connection.peer)).copied();
            (
                connection.is_known.load(Ordering::Relaxed),
                std::cmp::Reverse(held),
                connection.active.load(Ordering::Relaxed),
            )
        };
        idle.min_by_key(|(number, connection)| (worth(connection), **number))
            .map(|(number, _)| *number)
    }
}

/// The network of one client: for IPv6, the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

// === impl Connection ===

impl Connection {
    fn new(start: Instant, peer: IpAddr) -> Self {
        let connection = Self {
            start,
            peer,
            is_known: AtomicBool::new(false),
            changes: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            active: AtomicU64::new(0),
            cut: Notify::new(),
        };
        connection.touch();
        connection
    }

    fn touch(&self) {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.active.store(micros, Ordering::Relaxed);
    }

    /// Address of the peer.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Records a request.
    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.touch();
    }

    /// True if a request was ever received.
    pub(super) fn has_spoken(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Records that a valid token was presented.
    pub(super) fn mark_known(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Protects the connection from eviction for as long as the result is kept.
    pub(super) fn changing(self: &Arc<Self>) -> Changing {
        self.changes.fetch_add(1, Ordering::Relaxed);
        Changing(Arc::clone(self))
    }

    /// Completes when the connection is evicted.
    pub(super) async fn cut(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        // The response that is about to be written should not be cut off first.
        self.0.touch();
        self.0.changes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.open().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    async fn is_cut(place: &Place) -> bool {
        tokio::time::timeout(Duration::ZERO, place.connection.cut())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_new_connection_takes_the_place_of_one_that_is_still() {
        let table = Arc::new(ConnectionTable::new(3));
        let places = [1, 2, 3].map(|last| table.enter(address(last)).unwrap());
        places[0].connection.requested();
        let _new = table.enter(address(4)).unwrap();
        assert!(is_cut(&places[1]).await);
        assert!(!is_cut(&places[0]).await && !is_cut(&places[2]).await);
        drop(places);
        assert_eq!(table.open().connections.len(), 1);
    }

    #[tokio::test]
    async fn who_holds_most_makes_room_and_who_is_known_stays() {
        let table = Arc::new(ConnectionTable::new(4));
        let operator = table.enter(address(9)).unwrap();
        operator.connection.mark_known();
        let lonely = table.enter(address(1)).unwrap();
        let crowd = [
            table.enter(address(2)).unwrap(),
            table.enter(address(2)).unwrap(),
        ];
        let _new = table.enter(address(3)).unwrap();
        assert!(is_cut(&crowd[0]).await);
        drop(crowd);
        assert!(!is_cut(&lonely).await && !is_cut(&operator).await);
    }

    #[tokio::test]
    async fn what_carries_a_change_out_is_not_cut_off() {
        let table = Arc::new(ConnectionTable::new(1));
        let place = table.enter(address(1)).unwrap();
        let changing = place.connection.changing();
        assert!(table.enter(address(2)).is_none());
        drop(changing);
        assert!(table.enter(address(2)).is_some());
        assert!(is_cut(&place).await);
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
