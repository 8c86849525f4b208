//! The URL at which a client has reached the proxy.

use crate::message::{Authority, KnownField, trim};
use crate::model::{PublicUrl, Scheme};

use super::io::RequestParts;
use super::settings::PeerInfo;

/// The URL at which the client has reached the proxy, or what is in front of it and trusted.
pub(super) fn requested(parts: &RequestParts<'_>, peer: PeerInfo) -> Option<PublicUrl> {
    let forwarded = |known| {
        let value = peer.is_trusted.then(|| parts.value(known)).flatten()?;
        let first = value.split(|&byte| byte == b',').next()?;
        std::str::from_utf8(trim(first)).ok()
    };
    let scheme = match forwarded(KnownField::XForwardedProto) {
        Some(name) if name.eq_ignore_ascii_case("https") => Scheme::Https,
        Some(name) if name.eq_ignore_ascii_case("http") => Scheme::Http,
        _ if peer.is_secure => Scheme::Https,
        _ => Scheme::Http,
    };
    let own = || parts.facts.authority.as_ref().map(Authority::as_str);
    let authority = forwarded(KnownField::XForwardedHost).or_else(own)?;
    PublicUrl::of_request(scheme, authority)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::message::Limits;
    use crate::proxy::http1_client::validate;

    fn on<R>(head: &str, look: impl FnOnce(&RequestParts<'_>) -> R) -> R {
        validate(head.as_bytes(), &Limits::default(), look).unwrap()
    }

    fn peer(is_trusted: bool, is_secure: bool) -> PeerInfo {
        PeerInfo {
            client: SocketAddr::from(([192, 0, 2, 1], 1)),
            is_trusted,
            is_secure,
            is_own: false,
        }
    }

    #[test]
    fn the_url_is_that_of_the_request_and_of_trusted_proxies_in_front() {
        let of = |fields: &str, peer| {
            let head = format!("GET / HTTP/1.1\r\nHost: A.test:443\r\n{fields}\r\n");
            on(&head, |parts| requested(parts, peer)).map(|url| url.to_string())
        };
        assert_eq!(
            of("", peer(false, false)).as_deref(),
            Some("http://a.test:443")
        );
        assert_eq!(of("", peer(false, true)).as_deref(), Some("https://a.test"));
        let front = "X-Forwarded-Proto: https, http\r\nX-Forwarded-Host: front.test, a.test\r\n";
        assert_eq!(
            of(front, peer(true, false)).as_deref(),
            Some("https://front.test")
        );
        assert_eq!(
            of(front, peer(false, false)).as_deref(),
            Some("http://a.test:443")
        );
        let bad = "X-Forwarded-Host: a b/c\r\n";
        assert_eq!(of(bad, peer(true, false)), None);
    }
}
