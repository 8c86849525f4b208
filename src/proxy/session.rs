//! Session of a request: the key that it is split by, and the cookie that identifies it next time.

use std::net::IpAddr;

use crate::message::{Field, KnownField, trim};
use crate::model::RequestView;
use crate::net::client_network;
use crate::table::{Route, key_of};

use super::body_form::BodyForm;
use super::forward::hex_half;
use super::io::{FieldSink, RequestParts};
use super::pins::Pinned;
use super::settings::{PeerInfo, ProxySettings};

/// Facts about the session of a request, noted when its release was decided on. Valid only on a route with sessions.
#[derive(Clone, Copy, Default)]
pub(super) struct Session {
    /// Its identification.
    pub(super) identity: Identity,
    /// Form of the response, if ids are learned from it.
    pub(super) learns: Option<BodyForm>,
    /// Another endpoint than the pinned one was picked.
    pub(super) is_lost: bool,
    /// Refused pins of this request were counted.
    pub(super) is_counted: bool,
    /// The response sets the route's cookie.
    pub(super) new_cookie: Option<CookieScope>,
}

/// Identification of a session.
#[derive(Clone, Copy, Default)]
pub(super) enum Identity {
    /// Its affinity key.
    Key(u64),
    /// Nothing: the release is chosen at random.
    #[default]
    None,
    /// The pin that it follows.
    Pin(Pinned),
}

/// Connections that a cookie may be sent over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CookieScope {
    /// The client uses cleartext.
    Any,
    /// Only TLS.
    Secure,
}

/// A request with the facts that are not in its head.
pub(super) struct ClientView<'r, 'h> {
    parts: &'r RequestParts<'h>,
    peer: PeerInfo,
    settings: &'r ProxySettings,
    /// The client is a network where one has so many addresses as it likes.
    is_network: bool,
}

impl<'r, 'h> ClientView<'r, 'h> {
    /// A request whose client is all of its network.
    pub(super) fn of_network(
        parts: &'r RequestParts<'h>,
        peer: PeerInfo,
        settings: &'r ProxySettings,
    ) -> Self {
        Self {
            parts,
            peer,
            settings,
            is_network: true,
        }
    }

    /// The network of the client: an address of IPv4, or 64 bits of IPv6.
    pub(super) fn network(&self) -> IpAddr {
        client_network(client_address(self.parts, self.peer, self.settings))
    }
}

impl RequestView for ClientView<'_, '_> {
    fn method(&self) -> &str {
        self.parts.method()
    }

    fn host(&self) -> &str {
        self.parts.host()
    }

    fn path(&self) -> &str {
        self.parts.path()
    }

    fn query(&self) -> Option<&[u8]> {
        self.parts.query()
    }

    fn client_address(&self) -> Option<IpAddr> {
        Some(if self.is_network {
            self.network()
        } else {
            client_address(self.parts, self.peer, self.settings)
        })
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.parts.header(name)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.parts.cookie(name)
    }
}

impl Session {
    /// The session of a request by its affinity. `random` is a number that stays the same if it is decided on again.
    pub(super) fn by_affinity(
        route: &Route,
        parts: &RequestParts<'_>,
        (peer, settings): (PeerInfo, &ProxySettings),
        random: u64,
    ) -> Self {
        let view = ClientView {
            parts,
            peer,
            settings,
            is_network: false,
        };
        if let Some(key) = route.affinity_key(&view) {
            return Self {
                identity: Identity::Key(key),
                ..Self::default()
            };
        }
        let generates = route.generated_cookie().is_some();
        Self {
            identity: if generates {
                Identity::Key(key_of(&hex_half(random)))
            } else {
                Identity::None
            },
            new_cookie: generates.then(|| CookieScope::of(parts, peer)),
            ..Self::default()
        }
    }

    /// Key by which an endpoint is chosen; `None` if the release was chosen at random.
    pub(super) fn key(self) -> Option<u64> {
        match self.identity {
            Identity::Key(key) => Some(key),
            Identity::None => None,
            Identity::Pin(pinned) => Some(pinned.key),
        }
    }

    /// The pin that it follows.
    pub(super) fn pinned(self) -> Option<Pinned> {
        match self.identity {
            Identity::Pin(pinned) => Some(pinned),
            Identity::Key(_) | Identity::None => None,
        }
    }

    /// Notes the pin that it follows.
    pub(super) fn pin(&mut self, pinned: Pinned) {
        self.identity = Identity::Pin(pinned);
        self.new_cookie = None;
    }

    /// Writes the cookie of a new session, whose value is the random number that it was decided by.
    pub(super) fn write_cookie(self, route: &Route, random: u64, out: &mut dyn FieldSink) {
        let (Some(scope), Some(name)) = (self.new_cookie, route.generated_cookie()) else {
            return;
        };
        let value = hex_half(random);
        let secure: &[u8] = match scope {
            CookieScope::Any => b"",
            CookieScope::Secure => b"; Secure",
        };
        let attributes = b"; Path=/; HttpOnly; SameSite=Lax";
        let cookie = [name.as_bytes(), b"=", &value, attributes, secure].concat();
        out.add("set-cookie", &cookie);
    }
}

impl CookieScope {
    /// TLS ends here, or at a trusted proxy that says so.
    fn of(parts: &RequestParts<'_>, peer: PeerInfo) -> Self {
        let https = |field: &Field<'_>| {
            field.known == KnownField::XForwardedProto && field.value.eq_ignore_ascii_case(b"https")
        };
        if peer.is_secure || peer.is_trusted && parts.fields.clone().any(|field| https(&field)) {
            Self::Secure
        } else {
            Self::Any
        }
    }
}

/// Address of the client: behind trusted proxies, the last address in `X-Forwarded-For` that is not one of theirs.
pub(super) fn client_address(
    parts: &RequestParts<'_>,
    peer: PeerInfo,
    settings: &ProxySettings,
) -> IpAddr {
    let own = peer.client.ip().to_canonical();
    if !peer.is_trusted || !parts.facts.present.contains(KnownField::XForwardedFor) {
        return own;
    }
    let fields = parts.fields.clone();
    let fields = fields.filter(|field| field.known == KnownField::XForwardedFor);
    let addresses = fields.flat_map(|field| field.value.split(|&byte| byte == b','));
    let addresses = addresses.filter_map(|text| address_of(trim(text)));
    addresses
        .filter(|address| !settings.trusts(*address))
        .last()
        .unwrap_or(own)
}

/// An address, possibly with brackets or a port, as some load balancers write it.
fn address_of(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .filter(|text| text.contains(':'));
    let address = bare.unwrap_or(text).parse().ok();
    let address = address.or_else(|| {
        let with_port: std::net::SocketAddr = text.parse().ok()?;
        Some(with_port.ip())
    });
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_brackets_and_with_a_port() {
        for (text, expected) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9:80", Some("203.0.113.9")),
            ("2001:db8::9", Some("2001:db8::9")),
            ("[2001:db8::9]", Some("2001:db8::9")),
            ("[2001:db8::9]:80", Some("2001:db8::9")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("[203.0.113.9]", None),
            ("[2001:db8::9", None),
            ("[]", None),
            ("unknown", None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(address_of(text.as_bytes()), expected, "{text}");
        }
    }
}
