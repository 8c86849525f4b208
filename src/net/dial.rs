//! Dials connections to endpoints.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use super::stream::Stream;
use super::timer::Deadline;
use super::tls_client::ClientTls;

/// Result of a dial.
pub type Dialed = io::Result<Stream>;

/// Opens a cleartext connection before `deadline` passes.
///
/// Cancellation safe: dropping it closes the socket.
///
/// # Errors
/// `TimedOut` at the deadline, else the error of the system.
pub async fn dial(address: SocketAddr, deadline: &Deadline) -> Dialed {
    before(deadline, async { connect(address).await.map(Stream::Tcp) }).await
}

/// Opens a TLS connection to `host` at `address` before `deadline` passes.
///
/// # Errors
/// As [`dial`], or when the handshake fails.
pub async fn dial_tls(
    address: SocketAddr,
    tls: &ClientTls,
    host: &str,
    http2: bool,
    deadline: &Deadline,
) -> Dialed {
    before(deadline, async {
        tls.connect(connect(address).await?, host, http2).await
    })
    .await
}

async fn before(deadline: &Deadline, dialing: impl Future<Output = Dialed>) -> Dialed {
    tokio::select! {
        biased;
        dialed = dialing => dialed,
        () = deadline.expired() => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_keepalive(&keepalive())?;
    socket.connect(address).await
}

/// Keepalive that detects a vanished machine within about a minute and a half.
pub(super) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3)
}
