//! DNS cache: last result and next lookup of each host name. No clock, no network: `now` comes from the caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

/// Backoff after a first failure; it doubles up to the maximum TTL.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Address family. The two are queried separately, so that a server that ignores one kind does not delay the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `A` records.
    V4,
    /// `AAAA` records.
    V6,
}

/// Results for all registered names.
#[derive(Debug)]
pub(super) struct DnsCache {
    names: BTreeMap<Arc<str>, [Entry; 2]>,
    min_ttl: Duration,
    max_ttl: Duration,
}

/// A DNS query to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) host: Arc<str>,
    pub(super) family: Family,
    /// Uses EDNS, which allows longer responses over UDP; tried after the plain query failed.
    pub(super) edns: bool,
}

/// Result of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Addresses with their TTL.
    Addresses(Vec<IpAddr>, Duration),
    /// The server says that there are none of this family, with the TTL of that.
    Absent(Duration),
    /// No usable response.
    Failed,
}

/// Change of a result, to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Same result as before.
    Unchanged,
    /// The addresses changed, or queries succeed again.
    Resolved,
    /// Queries have started to fail, or there are no addresses any more.
    Failing,
}

/// Current result for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Addresses of each family; `None` if unknown, so that those in use stay.
    families: [Option<Vec<IpAddr>>; 2],
    /// True if a first response may still bring addresses where there are none.
    pub(super) waiting: bool,
}

#[derive(Debug)]
struct Entry {
    /// Addresses of the last positive response.
    addresses: Vec<IpAddr>,
    verdict: Verdict,
    /// Time of the next query; `None` while one is in progress.
    due: Option<Instant>,
    /// Queries in a row without addresses.
    failures: u32,
    edns: bool,
}

/// Last result of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unasked,
    Present,
    Absent,
    Failed,
}

// === impl Family ===

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    const fn index(self) -> usize {
        self as usize
    }

    /// Family of an address.
    pub(super) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// DNS record type of the family.
    pub(super) const fn record(self) -> &'static str {
        match self {
            Self::V4 => "A",
            Self::V6 => "AAAA",
        }
    }
}

// === impl Known ===

impl Known {
    /// Addresses of both families.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.families.iter().flatten().flatten().copied()
    }

    /// True if there is a result for this family.
    pub(super) const fn has(&self, family: Family) -> bool {
        self.families[family.index()].is_some()
    }
}

// === impl DnsCache ===

impl DnsCache {
    /// Creates an empty cache.
    pub(super) fn new(min_ttl: Duration, max_ttl: Duration) -> Self {
        Self {
            names: BTreeMap::new(),
            min_ttl,
            max_ttl: max_ttl.max(min_ttl),
        }
    }

    /// Replaces the set of registered names: others are removed, new ones are due now.
    pub(super) fn register(&mut self, hosts: &BTreeSet<Arc<str>>, now: Instant) {
        self.names.retain(|host, _| hosts.contains(host));
        for host in hosts {
            self.names
                .entry(Arc::clone(host))
                .or_insert_with(|| [Entry::new(now), Entry::new(now)]);
        }
    }

    /// Takes at most `most` due queries of a family, the longest waiting first.
    pub(super) fn take_due(&mut self, family: Family, now: Instant, most: usize) -> Vec<Question> {
        let mut due: Vec<_> = self
            .names
            .iter_mut()
            .map(|(host, entries)| (host, &mut entries[family.index()]))
            .filter(|(_, entry)| entry.due.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|(_, entry)| entry.due);
        let take = |(host, entry): (&Arc<str>, &mut Entry)| {
            entry.due = None;
            Question {
                host: Arc::clone(host),
                family,
                edns: entry.edns,
            }
        };
        due.into_iter().take(most).map(take).collect()
    }

    /// Time of the next due query of a family.
    pub(super) fn next_due(&self, family: Family) -> Option<Instant> {
        let entries = self.names.values().map(|entries| &entries[family.index()]);
        entries.filter_map(|entry| entry.due).min()
    }

