//! What the `Connection` fields of a message say: options, and the names of fields that end at this hop.

use super::{Field, KnownField, KnownSet, Reason, grammar};

/// How many names without a meaning to the proxy `Connection` may nominate, in how many fields.
pub const MAX_NOMINATIONS: usize = 64;
const MAX_LISTS: usize = 8;
/// How long these fields may be together: each field of the message is looked for in them.
const MAX_BYTES: usize = 4096;

/// The options of all `Connection` fields of one message.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionOptions<'h> {
    /// `close` was among them.
    pub close: bool,
    /// `keep-alive` was among them.
    pub keep_alive: bool,
    /// `upgrade` was among them.
    pub upgrade: bool,
    known: KnownSet,
    /// The values that hold names without a meaning to the proxy.
    lists: [&'h [u8]; MAX_LISTS],
    /// How many of them there are, and names in them.
    count: usize,
    others: usize,
}

// === impl ConnectionOptions ===

impl<'h> ConnectionOptions<'h> {
    /// Reads one `Connection` value.
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

    /// Whether the field ends here: because of what it is, or because it was nominated and is not protected.
    pub fn is_hop_by_hop(&self, field: &Field<'_>) -> bool {
        self.ending().contains(field.known) || self.is_other_hop_by_hop(field)
    }

    /// The names that end here, but for those that no rule mentions.
    #[inline]
    pub const fn ending(&self) -> KnownSet {
        self.known.union(KnownSet::HOP_BY_HOP)
    }

    /// Whether the field has a name that no rule mentions and that was nominated.
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

/// The options in a value. Some peers write parameters behind an option, as in `keep-alive; timeout=5`: there are none,
/// and the option is what stands before them.
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
