//! Ranges of keys.

use serde_json::{Map, Value};

use super::wire::base64;

/// Range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Vec<u8>,
    /// First key behind it; empty for `start` alone, and one zero byte for no end.
    end: Vec<u8>,
}

impl KeyRange {
    /// One key.
    pub fn one(key: impl Into<Vec<u8>>) -> Self {
        Self {
            start: key.into(),
            end: Vec::new(),
        }
    }

    /// All keys that begin with a prefix, which is not empty.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        match end.last_mut() {
            Some(last) => *last += 1,
            None => end = vec![0],
        }
        Self { start, end }
    }

    /// All keys from one on up to another one, which is not in it.
    pub fn between(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self {
            start: start.into(),
            end: end.into(),
        }
    }

    /// Its first key.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The part of it behind a key.
    pub(super) fn behind(&self, key: &[u8]) -> Self {
        Self {
            start: [key, &[0]].concat(),
            end: self.end.clone(),
        }
    }

    /// The members of a request that say it.
    pub(super) fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("key".to_owned(), base64(&self.start).into());
        if !self.end.is_empty() {
            members.insert("range_end".to_owned(), base64(&self.end).into());
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        let end = |prefix: &[u8]| KeyRange::prefix(prefix).end;
        assert_eq!(end(b"a/"), b"a0");
        assert_eq!(end(b"a\xff"), b"b");
        assert_eq!(end(b"\xff\xff"), b"\0");
    }

    #[test]
    fn the_next_page_begins_right_behind_the_last_key() {
        let rest = KeyRange::prefix("a").behind(b"ab");
        assert_eq!((&rest.start[..], &rest.end[..]), (&b"ab\0"[..], &b"b"[..]));
    }
}
