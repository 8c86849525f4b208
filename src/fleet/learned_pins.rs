//! Pins by ids that agents hand out in the bodies of their responses, such as those of tasks.
//!
//! Such an id cannot be sealed: clients and agents use it inside messages. So the process remembers who handed it out, in
//! a table of fixed size: sets of eight places, each with a lock of its own. A new id takes a free place of its set, or
//! that of an expired one, or of the oldest. Only a hash of the id is kept.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::keyed_hash::KeyedHash;

/// Places of a set.
const PLACES: usize = 8;

/// The table. It takes memory with the first id.
#[derive(Debug)]
pub struct LearnedPins {
    sets: OnceLock<Box<[Mutex<Set>]>>,
    capacity: usize,
    time_limit: u32,
    hash: KeyedHash,
}

/// The release and the endpoint of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnedPin {
    /// Identity of the release: the hash of its name and version.
    pub release: u64,
    /// Address of the endpoint.
    pub endpoint: SocketAddr,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    key: u128,
    pin: LearnedPin,
    learned: u32,
    expires: u32,
}

type Set = [Place; PLACES];

const EMPTY: Place = Place {
    key: 0,
    pin: LearnedPin {
        release: 0,
        endpoint: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    },
    learned: 0,
    expires: 0,
};

impl LearnedPins {
    /// A table for about this many ids, each for this many seconds at most.
    pub fn new(capacity: usize, time_limit: u32) -> Self {
        Self {
            sets: OnceLock::new(),
            capacity,
            time_limit,
            hash: KeyedHash::default(),
        }
    }

    /// Remembers an id of a route from `now` on, in seconds since 1970, for the given time or the limit of the table. True
    /// if another id was forgotten before its time.
    pub fn learn(
        &self,
        route: &str,
        id: &[u8],
        pin: LearnedPin,
        (now, seconds): (u32, Option<u32>),
    ) -> bool {
        if self.capacity == 0 {
            return false;
        }
        let key = self.key(route, id);
        let make = || {
            let sets = self.capacity.div_ceil(PLACES);
            (0..sets).map(|_| Mutex::new([EMPTY; PLACES])).collect()
        };
        let mut set = lock(set_of(self.sets.get_or_init(make), key));
        let is_free = |place: &Place| place.expires <= now;
        let known = set.iter().position(|place| place.key == key);
        let place = known.or_else(|| set.iter().position(is_free));
        let evicts = place.is_none();
        let place = place.unwrap_or_else(|| {
            let oldest = set
                .iter()
                .enumerate()
                .min_by_key(|(_, place)| place.learned);
            oldest.map_or(0, |(place, _)| place)
        });
        let limit = seconds.unwrap_or(self.time_limit).min(self.time_limit);
        set[place] = Place {
            key,
            pin,
            learned: now,
            expires: now.saturating_add(limit),
        };
        evicts
    }

    /// The release and the endpoint of an id of a route, if it is remembered.
    pub fn find(&self, route: &str, id: &[u8], now: u32) -> Option<LearnedPin> {
        let sets = self.sets.get()?;
        let key = self.key(route, id);
        let set = lock(set_of(sets, key));
        let found = set
            .iter()
            .find(|place| place.key == key && place.expires > now);
        found.map(|place| place.pin)
    }

    fn key(&self, route: &str, id: &[u8]) -> u128 {
        // 0 is the key of an empty place.
        self.hash.hash((route, id)).max(1)
    }
}

fn set_of(sets: &[Mutex<Set>], key: u128) -> &Mutex<Set> {
    let place = key % sets.len() as u128;
    &sets[usize::try_from(place).unwrap_or(0)]
}

// Safe to ignore poisoning: a place is written in one assignment.
fn lock(set: &Mutex<Set>) -> MutexGuard<'_, Set> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(release: u64) -> LearnedPin {
        LearnedPin {
            release,
            endpoint: SocketAddr::from(([127, 0, 0, 1], 9)),
        }
    }

    #[test]
    fn an_id_is_found_on_its_route_until_its_time_is_over() {
        let table = LearnedPins::new(100, 60);
        assert_eq!(table.find("chat", b"t1", 0), None);
        assert!(!table.learn("chat", b"t1", pin(1), (1_000, None)));
        assert!(!table.learn("chat", b"t2", pin(2), (1_000, Some(5))));
        assert!(!table.learn("chat", b"t3", pin(3), (1_000, Some(1_000_000))));
        assert_eq!(table.find("chat", b"t1", 1_059), Some(pin(1)));
        assert_eq!(table.find("chat", b"t1", 1_060), None);
        assert_eq!(table.find("search", b"t1", 1_000), None);
        assert_eq!(
            (
                table.find("chat", b"t2", 1_004),
                table.find("chat", b"t2", 1_005)
            ),
            (Some(pin(2)), None)
        );
        assert_eq!(table.find("chat", b"t3", 1_060), None);
        assert!(!table.learn("chat", b"t1", pin(4), (1_050, None)));
        assert_eq!(
            table.find("chat", b"t1", 1_100),
            Some(pin(4)),
            "it was learned again"
        );
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_says_so() {
        let table = LearnedPins::new(PLACES, 60);
        let places = u32::try_from(PLACES).unwrap();
        for id in 0..=places {
            let evicts = table.learn(
                "chat",
                &id.to_be_bytes(),
                pin(id.into()),
                (1_000 + id, None),
            );
            assert_eq!(evicts, id == places);
        }
        assert_eq!(table.find("chat", &0_u32.to_be_bytes(), 1_010), None);
        for id in 1..=places {
            assert_eq!(
                table.find("chat", &id.to_be_bytes(), 1_010),
                Some(pin(id.into()))
            );
        }
        let evicts = table.learn("chat", b"new", pin(99), (1_061, None));
        assert!(!evicts, "the place of an expired one is free");
    }

    #[test]
    fn an_id_takes_less_than_120_bytes_and_a_table_of_no_ids_nothing() {
        assert!(size_of::<Mutex<Set>>() / PLACES <= 120);
        let none = LearnedPins::new(0, 60);
        assert!(!none.learn("chat", b"t1", pin(1), (0, None)));
        assert!(none.find("chat", b"t1", 0).is_none() && none.sets.get().is_none());
    }
}
