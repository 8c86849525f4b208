//! Clients and endpoints that speak HTTP/2: with the library where it is about behaviour, with raw frames where it is
//! about what a peer should never send.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::TIMEOUT;

/// Runs a test's client, with a limit on time.
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
    /// How the connection ended, once it has.
    pub(crate) ended: Rc<RefCell<Option<Result<(), h2::Error>>>>,
}

/// An answer that was read to its end.
pub(crate) struct H2Answer {
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

    /// Sends a request without a body and reads the answer to its end.
    pub(crate) async fn get(&self, path: &str) -> Result<H2Answer, h2::Error> {
        let (answer, _) = self.open(request("GET", path), true).await;
        read(answer.await?).await
    }

    /// Sends a request with a body and reads the answer to its end.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Result<H2Answer, h2::Error> {
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

/// Sends data as far as the peer allows, all of it.
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

/// Reads an answer to its end.
pub(crate) async fn read(answer: Response<RecvStream>) -> Result<H2Answer, h2::Error> {
    let (head, mut stream) = answer.into_parts();
    let (body, trailers) = read_body(&mut stream).await?;
    Ok(H2Answer {
        head: Response::from_parts(head, ()),
        body,
        trailers,
    })
}

/// Reads a body to its end.
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

impl H2Answer {
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

/// An endpoint that speaks HTTP/2 with prior knowledge. It ends when it is dropped.
pub(crate) struct H2Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    leave: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl H2Origin {
    /// Answers each request by `answer`, in a task of its own.
    pub(crate) fn start<F>(
        answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::start_with(h2::server::Builder::new(), answer)
    }

    /// The same with settings of its own.
    pub(crate) fn start_with<F>(
        builder: h2::server::Builder,
        answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (stop, mut stopped) = watch::channel(false);
        let (leave, leaving) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(socket).unwrap();
                let answer = Rc::new(answer);
                let accepting = async {
                    loop {
                        let (tcp, _) = listener.accept().await.unwrap();
                        tcp.set_nodelay(true).unwrap();
                        counted.fetch_add(1, Ordering::SeqCst);
                        tokio::task::spawn_local(serve(
                            builder.clone(),
                            tcp,
                            Rc::clone(&answer),
                            leaving.clone(),
                        ));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
            });
        });
        Self {
            address,
            connections,
            stop,
            leave,
            thread: Some(thread),
        }
    }

    /// Answers every request with 200 and what was asked.
    pub(crate) fn echo() -> Self {
        Self::start(|request, respond| async move { echo(request, respond).await })
    }

    /// As the lines of a release.
    pub(crate) fn release(&self) -> String {
        format!(
            "endpoints = [\"http://{}\"]\nprotocol = \"h2\"",
            self.address
        )
    }

    /// Asks the clients of all connections that are open to go.
    pub(crate) fn goodbye(&self) {
        self.leave.send_replace(true);
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<F>(
    builder: h2::server::Builder,
    tcp: tokio::net::TcpStream,
    answer: Rc<impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F>,
    mut leaving: watch::Receiver<bool>,
) where
    F: Future<Output = ()> + 'static,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(tcp).await else {
        return;
    };
    leaving.mark_unchanged();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::task::spawn_local(answer(request, respond));
                }
                _ => return,
            },
            _ = leaving.changed() => connection.graceful_shutdown(),
        }
    }
}

/// Sends back the body and its trailers, with what was asked in fields.
pub(crate) async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut response = Response::builder()
        .header("x-method", request.method().as_str())
        .header("x-target", request.uri().to_string());
    for (name, value) in request.headers() {
        response = response.header(format!("x-got-{name}"), value);
    }
    let mut out = respond
        .send_response(response.body(()).unwrap(), false)
        .unwrap();
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let Ok(data) = data else { return };
        let _ = body.flow_control().release_capacity(data.len());
        if send(&mut out, data, false).await.is_err() {
            return;
        }
    }
    match body.trailers().await {
        Ok(Some(trailers)) => out.send_trailers(trailers).unwrap(),
        _ => out.send_data(Bytes::new(), true).unwrap(),
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "an origin panicked"
            );
        }
    }
}

/// A connection that sends frames as they are given.
pub(crate) struct RawH2 {
    stream: TcpStream,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

impl RawH2 {
    /// Sends the preface and empty settings.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut raw = Self { stream };
        raw.bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.frame(SETTINGS, 0, 0, b"");
        raw
    }

    /// The endpoint's side: waits for the preface, and sends settings.
    pub(crate) fn accept(stream: TcpStream, settings: &[u8]) -> Option<Self> {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        let mut raw = Self { stream };
        let mut preface = [0; 24];
        raw.stream.read_exact(&mut preface).ok()?;
        raw.frame(SETTINGS, 0, 0, settings).then_some(raw)
    }

    /// Says how long the next frame may take to come.
    pub(crate) fn patience(&self, patience: std::time::Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// The number of the next stream that the peer opens; nothing when it has closed.
    pub(crate) fn asked(&mut self) -> Option<u32> {
        self.until(|frame| frame.kind == HEADERS)
            .map(|frame| frame.stream)
    }

    /// Answers a stream with 200 and a body.
    pub(crate) fn answer(&mut self, stream: u32, body: &[u8]) -> bool {
        self.head(stream, 0, &[(":status", "200")]) && self.frame(DATA, END_STREAM, stream, body)
    }

    /// Says that streams above `last` were not looked at.
    pub(crate) fn goaway(&mut self, last: u32) -> bool {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend_from_slice(&[0; 4]);
        self.frame(GOAWAY, 0, 0, &payload)
    }

    /// Sends bytes; false when the peer takes no more.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a frame; false when the peer takes no more.
    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.bytes(&frame(kind, flags, stream, payload))
    }

    /// Sends a request's head, as it is.
    pub(crate) fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> bool {
        self.frame(HEADERS, flags | END_HEADERS, stream, &block_of(fields))
    }

    /// The next frame; nothing when the peer has closed.
    pub(crate) fn next(&mut self) -> Option<RawFrame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(RawFrame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Reads until a frame that `wanted` wants; nothing when the peer has closed before.
    pub(crate) fn until(&mut self, wanted: impl Fn(&RawFrame) -> bool) -> Option<RawFrame> {
        loop {
            let frame = self.next()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// Reads frames until the peer closes.
    pub(crate) fn rest(&mut self) -> Vec<RawFrame> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block: literals that are not indexed and not compressed.
pub(crate) fn block_of(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length_of(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length_of(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(u8::try_from(length).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The pseudo-fields of a request.
pub(crate) fn pseudo<'f>(method: &'f str, path: &'f str) -> Vec<(&'f str, &'f str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "agents.test"),
        (":path", path),
    ]
}
