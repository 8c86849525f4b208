//! Connection of the control plane to another server, for one exchange over HTTP/1.1.

use std::{sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
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

use super::{dial::keepalive, error::NetError, http_body::RequestBody, tls_client::ClientTls};
use crate::model::HookUrl;

/// Error of an exchange. Its text has neither the path of the URL nor a field.
#[derive(Debug, Error)]
pub enum HttpError {
    /// There is no connection: nothing of the request was sent.
    #[error("{0}")]
    Connect(String),
    /// The exchange failed.
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
    sender: SendRequest<RequestBody>,
    driver: JoinHandle<()>,
}

// === impl HttpError ===

impl HttpError {
    pub(super) fn unwritable() -> Self {
        Self::Connect("the request cannot be written".to_owned())
    }

    /// The error of a step before the request.
    fn before(step: &str, error: &dyn std::error::Error) -> Self {
        Self::Connect(with_causes(step, error))
    }

    /// The error of a step from the request on.
    pub(super) fn of_step(step: &str, error: &dyn std::error::Error) -> Self {
        Self::Exchange(with_causes(step, error))
    }
}

/// The error of a step, with its causes in one line.
fn with_causes(step: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{step}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
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
            .map_err(|error| HttpError::before("connect", &error))?;
        // Of use to those who wait long for an answer; without it they have their own deadline.
        let _ = SockRef::from(&tcp).set_tcp_keepalive(&keepalive());
        match tls {
            None => Self::over(tcp).await,
            Some(tls) => {
                let (config, name) = tls.config(origin.host()).map_err(|error: NetError| {
                    HttpError::Connect(format!("TLS is not possible: {error}"))
                })?;
                let stream = TlsConnector::from(config).connect(name, tcp).await;
                let stream = stream.map_err(|error| HttpError::before("TLS handshake", &error))?;
                Self::over(stream).await
            }
        }
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, HttpError> {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            handshake.map_err(|error| HttpError::before("connection", &error))?;
        let driver = tokio::spawn(async move {
            // Its error is that of the request.
            let _ended = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
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
