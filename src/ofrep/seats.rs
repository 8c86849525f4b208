//! Seats for event streams: how many there are, and how many of them one client takes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most streams at a time.
const MOST: usize = 256;
/// Most streams of one client, which may be many users behind one address.
const MOST_OF_A_CLIENT: usize = 64;

/// Streams that are open, by client; those without an address count as one client.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Option<IpAddr>, usize>>>);

/// Seat of a stream; dropped, it is free.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    client: Option<IpAddr>,
}

impl Seats {
    /// A seat for a client; none if there are too many streams, or too many of this client.
    pub(super) fn take(&self, client: Option<IpAddr>) -> Option<Seat> {
        let mut taken = self.lock();
        let all: usize = taken.values().sum();
        let own = taken.get(&client).copied().unwrap_or(0);
        if all >= MOST || own >= MOST_OF_A_CLIENT {
            return None;
        }
        taken.insert(client, own + 1);
        let seats = self.clone();
        Some(Seat { seats, client })
    }

    // Safe to ignore poisoning: each count is right by itself.
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let left = taken.remove(&self.client).unwrap_or(0).saturating_sub(1);
        if left > 0 {
            taken.insert(self.client, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_takes_all_seats_and_one_that_leaves_makes_room() {
        let seats = Seats::default();
        let client = |number: u8| Some(IpAddr::from([192, 0, 2, number]));
        let take = |number: u8| -> Vec<_> {
            (0..=MOST)
                .map_while(|_| seats.take(client(number)))
                .collect()
        };
        let mut first = take(1);
        assert_eq!(first.len(), MOST_OF_A_CLIENT);
        let others: Vec<_> = (2..6).flat_map(take).collect();
        assert_eq!(first.len() + others.len(), MOST);
        assert!(seats.take(client(9)).is_none());
        first.pop();
        drop(seats.take(client(9)).unwrap());
        drop((first, others));
        assert!(seats.lock().is_empty());
    }
}
