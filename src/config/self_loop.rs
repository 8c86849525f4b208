//! Detects endpoints that are our own listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::model::{EndpointUrl, Problem, ReleaseName, TableDocument};

/// Problems of endpoints that are our own listeners: requests to them would loop.
///
/// Host names other than `localhost` are not resolved here.
pub fn own_listeners(table: &TableDocument, own: &[SocketAddr]) -> Vec<Problem> {
    let mut found = Vec::new();
    let endpoints = table.releases.iter().flat_map(|(name, release)| {
        let numbered = release.endpoints.iter().enumerate();
        numbered.map(move |(place, endpoint)| (name, place, endpoint.url()))
    });
    for (name, place, url) in endpoints {
        if let Some(listener) = own.iter().find(|own| is_same(url, **own)) {
            found.push(in_a_circle(name, place, url, *listener));
        }
    }
    found
}

fn in_a_circle(name: &ReleaseName, place: usize, url: &EndpointUrl, own: SocketAddr) -> Problem {
    let message = format!("`{url}` is this proxy's own listener {own}: requests would loop");
    Problem::new(format!("releases.{name}.endpoints.{place}"), message)
        .hint("use the address that the agent itself listens on")
}

fn is_same(url: &EndpointUrl, own: SocketAddr) -> bool {
    let port = url.port();
    let same = |ip: IpAddr| is_own_listener(SocketAddr::new(ip, port), &[own]);
    match url.ip() {
        Some(ip) => same(ip),
        None if url.host() == "localhost" => {
            same(Ipv4Addr::LOCALHOST.into()) || same(Ipv6Addr::LOCALHOST.into())
        }
        None => false,
    }
}

/// True if a connection to that address would reach one of our own listeners.
pub fn is_own_listener(address: SocketAddr, own: &[SocketAddr]) -> bool {
    let ip = address.ip().to_canonical();
    own.iter().any(|own| {
        let listens = own.ip().to_canonical();
        own.port() != 0
            && own.port() == address.port()
            && (ip == listens || listens.is_unspecified() && is_ours(ip))
    })
}

/// True if an address belongs to this machine: only then can a socket be bound to it.
fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}
