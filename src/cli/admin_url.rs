//! Address of an admin API.

use std::{fmt, net::SocketAddr, str::FromStr};

use hyper::Uri;

use super::exit::{Exit, Failure};

/// Default address of the admin API.
pub(super) const DEFAULT_ADMIN: &str = "http://127.0.0.1:9900";

/// Address of the admin API: `http://host:port` or `https://host:port`, without a path.
#[derive(Debug, Clone)]
pub(super) struct AdminUrl(String);

impl FromStr for AdminUrl {
    type Err = String;

    /// An empty address means the default, and a port alone, with or without its colon, means this machine.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = if text.is_empty() { DEFAULT_ADMIN } else { text };
        let port = text.strip_prefix(':').unwrap_or(text);
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else if port.parse::<u16>().is_ok() {
            format!("http://127.0.0.1:{port}")
        } else {
            format!("http://{text}")
        };
        let wrong = || {
            format!("`{text}` is not the address of an admin API, such as http://127.0.0.1:9900")
        };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme
            .filter(|_| matches!(uri.path(), "" | "/"))
            .ok_or_else(wrong)?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(wrong)?;
        Ok(Self(format!("{scheme}://{authority}")))
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AdminUrl {
    pub(super) fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The socket address, for a server that listens there.
    pub(super) fn address(&self) -> Result<SocketAddr, Failure> {
        let authority = self.0.trim_start_matches("http://");
        authority.parse().map_err(|_| {
            let message =
                format!("`{authority}` is not an address to listen on, such as 127.0.0.1:9900");
            Failure::new(Exit::Usage, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_http_with_or_without_tls_and_has_no_path() {
        let url = |text: &str| text.parse::<AdminUrl>().map(|url| url.0);
        assert_eq!(
            url("http://127.0.0.1:9900/").unwrap(),
            "http://127.0.0.1:9900"
        );
        assert_eq!(url("[::1]:9900").unwrap(), "http://[::1]:9900");
        assert_eq!(url("localhost:9900").unwrap(), "http://localhost:9900");
        assert_eq!(url(":19900").unwrap(), "http://127.0.0.1:19900");
        assert_eq!(url("19900").unwrap(), "http://127.0.0.1:19900");
        assert_eq!(
            url("").unwrap(),
            DEFAULT_ADMIN,
            "an empty variable says nothing"
        );
        assert_eq!(url("https://localhost/").unwrap(), "https://localhost");
        for wrong in [
            "ftp://localhost",
            "http://localhost/v1",
            "http://",
            "http://:9900",
            ":99999",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
