//! Token buckets of a rate limit, one for each key: a table of fixed size that all workers share without a lock.
//!
//! A bucket is one word: a part of the hash of its key, and the time at which it is full again, so that a request is one
//! compare-and-swap. A key has one of the eight words of its set. Where all of them are taken, it gets that of the bucket
//! which is nearest to full: a bucket that is full again is no loss, and another one begins full when its key comes back.
//! Two keys share a bucket if that part of their hashes is the same: one in half a million, in a set that is full.
//! So no number of keys makes the table grow, and none of them makes a key wait that stays below its rate.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::{Rate, RateLimitSpec, TokenBucket};

/// Words in a set: one line of the processor's cache.
const WAYS: usize = 8;
/// Bits of the time in a word, in ticks; the others are a part of the hash.
const TIME_BITS: u32 = 42;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// Ticks between two tokens. So the interval is exact for every rate, and the time of a word is that of 17 billion tokens.
const TICKS: u64 = 256;

/// The buckets of a rate limit.
#[derive(Debug)]
pub struct RateBuckets {
    sets: Box<[Set]>,
    hasher: RandomState,
    rate: Rate,
    bucket: TokenBucket,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// A word of a set, as it was seen.
struct Found<'s> {
    word: &'s AtomicU64,
    seen: u64,
    /// Ticks until its bucket is full.
    debt: u64,
    /// It is that of the key, and not of another one.
    is_own: bool,
}

