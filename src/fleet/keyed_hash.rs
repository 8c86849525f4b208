//! Hash of the ids by which a table finds its entries: keyed, so that no client can choose ids that fall together.

use std::hash::{BuildHasher as _, Hash, RandomState};

/// A keyed hash function of 128 bits, so that no two of the ids that a table can hold have the same hash.
#[derive(Debug, Default)]
pub(super) struct KeyedHash([RandomState; 2]);

impl KeyedHash {
    pub(super) fn hash(&self, id: impl Hash) -> u128 {
        let [high, low] = &self.0;
        u128::from(high.hash_one(&id)) << 64 | u128::from(low.hash_one(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_makes_another_hash_in_both_halves() {
        let (one, other) = (KeyedHash::default(), KeyedHash::default());
        assert_eq!(one.hash("a"), one.hash("a"));
        for half in [0, 64] {
            let halves = [one.hash("a"), one.hash("b"), other.hash("a")].map(|hash| hash >> half);
            let [a, b, c] = halves.map(|half| half & u128::from(u64::MAX));
            assert!(a != b && a != c);
        }
        assert_ne!(one.hash("a") >> 64, one.hash("a") & u128::from(u64::MAX));
    }
}
