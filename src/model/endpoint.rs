//! URL of an endpoint: `scheme://host:port`.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text_serde::serde_as_text;

/// Scheme of a request or of an endpoint.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// Scheme in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Port of URLs that name none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// URL of one endpoint, as configured. The host is in lower case, without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointUrl {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
}

impl EndpointUrl {
    /// URL of a host, which is valid, in lower case and without brackets.
    pub(crate) fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        Self {
            scheme,
            host: host.into(),
            port,
        }
    }

    /// Scheme, which decides if TLS is used.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host: a name or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host at another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self {
            port,
            ..self.clone()
        }
    }

    /// IP address, unless the host is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// True if what is sent there does not leave this machine.
    pub fn is_loopback(&self) -> bool {
        self.host() == "localhost" || self.ip().is_some_and(|address| address.is_loopback())
    }

    /// `host:port` as in a `Host` field; without the scheme's default port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.to_string()
        };
        if self.port == self.scheme.default_port() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(
            f,
            "{}://{open}{}{close}:{}",
            self.scheme.as_str(),
            self.host,
            self.port
        )
    }
}

impl FromStr for EndpointUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is not an endpoint: {why}");
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => return Err(wrong("begin with `http://` or `https://`")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(wrong(
                "give `scheme://host:port` without a path (a route's `strip_prefix` changes paths)",
            ));
        }
        if rest.contains('@') {
            return Err(wrong("it must not contain credentials"));
        }
        let (host, port) =
            split_port(rest).ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?;
        if !is_host(host) {
            return Err(wrong("the host is neither a name nor an address"));
        }
        let port = port.unwrap_or_else(|| scheme.default_port());
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }
}

fn split_port(rest: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (host, tail) = inner.split_once(']')?;
            (
                host,
                if tail.is_empty() {
                    None
                } else {
                    Some(tail.strip_prefix(':')?)
                },
            )
        }
        None => rest
            .rsplit_once(':')
            .map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    match port {
        None => Some((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .map(|port| (host, Some(port))),
        Some(_) => None,
    }
}

fn is_host(host: &str) -> bool {
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    host.parse::<IpAddr>().is_ok()
        || (!host.is_empty()
            && host.len() <= 253
            && host.bytes().all(name)
            && !host.starts_with(['.', '-']))
}

serde_as_text!(EndpointUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written_in_one_form() {
        for (text, form, authority) in [
            (
                "http://10.0.0.11:9000",
                "http://10.0.0.11:9000",
                "10.0.0.11:9000",
            ),
            (
                "https://Agents.Internal",
                "https://agents.internal:443",
                "agents.internal",
            ),
            ("http://[::1]:80/", "http://[::1]:80", "[::1]"),
        ] {
            let url: EndpointUrl = text.parse().unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.authority().as_str()),
                (form, authority)
            );
            assert_eq!(url.to_string().parse::<EndpointUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused() {
        for bad in [
            "10.0.0.1:80",
            "ftp://a",
            "http://a/b",
            "http://",
            "http://a:0",
            "http://a:+1",
            "http://u@a",
            "http://a b",
        ] {
            assert!(bad.parse::<EndpointUrl>().is_err(), "{bad}");
        }
    }
}
