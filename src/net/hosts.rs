//! Names of a listener, as a `Host` may have them.

use std::net::{IpAddr, SocketAddr};

/// The names under which a listener is reached. A page whose own name was made to resolve to our address (DNS rebinding)
/// has another one.
#[derive(Debug)]
pub struct Hosts {
    /// Bound address of the listener.
    address: IpAddr,
    /// Configured names, lower case.
    names: Vec<String>,
}

impl Hosts {
    /// The names of a listener, besides its addresses and `localhost`.
    pub fn new(bound: SocketAddr, names: &[String]) -> Self {
        Self {
            address: bound.ip().to_canonical(),
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// True if a host, without its port, is one of the listener. The port is not checked: it may differ behind a port
    /// forward.
    pub fn is_own(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            // Bound to any address, the listener has addresses that are unknown here; a rebound name is never an
            // address.
            return address.is_loopback()
                || address == self.address
                || self.address.is_unspecified();
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        host == "localhost" || self.names.contains(&host)
    }
}