impl RateBuckets {
    /// Full buckets, for about this many keys.
    pub(super) fn new(spec: &RateLimitSpec, keys: usize) -> Self {
        let sets = (keys / WAYS).max(1).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            hasher: RandomState::new(),
            rate: spec.rate,
            bucket: TokenBucket::new(TICKS, spec.effective_burst().into()),
            evicted: AtomicU64::new(0),
        }
    }

    /// Takes a token from the bucket of a key, at a time of the clock that all workers share.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn take(&self, key: u64, now: Duration) -> Result<(), Duration> {
        let now = self.ticks(now);
        let (set, tag) = self.place(key);
        loop {
            let found = self.find(set, tag, now);
            let debt = if found.is_own { found.debt } else { 0 };
            let next = self.bucket.take(debt).map_err(|ticks| self.time(ticks))?;
            let word = tag << TIME_BITS | (now + next) & TIME;
            let order = Ordering::Relaxed;
            if (found.word)
                .compare_exchange(found.seen, word, order, order)
                .is_ok()
            {
                if !found.is_own && found.debt > 0 {
                    self.evicted.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(());
            }
        }
    }

    /// Time until there is a token for a key; `None` if there is one now.
    pub fn wait(&self, key: u64, now: Duration) -> Option<Duration> {
        let now = self.ticks(now);
        let (set, tag) = self.place(key);
        let found = self.find(set, tag, now);
        let debt = if found.is_own { found.debt } else { 0 };
        self.bucket.take(debt).err().map(|ticks| self.time(ticks))
    }

    /// Keys that it can remember.
    pub fn places(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Number of buckets that were not full when others took their place.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The set of a key, and the part of its hash that is in its word. The low bits of the hash choose the set.
    fn place(&self, key: u64) -> (&Set, u64) {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash & TIME).unwrap_or(0) & (self.sets.len() - 1);
        (&self.sets[place], (hash >> TIME_BITS).max(1))
    }

    /// The word of a key, or the one that it takes.
    fn find<'s>(&self, set: &'s Set, tag: u64, now: u64) -> Found<'s> {
        let mut nearest: Option<Found<'s>> = None;
        for word in &set.0 {
            let seen = word.load(Ordering::Relaxed);
            let found = Found {
                word,
                seen,
                debt: self.debt(seen, now),
                is_own: seen >> TIME_BITS == tag,
            };
            if found.is_own {
                return found;
            }
            if nearest.as_ref().is_none_or(|other| found.debt < other.debt) {
                nearest = Some(found);
            }
        }
        nearest.expect("a set has words")
    }

    /// Ticks until the bucket of a word is full. Times go round after 17 billion tokens: what is not within its capacity,
    /// and a period for clocks that were read in another order, lies in the past.
    fn debt(&self, word: u64, now: u64) -> u64 {
        let ahead = word.wrapping_sub(now) & TIME;
        let most = self.bucket.capacity();
        let slack = TICKS * u64::from(self.rate.count);
        if word == 0 || ahead > most + slack {
            0
        } else {
            ahead.min(most)
        }
    }

    /// A time in ticks.
    fn ticks(&self, time: Duration) -> u64 {
        let per = self.rate.per.length().as_nanos();
        let ticks = time.as_nanos() * u128::from(TICKS) * u128::from(self.rate.count) / per;
        u64::try_from(ticks & u128::from(TIME)).unwrap_or(0)
    }

    /// The length of a number of ticks.
    fn time(&self, ticks: u64) -> Duration {
        let per = self.rate.per.length().as_nanos();
        let nanos = u128::from(ticks) * per / (u128::from(TICKS) * u128::from(self.rate.count));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn buckets(rate: &str, burst: u32, keys: usize) -> RateBuckets {
        let text = format!(r#"{{"rate":"{rate}","burst":{burst}}}"#);
        RateBuckets::new(&serde_json::from_str(&text).unwrap(), keys)
    }

    fn taken(buckets: &RateBuckets, key: u64, now: Duration) -> usize {
        (0..100).filter(|_| buckets.take(key, now).is_ok()).count()
    }

    #[test]
    fn a_key_has_its_burst_at_once_and_then_its_rate() {
        let buckets = buckets("7/s", 20, 1_024);
        let start = Duration::from_secs(1_000);
        assert_eq!(taken(&buckets, 1, start), 20);
        assert_eq!(taken(&buckets, 2, start), 20, "another one");
        assert_eq!(taken(&buckets, 1, start + Duration::from_secs(1)), 7);
        let wait = buckets.take(1, start + Duration::from_secs(1)).unwrap_err();
        assert!(
            wait <= Duration::from_secs(1) / 7 && !wait.is_zero(),
            "{wait:?}"
        );
        let later = start + Duration::from_secs(1) + wait + Duration::from_millis(1);
        assert_eq!(taken(&buckets, 1, later), 1);
        assert_eq!(taken(&buckets, 1, start + Duration::from_secs(3_600)), 20);
    }

    #[test]
    fn a_bucket_is_right_when_the_time_of_its_word_goes_round() {
        let buckets = buckets("1000000/s", 10, 8);
        // The last ticks before the time goes round, at 256 million a second.
        let round = buckets.time(TIME + 1);
        let mut now = round.saturating_sub(Duration::from_micros(20));
        assert_eq!(taken(&buckets, 1, now), 10);
        for _ in 0..40 {
            now += Duration::from_micros(1);
            assert_eq!(taken(&buckets, 1, now), 1, "{now:?}");
        }
        // Half a round later it cannot be told any more what is ahead, and the bucket counts as full.
        assert_eq!(taken(&buckets, 1, now + round / 2), 10);
    }

    #[test]
    fn a_flood_of_keys_neither_grows_the_table_nor_locks_anyone_out() {
        let buckets = buckets("1/min", 5, 1_024);
        let start = Duration::from_secs(1);
        for key in 0..100_000 {
            assert!(buckets.take(key, start).is_ok(), "{key} came once");
        }
        assert_eq!(buckets.places(), 1_024);
        // A few keys may share a bucket with another one.
        assert!(buckets.evicted() >= 98_000);
        // Within such a flood a key that is over its limit stays so: it is the farthest from full.
        assert_eq!(taken(&buckets, 1 << 40, start), 5);
        for key in 0..10_000 {
            assert!(buckets.take(1 << 50 | key, start).is_ok());
        }
        assert_eq!(taken(&buckets, 1 << 40, start), 0);
    }

    #[test]
    fn all_threads_together_take_no_more_than_one_may() {
        let buckets = Arc::new(buckets("1/day", 1_000, 64));
        let threads = [0; 4].map(|_| {
            let buckets = Arc::clone(&buckets);
            let take = move || {
                let taken = (0..1_000).filter(|_| buckets.take(7, Duration::ZERO).is_ok());
                taken.count()
            };
            std::thread::spawn(take)
        });
        let taken: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(taken, 1_000);
    }
}
