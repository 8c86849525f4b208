//! A client of HTTP/2 by the `h2` library.

use std::{cell::RefCell, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::task::LocalSet;

use crate::support::TIMEOUT;

/// Runs the client of a test, with a timeout.
pub(crate) fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(TIMEOUT, work).await };
    LocalSet::new()
        .block_on(&runtime, limited)
        .expect("the test ends in time")
}

/// A client's connection.
#[derive(Clone)]
pub(crate) struct H2Client {
    pub(crate) requests: SendRequest<Bytes>,
    /// The result of the connection, once it has ended.
    pub(crate) ended: Rc<RefCell<Option<Result<(), h2::Error>>>>,
}

/// A complete response.
pub(crate) struct H2Response {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2Client {
    /// Connects with prior knowledge.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &h2::client::Builder::new()).await
    }

    /// The same with settings of its own.
    pub(crate) async fn connect_with(address: SocketAddr, builder: &h2::client::Builder) -> Self {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (requests, connection) = builder.handshake(tcp).await.unwrap();
        let ended = Rc::new(RefCell::new(None));
        let note = Rc::clone(&ended);
        tokio::task::spawn_local(async move {
            let result = connection.await;
            *note.borrow_mut() = Some(result);
        });
        Self { requests, ended }
    }

    /// Opens a stream; `ended` if no body follows.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        ended: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        requests.send_request(request, ended).unwrap()
    }

    /// Sends a request without a body and reads the whole response.
    pub(crate) async fn get(&self, path: &str) -> Result<H2Response, h2::Error> {
        let (answer, _) = self.open(request("GET", path), true).await;
        read(answer.await?).await
    }

    /// Sends a request with a body and reads the whole response.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Result<H2Response, h2::Error> {
        let (answer, mut out) = self.open(request("POST", path), false).await;
        let sending = send(&mut out, Bytes::copy_from_slice(body), true);
        let reading = async { read(answer.await?).await };
        let (_, answer) = tokio::join!(sending, reading);
        answer
    }
}

/// A request for `agents.test`.
pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://agents.test{path}");
    Request::builder()
        .method(method)
        .uri(uri)
        .version(http::Version::HTTP_2)
        .body(())
        .unwrap()
}

/// Sends all data, as the window of the peer allows.
pub(crate) async fn send(
    out: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        out.reserve_capacity(data.len());
        if out.capacity() == 0 {
            let waiting = std::future::poll_fn(|cx| out.poll_capacity(cx));
            waiting.await.unwrap_or(Err(h2::Reason::CANCEL.into()))?;
            continue;
        }
        let part = data.split_to(out.capacity().min(data.len()));
        out.send_data(part, false)?;
    }
    if last {
        out.send_data(Bytes::new(), true)?;
    }
    Ok(())
}

/// Reads a whole response.
pub(crate) async fn read(answer: Response<RecvStream>) -> Result<H2Response, h2::Error> {
    let (head, mut stream) = answer.into_parts();
    let (body, trailers) = read_body(&mut stream).await?;
    Ok(H2Response {
        head: Response::from_parts(head, ()),
        body,
        trailers,
    })
}

/// Reads a whole body.
pub(crate) async fn read_body(
    stream: &mut RecvStream,
) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok((body, stream.trailers().await?))
}

impl H2Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.head
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers
            .as_ref()?
            .get(name)
            .map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
