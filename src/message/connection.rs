//! `Connection` fields of a message: options, and the names of hop-by-hop fields.

use super::{Field, KnownField, KnownSet, Reason, grammar};

/// Limit on the unknown names that `Connection` may nominate, and on the fields with such names.
pub const MAX_NOMINATIONS: usize = 64;
const MAX_LISTS: usize = 8;
/// Limit on the total length of these fields: each field of the message is searched in them.
const MAX_BYTES: usize = 4096;

/// Options of all `Connection` fields of one message.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionOptions<'h> {
    /// `close` is present.
    pub close: bool,
    /// `keep-alive` is present.
    pub keep_alive: bool,
    /// `upgrade` is present.
    pub upgrade: bool,
    known: KnownSet,
    /// Values that hold unknown names.
    lists: [&'h [u8]; MAX_LISTS],
    /// Number of those values, and of the names in them.
    count: usize,
    others: usize,
}

// === impl ConnectionOptions ===

impl<'h> ConnectionOptions<'h> {
    /// Parses one `Connection` value.
    ///
    /// # Errors
    ///
    /// `InvalidConnection` for an option that is no token, `TooManyNominations` for more unknown names than
    /// [`MAX_NOMINATIONS`].
    pub fn read(&mut self, value: &'h [u8]) -> Result<(), Reason> {
        let before = self.others;
        for option in options(value) {
            self.add(option)?;
        }
        if self.others > before {
            let used: usize = self.lists.iter().map(|list| list.len()).sum();
            if used + value.len() > MAX_BYTES {
                return Err(Reason::TooManyNominations);
            }
            let free = self.lists.get_mut(self.count);
            *free.ok_or(Reason::TooManyNominations)? = value;
            self.count += 1;
        }
        Ok(())
    }

    fn add(&mut self, option: &[u8]) -> Result<(), Reason> {
        if !grammar::is_token(option) {
            return Err(Reason::InvalidConnection);
        }
        if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
            return Ok(());
        }
        match KnownField::of(option) {
            KnownField::KeepAlive => self.keep_alive = true,
            KnownField::Upgrade => self.upgrade = true,
            KnownField::Other if self.others == MAX_NOMINATIONS => {
                return Err(Reason::TooManyNominations);
            }
            KnownField::Other => self.others += 1,
            known if known.is_protected() => {}
            known => _ = self.known.insert(known),
        }
        Ok(())
    }

    /// True if the field is hop-by-hop: by its name, or because it was nominated and is not protected.
    pub fn is_hop_by_hop(&self, field: &Field<'_>) -> bool {
        self.ending().contains(field.known) || self.is_other_hop_by_hop(field)
    }

    /// Known hop-by-hop names of this message; unknown ones are not included.
    #[inline]
    pub const fn ending(&self) -> KnownSet {
        self.known.union(KnownSet::HOP_BY_HOP)
    }

    /// True if the field has an unknown name that was nominated.
    #[inline]
    pub fn is_other_hop_by_hop(&self, field: &Field<'_>) -> bool {
        self.count > 0 && field.known == KnownField::Other && self.names(field.name)
    }

    fn names(&self, name: &[u8]) -> bool {
        self.lists[..self.count]
            .iter()
            .flat_map(|list| options(list))
            .any(|option| option.eq_ignore_ascii_case(name))
    }
}

/// Iterates over the options in a value. Some peers add parameters, as in `keep-alive; timeout=5`: the option grammar
/// has none, so only the part before them counts.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bare = |element: &'_ [u8]| memchr::memchr(b';', element).unwrap_or(element.len());
    value
        .split(|&byte| byte == b',')
        .map(move |element| grammar::trim(&element[..bare(element)]))
        .filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(value: &[u8], name: &[u8]) -> bool {
        let mut nominated = ConnectionOptions::default();
        nominated.read(value).unwrap();
        nominated.is_hop_by_hop(&Field::new(name, b""))
    }

    #[test]
    fn options_are_read_from_lists_with_empty_elements() {
        let mut nominated = ConnectionOptions::default();
        nominated.read(b" ,Close , keep-ALIVE,,upgrade,\t").unwrap();
        assert!(nominated.close && nominated.keep_alive && nominated.upgrade);
    }

    #[test]
    fn nominated_fields_end_here() {
        assert!(ends(b"x-secret", b"X-Secret"));
        assert!(ends(b"accept, a", b"Accept"));
        assert!(!ends(b"x-secret", b"x-secrets"));
        for always in [
            "connection",
            "keep-alive",
            "te",
            "upgrade",
            "proxy-connection",
            "http2-settings",
        ] {
            assert!(ends(b"", always.as_bytes()), "{always}");
        }
    }

    #[test]
    fn protected_fields_cannot_be_nominated() {
        for name in [
            "host",
            "content-length",
            "authorization",
            "cookie",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-other",
            "forwarded",
            "x-real-ip",
            "mcp-session-id",
            "traceparent",
            "x-request-id",
            "x-switchback-release",
            "set-cookie",
        ] {
            assert!(!ends(name.as_bytes(), name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_stands_behind_an_option_is_not_an_option() {
        let mut nominated = ConnectionOptions::default();
        nominated
            .read(b"keep-alive; timeout=5, x-a ;q=\"b\", ;")
            .unwrap();
        assert!(nominated.keep_alive && !nominated.close);
        assert!(nominated.is_hop_by_hop(&Field::new(b"X-A", b"")));
        assert!(!nominated.is_hop_by_hop(&Field::new(b"timeout", b"")));
    }

    #[test]
    fn odd_and_endless_lists_are_refused() {
        let mut nominated = ConnectionOptions::default();
        assert_eq!(nominated.read(b"a b"), Err(Reason::InvalidConnection));
        assert_eq!(
            nominated.read(b"close, x y; z"),
            Err(Reason::InvalidConnection)
        );
        let list = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("a{n}")).collect();
            names.join(",")
        };
        let (most, one_more) = (list(MAX_NOMINATIONS), list(MAX_NOMINATIONS + 1));
        let mut nominated = ConnectionOptions::default();
        nominated.read(most.as_bytes()).unwrap();
        assert!(nominated.is_hop_by_hop(&Field::new(b"A63", b"")));
        assert_eq!(nominated.read(b"a64"), Err(Reason::TooManyNominations));
        let mut nominated = ConnectionOptions::default();
        assert_eq!(
            nominated.read(one_more.as_bytes()),
            Err(Reason::TooManyNominations)
        );
        let long = format!("a{}", ",".repeat(MAX_BYTES));
        let mut nominated = ConnectionOptions::default();
        assert_eq!(
            nominated.read(long.as_bytes()),
            Err(Reason::TooManyNominations)
        );
        let mut nominated = ConnectionOptions::default();
        for _ in 0..MAX_LISTS {
            nominated.read(b"a, b").unwrap();
        }
        assert_eq!(nominated.read(b"a"), Err(Reason::TooManyNominations));
        nominated.read(b"close, keep-alive").unwrap();
    }
}
