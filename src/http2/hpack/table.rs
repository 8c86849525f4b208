//! The table that a connection's indices point into (RFC 7541, section 2.3): a static part, and a dynamic part that the
//! peer fills.

use std::collections::VecDeque;

use super::block::{FieldError, Name, OVERHEAD};
use crate::message::KnownField;

/// One row: text and what is known about it, so that nobody has to look at the text again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot<'t> {
    /// The name, and right behind it the value.
    pub(super) text: &'t [u8],
    pub(super) name_length: usize,
    pub(super) name: Name,
    /// The first of what is wrong with name and value.
    pub(super) flaw: Option<FieldError>,
}

/// The dynamic part. It allocates nothing until something is put in.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// The texts of the entries, from the oldest on, behind some of entries that are gone.
    text: Vec<u8>,
    /// How many bytes were taken from the front of `text` so far.
    base: usize,
    /// The size as the specification counts it. Invariant: at most `limit`.
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the text starts, counted from the first text there ever was.
    start: usize,
    length: u32,
    name_length: u32,
    name: Name,
    flaw: Option<FieldError>,
}

macro_rules! rows {
    ($($kind:expr, $name:literal $value:literal;)*) => {
        &[$(Slot {
            text: concat!($name, $value).as_bytes(),
            name_length: $name.len(),
            name: $kind,
            flaw: None,
        },)*]
    };
}

const OTHER: Name = Name::Field(KnownField::Other);

/// RFC 7541, appendix A. The first row has the index 1.
pub(super) static STATIC: &[Slot<'static>; 61] = rows! {
    Name::Authority, ":authority" "";
    Name::Method, ":method" "GET";
    Name::Method, ":method" "POST";
    Name::Path, ":path" "/";
    Name::Path, ":path" "/index.html";
    Name::Scheme, ":scheme" "http";
    Name::Scheme, ":scheme" "https";
    Name::Status, ":status" "200";
    Name::Status, ":status" "204";
    Name::Status, ":status" "206";
    Name::Status, ":status" "304";
    Name::Status, ":status" "400";
    Name::Status, ":status" "404";
    Name::Status, ":status" "500";
    OTHER, "accept-charset" "";
    Name::Field(KnownField::AcceptEncoding), "accept-encoding" "gzip, deflate";
    OTHER, "accept-language" "";
    OTHER, "accept-ranges" "";
    Name::Field(KnownField::Accept), "accept" "";
    OTHER, "access-control-allow-origin" "";
    Name::Field(KnownField::Age), "age" "";
    OTHER, "allow" "";
    Name::Field(KnownField::Authorization), "authorization" "";
    Name::Field(KnownField::CacheControl), "cache-control" "";
    OTHER, "content-disposition" "";
    Name::Field(KnownField::ContentEncoding), "content-encoding" "";
    OTHER, "content-language" "";
    Name::Field(KnownField::ContentLength), "content-length" "";
    OTHER, "content-location" "";
    Name::Field(KnownField::ContentRange), "content-range" "";
    Name::Field(KnownField::ContentType), "content-type" "";
    Name::Field(KnownField::Cookie), "cookie" "";
    Name::Field(KnownField::Date), "date" "";
    OTHER, "etag" "";
    Name::Field(KnownField::Expect), "expect" "";
    Name::Field(KnownField::Expires), "expires" "";
    OTHER, "from" "";
    Name::Field(KnownField::Host), "host" "";
    Name::Field(KnownField::IfMatch), "if-match" "";
    Name::Field(KnownField::IfModifiedSince), "if-modified-since" "";
    Name::Field(KnownField::IfNoneMatch), "if-none-match" "";
    Name::Field(KnownField::IfRange), "if-range" "";
    Name::Field(KnownField::IfUnmodifiedSince), "if-unmodified-since" "";
    OTHER, "last-modified" "";
    OTHER, "link" "";
    Name::Field(KnownField::Location), "location" "";
    Name::Field(KnownField::MaxForwards), "max-forwards" "";
    Name::Field(KnownField::ProxyAuthenticate), "proxy-authenticate" "";
    Name::Field(KnownField::ProxyAuthorization), "proxy-authorization" "";
    Name::Field(KnownField::Range), "range" "";
    OTHER, "referer" "";
    OTHER, "refresh" "";
    Name::Field(KnownField::RetryAfter), "retry-after" "";
    Name::Field(KnownField::Server), "server" "";
    Name::Field(KnownField::SetCookie), "set-cookie" "";
    OTHER, "strict-transport-security" "";
    Name::Field(KnownField::TransferEncoding), "transfer-encoding" "";
    Name::Field(KnownField::UserAgent), "user-agent" "";
    Name::Field(KnownField::Vary), "vary" "";
    Name::Field(KnownField::Via), "via" "";
    Name::Field(KnownField::WwwAuthenticate), "www-authenticate" "";
};

// === impl Slot ===

