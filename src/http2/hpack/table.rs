//! Indexing table of a connection (RFC 7541, section 2.3): a static part, and a dynamic part that the peer fills.

use std::collections::VecDeque;

use super::block::{FieldError, Name, OVERHEAD};
use crate::message::KnownField;

/// One entry: text and its classification, so that the text is never examined again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot<'t> {
    /// Name, directly followed by the value.
    pub(super) text: &'t [u8],
    pub(super) name_length: usize,
    pub(super) name: Name,
    /// First error of name or value.
    pub(super) flaw: Option<FieldError>,
}

/// Dynamic table. Allocates nothing until the first insertion.
#[derive(Debug)]
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    /// Texts of the entries, oldest first, after some texts of evicted entries.
    text: Vec<u8>,
    /// Number of bytes removed from the front of `text` so far.
    base: usize,
    /// Size as RFC 7541 counts it. Invariant: at most `limit`.
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Start of the text, as an offset from the first text ever inserted.
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

/// RFC 7541, appendix A. The first entry has index 1.
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
    /// Name without the value.
    pub(super) fn name_text(&self) -> &'t [u8] {
        &self.text[..self.name_length]
    }

    /// Error of the name.
    pub(super) fn name_flaw(&self) -> Option<FieldError> {
        self.flaw.filter(|flaw| *flaw != FieldError::InvalidValue)
    }
}

// === impl Table ===

impl Table {
    /// Creates an empty table of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            text: Vec::new(),
            base: 0,
            size: 0,
            limit,
        }
    }

    /// Entry at an index, static or dynamic.
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

    /// Inserts an entry at the front and evicts the oldest ones. An entry larger than the table empties it.
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

    /// Sets the size limit; a limit of 0 frees the memory.
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
        if limit == 0 {
            *self = Self::new(0);
        }
    }

    /// Evicts the oldest entries until the size is at most `size`.
    fn evict(&mut self, size: usize) {
        while self.size > size {
            let oldest = self
                .entries
                .pop_back()
                .expect("a table without entries has the size 0");
            self.size -= oldest.length as usize + OVERHEAD;
        }
    }

    /// Removes texts of evicted entries once there are enough to make moving the rest worthwhile: never moves more
    /// than was inserted since the last time.
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

    /// Size as RFC 7541 counts it.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Number of bytes of text in memory.
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
