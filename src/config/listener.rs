//! Where clients come in, and how they are trusted.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Network;

/// One address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address and port; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// TLS; plain HTTP when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Whether a request may name its release itself, by `x-switchback-release`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preview: bool,
    /// Whether each connection begins with a PROXY protocol header, version 1 or 2.
    #[serde(default, skip_serializing_if = "is_false")]
    pub proxy_protocol: bool,
    /// The peers that may send that header; `trusted_proxies` when absent. Others are turned away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol_from: Option<Vec<Network>>,
    /// Connections at a time on this listener; the limit in all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
}

impl Listener {
    /// A plain listener with every default.
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

    /// The peers that must begin with a PROXY header; `None` when the listener does not speak that protocol.
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

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificates with their keys; chosen by the name that the client asks for, the first one without a match.
    pub certificates: Vec<Certificate>,
    /// A PEM file of the authorities that client certificates must come from; none are asked for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client must have a certificate; `required` when `client_ca` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// The oldest version of TLS that is spoken.
    #[serde(default, skip_serializing_if = "TlsVersion::is_default")]
    pub min_version: TlsVersion,
}

/// A certificate chain and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// A client may come without one; one that it shows must be good.
    Optional,
    /// A client without a good one is turned away.
    Required,
}

/// A version of TLS.
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
