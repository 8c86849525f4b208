//! Purpose of a sealed text: associated data, which the text does not contain but is bound to.

/// The purpose of a sealed text, and the field that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(Box<[u8]>);

impl Label {
    /// Pins in a header field; its name in any case.
    pub fn pin_header(name: &str) -> Self {
        Self::new(b"pin header ", &name.to_ascii_lowercase())
    }

    /// Pins in a cookie, whose name is case-sensitive.
    pub fn pin_cookie(name: &str) -> Self {
        Self::new(b"pin cookie ", name)
    }

    /// Preview tokens of a route.
    pub fn preview(route: &str) -> Self {
        Self::new(b"preview ", route)
    }

    /// Stamps of answers.
    pub fn stamp() -> Self {
        Self::new(b"stamp", "")
    }

    /// Capabilities to follow changes of flags.
    pub fn flag_events() -> Self {
        Self::new(b"flag events", "")
    }

    /// Private keys that the nodes of a fleet of proxies share, by the owner of the key.
    pub fn private_key(of: &str) -> Self {
        Self::new(b"private key ", of)
    }

    fn new(purpose: &[u8], name: &str) -> Self {
        Self([purpose, name.as_bytes()].concat().into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
