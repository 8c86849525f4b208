//! Digest of a table's decisions, updated incrementally.
//!
//! Each entry is hashed once (SHA-256 of its JSON); the digest is the sum of the entry hashes, each mixed with its
//! position. So a change of one split of ten thousand costs one hash, and two tables with the same decisions have the
//! same digest, whatever their past. A sum of hashes can be forged by an attacker who chooses many entries; the digest
//! only compares an operator's own tables and is no protection.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// 256-bit digest, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest([u64; 4]);

impl Digest {
    /// Hash of a value by its JSON, for all types of the model.
    ///
    /// # Panics
    /// If the value cannot be written as JSON: a map with keys that are not text, or a number that is not finite.
    pub fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value)
            .expect("types of the model have string keys and finite numbers");
        let hash = Sha256::digest(&json);
        let lane = |i: usize| u64::from_le_bytes(std::array::from_fn(|b| hash[i * 8 + b]));
        Self(std::array::from_fn(lane))
    }

    /// Mixes the hash with a position.
    #[must_use]
    pub fn at(self, place: usize) -> Self {
        let salt = (place as u64)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            | 1;
        Self(self.0.map(|lane| {
            let mixed = (lane ^ salt).wrapping_mul(salt);
            mixed ^ (mixed >> 29)
        }))
    }

    /// Adds an entry.
    #[must_use]
    pub fn plus(self, entry: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_add(entry.0[i])))
    }

    /// Removes an entry.
    #[must_use]
    pub fn minus(self, entry: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_sub(entry.0[i])))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("a digest has 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut lanes = [0; 4];
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = u64::from_str_radix(&text[i * 16..(i + 1) * 16], 16).map_err(|_| wrong())?;
        }
        Ok(Self(lanes))
    }
}

/// A value with its hash.
#[derive(Debug, Clone)]
pub struct Hashed<T> {
    value: T,
    hash: Digest,
}

impl<T: Serialize> Hashed<T> {
    /// Hashes a value.
    pub fn new(value: T) -> Self {
        let hash = Digest::of(&value);
        Self { value, hash }
    }
}

impl<T> Hashed<T> {
    /// Hash of the value.
    pub fn hash(&self) -> Digest {
        self.hash
    }
}

impl<T> Hashed<T> {
    /// True if two values are equal: the same `Arc`, or the same hash.
    pub fn is_same(one: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(one, other) || one.hash == other.hash
    }
}

impl<T> Deref for Hashed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_taking_away_is_nothing() {
        let (a, b) = (Digest::of(&"a"), Digest::of(&"b"));
        assert_eq!(a.plus(b).minus(b), a);
        assert_ne!(
            a.at(0).plus(b.at(1)),
            b.at(0).plus(a.at(1)),
            "the order of entries counts"
        );
    }

    #[test]
    fn a_digest_survives_json() {
        let digest = Digest::of(&"x");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json.len(), 66);
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"12\"").is_err());
    }
}
