//! One request over HTTP/2, on a connection of its own.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use h2::client;
use http::{Request, Uri};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::check::USER_AGENT;
use crate::{
    model::{EndpointUrl, Scheme},
    net::Stream,
};

/// Why there was no answer.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// The connection ended first.
    #[error("the connection ended before the answer")]
    Ended,
    /// The other side broke the protocol or refused the request.
    #[error(transparent)]
    Protocol(#[from] h2::Error),
    /// The path cannot be asked for.
    #[error(transparent)]
    Request(#[from] http::Error),
}

/// Asks for a path; answers with the status.
pub(super) async fn ask(stream: Stream, url: &EndpointUrl, path: &str) -> Result<u16, Error> {
    let scheme = match url.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(url.authority())
        .path_and_query(path)
        .build()?;
    let request = Request::get(uri)
        .header("user-agent", USER_AGENT)
        .body(())?;
    let (sender, connection) = client::handshake(Whole(stream)).await?;
    let answer = async {
        let (response, _) = sender.ready().await?.send_request(request, true)?;
        Ok(response.await?.status().as_u16())
    };
    // The answer and the connection that brings it are driven here, so that nothing outlives the check.
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        status = answer => status,
        ended = &mut connection => match ended {
            Ok(()) => Err(Error::Ended),
            Err(error) => Err(error.into()),
        },
    }
}

/// A connection as h2 wants it.
struct Whole(Stream);

// === impl Whole ===

impl AsyncRead for Whole {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_readable(cx))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Whole {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.poll_writable(cx))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shutdown_write();
        Poll::Ready(Ok(()))
    }
}
