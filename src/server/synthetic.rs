//! Synthetic requests through the proxy of this process: each on a connection of its own, handed to a worker like one that
//! another worker accepted.
//!
//! So a request goes the way of every other from its first byte on, whatever TLS, client certificates or PROXY headers the
//! listeners ask for. There is no port that anybody else could connect to.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1, http};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::worker::ConnectionBalancer;
use crate::control::{SyntheticRequest, SyntheticTraffic};

/// Largest part of a response that is read.
const LARGEST: usize = 1 << 20;

/// The way of synthetic requests to the workers, each in turn.
#[derive(Debug)]
pub(super) struct SyntheticEntrance {
    balance: Arc<ConnectionBalancer>,
    turn: AtomicUsize,
}

impl SyntheticEntrance {
    pub(super) fn new(balance: Arc<ConnectionBalancer>) -> Self {
        Self {
            balance,
            turn: AtomicUsize::new(0),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = TcpStream::connect(listener.local_addr()?).await?;
        let (tcp, peer) = listener.accept().await?;
        if peer != own.local_addr()? {
            return Err(io::Error::other("another process has connected"));
        }
        let worker = self.turn.fetch_add(1, Ordering::Relaxed);
        self.balance
            .hand_synthetic(worker, tcp.into_std()?, peer)
            .map_err(|()| io::Error::other("the workers take no more connections"))?;
        Ok(own)
    }

    async fn exchange(&self, request: SyntheticRequest) -> Result<u16, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let tcp = self.connect().await.map_err(|error| words(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp))
            .await
            .map_err(|error| words(&error))?;
        let connection = tokio::spawn(connection);
        let head = built(request).map_err(|error| words(&error))?;
        let answered = async {
            let response = sender.send_request(head).await;
            let response = response.map_err(|error| format!("no response: {error}"))?;
            let (status, mut body, mut read) = (response.status(), response.into_body(), 0);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| format!("{status}, and its body broke off"))?;
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > LARGEST {
                    break;
                }
            }
            Ok(status.as_u16())
        };
        let result = answered.await;
        connection.abort();
        result
    }
}

fn built(request: SyntheticRequest) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut head = Request::builder()
        .method(request.method.as_str())
        .uri(request.target)
        .header("connection", "close");
    for (name, value) in request.headers {
        head = head.header(name, value);
    }
    head.body(Full::new(Bytes::from(request.body)))
}

impl SyntheticTraffic for SyntheticEntrance {
    fn send(&self, request: SyntheticRequest) -> BoxFuture<'_, Result<u16, String>> {
        let limit = request.timeout;
        Box::pin(async move {
            let exchange = tokio::time::timeout(limit, self.exchange(request));
            let late = || Err(format!("no whole response within {limit:?}"));
            exchange.await.unwrap_or_else(|_| late())
        })
    }
}