impl<'t> Slot<'t> {
    /// The name alone.
    pub(super) fn name_text(&self) -> &'t [u8] {
        &self.text[..self.name_length]
    }

    /// What is wrong with the name.
    pub(super) fn name_flaw(&self) -> Option<FieldError> {
        self.flaw.filter(|flaw| *flaw != FieldError::InvalidValue)
    }
}

// === impl Table ===

impl Table {
    /// An empty table that holds up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            text: Vec::new(),
            base: 0,
            size: 0,
            limit,
        }
    }

    /// The row at an index, of the static or the dynamic part.
    #[inline]
    pub(super) fn row(&self, index: usize) -> Option<Slot<'_>> {
        let place = index.checked_sub(1)?;
        if let Some(row) = STATIC.get(place) {
            return Some(*row);
        }
        let entry = self.entries.get(place - STATIC.len())?;
        let start = entry.start.wrapping_sub(self.base);
        Some(Slot {
            text: &self.text[start..start + entry.length as usize],
            name_length: entry.name_length as usize,
            name: entry.name,
            flaw: entry.flaw,
        })
    }

    /// Adds a row at the front, for which the oldest ones make room. One that is larger than the whole table empties it.
    pub(super) fn insert(&mut self, row: &Slot<'_>) {
        let size = row.text.len() + OVERHEAD;
        let Some(left) = self.limit.checked_sub(size) else {
            self.evict(0);
            return;
        };
        self.evict(left);
        self.compact(row.text.len());
        self.entries.push_front(Entry {
            start: self.base.wrapping_add(self.text.len()),
            length: small(row.text.len()),
            name_length: small(row.name_length),
            name: row.name,
            flaw: row.flaw,
        });
        self.text.extend_from_slice(row.text);
        self.size += size;
    }

    /// Sets how much the table holds, and gives its memory back if that is nothing.
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
        if limit == 0 {
            *self = Self::new(0);
        }
    }

    /// Drops the oldest entries until the size is at most `size`.
    fn evict(&mut self, size: usize) {
        while self.size > size {
            let oldest = self
                .entries
                .pop_back()
                .expect("a table without entries has the size 0");
            self.size -= oldest.length as usize + OVERHEAD;
        }
    }

    /// Drops the texts of entries that are gone, once they are so many that moving the others is worth it: what is moved
    /// is never more than what was put in since the last time.
    fn compact(&mut self, more: usize) {
        if self.text.len() + more <= 2 * self.limit {
            return;
        }
        let live = self.entries.back().map_or(self.text.len(), |oldest| {
            oldest.start.wrapping_sub(self.base)
        });
        self.text.drain(..live);
        self.base = self.base.wrapping_add(live);
    }

    /// The size as the specification counts it.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of text that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.text.len()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an entry fits into its table, whose size has 32 bits"
)]
const fn small(length: usize) -> u32 {
    length as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &[u8], name_length: usize) -> Slot<'_> {
        Slot {
            text,
            name_length,
            name: OTHER,
            flaw: None,
        }
    }

    #[test]
    fn the_static_rows_say_what_a_literal_would() {
        for row in STATIC {
            assert_eq!(Name::of(row.name_text()), (row.name, None));
        }
        let table = Table::new(4096);
        assert_eq!(table.row(0), None);
        assert_eq!(table.row(2).unwrap().text, b":methodGET");
        assert_eq!(table.row(61).unwrap().text, b"www-authenticate");
        assert_eq!(table.row(62), None);
        assert_eq!(table.row(usize::MAX), None);
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let mut table = Table::new(100);
        table.insert(&row(b"a1", 1));
        table.insert(&row(b"b2", 1));
        assert_eq!((table.size(), table.row(62)), (68, Some(row(b"b2", 1))));
        assert_eq!(table.row(63), Some(row(b"a1", 1)));
        table.insert(&row(b"c3", 1));
        assert_eq!((table.size(), table.row(64)), (68, None));
        assert_eq!(table.row(63), Some(row(b"b2", 1)));
        table.insert(&row(&[b'd'; 68], 1));
        assert_eq!((table.size(), table.row(63)), (100, None));
        table.insert(&row(&[b'e'; 69], 1));
        assert_eq!((table.size(), table.row(62)), (0, None));
    }

    #[test]
    fn texts_that_are_gone_are_dropped_in_time() {
        let mut table = Table::new(256);
        for turn in 0..10_000_usize {
            let text = vec![turn.to_le_bytes()[0]; turn % 220];
            table.insert(&row(&text, 0));
            assert_eq!(table.row(62), Some(row(&text, 0)));
            assert!(table.kept() <= 512 && table.size() <= 256);
        }
    }

    #[test]
    fn a_smaller_table_drops_the_oldest_and_none_has_no_memory() {
        let mut table = Table::new(4096);
        assert_eq!(table.text.capacity() + table.entries.capacity(), 0);
        (0..10).for_each(|_| table.insert(&row(b"ab", 1)));
        table.resize(70);
        assert_eq!((table.size(), table.entries.len()), (68, 2));
        table.resize(0);
        assert_eq!(table.text.capacity() + table.entries.capacity(), 0);
        table.insert(&row(b"", 0));
        assert_eq!(table.row(62), None);
    }
}
