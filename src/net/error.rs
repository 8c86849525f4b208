//! Errors of the network layer while it is set up: binding, certificate files, TLS settings.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Error while the network layer is set up.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address is in use by another process.
    #[error("address `{address}` is in use")]
    AddressInUse {
        /// The requested address.
        address: SocketAddr,
    },
    /// Binding failed for another reason.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// A PEM file cannot be read or holds nothing usable.
    #[error("cannot use `{}`: {message}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The problem with it.
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
        /// Its message.
        message: String,
    },
}
