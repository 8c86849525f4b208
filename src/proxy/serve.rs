//! From an accepted socket to a connection that is served: PROXY protocol, TLS, then HTTP/1.1 or HTTP/2.

use std::io;
use std::rc::Rc;

use crate::net::{Accepted, Acceptor, ProxiedAddresses, Stream, read_proxy_header};

use super::connection::{Connection, Ended};
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
        tokio::task::spawn_local(serve_socket(
            Rc::clone(&worker),
            accepted,
            Rc::clone(&listener),
        ));
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

/// Serves one connection to its end.
pub async fn serve_socket(worker: Rc<Worker>, accepted: Accepted, listener: Rc<ListenerSettings>) {
    let _open = worker.open_connection();
    let Accepted { tcp, peer, permit } = accepted;
    let greeted = Box::pin(greet(&worker, tcp, peer, &listener)).await;
    match greeted {
        Ok((stream, peer)) => serve_connection(worker, stream, peer, &listener).await,
        Err(error) => tracing::debug!(client = %peer, %error, "connection refused"),
    }
    drop(permit);
}

/// What comes before the first request. In a box of its own: a connection is small once it is over.
async fn greet(
    worker: &Worker,
    tcp: tokio::net::TcpStream,
    peer: std::net::SocketAddr,
    listener: &ListenerSettings,
) -> io::Result<(Stream, PeerInfo)> {
    let settings = &worker.shared.settings;
    let deadline = worker.timers.deadline();
    deadline.set_from_now(settings.timeouts.tls_handshake.0);
    let mut client = peer;
    let greeting = async {
        if listener.proxy_protocol
            && let ProxiedAddresses::Proxied { source, .. } = read_proxy_header(&tcp).await?
        {
            client = source;
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
    let is_trusted = settings.trusts(client.ip());
    Ok((
        stream,
        PeerInfo {
            client,
            is_trusted,
            is_secure: listener.tls.is_some(),
        },
    ))
}

/// Serves a connection whose greeting is over.
pub async fn serve_connection(
    worker: Rc<Worker>,
    stream: Stream,
    peer: PeerInfo,
    listener: &ListenerSettings,
) {
    let connection = Connection::new(worker, stream, peer, listener.preview);
    match connection.run().await {
        Ended::Closed => {}
        Ended::Http2(..) => {}
    }
}
