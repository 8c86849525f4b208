//! One HTTP/1.1 exchange of the control plane with another server, on a connection of its own. Redirects are not followed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderMap, HeaderValue},
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::{dial::keepalive, error::NetError, tls_client::ClientTls};
use crate::model::HookUrl;

/// Name in `User-Agent`.
const USER_AGENT: &str = concat!("switchback/", env!("CARGO_PKG_VERSION"));

/// Error of an exchange. Its text has neither the path of the URL nor a field.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The connection, the handshake or the exchange failed.
    #[error("{0}")]
    Exchange(String),
    /// The answer is too large.
    #[error("the answer has more than {0} bytes")]
    Large(usize),
    /// The server refused.
    #[error("the server answered {status}")]
    Status {
        /// The status.
        status: u16,
        /// Time after which it wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// An open connection; it is closed when this is dropped.
pub(super) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

// === impl HttpError ===

impl HttpError {
    pub(super) fn unwritable() -> Self {
        Self::Exchange("the request cannot be written".to_owned())
    }

    /// The error of a step, with its causes in one line.
    pub(super) fn of_step(step: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{step}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::Exchange(text)
    }
}

// === impl HttpConnection ===

impl HttpConnection {
    /// Connects, with the TLS that is given. The caller sets the deadline.
    pub(super) async fn open(
        url: &HookUrl,
        tls: Option<&Arc<ClientTls>>,
    ) -> Result<Self, HttpError> {
        let origin = url.origin();
        let tcp = TcpStream::connect((origin.host(), origin.port()));
        let tcp = tcp
            .await
            .map_err(|error| HttpError::of_step("connect", &error))?;
        // Of use to those who wait long for an answer; without it they have their own deadline.
        let _ = SockRef::from(&tcp).set_tcp_keepalive(&keepalive());
        match tls {
            None => Self::over(tcp).await,
            Some(tls) => {
                let (config, name) = tls.config(origin.host()).map_err(|error: NetError| {
                    HttpError::Exchange(format!("TLS is not possible: {error}"))
                })?;
                let stream = TlsConnector::from(config).connect(name, tcp).await;
                let stream = stream.map_err(|error| HttpError::of_step("TLS handshake", &error))?;
                Self::over(stream).await
            }
        }
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, HttpError> {
        let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
        let (sender, connection) =
            handshake.map_err(|error| HttpError::of_step("connection", &error))?;
        let driver = tokio::spawn(async move {
            // Its error is that of the request.
            let _ended = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, HttpError> {
        let response = self.sender.send_request(request).await;
        response.map_err(|error| HttpError::of_step("exchange", &error))
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The head of a request for a URL.
pub(super) fn head(
    builder: Builder,
    url: &HookUrl,
    accept: &str,
    fields: Vec<(&str, String)>,
) -> Result<Builder, HttpError> {
    let target: Uri = url.target().parse().map_err(|_| HttpError::unwritable())?;
    let mut builder = builder
        .uri(target)
        .header(header::HOST, url.origin().authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, accept)
        .header(header::CONNECTION, "close");
    for (name, value) in fields {
        let value = HeaderValue::try_from(value).map_err(|_| HttpError::unwritable())?;
        builder = builder.header(name, value);
    }
    Ok(builder)
}

/// `Retry-After` in seconds; its form with a date is not used by those who limit rates.
pub(super) fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}
