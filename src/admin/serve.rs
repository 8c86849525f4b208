//! The loop that accepts connections for the admin API and for the observing listener.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};
use tower::ServiceExt as _;

use super::{
    connections::{Connection, ConnectionTable, Place},
    write_timeout::WriteTimeout,
};

/// Connections at a time; one more takes the place of the least useful one.
const CONNECTIONS: usize = 512;

/// How long a new connection may take to send its first head.
const FIRST_HEAD: Duration = Duration::from_secs(5);

/// How long it may take to send another one, idling before it included.
const NEXT_HEAD: Duration = Duration::from_secs(30);

/// How long a client may take nothing of an answer.
const WRITE: Duration = Duration::from_secs(10);

/// Bytes that a connection keeps for reading a head and for writing an answer, each, in this process and in the kernel.
const BUFFER: usize = 64 << 10;

/// How long requests in work may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after a connection could not be accepted, as when there is no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is done, then lets what is in work end.
///
/// Each task that it starts is joined, or aborted after a grace of five seconds, before it returns.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let table = Arc::new(ConnectionTable::new(CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(&listener) => match accepted {
                Some((stream, peer)) => if let Some(place) = table.enter(peer.ip()) {
                    connections.spawn(connection(stream, router.clone(), stopped.clone(), place));
                },
                None => time::sleep(PAUSE).await,
            },
        }
    }
    drop(listener);
    // No receiver is left when no connection is.
    stop.send_replace(true);
    let rest = async { while connections.join_next().await.is_some() {} };
    if time::timeout(GRACE, rest).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    let accepted = listener.accept().await;
    accepted
        .inspect_err(|error| tracing::debug!(%error, "a connection could not be accepted"))
        .ok()
}

/// Serves a connection until it ends, is cut off for another one, or has not sent a head in time.
async fn connection(
    stream: TcpStream,
    router: Router,
    stopped: watch::Receiver<bool>,
    place: Place,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "a connection of the admin API could not be set up");
        return;
    }
    let connection = &place.connection;
    let served = requests(stream, router, stopped, Arc::clone(connection));
    let ended = tokio::select! {
        ended = served => ended,
        () = connection.cut() => {
            tracing::debug!(peer = %connection.peer(), "a connection of the admin API made room for another one");
            return;
        }
        () = silent(connection) => {
            tracing::debug!(peer = %connection.peer(), "a connection of the admin API sent no head in time");
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin API broke off");
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small answers should not wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true)?;
    // Left to itself the kernel takes megabytes for a client that does not read.
    SockRef::from(stream).set_send_buffer_size(BUFFER)
}

/// Done when the first head has not come in time; never if it has.
async fn silent(connection: &Connection) {
    time::sleep(FIRST_HEAD).await;
    if connection.has_spoken() {
        std::future::pending::<()>().await;
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    connection: Arc<Connection>,
) -> hyper::Result<()> {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        connection.requested();
        request.extensions_mut().insert(Arc::clone(&connection));
        request
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(
            TokioIo::new(WriteTimeout::new(stream, WRITE)),
            TowerToHyperService::new(service),
        );
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => ended,
        () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}
