//! What the `Connection` fields of a message say: options, and the names of fields that end at this hop.

use super::{Field, Known, KnownSet, Reason, grammar};

/// How many names without a meaning to the proxy `Connection` may nominate.
pub const MAX_NOMINATIONS: usize = 8;

/// The options of all `Connection` fields of one message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nominated<'h> {
    /// `close` was among them.
    pub close: bool,
    /// `keep-alive` was among them.
    pub keep_alive: bool,
    /// `upgrade` was among them.
    pub upgrade: bool,
    known: KnownSet,
    others: [&'h [u8]; MAX_NOMINATIONS],
    count: usize,
}

// === impl Nominated ===

impl<'h> Nominated<'h> {
    /// Reads one `Connection` value.
    ///
    /// # Errors
    ///
    /// `InvalidConnection` for an option that is no token, `TooManyNominations` for more unknown names than
    /// [`MAX_NOMINATIONS`].
    pub fn read(&mut self, value: &'h [u8]) -> Result<(), Reason> {
        for option in value.split(|&byte| byte == b',') {
            let option = grammar::trim(option);
            if !option.is_empty() {
                self.add(option)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, option: &'h [u8]) -> Result<(), Reason> {
        if !grammar::is_token(option) {
            return Err(Reason::InvalidConnection);
        }
        if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
            return Ok(());
        }
        match Known::of(option) {
            Known::KeepAlive => self.keep_alive = true,
            Known::Upgrade => self.upgrade = true,
            Known::Other => return self.add_other(option),
            known if known.is_protected() => {}
            known => _ = self.known.insert(known),
        }
        Ok(())
    }

    fn add_other(&mut self, option: &'h [u8]) -> Result<(), Reason> {
        let free = self
            .others
            .get_mut(self.count)
            .ok_or(Reason::TooManyNominations)?;
        *free = option;
        self.count += 1;
        Ok(())
    }

    /// Whether the field ends here: because of what it is, or because it was nominated and is not protected.
    pub fn ends(&self, field: &Field<'_>) -> bool {
        self.ending().contains(field.known) || self.ends_other(field)
    }

    /// The names that end here, but for those that no rule mentions.
    #[inline]
    pub const fn ending(&self) -> KnownSet {
        self.known.and(KnownSet::HOP_BY_HOP)
    }

    /// Whether the field has a name that no rule mentions and that was nominated.
    #[inline]
    pub fn ends_other(&self, field: &Field<'_>) -> bool {
        self.count > 0 && field.known == Known::Other && self.names(field.name)
    }

    fn names(&self, name: &[u8]) -> bool {
        self.others[..self.count]
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(value: &[u8], name: &[u8]) -> bool {
        let mut nominated = Nominated::default();
        nominated.read(value).unwrap();
        nominated.ends(&Field::new(name, b""))
    }

    #[test]
    fn options_are_read_from_lists_with_empty_elements() {
        let mut nominated = Nominated::default();
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
    fn odd_and_endless_lists_are_refused() {
        let mut nominated = Nominated::default();
        assert_eq!(nominated.read(b"a b"), Err(Reason::InvalidConnection));
        assert_eq!(nominated.read(b"close; x"), Err(Reason::InvalidConnection));
        let mut nominated = Nominated::default();
        nominated.read(b"a1,a2,a3,a4,a5,a6,a7,a8").unwrap();
        assert_eq!(nominated.read(b"a9"), Err(Reason::TooManyNominations));
    }
}
