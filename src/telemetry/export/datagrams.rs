//! Datagram sockets to an agent: UDP, or a Unix socket. Nothing waits for an agent longer than a time limit.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tokio::{
    net::{UdpSocket, UnixDatagram, lookup_host},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::payloads::Payload;

/// Largest payload over UDP: an Ethernet frame with room for tunnels.
const UDP_PAYLOAD: usize = 1432;
/// Largest payload over a Unix socket, the default of Datadog's agent.
const UNIX_PAYLOAD: usize = 8192;
/// Timeout for looking up the name of an agent.
const LOOKUP: Duration = Duration::from_secs(2);
/// Payloads in a row, and the pause after them: a receive buffer of an agent holds about a hundred.
const BURST: usize = 32;
const PAUSE: Duration = Duration::from_millis(2);

/// Address of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatagramTarget {
    /// `host:port` over UDP.
    Udp(String),
    /// Path of a Unix datagram socket.
    Unix(PathBuf),
}

/// Socket to an agent. It is connected when there is something to send, and again after an error.
#[derive(Debug)]
pub(super) struct Datagrams {
    target: DatagramTarget,
    socket: Option<Socket>,
    // Lines of the last payload that was sent: an error of UDP is about an earlier one.
    last_lines: u64,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// Lines that were sent and dropped, and the reason of the last drop.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) error: Option<io::Error>,
}

impl DatagramTarget {
    /// Largest payload.
    pub(super) const fn payload(&self) -> usize {
        match self {
            Self::Udp(_) => UDP_PAYLOAD,
            Self::Unix(_) => UNIX_PAYLOAD,
        }
    }

    async fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Udp(address) => {
                let found = timeout(LOOKUP, lookup_host(address)).await??.next();
                let address = found.ok_or(io::ErrorKind::NotFound)?;
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(Socket::Udp(socket))
            }
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

impl Socket {
    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(bytes).await,
            Self::Unix(socket) => socket.send(bytes).await,
        }
    }
}

impl Datagrams {
    /// A socket that is not connected yet.
    pub(super) const fn new(target: DatagramTarget) -> Self {
        Self {
            target,
            socket: None,
            last_lines: 0,
        }
    }

    /// Sends payloads for at most this long; what the agent has not taken by then is dropped.
    pub(super) async fn send(&mut self, payloads: &[Payload], patience: Duration) -> Delivery {
        let deadline = Instant::now() + patience;
        let mut delivery = Delivery::default();
        for (place, payload) in payloads.iter().enumerate() {
            if place > 0 && place % BURST == 0 {
                sleep(PAUSE).await;
            }
            match self.send_one(payload, deadline, &mut delivery).await {
                Ok(()) => {
                    delivery.sent += payload.lines;
                    self.last_lines = payload.lines;
                }
                Err(error) => {
                    self.socket = None;
                    self.last_lines = 0;
                    let rest = payloads[place..].iter().map(|one| one.lines);
                    delivery.dropped += rest.sum::<u64>();
                    delivery.error = Some(error);
                    break;
                }
            }
        }
        delivery
    }

    /// Sends a payload, once more over a new socket if the agent was started again.
    async fn send_one(
        &mut self,
        payload: &Payload,
        deadline: Instant,
        delivery: &mut Delivery,
    ) -> io::Result<()> {
        if self.socket.is_some() {
            match self.try_send(payload, deadline).await {
                Err(error) if is_gone(&error) => self.note_lost(delivery, error),
                result => return result,
            }
            self.socket = None;
        }
        self.try_send(payload, deadline).await
    }

    async fn try_send(&mut self, payload: &Payload, deadline: Instant) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            empty => empty.insert(self.target.connect().await?),
        };
        let sent = timeout_at(deadline, socket.send(payload.text.as_bytes())).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(())
    }

    /// Over UDP a refusal says that the payload before it was lost.
    fn note_lost(&mut self, delivery: &mut Delivery, error: io::Error) {
        if matches!(self.target, DatagramTarget::Udp(_)) {
            delivery.error = Some(error);
            let lost = std::mem::take(&mut self.last_lines);
            delivery.dropped += lost;
            delivery.sent = delivery.sent.saturating_sub(lost);
        }
    }
}

/// True if the receiver of a socket is no longer there.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn payloads(count: u64) -> Vec<Payload> {
        let one = |_| Payload {
            text: "x".repeat(1000),
            lines: 3,
        };
        (0..count).map(one).collect()
    }

    #[tokio::test]
    async fn a_full_socket_drops_what_does_not_fit_and_goes_on_once_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let agent = net::UnixDatagram::bind(&path).unwrap();
        agent.set_nonblocking(true).unwrap();
        let mut socket = Datagrams::new(DatagramTarget::Unix(path));
        let delivery = socket.send(&payloads(5000), PATIENCE).await;
        assert!(delivery.sent > 0 && delivery.dropped > 0, "{delivery:?}");
        assert_eq!(delivery.sent + delivery.dropped, 15_000);
        assert_eq!(delivery.error.unwrap().kind(), io::ErrorKind::TimedOut);
        let mut buffer = [0; 2000];
        let mut received = 0;
        while agent.recv(&mut buffer).is_ok() {
            received += 3;
        }
        assert_eq!(received, delivery.sent);
        let delivery = socket.send(&payloads(2), PATIENCE).await;
        assert_eq!((delivery.sent, delivery.dropped), (6, 0));
    }

    #[tokio::test]
    async fn an_agent_that_was_started_again_gets_the_next_payload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let mut socket = Datagrams::new(DatagramTarget::Unix(path.clone()));
        let delivery = socket.send(&payloads(1), PATIENCE).await;
        assert_eq!((delivery.sent, delivery.dropped), (0, 3), "there is none");
        let agent = net::UnixDatagram::bind(&path).unwrap();
        assert_eq!(socket.send(&payloads(1), PATIENCE).await.sent, 3);
        drop(agent);
        std::fs::remove_file(&path).unwrap();
        let _agent = net::UnixDatagram::bind(&path).unwrap();
        assert_eq!(socket.send(&payloads(1), PATIENCE).await.sent, 3);
    }

    #[tokio::test]
    async fn nobody_at_the_port_is_counted_as_a_loss() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        drop(taken);
        let mut socket = Datagrams::new(DatagramTarget::Udp(address));
        let delivery = socket.send(&payloads(100), PATIENCE).await;
        assert!(delivery.dropped >= 290, "{delivery:?}");
        assert_eq!(delivery.sent + delivery.dropped, 300);
    }
}
