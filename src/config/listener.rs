//! Listeners for clients, and the trust in their peers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Acme, Network};

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port; with port 0 the system chooses one.
    pub address: SocketAddr,
    /// TLS; plain HTTP when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// True if a request may select its release by `x-switchback-release`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preview: bool,
    /// True if each connection begins with a PROXY protocol header, version 1 or 2.
    #[serde(default, skip_serializing_if = "is_false")]
    pub proxy_protocol: bool,
    /// Peers that may send that header; `trusted_proxies` when absent. Others are rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol_from: Option<Vec<Network>>,
    /// Concurrent connections on this listener; when absent, the total limit applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
}

impl Listener {
    /// Creates a plain listener with every default.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            preview: false,
            proxy_protocol: false,
            proxy_protocol_from: None,
            max_connections: None,
        }
    }

    /// URL by which this machine reaches it at the address that it is bound to.
    pub fn local_url(&self, bound: SocketAddr) -> String {
        let host = match bound.ip() {
            IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", SocketAddr::new(host, bound.port()))
    }

    /// Peers that must begin with a PROXY header; `None` when the listener does not speak that protocol.
    pub fn proxy_senders<'a>(&'a self, trusted: &'a [Network]) -> Option<&'a [Network]> {
        let own = self.proxy_protocol_from.as_deref();
        self.proxy_protocol.then(|| own.unwrap_or(trusted))
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// TLS settings of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificates with their keys, chosen by SNI; the first one without a match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Certificates from an authority, beside these or in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// PEM file of the CAs that issue client certificates; none are requested when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Policy for client certificates; `required` when `client_ca` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// Minimum TLS version.
    #[serde(default, skip_serializing_if = "TlsVersion::is_default")]
    pub min_version: TlsVersion,
}

/// A certificate chain and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, leaf certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Policy for client certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Optional; a certificate that is presented must be valid.
    Optional,
    /// Required; a client without a valid certificate is rejected.
    Required,
}

/// A TLS version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersion {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_all_addresses_is_reached_at_loopback() {
        let url = |bound: &str| {
            let bound = bound.parse().unwrap();
            Listener::plain(bound).local_url(bound)
        };
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:8080"), "http://[::1]:8080");
        assert_eq!(url("10.0.0.1:8080"), "http://10.0.0.1:8080");
    }
}
