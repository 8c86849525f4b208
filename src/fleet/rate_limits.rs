//! The buckets of all rate limits: they outlive a swap while a table has the same limit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::RateBuckets;
use crate::model::{RateLimitSpec, RouteName};

/// Keys of all limits together, 32 MiB of them; a limit beyond that gets the fewest.
const MOST_KEYS: usize = 4 * 1024 * 1024;
/// Fewest keys of a limit.
const FEWEST_KEYS: usize = 1_024;

/// Subject of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimitOf {
    /// Requests of a route.
    Requests,
    /// Failed attempts to pass its guard.
    Failures,
}

type Key = (RouteName, RateLimitOf);
type Buckets = HashMap<Key, Vec<(RateLimitSpec, Weak<RateBuckets>)>>;

/// Buckets by route and limit. It holds them weakly: they end with the last table that has the limit.
#[derive(Debug, Default)]
pub(super) struct RateLimits(Mutex<Buckets>);

impl RateLimits {
    /// The buckets of a route's limit; full ones if there are none.
    pub(super) fn of(&self, key: Key, spec: &RateLimitSpec) -> Arc<RateBuckets> {
        // Safe to ignore poisoning: a panic under the lock leaves the map intact.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let with_key = all.get(&key).map_or(&[][..], Vec::as_slice);
        let found = with_key.iter().find(|(other, _)| other == spec);
        if let Some(buckets) = found.and_then(|(_, buckets)| buckets.upgrade()) {
            return buckets;
        }
        all.retain(|_, with_key| {
            with_key.retain(|(_, buckets)| buckets.strong_count() > 0);
            !with_key.is_empty()
        });
        let live = all.values().flatten();
        let live = live.filter_map(|(_, buckets)| buckets.upgrade());
        let taken: usize = live.map(|buckets| buckets.places()).sum();
        let keys = spec.max_keys as usize;
        let keys = if taken + keys > MOST_KEYS {
            FEWEST_KEYS
        } else {
            keys
        };
        let buckets = Arc::new(RateBuckets::new(spec, keys));
        let entry = (spec.clone(), Arc::downgrade(&buckets));
        all.entry(key).or_default().push(entry);
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(rate: &str) -> RateLimitSpec {
        serde_json::from_value(serde_json::json!({ "rate": rate, "max_keys": 1_048_576 })).unwrap()
    }

    #[test]
    fn a_limit_that_stays_keeps_its_buckets_and_all_limits_have_a_bound() {
        let limits = RateLimits::default();
        let of = |name: &str, rate: &str| {
            let key = (name.parse().unwrap(), RateLimitOf::Requests);
            limits.of(key, &spec(rate))
        };
        let held = of("chat", "1/s");
        assert!(Arc::ptr_eq(&held, &of("chat", "1/s")));
        assert!(!Arc::ptr_eq(&held, &of("chat", "2/s")));
        assert!(!Arc::ptr_eq(&held, &of("tools", "1/s")));
        let failures = ("chat".parse().unwrap(), RateLimitOf::Failures);
        assert!(!Arc::ptr_eq(&held, &limits.of(failures, &spec("1/s"))));
        let many: Vec<_> = (1..=10)
            .map(|rate| of("tools", &format!("{rate}/min")))
            .collect();
        let places: usize = many.iter().map(|buckets| buckets.places()).sum();
        assert!(places <= MOST_KEYS, "{places}");
        assert_eq!(many.last().unwrap().places(), FEWEST_KEYS);
        drop((held, many));
        let again = of("chat", "3/s");
        assert_eq!(again.places(), 1_048_576);
        assert_eq!(limits.0.lock().unwrap().len(), 1);
    }
}
