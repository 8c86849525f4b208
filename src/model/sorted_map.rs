//! Persistent sorted map: a change copies one chunk and shares the rest.
//!
//! Flags have no order of their own, so they are kept by name, unlike routes (`chunked_map`). A lookup is two binary
//! searches.

use std::{borrow::Borrow, cmp::Ordering, collections::HashSet, sync::Arc};

/// Number of entries at which a chunk is divided in two.
const FULL: usize = 256;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// An immutable map in shared chunks, sorted by key.
#[derive(Debug)]
pub struct SortedMap<K, V> {
    // Invariant: no chunk is empty, and keys go up within a chunk and from one to the next.
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K, V> Clone for SortedMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            len: self.len,
        }
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            len: 0,
        }
    }
}

impl<K, V> SortedMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, value))
    }

    /// True if both are one map in memory.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let place = place_in(chunk, key).ok()?;
        chunk.get(place).map(|(_, value)| value)
    }

    /// Index of the only chunk that can have a key: the last one that begins at or before it.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let begins_before = |chunk: &Chunk<K, V>| {
            let first = chunk.first();
            first.is_some_and(|(first, _)| first.borrow() <= key)
        };
        let after = self.chunks.partition_point(begins_before);
        (!self.chunks.is_empty()).then(|| after.saturating_sub(1))
    }

    /// Entries of this map in chunks that the other one does not share.
    fn apart_from<'a>(&'a self, other: &Self) -> impl Iterator<Item = &'a (K, V)> {
        let shared: HashSet<*const Vec<(K, V)>> = other.chunks.iter().map(Arc::as_ptr).collect();
        let chunks = self.chunks.iter();
        chunks
            .filter(move |chunk| !shared.contains(&Arc::as_ptr(chunk)))
            .flat_map(|chunk| chunk.iter())
    }
}

impl<K: Ord + Clone, V> SortedMap<K, V> {
    /// Keys at which two maps differ; skips shared chunks.
    pub fn differences(&self, other: &Self, same: impl Fn(&V, &V) -> bool) -> Vec<K> {
        if self.is_shared_with(other) {
            return Vec::new();
        }
        let changed = |(key, value): &&(K, V)| other.get(key).is_none_or(|then| !same(value, then));
        let added = |(key, _): &&(K, V)| self.get(key).is_none();
        let here = self.apart_from(other).filter(changed);
        let mut keys: Vec<K> = here
            .chain(other.apart_from(self).filter(added))
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort();
        keys
    }
}

impl<K: Ord + Clone, V: Clone> SortedMap<K, V> {
    /// Copy with another value of a key.
    #[must_use]
    pub fn with(&self, key: K, value: V) -> Self {
        let mut chunks = (*self.chunks).clone();
        let Some(at) = self.chunk_of(&key) else {
            return Self::from_iter([(key, value)]);
        };
        let mut chunk = (*chunks[at]).clone();
        let mut len = self.len;
        match place_in(&chunk, &key) {
            Ok(place) => chunk[place].1 = value,
            Err(place) => {
                chunk.insert(place, (key, value));
                len += 1;
            }
        }
        let rest = (chunk.len() > FULL).then(|| chunk.split_off(FULL / 2));
        chunks[at] = Arc::new(chunk);
        if let Some(rest) = rest {
            chunks.insert(at + 1, Arc::new(rest));
        }
        Self {
            chunks: Arc::new(chunks),
            len,
        }
    }

    /// Copy without a key.
    #[must_use]
    pub fn without<Q: Ord + ?Sized>(&self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        let found = self.chunk_of(key).and_then(|at| {
            let place = place_in(&self.chunks[at], key).ok()?;
            Some((at, place))
        });
        let Some((at, place)) = found else {
            return self.clone();
        };
        let mut chunks = (*self.chunks).clone();
        let mut chunk = (*chunks[at]).clone();
        chunk.remove(place);
        if chunk.is_empty() {
            chunks.remove(at);
        } else {
            chunks[at] = Arc::new(chunk);
        }
        Self {
            chunks: Arc::new(chunks),
            len: self.len - 1,
        }
    }
}

fn place_in<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized>(
    chunk: &[(K, V)],
    key: &Q,
) -> Result<usize, usize> {
    chunk.binary_search_by(|(here, _)| -> Ordering { here.borrow().cmp(key) })
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    /// Collects entries in any order; of two with one key the later one counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let sorted: std::collections::BTreeMap<K, V> = items.into_iter().collect();
        let len = sorted.len();
        let mut entries = sorted.into_iter().peekable();
        let mut chunks = Vec::new();
        while entries.peek().is_some() {
            chunks.push(Arc::new(entries.by_ref().take(FULL / 2).collect()));
        }
        Self {
            chunks: Arc::new(chunks),
            len,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_shares_all_other_chunks_and_is_the_only_difference() {
        let before: SortedMap<usize, usize> = (0..10_000).map(|key| (key, key)).collect();
        let after = before.with(5_000, 1);
        let shared = before.chunks.iter().zip(after.chunks.iter());
        let shared = shared.filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, before.chunks.len() - 1);
        assert_eq!(before.differences(&after, |a, b| a == b), [5_000]);
        assert_eq!(after.with(5_000, 5_000).get(&5_000), Some(&5_000));
    }

    proptest! {
        #[test]
        fn it_does_what_an_ordinary_map_does(steps in prop::collection::vec((0_u16..600, prop::option::of(0_u8..4)), 0..1_500)) {
            let mut model = BTreeMap::new();
            let mut map = SortedMap::default();
            let mut first = None;
            for (count, (key, value)) in steps.iter().enumerate() {
                if let Some(value) = value {
                    model.insert(*key, *value);
                    map = map.with(*key, *value);
                } else {
                    model.remove(key);
                    map = map.without(key);
                }
                if count == steps.len() / 2 {
                    first = Some((model.clone(), map.clone()));
                }
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!((0..600).all(|key| map.get(&key) == model.get(&key)));
            if let Some((then, earlier)) = first {
                let keys: std::collections::BTreeSet<_> = then.keys().chain(model.keys()).collect();
                let differ = keys.into_iter().filter(|key| then.get(key) != model.get(key)).copied();
                prop_assert_eq!(earlier.differences(&map, |a, b| a == b), differ.collect::<Vec<_>>());
            }
        }
    }
}
