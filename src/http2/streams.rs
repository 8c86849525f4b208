//! The streams of a connection, by key and by id.
//!
//! Ids of new streams only rise, so a sorted list finds them. Slots are reused, so that a busy connection
//! allocates nothing for a stream.

use super::stream::Stream;

/// Key of a stream, valid until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u32);

/// All streams that are open or have a handler.
#[derive(Debug, Default)]
pub(super) struct Streams {
    places: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Ids and slots, ordered by id.
    numbers: Vec<(u32, u32)>,
}

// === impl Streams ===

impl Streams {
    /// Number of streams.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Adds a stream, whose id is higher than all others.
    pub(super) fn insert(&mut self, stream: Stream) -> Key {
        debug_assert!(self.numbers.last().is_none_or(|last| last.0 < stream.id));
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("fewer streams than numbers for them")
        });
        self.numbers.push((stream.id, place));
        self.places[place as usize] = Some(stream);
        Key(place)
    }

    /// Key of the stream with this id.
    pub(super) fn find(&self, id: u32) -> Option<Key> {
        let at = self.numbers.binary_search_by_key(&id, |entry| entry.0);
        at.ok().map(|at| Key(self.numbers[at].1))
    }

    pub(super) fn get(&self, key: Key) -> Option<&Stream> {
        self.places.get(key.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Stream> {
        self.places.get_mut(key.0 as usize)?.as_mut()
    }

    /// The stream with this id.
    pub(super) fn by_id(&mut self, id: u32) -> Option<&mut Stream> {
        let key = self.find(id)?;
        self.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Stream> {
        let stream = self.places.get_mut(key.0 as usize)?.take()?;
        let at = self
            .numbers
            .binary_search_by_key(&stream.id, |entry| entry.0);
        self.numbers.remove(at.ok()?);
        self.free.push(key.0);
        if self.numbers.is_empty() {
            // An idle connection that was busy holds no memory.
            *self = Self::default();
        }
        Some(stream)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.places.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_numbers_are_found() {
        let mut streams = Streams::default();
        let places: Vec<Key> = [1, 3, 9, 11]
            .map(|id| streams.insert(Stream::new(id, 0, 0)))
            .into();
        assert_eq!(streams.find(9), Some(places[2]));
        assert_eq!(streams.find(5), None);
        assert_eq!(streams.remove(places[1]).map(|stream| stream.id), Some(3));
        assert!(streams.remove(places[1]).is_none());
        assert_eq!(streams.insert(Stream::new(13, 0, 0)), places[1]);
        assert_eq!(streams.find(13), Some(places[1]));
        assert_eq!(streams.len(), 4);
        for id in [1, 9, 11, 13] {
            let key = streams.find(id).unwrap();
            streams.remove(key);
        }
        assert_eq!((streams.len(), streams.places.capacity()), (0, 0));
    }
}
