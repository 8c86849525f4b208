//! Fields of a head, and the field names that the proxy knows.
//!
//! A name is classified once, by its length and its letters, into [`KnownField`]; strings are
//! never compared after that.

use lookup::{FACTOR, FAMILIES, M, MASKS, PADDED, Padded, TABLE, X, lower_case, slot};
use names::NAMES;

mod lookup;
mod names;

pub use names::KnownField;

/// One received field: its name is a token, its value has no controls and no surrounding whitespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'h> {
    /// Classified name.
    pub known: KnownField,
    /// The name as it was spelled.
    pub name: &'h [u8],
    /// The value.
    pub value: &'h [u8],
}

/// A set of known names.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownSet([u64; 2]);

/// Fields that a `Connection` option cannot remove: recipients use them to route or authenticate the request.
const PROTECTED: KnownSet = KnownSet::of(&[
    KnownField::Authorization,
    KnownField::ContentEncoding,
    KnownField::ContentLength,
    KnownField::ContentType,
    KnownField::Cookie,
    KnownField::Expect,
    KnownField::Forwarded,
    KnownField::GrpcStatus,
    KnownField::GrpcTimeout,
    KnownField::Host,
    KnownField::Mcp,
    KnownField::SecWebSocketAccept,
    KnownField::SecWebSocketKey,
    KnownField::SecWebSocketVersion,
    KnownField::SetCookie,
    KnownField::Traceparent,
    KnownField::Tracestate,
    KnownField::TransferEncoding,
    KnownField::Via,
    KnownField::XForwarded,
    KnownField::XForwardedFor,
    KnownField::XForwardedHost,
    KnownField::XForwardedPort,
    KnownField::XForwardedProto,
    KnownField::XRealIp,
    KnownField::XRequestId,
    KnownField::XSwitchback,
]);

// === impl Field ===

impl<'h> Field<'h> {
    /// Classifies a field. The parser validates name and value.
    pub fn new(name: &'h [u8], value: &'h [u8]) -> Self {
        Self {
            known: KnownField::of(name),
            name,
            value,
        }
    }
}

// === impl KnownSet ===

impl KnownSet {
    /// Hop-by-hop fields; RFC 9110, section 7.6.1.
    pub const HOP_BY_HOP: Self = Self::of(&[
        KnownField::Connection,
        KnownField::Http2Settings,
        KnownField::KeepAlive,
        KnownField::ProxyAuthenticate,
        KnownField::ProxyAuthenticationInfo,
        KnownField::ProxyAuthorization,
        KnownField::ProxyConnection,
        KnownField::Te,
        KnownField::TransferEncoding,
        KnownField::Upgrade,
    ]);

    /// Set of these names.
    pub const fn of(members: &[KnownField]) -> Self {
        let mut set = Self([0; 2]);
        let mut index = 0;
        while index < members.len() {
            set.insert(members[index]);
            index += 1;
        }
        set
    }

    /// True if the name is in the set.
    #[inline]
    pub const fn contains(self, known: KnownField) -> bool {
        let (word, bit) = Self::bit(known);
        self.0[word] & bit != 0
    }

    /// Adds the name; true if it was present already.
    #[inline]
    pub const fn insert(&mut self, known: KnownField) -> bool {
        let (word, bit) = Self::bit(known);
        let was_there = self.0[word] & bit != 0;
        self.0[word] |= bit;
        was_there
    }

    /// Union of two sets.
    #[must_use]
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }

    /// Index and mask of a name's bit. There are fewer than 128 names.
    const fn bit(known: KnownField) -> (usize, u64) {
        let number = known as usize;
        ((number >> 6) & 1, 1 << (number & 63))
    }
}

impl std::fmt::Debug for KnownSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members = NAMES.iter().filter(|(_, known)| self.contains(*known));
        f.debug_set()
            .entries(members.map(|(text, _)| text))
            .finish()
    }
}

// === impl KnownField ===

impl KnownField {
    /// Classifies a name, case-insensitively.
    pub fn of(name: &[u8]) -> Self {
        Self::of_start(name, name.len())
    }

    /// Classifies the first `length` bytes of `text`.
    #[inline]
    pub fn of_start(text: &[u8], length: usize) -> Self {
        if let Some(start) = text.first_chunk() {
            return Self::of_padded(start, length);
        }
        let mut start = [0; PADDED];
        let taken = text.len().min(PADDED);
        start[..taken].copy_from_slice(&text[..taken]);
        Self::of_padded(&start, length)
    }

