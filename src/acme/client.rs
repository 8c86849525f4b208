//! HTTP towards a directory: one request on a connection of its own, with a timeout, and the pause that an answer asks for.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::{
    Method, Request, Response, Uri,
    body::Body,
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;

use crate::net::ClientTls;

/// Timeout for one exchange, from the look-up of the name to the last byte.
const EXCHANGE: Duration = Duration::from_secs(30);
/// Largest answer.
const LARGEST: usize = 1 << 20;
const USER_AGENT: &str = concat!("switchback/", env!("CARGO_PKG_VERSION"));

/// Client for one order.
#[derive(Clone)]
pub(super) struct AcmeClient {
    tls: Arc<ClientTls>,
    asked: Arc<Mutex<Option<u64>>>,
}

/// The error of an exchange.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ExchangeError(String);

/// The task that drives a connection; it ends with this.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AcmeClient {
    pub(super) fn new(tls: Arc<ClientTls>) -> Self {
        Self {
            tls,
            asked: Arc::default(),
        }
    }

    /// Seconds that the last answer asked to wait, once.
    pub(super) fn asked(&self) -> Option<u64> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.take()
    }

    /// Gets a document that needs no account.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, ExchangeError> {
        let request = Request::builder().method(Method::GET).uri(url);
        let request = request.body(Full::<Bytes>::default());
        let response = self
            .exchange(request.map_err(|error| failed("url", &error))?)
            .await?;
        if !response.status().is_success() {
            return Err(ExchangeError(format!(
                "the directory answers {}",
                response.status()
            )));
        }
        let body = response.into_body().collect().await;
        Ok(body.map(Collected::to_bytes).unwrap_or_default())
    }

    async fn exchange<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, ExchangeError>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let whole = self.exchange_in_time(request);
        let response = timeout(EXCHANGE, whole).await;
        let response = response.unwrap_or_else(|_| {
            Err(ExchangeError(
                "the directory does not answer in time".into(),
            ))
        })?;
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) =
            retry_after(response.headers(), SystemTime::now());
        Ok(response)
    }

    async fn exchange_in_time<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, ExchangeError>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let (host, port) = origin(request.uri())?;
        let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
        let tcp = tcp.map_err(|error| failed("connect", &error))?;
        let (config, name) = self
            .tls
            .config(&host)
            .map_err(|error| failed("TLS", &error))?;
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        let stream = stream.map_err(|error| failed("TLS handshake", &error))?;
        let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed("connection", &error))?;
        let _driver = Driver(tokio::spawn(async move {
            // Its error is that of the request.
            let _ended = connection.await;
        }));
        let request = in_origin_form(request, &host, port).await?;
        let response = sender.send_request(request).await;
        let (head, body) = response
            .map_err(|error| failed("exchange", &error))?
            .into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| ExchangeError(format!("answer: {error}")))?;
        Ok(Response::from_parts(head, Full::new(body.to_bytes())))
    }
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let response = client.exchange(request).await;
            response
                .map(BytesResponse::from)
                .map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

/// Host and port of a URL, which a directory has with `https` only.
fn origin(url: &Uri) -> Result<(String, u16), ExchangeError> {
    let host = url.host().filter(|_| url.scheme_str() == Some("https"));
    let host = host.ok_or_else(|| ExchangeError(format!("`{url}` is no URL with https")))?;
    Ok((host.to_owned(), url.port_u16().unwrap_or(443)))
}

/// The same request with the target and the fields that a connection to its host needs.
async fn in_origin_form<B>(
    request: Request<B>,
    host: &str,
    port: u16,
) -> Result<Request<Full<Bytes>>, ExchangeError>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let (mut head, body) = request.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|error| ExchangeError(format!("request: {error}")))?;
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    head.uri = target.parse().map_err(|error| failed("url", &error))?;
    let authority = if port == 443 {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    let authority = HeaderValue::try_from(authority).map_err(|error| failed("url", &error))?;
    head.headers.insert(header::HOST, authority);
    head.headers
        .insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    head.headers
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(Request::from_parts(head, Full::new(body.to_bytes())))
}

/// `Retry-After`, in seconds from now.
fn retry_after(fields: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = fields.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default().as_secs())
}

/// The error of a step, with its causes in one line.
fn failed(step: &str, error: &dyn std::error::Error) -> ExchangeError {
    let mut text = format!("{step}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ExchangeError(text)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let asked = |text: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&fields, now)
        };
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Thu, 01 Jan 1970 00:18:20 GMT"), Some(100));
        assert_eq!(asked("Thu, 01 Jan 1970 00:00:20 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_directory_is_reached_by_https_alone() {
        let of = |url: &str| origin(&url.parse().unwrap()).ok();
        assert_eq!(of("https://a.test/dir"), Some(("a.test".into(), 443)));
        assert_eq!(
            of("https://[::1]:14000/dir"),
            Some(("[::1]".into(), 14_000))
        );
        assert_eq!(of("http://a.test/dir"), None);
        assert_eq!(of("/dir"), None);
    }
}
