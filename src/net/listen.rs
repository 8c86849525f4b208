//! Binds listeners: one address, one socket per worker.
//!
//! Sockets that share a port with `SO_REUSEPORT` would silently join the port of another process, so the address is
//! first bound once without it: a port in use is an error, and port 0 is resolved once for all workers.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::dial::keepalive;
use super::error::NetError;

const BACKLOG: i32 = 4096;
/// Maximum number of unsent bytes that the kernel buffers per connection. Otherwise it buffers megabytes for a client
/// that stops reading; data in flight to one that reads is not limited by it.
const UNSENT: u32 = 256 * 1024;

/// A bound address, with one listening socket for each worker.
#[derive(Debug)]
pub struct BoundListener {
    /// The address, with the port that port 0 was resolved to.
    pub address: SocketAddr,
    /// One socket per worker.
    pub sockets: Vec<TcpListener>,
}

/// Binds `address` for so many workers.
///
/// # Errors
/// [`NetError::AddressInUse`] when another process has it, [`NetError::Bind`] for anything else.
pub fn bind_listener(address: SocketAddr, workers: usize) -> Result<BoundListener, NetError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => NetError::AddressInUse { address },
        _ => NetError::Bind { address, source },
    };
    // The probe does not listen: a client that connected now would be reset when it is dropped.
    let probe = bind(address, Sharing::Alone).map_err(failed)?;
    let resolved = probe
        .local_addr()
        .and_then(|local| {
            local
                .as_socket()
                .ok_or_else(|| io::ErrorKind::Unsupported.into())
        })
        .map_err(failed)?;
    drop(probe);
    let sockets: Result<_, _> = (0..workers).map(|_| listen(resolved)).collect();
    Ok(BoundListener {
        address: resolved,
        sockets: sockets.map_err(failed)?,
    })
}

/// Sets up a listening socket that another process has bound.
///
/// # Errors
/// When the system refuses an option.
pub fn adopt_listener(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    inherit_options(listener)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Workers,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Workers {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address, Sharing::Workers)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    inherit_options(&listener)?;
    Ok(listener)
}

/// Sets options that Linux passes on to every accepted socket, which saves a system call for each.
fn inherit_options(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_keepalive(&keepalive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_becomes_one_port_for_all_workers() {
        let bound = bind_listener("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(bound.address.port(), 0);
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap(), bound.address);
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_even_when_its_owner_shares_it() {
        let first = bind_listener("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let second = bind_listener(first.address, 1);
        assert!(
            matches!(second, Err(NetError::AddressInUse { address }) if address == first.address)
        );
    }
}
