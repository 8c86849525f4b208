//! What can go wrong below the message: binding, files of certificates, TLS settings.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A failure of the network layer while something is set up.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address belongs to somebody else already.
    #[error("address `{address}` is in use")]
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// Binding failed for another reason.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A PEM file cannot be read or holds nothing that is usable.
    #[error("cannot use `{}`: {message}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A server name is neither a DNS name nor an address.
    #[error("`{name}` is not a server name")]
    ServerName {
        /// The name.
        name: String,
    },
    /// The TLS library refuses the settings.
    #[error("TLS settings are unusable: {message}")]
    Tls {
        /// What it said.
        message: String,
    },
}
