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

/// The two kinds of addresses. They are asked for apart, so that a server that is deaf for one kind costs nothing of the
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `A` records.
    V4,
    /// `AAAA` records.
    V6,
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct DnsCache {
    names: BTreeMap<Arc<str>, [Entry; 2]>,
    min_ttl: Duration,
    max_ttl: Duration,
}

/// A question to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) host: Arc<str>,
    pub(super) family: Family,
    /// Whether EDNS is used, which allows longer answers over UDP; tried when the plain question failed.
    pub(super) edns: bool,
}

/// The result of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There are these addresses, for so long.
    Addresses(Vec<IpAddr>, Duration),
    /// The server says that there are none of this family, for so long.
    Absent(Duration),
    /// There was no usable answer.
    Failed,
}

/// A change that an operator wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The same as before.
    Unchanged,
    /// There are other addresses than before, or answers again.
    Resolved,
    /// There is no answer where there was one, or none at all.
    Failing,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The addresses of each family; `None` where nothing is known, so that what is in use stays.
    families: [Option<Vec<IpAddr>>; 2],
    /// Whether a first answer may still bring addresses where there are none.
    pub(super) waiting: bool,
}

#[derive(Debug)]
struct Entry {
    /// The addresses that were last answered.
    addresses: Vec<IpAddr>,
    verdict: Verdict,
    /// When to ask; `None` while a question is under way.
    due: Option<Instant>,
    /// Questions in a row that brought no addresses.
    failures: u32,
    edns: bool,
}

/// The last result of one family.
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

    /// The family of an address.
    pub(super) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The kind of record that holds its addresses.
    pub(super) const fn record(self) -> &'static str {
        match self {
            Self::V4 => "A",
            Self::V6 => "AAAA",
        }
    }
}

// === impl Known ===

impl Known {
    /// All addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.families.iter().flatten().flatten().copied()
    }

    /// Whether anything is known of this family.
    pub(super) const fn has(&self, family: Family) -> bool {
        self.families[family.index()].is_some()
    }
}

// === impl DnsCache ===

impl DnsCache {
    /// Nothing is known yet.
    pub(super) fn new(min_ttl: Duration, max_ttl: Duration) -> Self {
        Self {
            names: BTreeMap::new(),
            min_ttl,
            max_ttl: max_ttl.max(min_ttl),
        }
    }

    /// Says which names are needed: others are forgotten, new ones are due now.
    pub(super) fn register(&mut self, hosts: &BTreeSet<Arc<str>>, now: Instant) {
        self.names.retain(|host, _| hosts.contains(host));
        for host in hosts {
            self.names
                .entry(Arc::clone(host))
                .or_insert_with(|| [Entry::new(now), Entry::new(now)]);
        }
    }

    /// Takes questions of a family that are due, at most so many, longest waiting first.
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

    /// When the next question of a family is due.
    pub(super) fn next_due(&self, family: Family) -> Option<Instant> {
        let entries = self.names.values().map(|entries| &entries[family.index()]);
        entries.filter_map(|entry| entry.due).min()
    }

    /// Notes the result of a question.
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

    /// What is known of a name. That there are none of a family counts only while the other one has some: else the last
    /// answer holds.
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

    /// Whether there are addresses of which nobody said that they are gone.
    fn is_positive(&self) -> bool {
        self.verdict != Verdict::Absent && !self.addresses.is_empty()
    }

    fn present(&mut self, mut addresses: Vec<IpAddr>, due: Instant) {
        // Servers turn the order with each answer; the set is what counts.
        addresses.sort_unstable();
        addresses.dedup();
        self.addresses = addresses;
        self.verdict = Verdict::Present;
        self.failures = 0;
        self.due = Some(due);
    }

    /// There are none of this family, and some of the other: nothing is wrong.
    fn absent(&mut self, due: Instant) {
        self.addresses.clear();
        self.verdict = Verdict::Absent;
        self.failures = 0;
        self.due = Some(due);
    }

    /// What was known stays, and the next try comes after a pause that doubles.
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

