//! Limit on how often requests come: of each client, and of all together.

use std::{collections::HashMap, net::IpAddr};

use crate::model::TokenBucket;

/// Clients that are remembered; further ones are refused while all of these are busy.
const MOST_CLIENTS: usize = 10_000;
/// Microseconds of a second.
const SECOND: u64 = 1_000_000;
/// Smallest burst.
const SMALLEST_BURST: u64 = 5;

/// Rates, in requests a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of one client.
    pub per_client: u32,
    /// Of all clients together.
    pub all: u32,
}

/// A token bucket for each client: the time at which it will be full again.
#[derive(Debug)]
pub struct RateLimit {
    rates: Rates,
    all: u64,
    clients: HashMap<IpAddr, u64>,
    swept: u64,
}

impl RateLimit {
    /// Full buckets of these rates.
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            all: 0,
            clients: HashMap::new(),
            swept: 0,
        }
    }

    /// Takes a request of a client, at a time in microseconds; false if it is one too many.
    pub fn take(&mut self, client: IpAddr, now: u64) -> bool {
        let client = client_network(client);
        let of_client = self.clients.get(&client).copied();
        if of_client.is_none() && !self.has_place(now) {
            return false;
        }
        let Some(of_client) = full_at(of_client.unwrap_or(0), self.rates.per_client, now) else {
            return false;
        };
        let Some(all) = full_at(self.all, self.rates.all, now) else {
            return false;
        };
        self.all = all;
        self.clients.insert(client, of_client);
        true
    }

    /// True if another client can be remembered. What is full again is forgotten, at most once a second.
    fn has_place(&mut self, now: u64) -> bool {
        if self.clients.len() >= MOST_CLIENTS && now >= self.swept.saturating_add(SECOND) {
            self.swept = now;
            self.clients.retain(|_, full| *full > now);
        }
        self.clients.len() < MOST_CLIENTS
    }
}

/// The time at which a bucket will be full after a request; `None` if it is empty. It holds the requests of one second.
fn full_at(full: u64, rate: u32, now: u64) -> Option<u64> {
    let rate = u64::from(rate.max(1));
    let bucket = TokenBucket::new(SECOND.div_ceil(rate), rate.max(SMALLEST_BURST));
    let debt = bucket.take(full.saturating_sub(now)).ok()?;
    Some(now.saturating_add(debt))
}

/// The client of an address: who has one of IPv6 has the other 2^64 of its network as well.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_client: u32, all: u32) -> RateLimit {
        RateLimit::new(Rates { per_client, all })
    }

    fn taken(limit: &mut RateLimit, client: &str, now: u64) -> usize {
        let client = client.parse().unwrap();
        (0..1_000).filter(|_| limit.take(client, now)).count()
    }

    #[test]
    fn a_client_has_the_requests_of_a_second_at_once_and_then_its_rate() {
        let mut limit = limit(10, 1_000);
        assert_eq!(taken(&mut limit, "10.0.0.1", 5 * SECOND), 10);
        assert_eq!(taken(&mut limit, "10.0.0.2", 5 * SECOND), 10, "another one");
        assert_eq!(taken(&mut limit, "10.0.0.1", 5 * SECOND + SECOND / 2), 5);
        assert_eq!(taken(&mut limit, "10.0.0.1", 60 * SECOND), 10);
    }

    #[test]
    fn all_clients_together_have_a_rate_and_the_refused_ones_use_none_of_it() {
        let mut limit = limit(1, 12);
        assert_eq!(taken(&mut limit, "10.0.0.1", SECOND), 5);
        assert_eq!(taken(&mut limit, "10.0.0.2", SECOND), 5);
        assert_eq!(taken(&mut limit, "10.0.0.3", SECOND), 2);
        assert_eq!(taken(&mut limit, "10.0.0.4", SECOND), 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let mut limit = limit(5, 1_000);
        assert_eq!(taken(&mut limit, "2001:db8::1", SECOND), 5);
        assert_eq!(taken(&mut limit, "2001:db8::ffff:2", SECOND), 0);
        assert_eq!(taken(&mut limit, "2001:db8:0:1::1", SECOND), 5);
        assert_eq!(taken(&mut limit, "::ffff:10.0.0.1", SECOND), 5);
        assert_eq!(taken(&mut limit, "10.0.0.1", SECOND), 0, "the same client");
    }

    #[test]
    fn the_clients_that_are_remembered_are_bounded_and_forgotten_in_time() {
        let mut limit = limit(1, u32::MAX);
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        let more = u32::try_from(MOST_CLIENTS).unwrap() + 50;
        let taken = (0..more).filter(|number| limit.take(client(*number), SECOND));
        assert_eq!(taken.count(), MOST_CLIENTS);
        assert!(!limit.take(client(more), 2 * SECOND - 1));
        assert!(limit.take(client(more), 2 * SECOND + 1));
        assert!(limit.clients.len() <= MOST_CLIENTS);
    }
}
