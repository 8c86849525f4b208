//! The accept loop of the admin API and of the probes listener.

use std::{future::poll_fn, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt as _;

use super::{
    connections::{Connection, ConnectionTable, Place},
    error::{ApiError, PROBLEM_JSON},
    events::Stopping,
    write_timeout::WriteTimeout,
};
use crate::net::ServerTls;

/// Concurrent connections; a further one replaces the least useful one.
const CONNECTIONS: usize = 512;

/// Timeout for the first head of a new connection.
const FIRST_HEAD: Duration = Duration::from_secs(5);

/// Timeout for a later head, including the idle time before it.
const NEXT_HEAD: Duration = Duration::from_secs(30);

/// Timeout for writing a response without progress.
const WRITE: Duration = Duration::from_secs(10);

/// Buffer for reading a head and for writing a response, in bytes, each, in this process and in the kernel.
const BUFFER: usize = 64 << 10;

/// Bytes that are read and discarded after an early response, and the time limit for that.
const LEFT: u64 = 1 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// Time at a stop for the head of a connection that was accepted just before.
const FIRST_WORD: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_millis(2);

/// Grace period for requests in flight at shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after a failed accept, as when there is no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket with what answers on it, which can be served again after it was stopped.
pub struct Service {
    socket: std::net::TcpListener,
    tls: Option<Arc<ServerTls>>,
    router: Router,
}

impl Service {
    /// The router behind a socket that is bound and does not block.
    #[must_use]
    pub fn new(socket: std::net::TcpListener, tls: Option<Arc<ServerTls>>, router: Router) -> Self {
        Self {
            socket,
            tls,
            router,
        }
    }

    /// Serves until `shutdown` is done, then drains. Called within a runtime.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn serve(
        &self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let listener = TcpListener::from_std(self.socket.try_clone()?)?;
        let (tls, router) = (self.tls.clone(), self.router.clone());
        Ok(serve(listener, tls, router, shutdown))
    }
}

/// Serves until `shutdown` is done, then drains. With `tls`, every connection begins with a handshake.
///
/// Each task that it starts is joined, or aborted after a grace period of five seconds, before it returns.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
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
                    let ways = (tls.clone(), router.clone());
                    connections.spawn(connection(stream, ways, stopped.clone(), place));
                },
                None => time::sleep(PAUSE).await,
            },
        }
    }
    drop(listener);
    // This fails without receivers, i.e. without connections.
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

/// Serves a connection until it ends, is evicted for another one, or has not sent a head in time.
async fn connection(
    stream: TcpStream,
    (tls, router): (Option<Arc<ServerTls>>, Router),
    stopped: watch::Receiver<bool>,
    place: Place,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "a connection of the admin API could not be set up");
        return;
    }
    let connection = &place.connection;
    let requests_of = Arc::clone(connection);
    let served = async {
        let Some(tls) = tls else {
            return requests(stream, router, stopped, requests_of).await;
        };
        match begin_tls(&tls, stream).await? {
            Some(stream) => requests(stream, router, stopped, requests_of).await,
            None => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = served => ended,
        () = connection.cut() => {
            tracing::debug!(peer = %connection.peer(), "a connection of the admin API was evicted for another one");
            return;
        }
        () = silent(connection) => {
            tracing::debug!(peer = %connection.peer(), "timeout: a connection of the admin API sent no request head");
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin API failed");
    }
}

/// Performs the TLS handshake. A client that speaks plain HTTP gets an error in plain HTTP.
async fn begin_tls(
    tls: &ServerTls,
    mut stream: TcpStream,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() {
        let document = serde_json::to_string(&ApiError::speaks_tls().document);
        let body = document.expect("a problem document has string keys and finite numbers");
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len() + 1
        );
        stream
            .write_all(format!("{head}{body}\n").as_bytes())
            .await?;
        linger(stream).await?;
        return Ok(None);
    }
    TlsAcceptor::from(tls.config())
        .accept(stream)
        .await
        .map(Some)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Small responses should not wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true)?;
    // By default the kernel buffers megabytes for a client that does not read.
    SockRef::from(stream).set_send_buffer_size(BUFFER)
}

/// Completes if the first head has not arrived in time; never if it has.
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
) -> Result<(), BoxError> {
    let stopping = Stopping(stopped.clone());
    let peer = Arc::clone(&connection);
    let service = service_fn(move |mut request: Request<Incoming>| {
        connection.requested();
        let extensions = request.extensions_mut();
        extensions.insert(stopping.clone());
        extensions.insert(ConnectInfo(connection.peer()));
        extensions.insert(Arc::clone(&connection));
        Box::pin(router.clone().oneshot(request))
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, WRITE)), service);
    let is_stopped = tokio::select! {
        ended = poll_fn(|context| serving.poll_without_shutdown(context)) => ended.map(|()| false)?,
        () = stop(&mut stopped, &peer) => true,
    };
    if is_stopped {
        Pin::new(&mut serving).graceful_shutdown();
        poll_fn(|context| serving.poll_without_shutdown(context)).await?;
    }
    Ok(linger(serving.into_parts().io.into_inner()).await?)
}

/// Completes once the service stops, and the client of a new connection has had a moment for its request.
async fn stop(stopped: &mut watch::Receiver<bool>, connection: &Connection) {
    // A sender that is gone is a stop as well.
    drop(stopped.wait_for(|stopped| *stopped).await);
    let begin = time::Instant::now();
    while !connection.has_spoken() && begin.elapsed() < FIRST_WORD {
        time::sleep(LOOK).await;
    }
}

/// Shuts down our side, and reads what the client is still sending: a socket that is closed with unread bytes is reset,
/// and the response may be lost with it.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut left = stream.take(LEFT);
    let mut nowhere = tokio::io::sink();
    let reading = tokio::io::copy(&mut left, &mut nowhere);
    // Neither a client that goes on nor one that resets matters any more.
    drop(time::timeout(LINGER, reading).await);
    Ok(())
}