    fn book(now: Instant) -> DnsCache {
        let mut book = DnsCache::new(Duration::from_secs(1), Duration::from_secs(60));
        book.register(&BTreeSet::from([HOST.into()]), now);
        book
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

    fn shown(book: &DnsCache) -> Vec<IpAddr> {
        book.known(HOST).addresses().collect()
    }

    #[test]
    fn a_name_is_asked_for_once_and_again_when_its_time_is_over() {
        let now = Instant::now();
        let mut book = book(now);
        let taken = book.take_due(Family::V4, now, 9);
        assert_eq!(taken.len(), 1);
        assert!(
            book.take_due(Family::V4, now, 9).is_empty(),
            "the question is under way"
        );
        assert_eq!(
            book.take_due(Family::V6, now, 9).len(),
            1,
            "asked for apart"
        );
        let mut note = |addresses: &[IpAddr]| {
            let outcome = found(addresses, 30);
            book.note(HOST, Family::V4, outcome, now)
        };
        assert_eq!(note(&[ip(2), ip(1)]), News::Resolved);
        assert_eq!(note(&[ip(1), ip(2), ip(1)]), News::Unchanged, "same set");
        assert_eq!(note(&[ip(1)]), News::Resolved);
        assert_eq!(shown(&book), [ip(1)]);
        assert_eq!(book.next_due(Family::V4), Some(now + seconds(30)));
    }

    #[test]
    fn the_time_to_live_has_bounds() {
        let now = Instant::now();
        let mut book = book(now);
        for (ttl, due) in [(0, 1), (1, 1), (59, 59), (86_400, 60)] {
            book.note(HOST, Family::V4, found(&[ip(1)], ttl), now);
            assert_eq!(book.next_due(Family::V4), Some(now + seconds(due)));
        }
    }

    #[test]
    fn a_failure_keeps_what_was_known_and_waits_longer_each_time() {
        let now = Instant::now();
        let mut book = book(now);
        for (place, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let news = book.note(HOST, Family::V4, Outcome::Failed, now);
            assert_eq!(news == News::Failing, place == 0);
            assert_eq!(book.next_due(Family::V4), Some(now + seconds(pause)));
            assert!(
                book.known(HOST).waiting,
                "the other family may have some yet"
            );
        }
        book.note(HOST, Family::V6, Outcome::Failed, now);
        assert!(!book.known(HOST).waiting);
        let mut note = |outcome| book.note(HOST, Family::V4, outcome, now);
        assert_eq!(note(found(&[ip(1)], 5)), News::Resolved);
        assert_eq!(note(Outcome::Failed), News::Failing);
        assert_eq!(note(found(&[ip(1)], 5)), News::Resolved, "it is back");
        assert_eq!(shown(&book), [ip(1)]);
    }

    #[test]
    fn one_family_is_used_while_the_other_is_not_answered() {
        let now = Instant::now();
        let mut book = book(now);
        book.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        let known = book.known(HOST);
        assert!(!known.waiting && known.has(Family::V4) && !known.has(Family::V6));
        assert_eq!(
            book.note(HOST, Family::V6, Outcome::Failed, now),
            News::Failing
        );
        assert_eq!(shown(&book), [ip(1)]);
        assert_eq!(
            book.note(HOST, Family::V6, found(&[ip6(1)], 5), now),
            News::Resolved
        );
        assert_eq!(shown(&book), [ip(1), ip6(1)]);
    }

    #[test]
    fn a_family_that_is_gone_counts_only_while_the_other_one_is_there() {
        let now = Instant::now();
        let mut book = book(now);
        let absent = || Outcome::Absent(seconds(5));
        book.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        assert_eq!(
            book.note(HOST, Family::V6, absent(), now),
            News::Unchanged,
            "not every name has both"
        );
        assert_eq!(
            book.note(HOST, Family::V4, absent(), now),
            News::Failing,
            "the last answer holds"
        );
        assert_eq!(shown(&book), [ip(1)]);
        assert_eq!(
            book.note(HOST, Family::V6, found(&[ip6(1)], 5), now),
            News::Resolved
        );
        assert_eq!(shown(&book), [ip6(1)], "it moved to the other family");
    }

    #[test]
    fn a_question_that_failed_is_asked_in_another_way_and_so_on_as_long_as_that_works() {
        let now = Instant::now();
        let mut book = book(now);
        let mut ask = |outcome| {
            let later = now + seconds(100);
            let edns = book.take_due(Family::V4, later, 9)[0].edns;
            book.note(HOST, Family::V4, outcome, now);
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
        let mut book = book(now);
        book.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        book.register(&BTreeSet::from(["b.test".into()]), now);
        assert!(book.known(HOST).waiting);
        let late = book.note(HOST, Family::V4, found(&[ip(1)], 5), now);
        assert_eq!(late, News::Unchanged, "too late");
        assert_eq!(&*book.take_due(Family::V4, now, 9)[0].host, "b.test");
    }
}
