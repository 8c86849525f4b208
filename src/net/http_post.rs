//! One `POST` to another server (a hook, a Prometheus, a collector), over HTTP/1.1 on a connection of its own. Redirects
//! are not followed.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::{error::NetError, tls_client::ClientTls};
use crate::model::HookUrl;

/// Name in `User-Agent`.
const USER_AGENT: &str = concat!("switchback/", env!("CARGO_PKG_VERSION"));

/// A request.
pub struct Post<'a> {
    /// The URL.
    pub url: &'a HookUrl,
    /// TLS; `None` for plain HTTP.
    pub tls: Option<&'a Arc<ClientTls>>,
    /// Type of the body, in `Content-Type`.
    pub content_type: &'static str,
    /// Type of the answer, in `Accept`.
    pub accept: &'static str,
    /// More fields.
    pub fields: Vec<(&'a str, String)>,
    /// The body.
    pub body: Bytes,
}

/// Error of a request. Its text has neither the path of the URL nor a field.
#[derive(Debug, Error)]
pub enum PostError {
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

/// The task that drives a connection; it ends with this.
struct Driver(JoinHandle<()>);

impl fmt::Debug for Post<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Post");
        shown.field("url", self.url).finish_non_exhaustive()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Posts, and returns the body of the answer, up to `most` bytes; with 0 it is not read. The caller sets the deadline.
///
/// # Errors
/// If the server cannot be reached or does not answer with a success.
pub async fn post(post: Post<'_>, most: usize) -> Result<Vec<u8>, PostError> {
    let origin = post.url.origin();
    let tcp = TcpStream::connect((origin.host(), origin.port()));
    let tcp = tcp.await.map_err(|error| exchange("connect", &error))?;
    match post.tls {
        None => ask(tcp, post, most).await,
        Some(tls) => {
            let (config, name) = tls.config(origin.host()).map_err(|error: NetError| {
                PostError::Exchange(format!("TLS is not possible: {error}"))
            })?;
            let stream = TlsConnector::from(config).connect(name, tcp).await;
            let stream = stream.map_err(|error| exchange("TLS handshake", &error))?;
            ask(stream, post, most).await
        }
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    post: Post<'_>,
    most: usize,
) -> Result<Vec<u8>, PostError> {
    let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| exchange("connection", &error))?;
    let _driver = Driver(tokio::spawn(async move {
        // Its error is that of the request.
        let _ended = connection.await;
    }));
    let request = request(post)?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| exchange("exchange", &error))?;
    read(response, most).await
}

fn request(post: Post<'_>) -> Result<Request<Full<Bytes>>, PostError> {
    let invalid = || PostError::Exchange("the request cannot be written".to_owned());
    let target: Uri = post.url.target().parse().map_err(|_| invalid())?;
    let mut builder = Request::post(target)
        .header(header::HOST, post.url.origin().authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, post.accept)
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, post.content_type);
    for (name, value) in post.fields {
        let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        builder = builder.header(name, value);
    }
    builder.body(Full::new(post.body)).map_err(|_| invalid())
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, PostError> {
    if !response.status().is_success() {
        return Err(PostError::Status {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        });
    }
    if most == 0 {
        return Ok(Vec::new());
    }
    let body = Limited::new(response.into_body(), most).collect().await;
    match body {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(PostError::Large(most)),
        Err(error) => Err(PostError::Exchange(format!("body: {error}"))),
    }
}

/// `Retry-After` in seconds; its form with a date is not used by those who limit rates.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

/// The error of a step, with its causes in one line.
fn exchange(step: &str, error: &dyn std::error::Error) -> PostError {
    let mut text = format!("{step}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    PostError::Exchange(text)
}
