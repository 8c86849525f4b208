//! What is known of each host name, and when to ask again. No clock, no network: `now` comes from the caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

/// The pause after a first failure; it doubles up to the longest time to live.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Book {
    names: BTreeMap<Arc<str>, Entry>,
    min_ttl: Duration,
    max_ttl: Duration,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// The addresses that were last answered.
    Addresses(&'a [IpAddr]),
    /// It was asked for and never answered.
    Nothing,
    /// It is being asked for.
    NotYet,
}

#[derive(Debug)]
struct Entry {
    addresses: Option<Vec<IpAddr>>,
    /// When to ask; `None` while a question is under way.
    due: Option<Instant>,
    failures: u32,
}

// === impl Book ===

impl Book {
    /// Nothing is known yet.
    pub(super) fn new(min_ttl: Duration, max_ttl: Duration) -> Self {
        Self {
            names: BTreeMap::new(),
            min_ttl,
            max_ttl: max_ttl.max(min_ttl),
        }
    }

    /// Says which names are needed: others are forgotten, new ones are due now.
    pub(super) fn need(&mut self, hosts: &BTreeSet<Arc<str>>, now: Instant) {
        self.names.retain(|host, _| hosts.contains(host));
        for host in hosts {
            self.names.entry(Arc::clone(host)).or_insert(Entry {
                addresses: None,
                due: Some(now),
                failures: 0,
            });
        }
    }

    /// Takes names that are due, at most so many, longest waiting first.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Vec<Arc<str>> {
        let mut due: Vec<_> = self
            .names
            .iter_mut()
            .filter(|(_, entry)| entry.due.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|(_, entry)| entry.due);
        let take = |(host, entry): (&Arc<str>, &mut Entry)| {
            entry.due = None;
            Arc::clone(host)
        };
        due.into_iter().take(most).map(take).collect()
    }

    /// When the next name is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.names.values().filter_map(|entry| entry.due).min()
    }

    /// Notes an answer; says whether it is another one than before.
    pub(super) fn answered(
        &mut self,
        host: &str,
        mut addresses: Vec<IpAddr>,
        ttl: Duration,
        now: Instant,
    ) -> bool {
        let due = now + ttl.clamp(self.min_ttl, self.max_ttl);
        let Some(entry) = self.names.get_mut(host) else {
            return false;
        };
        // Servers turn the order with each answer; the set is what counts.
        addresses.sort_unstable();
        addresses.dedup();
        let recovered = std::mem::take(&mut entry.failures) > 0;
        entry.due = Some(due);
        let changed = entry.addresses.as_ref() != Some(&addresses);
        entry.addresses = Some(addresses);
        changed || recovered
    }

    /// Notes a failure; says whether it is the first one in a row. What was known stays.
    pub(super) fn failed(&mut self, host: &str, now: Instant) -> bool {
        let longest = self.max_ttl;
        let Some(entry) = self.names.get_mut(host) else {
            return false;
        };
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(entry.failures.min(16));
        entry.failures = entry.failures.saturating_add(1);
        entry.due = Some(now + pause.min(longest));
        entry.failures == 1
    }

    /// What is known of a name.
    pub(super) fn addresses(&self, host: &str) -> Known<'_> {
        match self.names.get(host) {
            Some(Entry {
                addresses: Some(addresses),
                ..
            }) => Known::Addresses(addresses),
            Some(entry) if entry.failures > 0 => Known::Nothing,
            _ => Known::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "a.test";

    fn book(now: Instant) -> Book {
        let mut book = Book::new(Duration::from_secs(1), Duration::from_secs(60));
        book.need(&BTreeSet::from([HOST.into()]), now);
        book
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_name_is_asked_for_once_and_again_when_its_time_is_over() {
        let now = Instant::now();
        let mut book = book(now);
        assert_eq!(book.take_due(now, 9), [HOST.into()]);
        assert!(
            book.take_due(now, 9).is_empty(),
            "the question is under way"
        );
        assert!(book.answered(HOST, vec![ip(2), ip(1)], seconds(30), now));
        assert_eq!(book.addresses(HOST), Known::Addresses(&[ip(1), ip(2)]));
        assert_eq!(book.next_due(), Some(now + seconds(30)));
        assert!(
            !book.answered(HOST, vec![ip(1), ip(2), ip(1)], seconds(30), now),
            "same set"
        );
        assert!(book.answered(HOST, vec![ip(1)], seconds(30), now));
    }

    #[test]
    fn the_time_to_live_has_bounds() {
        let now = Instant::now();
        let mut book = book(now);
        for (ttl, due) in [(0, 1), (1, 1), (59, 59), (86_400, 60)] {
            book.answered(HOST, vec![ip(1)], seconds(ttl), now);
            assert_eq!(book.next_due(), Some(now + seconds(due)));
        }
    }

    #[test]
    fn a_failure_keeps_what_was_known_and_waits_longer_each_time() {
        let now = Instant::now();
        let mut book = book(now);
        assert_eq!(book.addresses(HOST), Known::NotYet);
        for (place, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            assert_eq!(book.failed(HOST, now), place == 0);
            assert_eq!(book.next_due(), Some(now + seconds(pause)));
        }
        assert_eq!(book.addresses(HOST), Known::Nothing);
        assert!(book.answered(HOST, vec![ip(1)], seconds(5), now));
        assert!(book.failed(HOST, now));
        assert_eq!(book.addresses(HOST), Known::Addresses(&[ip(1)]));
        assert!(
            book.answered(HOST, vec![ip(1)], seconds(5), now),
            "it is back"
        );
    }

    #[test]
    fn a_name_that_is_not_needed_is_forgotten() {
        let now = Instant::now();
        let mut book = book(now);
        book.answered(HOST, vec![ip(1)], seconds(5), now);
        book.need(&BTreeSet::from(["b.test".into()]), now);
        assert_eq!(book.addresses(HOST), Known::NotYet);
        assert!(
            !book.answered(HOST, vec![ip(1)], seconds(5), now),
            "too late"
        );
        assert_eq!(book.take_due(now, 9), ["b.test".into()]);
    }
}
