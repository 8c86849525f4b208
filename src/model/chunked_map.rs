//! Persistent vector: replacing an item copies one chunk and shares the rest.
//!
//! A change to one route of ten thousand must cost what it changes (architecture, "Invariants"). Two levels are enough
//! at the sizes of a routing table, and a lookup by index is two array accesses, so reads stay cheap.

use std::sync::Arc;

/// Number of items in a chunk. With 10,000 items a replacement copies 79 pointers and 128 items.
const CHUNK: usize = 128;

/// An immutable vector in shared chunks.
#[derive(Debug)]
pub struct ChunkedMap<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T> Clone for ChunkedMap<T> {
    fn clone(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            len: self.len,
        }
    }
}

impl<T> Default for ChunkedMap<T> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            len: 0,
        }
    }
}

impl<T> ChunkedMap<T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no item.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Item at an index.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// Items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Chunks in order. A chunk shared by two vectors is the same `Arc`.
    pub fn chunks(&self) -> &[Arc<Vec<T>>] {
        &self.chunks
    }

    /// Indexes at which two vectors differ; skips shared chunks.
    pub fn differences<'a>(
        &'a self,
        other: &'a Self,
        same: impl Fn(&T, &T) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let count = self.chunks.len().max(other.chunks.len());
        (0..count)
            .filter(move |&c| match (self.chunks.get(c), other.chunks.get(c)) {
                (Some(a), Some(b)) => !Arc::ptr_eq(a, b),
                _ => true,
            })
            .flat_map(|c| c * CHUNK..(c + 1) * CHUNK)
            .filter(move |&i| match (self.get(i), other.get(i)) {
                (Some(a), Some(b)) => !same(a, b),
                (None, None) => false,
                _ => true,
            })
    }
}

impl<T: Clone> ChunkedMap<T> {
    /// Copy with another item at an index, which must exist.
    #[must_use]
    pub fn set(&self, index: usize, item: T) -> Self {
        let mut chunks = (*self.chunks).clone();
        if let Some(slot) = chunks
            .get_mut(index / CHUNK)
            .and_then(|chunk| Arc::make_mut(chunk).get_mut(index % CHUNK))
        {
            *slot = item;
        }
        Self {
            chunks: Arc::new(chunks),
            len: self.len,
        }
    }
}

impl<T> FromIterator<T> for ChunkedMap<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut chunks: Vec<Arc<Vec<T>>> = Vec::new();
        let mut len = 0;
        let mut chunk = Vec::new();
        for item in items {
            len += 1;
            chunk.push(item);
            if chunk.len() == CHUNK {
                chunks.push(Arc::new(std::mem::take(&mut chunk)));
            }
        }
        if !chunk.is_empty() {
            chunks.push(Arc::new(chunk));
        }
        Self {
            chunks: Arc::new(chunks),
            len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_shares_all_other_chunks() {
        let before: ChunkedMap<usize> = (0..1000).collect();
        let after = before.set(300, 7);
        assert_eq!(
            (before.get(300), after.get(300), after.len()),
            (Some(&300), Some(&7), 1000)
        );
        let shared = before
            .chunks
            .iter()
            .zip(after.chunks.iter())
            .filter(|(a, b)| Arc::ptr_eq(a, b))
            .count();
        assert_eq!(shared, before.chunks.len() - 1);
        assert_eq!(
            before
                .differences(&after, |a, b| a == b)
                .collect::<Vec<_>>(),
            [300]
        );
    }

    #[test]
    fn vectors_of_other_lengths_differ_at_the_end() {
        let short: ChunkedMap<u8> = (0..3).collect();
        let long: ChunkedMap<u8> = (0..5).collect();
        assert_eq!(
            short.differences(&long, |a, b| a == b).collect::<Vec<_>>(),
            [3, 4]
        );
        assert_eq!(long.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