    /// `start` holds the start of the name, and possibly bytes after it.
    #[inline]
    fn of_padded(start: &[u8; PADDED], length: usize) -> Self {
        let mask = &MASKS[length.min(PADDED)];
        let (words, _) = start.as_chunks();
        let lower = |at: usize| lower_case(u64::from_le_bytes(words[at]) & mask[at]);
        let (first, second) = (lower(0), lower(1));
        let entry = &TABLE[slot(first, second, length, FACTOR)];
        let starts = entry.length == length && entry.text[0] == first && entry.text[1] == second;
        // Two names of one length that fits two words have nothing after them.
        let ends = || entry.text[2] == lower(2) && entry.text[3] == lower(3);
        if starts && (length <= 16 || ends()) {
            return entry.known;
        }
        match first & 0xff {
            M | X => Self::family(&[first, second, lower(2), lower(3)]),
            _ => Self::Other,
        }
    }

    fn family(lower: &Padded) -> Self {
        let starts_with = |prefix: &Padded, length: usize| {
            let mask = &MASKS[length];
            (0..PADDED / 8).all(|at| lower[at] & mask[at] == prefix[at])
        };
        let family = FAMILIES
            .iter()
            .find(|(prefix, length, _)| starts_with(prefix, *length));
        family.map_or(Self::Other, |(_, _, known)| *known)
    }

    /// Name in lower case; `None` for a family of names and for `Other`.
    pub fn as_str(self) -> Option<&'static str> {
        NAMES.get(self as usize).map(|(text, _)| *text)
    }

    /// True if the field defines the end of the body; it is never forwarded, but generated anew.
    pub const fn is_framing(self) -> bool {
        matches!(self, Self::ContentLength | Self::TransferEncoding)
    }

    /// True if the field is hop-by-hop and never forwarded.
    pub const fn is_hop_by_hop(self) -> bool {
        KnownSet::HOP_BY_HOP.contains(self)
    }

    /// True if a nomination by `Connection` is ignored for this field.
    pub const fn is_protected(self) -> bool {
        PROTECTED.contains(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_of_length_and_of_their_variants() {
        assert!(NAMES.windows(2).all(|w| w[0].0.len() <= w[1].0.len()));
        assert!(
            NAMES
                .iter()
                .enumerate()
                .all(|(i, (_, known))| *known as usize == i)
        );
        assert!(NAMES.iter().all(|(text, _)| text.len() <= PADDED));
        assert!((KnownField::Other as usize) < 128);
    }

    #[test]
    fn every_name_is_known_in_any_case() {
        for (text, known) in NAMES {
            for at in 0..text.len() {
                // One byte more, one byte less, and each byte replaced by another.
                assert_ne!(KnownField::of(&text.as_bytes()[..at]), *known, "{text}");
                for byte in
                    (0..=255_u8).filter(|byte| !byte.eq_ignore_ascii_case(&text.as_bytes()[at]))
                {
                    let mut other = text.as_bytes().to_vec();
                    other[at] = byte;
                    assert_ne!(KnownField::of(&other), *known, "{text} with {byte} at {at}");
                    other.push(byte);
                    assert_ne!(KnownField::of(&other), *known);
                }
                assert_ne!(
                    KnownField::of(format!("{text}{}", &text[at..]).as_bytes()),
                    *known
                );
            }
            assert_eq!(KnownField::of(text.as_bytes()), *known, "{text}");
            assert_eq!(
                KnownField::of(text.to_uppercase().as_bytes()),
                *known,
                "{text}"
            );
            assert_eq!(known.as_str(), Some(*text));
        }
    }

    #[test]
    fn families_are_known_by_their_prefix() {
        assert_eq!(KnownField::of(b"Mcp-Session-Id"), KnownField::Mcp);
        assert_eq!(KnownField::of(b"mcp-"), KnownField::Mcp);
        assert_eq!(KnownField::of(b"X-Forwarded-Ssl"), KnownField::XForwarded);
        assert_eq!(
            KnownField::of(b"x-switchback-release"),
            KnownField::XSwitchback
        );
        assert_eq!(
            KnownField::of(b"x-switchback-a-name-longer-than-all-the-others"),
            KnownField::XSwitchback
        );
        for other in [
            &b""[..],
            b"x",
            b"hosts",
            b"hast",
            b"mcp",
            b"x-switchback",
            b"x-forwarded",
            b"\x08\x0fst",
            b"h\xcfst",
            b"set\x0dcookie",
            b"accep\xf4",
        ] {
            assert_eq!(KnownField::of(other), KnownField::Other, "{other:?}");
        }
        assert_eq!(KnownField::Mcp.as_str(), None);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = KnownSet::default();
        assert!(!set.insert(KnownField::Other));
        assert!(set.insert(KnownField::Other));
        assert!(set.contains(KnownField::Other) && !set.contains(KnownField::Te));
    }
}
