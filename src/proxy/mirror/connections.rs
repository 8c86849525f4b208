//! Connections for copies, apart from those of users' requests: they take no place that a limit counts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::failure::{CopyAnswer, SendError};
use super::http1_connection::Http1Connection;
use super::http2_connection::Http2Connection;
use super::json_body::JsonBody;
use super::request_copy::RequestCopy;
use crate::fleet::Endpoint;
use crate::model::{MirrorFailure, Protocol, ReleaseSpec, Scheme, UpstreamTls};
use crate::net::Stream;
use crate::proxy::upstream_tls::UpstreamTlsConfigs;

/// Most idle connections to one endpoint.
const IDLE: usize = 32;
/// Most endpoints with idle connections.
const ENDPOINTS: usize = 256;
/// Time after which an idle connection is not used any more.
const IDLE_FOR: Duration = Duration::from_secs(15);

/// Destination of connections that can stand for one another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    address: SocketAddr,
    host: String,
    scheme: Scheme,
    authority: String,
    is_http2: bool,
    tls: Option<UpstreamTls>,
}

/// A connection of either protocol.
pub(super) enum CopyConnection {
    Http1(Http1Connection),
    Http2(Box<Http2Connection>),
}

/// The idle connections.
pub(super) struct Connections {
    tls: Arc<UpstreamTlsConfigs>,
    idle: RefCell<HashMap<Target, Vec<(CopyConnection, Instant)>>>,
}

// === impl Target ===

impl Target {
    pub(super) fn new(endpoint: &Endpoint, spec: &ReleaseSpec) -> Self {
        let url = endpoint.url();
        Self {
            address: endpoint.address(),
            host: url.host().to_owned(),
            scheme: url.scheme(),
            authority: url.authority(),
            is_http2: spec.protocol == Protocol::Http2,
            tls: spec.tls.clone(),
        }
    }
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(tls: Arc<UpstreamTlsConfigs>) -> Self {
        Self {
            tls,
            idle: RefCell::default(),
        }
    }

    /// An idle connection, if there is one.
    pub(super) fn take(&self, target: &Target) -> Option<CopyConnection> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(target)?;
        while let Some((connection, since)) = kept.pop() {
            if since.elapsed() < IDLE_FOR && connection.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next copy.
    pub(super) fn give_back(&self, target: Target, connection: CopyConnection) {
        let mut idle = self.idle.borrow_mut();
        if !idle.contains_key(&target) && idle.len() >= ENDPOINTS {
            idle.clear();
        }
        let kept = idle.entry(target).or_default();
        if kept.len() < IDLE {
            kept.push((connection, Instant::now()));
        }
    }

    /// Closes what was idle for too long.
    pub(super) fn sweep(&self) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain(|(_, since)| since.elapsed() < IDLE_FOR);
            !kept.is_empty()
        });
    }

    /// A new connection.
    pub(super) async fn dial(&self, target: &Target) -> Result<CopyConnection, SendError> {
        let failed = SendError::Failed(MirrorFailure::Connect);
        let tcp = TcpStream::connect(target.address).await;
        let tcp = tcp.map_err(|_| failed)?;
        // If this fails, the copy is only slower.
        let _ = tcp.set_nodelay(true);
        let stream = match target.scheme {
            Scheme::Http => Stream::Tcp(tcp),
            Scheme::Https => {
                let tls = self.tls.load(target.tls.as_ref()).await;
                let tls = tls.map_err(|_| failed)?;
                let connected = tls.connect(tcp, &target.host, target.is_http2).await;
                connected.map_err(|_| failed)?
            }
        };
        Ok(if target.is_http2 {
            CopyConnection::Http2(Box::new(Http2Connection::new(stream)))
        } else {
            CopyConnection::Http1(Http1Connection::new(stream))
        })
    }
}

// === impl CopyConnection ===

impl CopyConnection {
    fn is_idle(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_idle(),
            Self::Http2(connection) => connection.is_idle(),
        }
    }

    /// Sends a copy and reads its answer, at most `most` bytes of the body; they are kept in `json` if it takes them.
    pub(super) async fn exchange(
        &mut self,
        target: &Target,
        (copy, release): (&RequestCopy, &str),
        (most, json): (u64, Option<&mut JsonBody>),
    ) -> Result<CopyAnswer, SendError> {
        let (head, body) = (&copy.head, &copy.body);
        match self {
            Self::Http1(connection) => {
                let bytes = head.http1(&target.authority, release, body.len());
                let bytes = bytes.ok_or(SendError::BROKEN)?;
                let way = (head.is_head(), most);
                connection.exchange((&bytes, body), way, json).await
            }
            Self::Http2(connection) => {
                let place = (target.scheme, target.authority.as_str());
                let block = head.http2(place, release, body.len());
                let block = block.ok_or(SendError::BROKEN)?;
                connection.exchange((&block, body), most, json).await
            }
        }
    }
}