    /// Records the result of a query.
    pub(super) fn note(
        &mut self,
        host: &str,
        family: Family,
        outcome: Outcome,
        now: Instant,
    ) -> News {
        let before: Vec<_> = self.known(host).addresses().collect();
        let (min, max) = (self.min_ttl, self.max_ttl);
        let Some(entries) = self.names.get_mut(host) else {
            return News::Unchanged;
        };
        let other = &entries[1 - family.index()];
        let (elsewhere, other_failures) = (other.is_positive(), other.failures);
        let entry = &mut entries[family.index()];
        let failures = entry.failures;
        let failing = match outcome {
            Outcome::Addresses(addresses, ttl) => {
                entry.present(addresses, now + ttl.clamp(min, max));
                false
            }
            Outcome::Absent(ttl) if elsewhere => {
                entry.absent(now + ttl.clamp(min, max));
                false
            }
            Outcome::Absent(_) => {
                entry.negative(Verdict::Absent, now, max);
                failures == 0 && other_failures == 0
            }
            Outcome::Failed => {
                entry.negative(Verdict::Failed, now, max);
                entry.edns = !entry.edns;
                failures == 0
            }
        };
        let recovered = failures > 0 && entry.is_positive() && entry.failures == 0;
        let is_other = self.known(host).addresses().ne(before);
        if failing {
            News::Failing
        } else if recovered || is_other {
            News::Resolved
        } else {
            News::Unchanged
        }
    }

    /// Current result for a name. An absent family counts only while the other one has addresses: otherwise the
    /// last positive result is kept.
    pub(super) fn known(&self, host: &str) -> Known {
        let Some(entries) = self.names.get(host) else {
            return Known {
                families: [None, None],
                waiting: true,
            };
        };
        let family = |family: Family| {
            let entry = &entries[family.index()];
            let elsewhere = entries[1 - family.index()].is_positive();
            if entry.verdict == Verdict::Absent && elsewhere {
                return Some(Vec::new());
            }
            (!entry.addresses.is_empty()).then(|| entry.addresses.clone())
        };
        let families = Family::BOTH.map(family);
        let is_empty = families.iter().flatten().all(Vec::is_empty);
        let unasked = |entry: &Entry| entry.verdict == Verdict::Unasked;
        Known {
            families,
            waiting: is_empty && entries.iter().any(unasked),
        }
    }
}

// === impl Entry ===

impl Entry {
    const fn new(now: Instant) -> Self {
        Self {
            addresses: Vec::new(),
            verdict: Verdict::Unasked,
            due: Some(now),
            failures: 0,
            edns: false,
        }
    }

    /// True if there are addresses that were not reported absent.
    fn is_positive(&self) -> bool {
        self.verdict != Verdict::Absent && !self.addresses.is_empty()
    }

    fn present(&mut self, mut addresses: Vec<IpAddr>, due: Instant) {
        // Servers rotate the order of responses; only the set counts.
        addresses.sort_unstable();
        addresses.dedup();
        self.addresses = addresses;
        self.verdict = Verdict::Present;
        self.failures = 0;
        self.due = Some(due);
    }

    /// This family is absent and the other has addresses: no error.
    fn absent(&mut self, due: Instant) {
        self.addresses.clear();
        self.verdict = Verdict::Absent;
        self.failures = 0;
        self.due = Some(due);
    }

