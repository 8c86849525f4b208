//! The loop that accepts connections for the admin API and for the observing listener.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time,
};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 512;

/// How long a connection may take to send a head, idling before it included.
const HEAD: Duration = Duration::from_secs(30);

/// How long requests in work may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after a connection could not be accepted, as when there is no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is done, then lets what is in work end.
///
/// Each task that it starts is joined, or aborted after a grace of five seconds, before it returns.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(&listener, &seats) => match accepted {
                Some((stream, seat)) => {
                    connections.spawn(connection(stream, router.clone(), stopped.clone(), seat));
                }
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

/// The next connection, with the seat that it takes. Safe to drop: a connection is taken last.
async fn accept(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, seat)),
        Err(error) => {
            tracing::debug!(%error, "a connection could not be accepted");
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
) {
    // Small answers should not wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin API broke off");
    }
}
