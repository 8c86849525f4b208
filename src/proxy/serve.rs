//! Start of a client's connection: PROXY protocol, TLS handshake, then HTTP/1.1 or HTTP/2.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::config::Network;

use crate::net::{
    Accepted, Acceptor, ConnectionPermit, ProxiedAddresses, Stream, TlsStream, read_proxy_header,
};

use super::connection::Connection;
use super::connection_refusal::UnlistedSender;
use super::settings::{ListenerSettings, PeerInfo};
use super::worker::Worker;

/// Accepts connections of a listener until the worker drains. Runs on the worker's `LocalSet`, which owns the tasks of
/// the connections.
pub async fn listen(worker: Rc<Worker>, acceptor: Acceptor, listener: Rc<ListenerSettings>) {
    let drain = worker.timers.deadline();
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = draining(&worker, &drain) => return,
        };
        start_connection(&worker, accepted, &listener);
    }
}

/// Starts the task of a connection. A TLS handshake or PROXY header is read in a task of its own, so that its memory is
/// freed afterwards.
pub fn start_connection(worker: &Rc<Worker>, accepted: Accepted, listener: &Rc<ListenerSettings>) {
    let (worker, listener) = (Rc::clone(worker), Rc::clone(listener));
    if listener.tls.is_some() || listener.proxy_senders.is_some() {
        tokio::task::spawn_local(greet_and_serve(worker, accepted, listener));
    } else {
        let stream = Stream::Tcp(accepted.tcp);
        let peer = PeerInfo {
            client: accepted.peer,
            is_trusted: worker.shared.settings.trusts(accepted.peer.ip()),
            is_secure: false,
            is_own: listener.is_own,
        };
        serve_connection(worker, stream, peer, &listener, accepted.permit);
    }
}

async fn greet_and_serve(worker: Rc<Worker>, accepted: Accepted, listener: Rc<ListenerSettings>) {
    let _open = worker.open_connection();
    let Accepted { tcp, peer, permit } = accepted;
    match greet(&worker, tcp, peer, &listener).await {
        Ok((stream, peer)) => serve_connection(worker, stream, peer, &listener, permit),
        Err(error) => worker.shared.note_refused(&listener.name, peer, &error),
    }
}

/// Serves a connection after its handshake, in a task of its own.
fn serve_connection(
    worker: Rc<Worker>,
    stream: Stream,
    peer: PeerInfo,
    listener: &ListenerSettings,
    permit: ConnectionPermit,
) {
    let is_http2 = stream.tls().is_some_and(TlsStream::is_h2);
    let connection = Connection::new(worker, stream, peer, listener.preview, permit);
    if is_http2 {
        tokio::task::spawn_local(connection.serve_http2());
    } else {
        tokio::task::spawn_local(connection.run());
    }
}

/// Returns once the worker drains: draining wakes every task that waits for a deadline, armed or not.
async fn draining(worker: &Worker, deadline: &crate::net::Deadline) {
    std::future::poll_fn(|cx| {
        if worker.is_draining() {
            return std::task::Poll::Ready(());
        }
        deadline.poll_expired(cx)
    })
    .await;
}

/// Reads the PROXY header and does the TLS handshake, within one timeout.
async fn greet(
    worker: &Worker,
    tcp: tokio::net::TcpStream,
    peer: SocketAddr,
    listener: &ListenerSettings,
) -> io::Result<(Stream, PeerInfo)> {
    let settings = &worker.shared.settings;
    let deadline = worker.timers.deadline();
    deadline.set_from_now(settings.timeouts.tls_handshake.0);
    let mut client = peer;
    let sender_is_trusted = settings.trusts(peer.ip());
    let greeting = async {
        if let Some(senders) = &listener.proxy_senders {
            client = client_of(&tcp, peer, senders, |claimed| {
                // Trusted peers may set forwarding fields, so only a trusted sender may claim that the client is one.
                sender_is_trusted || !settings.trusts(claimed)
            })
            .await?;
        }
        match &listener.tls {
            None => Ok(Stream::Tcp(tcp)),
            Some(tls) => tls.accept(tcp).await,
        }
    };
    let stream = tokio::select! {
        biased;
        stream = greeting => stream?,
        () = deadline.expired() => return Err(io::ErrorKind::TimedOut.into()),
    };
    let is_trusted = settings.trusts(client.ip()) && (client == peer || sender_is_trusted);
    Ok((
        stream,
        PeerInfo {
            client,
            is_trusted,
            is_secure: listener.tls.is_some(),
            is_own: listener.is_own,
        },
    ))
}

/// The client that a PROXY header names, if its sender may send one and is trusted for it; the sender otherwise.
async fn client_of(
    tcp: &tokio::net::TcpStream,
    sender: SocketAddr,
    senders: &[Network],
    is_believed: impl Fn(IpAddr) -> bool,
) -> io::Result<SocketAddr> {
    if !senders.iter().any(|network| network.contains(sender.ip())) {
        let unlisted = UnlistedSender(sender.ip());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, unlisted));
    }
    Ok(match read_proxy_header(tcp).await? {
        ProxiedAddresses::Proxied { source, .. } if is_believed(source.ip()) => source,
        ProxiedAddresses::Proxied { .. } | ProxiedAddresses::Local => sender,
    })
}

#[cfg(test)]
mod tests;
