//! One check of one endpoint: connect, ask, look at the status.

use std::{error::Error as _, io, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::net::TcpStream;

use super::{expect::BodyMatch, http2_client};
use crate::{
    fleet::Endpoint,
    http1::{BodyDecoder, FieldSlots, HeadScan, HeadWriter, ResponseHead},
    message::{
        Limits, Reason, Rejection, RequestContextForResponse, RequestFraming, ResponseFraming,
    },
    model::{EndpointUrl, HealthMethod, HealthSpec, Protocol, ReleaseSpec, Scheme},
    net::{ClientTls, NetError, Stream},
};

/// Why a check was bad.
#[derive(Debug, Error)]
pub(super) enum CheckError {
    /// The answer's body lacks the text.
    #[error("`{0}` is not in the first 64 KiB of the answer's body")]
    Body(String),
    /// The answer's body breaks off or is malformed.
    #[error("the answer's body is malformed: {}", .0.as_str())]
    BrokenBody(Reason),
    /// The endpoint closed the connection before it had answered.
    #[error("the connection was closed before the answer")]
    Closed,
    /// No connection could be made.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Exchange(#[source] io::Error),
    /// HTTP/2 went wrong.
    #[error("no answer over HTTP/2")]
    Http2(#[source] http2_client::Error),
    /// What came is no answer of HTTP/1.1.
    #[error("the answer is malformed")]
    Malformed(#[source] Rejection),
    /// The path cannot be asked for.
    #[error("the path `{0}` cannot be asked for")]
    Path(String),
    /// The answer says that it is not well.
    #[error("it answers with status {0}")]
    Status(u16),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The handshake did not succeed.
    #[error("no TLS")]
    Tls(#[source] io::Error),
    /// The release's TLS settings cannot be used.
    #[error("the TLS settings cannot be used")]
    TlsSettings(#[source] Arc<NetError>),
}

/// How the endpoints of a release are reached.
pub(super) struct Target {
    protocol: Protocol,
    /// `None` when no endpoint speaks TLS.
    tls: Option<Result<ClientTls, Arc<NetError>>>,
}

// === impl CheckError ===

impl CheckError {
    /// The error and its causes in one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

// === impl Target ===

impl Target {
    /// Reads the TLS settings if an endpoint needs them. If they cannot be used, each check says so.
    pub(super) fn new(spec: &ReleaseSpec, urls: &[EndpointUrl]) -> Self {
        let tls = urls.iter().any(|url| url.scheme() == Scheme::Https);
        let load = || ClientTls::load(&spec.tls.as_ref().into()).map_err(Arc::new);
        Self {
            protocol: spec.protocol,
            tls: tls.then(load),
        }
    }

    /// Asks an endpoint. The caller sets the deadline.
    pub(super) async fn check(
        &self,
        endpoint: &Endpoint,
        health: &HealthSpec,
    ) -> Result<(), CheckError> {
        let stream = self.connect(endpoint, health.port).await?;
        let authority = authority(endpoint.url(), health);
        match self.protocol {
            Protocol::Http1 => ask(&stream, &authority, health).await,
            Protocol::Http2 => {
                http2_client::ask(stream, endpoint.url().scheme(), &authority, health).await
            }
        }
    }

    async fn connect(&self, endpoint: &Endpoint, port: Option<u16>) -> Result<Stream, CheckError> {
        let mut address = endpoint.address();
        address.set_port(port.unwrap_or(address.port()));
        let tcp = TcpStream::connect(address)
            .await
            .map_err(CheckError::Connect)?;
        // It is one small packet each way; if it cannot be set, the check is later by that much.
        let _ = tcp.set_nodelay(true);
        match (endpoint.url().scheme(), &self.tls) {
            (Scheme::Https, Some(Ok(tls))) => {
                let http2 = self.protocol == Protocol::Http2;
                tls.connect(tcp, endpoint.url().host(), http2)
                    .await
                    .map_err(CheckError::Tls)
            }
            (Scheme::Https, Some(Err(error))) => Err(CheckError::TlsSettings(Arc::clone(error))),
            (Scheme::Http, _) | (Scheme::Https, None) => Ok(Stream::Tcp(tcp)),
        }
    }
}

/// What a check says that it is.
pub(super) const USER_AGENT: &str = concat!("switchback-health/", env!("CARGO_PKG_VERSION"));

/// What the request names as its host.
fn authority(url: &EndpointUrl, health: &HealthSpec) -> String {
    let own = || match health.port {
        Some(port) => url.with_port(port).authority(),
        None => url.authority(),
    };
    health.host.clone().unwrap_or_else(own)
}

/// Asks over HTTP/1.1. The body is read only as far as it is to be looked at: the connection ends here.
async fn ask(stream: &Stream, authority: &str, health: &HealthSpec) -> Result<(), CheckError> {
    let request = request(authority, health)?;
    stream
        .write_all(&request)
        .await
        .map_err(CheckError::Exchange)?;
    let limits = Limits::default();
    let asked = RequestContextForResponse {
        head: health.method == HealthMethod::Head,
        ..RequestContextForResponse::default()
    };
    let mut received = Vec::new();
    loop {
        receive(stream, &mut received).await?;
        while let Some(head) = HeadScan::default()
            .response(&received, &limits)
            .map_err(CheckError::Malformed)?
        {
            let mut slots = FieldSlots::new();
            let facts = ResponseHead::parse(&received[head.clone()], &limits, &mut slots)
                .and_then(|head| head.validate(asked, &limits))
                .map_err(CheckError::Malformed)?;
            let (status, framing) = (facts.status, facts.framing);
            received.drain(..head.end);
            if status >= 200 {
                check_status(status, health)?;
                return find_in_body(stream, received, framing, health).await;
            }
        }
    }
}

/// An error unless the status is a good one.
pub(super) fn check_status(status: u16, health: &HealthSpec) -> Result<(), CheckError> {
    if health.status.contains(status) {
        Ok(())
    } else {
        Err(CheckError::Status(status))
    }
}

async fn find_in_body(
    stream: &Stream,
    mut received: Vec<u8>,
    framing: ResponseFraming,
    health: &HealthSpec,
) -> Result<(), CheckError> {
    let Some(text) = &health.body else {
        return Ok(());
    };
    let missing = || CheckError::Body(text.clone());
    let mut body = BodyMatch::new(text);
    let mut decoder = BodyDecoder::response(framing, &Limits::default());
    loop {
        let decoded = decoder.decode(&received).map_err(CheckError::BrokenBody)?;
        match body.push(&received[decoded.data]) {
            Some(true) => return Ok(()),
            Some(false) => return Err(missing()),
            None if decoded.end => return Err(missing()),
            None => {}
        }
        received.drain(..decoded.consumed);
        if decoded.consumed == 0 || received.is_empty() {
            match receive(stream, &mut received).await {
                Err(CheckError::Closed) if framing == ResponseFraming::UntilClose => {
                    return Err(missing());
                }
                result => result?,
            }
        }
    }
}

fn request(authority: &str, health: &HealthSpec) -> Result<Vec<u8>, CheckError> {
    let path = health.path.as_str();
    let (front, query) = path.split_once('?').map_or((path, None), |(front, query)| {
        (front, Some(query.as_bytes()))
    });
    let mut request = Vec::new();
    let method = health.method.as_str().as_bytes();
    let mut writer = HeadWriter::request(&mut request, method, front.as_bytes(), query);
    writer
        .add("host", authority)
        .add("user-agent", USER_AGENT)
        .add("accept", "*/*")
        .add("connection", "close");
    let framing = match health.method {
        // A POST without a length makes some servers wait for one.
        HealthMethod::Post => RequestFraming::Length(0),
        HealthMethod::Get | HealthMethod::Head | HealthMethod::Options => RequestFraming::None,
    };
    writer
        .finish(framing)
        .map_err(|_| CheckError::Path(path.into()))?;
    Ok(request)
}

async fn receive(stream: &Stream, received: &mut Vec<u8>) -> Result<(), CheckError> {
    let mut chunk = [0; 4096];
    loop {
        stream.readable().await.map_err(CheckError::Exchange)?;
        match stream.try_read(&mut chunk) {
            Ok(0) => return Err(CheckError::Closed),
            Ok(length) => {
                received.extend_from_slice(&chunk[..length]);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(CheckError::Exchange(error)),
        }
    }
}