    /// Keeps the last addresses; the next query follows after a doubling backoff.
    fn negative(&mut self, verdict: Verdict, now: Instant, longest: Duration) {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.verdict = verdict;
        self.due = Some(now + pause.min(longest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "a.test";

    fn cache(now: Instant) -> DnsCache {
        let mut cache = DnsCache::new(Duration::from_secs(1), Duration::from_secs(60));
        cache.register(&BTreeSet::from([HOST.into()]), now);
        cache
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn ip6(last: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn found(addresses: &[IpAddr], ttl: u64) -> Outcome {
        Outcome::Addresses(addresses.to_vec(), seconds(ttl))
    }

    fn shown(cache: &DnsCache) -> Vec<IpAddr> {
        cache.known(HOST).addresses().collect()
    }

    #[test]
    fn a_name_is_asked_for_once_and_again_when_its_time_is_over() {
        let now = Instant::now();
        let mut cache = cache(now);
        let taken = cache.take_due(Family::V4, now, 9);
        assert_eq!(taken.len(), 1);
        assert!(
            cache.take_due(Family::V4, now, 9).is_empty(),
            "the question is under way"
        );
        assert_eq!(
            cache.take_due(Family::V6, now, 9).len(),
            1,
            "asked for apart"
        );
        let mut note = |addresses: &[IpAddr]| {
            let outcome = found(addresses, 30);
            cache.note(HOST, Family::V4, outcome, now)
        };
        assert_eq!(note(&[ip(2), ip(1)]), News::Resolved);
        assert_eq!(note(&[ip(1), ip(2), ip(1)]), News::Unchanged, "same set");
        assert_eq!(note(&[ip(1)]), News::Resolved);
        assert_eq!(shown(&cache), [ip(1)]);
        assert_eq!(cache.next_due(Family::V4), Some(now + seconds(30)));
    }

    #[test]
    fn the_time_to_live_has_bounds() {
        let now = Instant::now();
        let mut cache = cache(now);
        for (ttl, due) in [(0, 1), (1, 1), (59, 59), (86_400, 60)] {
            cache.note(HOST, Family::V4, found(&[ip(1)], ttl), now);
            assert_eq!(cache.next_due(Family::V4), Some(now + seconds(due)));
        }
    }

    #[test]
    fn a_failure_keeps_what_was_known_and_waits_longer_each_time() {
        let now = Instant::now();
        let mut cache = cache(now);
        for (place, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let news = cache.note(HOST, Family::V4, Outcome::Failed, now);
            assert_eq!(news == News::Failing, place == 0);
            assert_eq!(cache.next_due(Family::V4), Some(now + seconds(pause)));
            assert!(
                cache.known(HOST).waiting,
                "the other family may have some yet"
            );
        }
        cache.note(HOST, Family::V6, Outcome::Failed, now);
        assert!(!cache.known(HOST).waiting);
        let mut note = |outcome| cache.note(HOST, Family::V4, outcome, now);
        assert_eq!(note(found(&[ip(1)], 5)), News::Resolved);
        assert_eq!(note(Outcome::Failed), News::Failing);
        assert_eq!(note(found(&[ip(1)], 5)), News::Resolved, "it is back");
        assert_eq!(shown(&cache), [ip(1)]);
    }

    #[test]
    fn one_family_is_used_while_the_other_is_not_answered() {
        let now = Instant::now();
        let mut cache = cache(now);
        cache.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        let known = cache.known(HOST);
        assert!(!known.waiting && known.has(Family::V4) && !known.has(Family::V6));
        assert_eq!(
            cache.note(HOST, Family::V6, Outcome::Failed, now),
            News::Failing
        );
        assert_eq!(shown(&cache), [ip(1)]);
        assert_eq!(
            cache.note(HOST, Family::V6, found(&[ip6(1)], 5), now),
            News::Resolved
        );
        assert_eq!(shown(&cache), [ip(1), ip6(1)]);
    }

    #[test]
    fn a_family_that_is_gone_counts_only_while_the_other_one_is_there() {
        let now = Instant::now();
        let mut cache = cache(now);
        let absent = || Outcome::Absent(seconds(5));
        cache.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        assert_eq!(
            cache.note(HOST, Family::V6, absent(), now),
            News::Unchanged,
            "not every name has both"
        );
        assert_eq!(
            cache.note(HOST, Family::V4, absent(), now),
            News::Failing,
            "the last answer holds"
        );
        assert_eq!(shown(&cache), [ip(1)]);
        assert_eq!(
            cache.note(HOST, Family::V6, found(&[ip6(1)], 5), now),
            News::Resolved
        );
        assert_eq!(shown(&cache), [ip6(1)], "it moved to the other family");
    }

    #[test]
    fn a_question_that_failed_is_asked_in_another_way_and_so_on_as_long_as_that_works() {
        let now = Instant::now();
        let mut cache = cache(now);
        let mut ask = |outcome| {
            let later = now + seconds(100);
            let edns = cache.take_due(Family::V4, later, 9)[0].edns;
            cache.note(HOST, Family::V4, outcome, now);
            edns
        };
        assert!(!ask(Outcome::Failed));
        assert!(ask(found(&[ip(1)], 5)));
        assert!(ask(Outcome::Failed));
        assert!(!ask(Outcome::Failed));
    }

    #[test]
    fn a_name_that_is_not_needed_is_forgotten() {
        let now = Instant::now();
        let mut cache = cache(now);
        cache.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        cache.register(&BTreeSet::from(["b.test".into()]), now);
        assert!(cache.known(HOST).waiting);
        let late = cache.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        assert_eq!(late, News::Unchanged, "too late");
        assert_eq!(&*cache.take_due(Family::V4, now, 9)[0].host, "b.test");
    }
}
