//! Agents that name their release, hold streams open, and count the open ones.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// An origin that responds to every request with its name, and to `/stream` with a stream that ends only with its
/// client.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    streams: Arc<Streams>,
}

#[derive(Default)]
struct Streams {
    open: AtomicUsize,
    closed: Notify,
}

impl Agent {
    /// Starts an agent on the current runtime.
    pub(crate) fn start(name: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let streams = Arc::new(Streams::default());
        let shared = Arc::clone(&streams);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, name, Arc::clone(&shared)));
            }
        });
        Self { address, streams }
    }

    /// Waits until no stream is open.
    pub(crate) async fn wait_idle(&self) {
        loop {
            let closed = self.streams.closed.notified();
            if self.streams.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            closed.await;
        }
    }
}

async fn serve(mut stream: TcpStream, name: &str, streams: Arc<Streams>) -> Option<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nx-release: {name}\r\ncontent-length: {}\r\n\r\n{name}",
        name.len()
    );
    let mut buffer = Vec::new();
    loop {
        let head = read_head(&mut stream, &mut buffer).await?;
        if head.starts_with("GET /stream") {
            streams.open.fetch_add(1, Ordering::SeqCst);
            let _ended = hold(&mut stream, name).await;
            streams.open.fetch_sub(1, Ordering::SeqCst);
            streams.closed.notify_waiters();
            return None;
        }
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn hold(stream: &mut TcpStream, name: &str) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\nx-release: {name}\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        ticks.tick().await;
        stream.write_all(b"5\r\ntoken\r\n").await?;
    }
}

/// Reads a head; the bytes behind it stay in the buffer.
pub(crate) async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer.drain(..end + 4).collect()).ok()?;
            return Some(head);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The release that a head names.
pub(crate) fn release_of(head: &str) -> Option<&str> {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("x-release:"))?;
    Some(line["x-release:".len()..].trim())
}

/// A stream that a client holds open.
pub(crate) struct Held {
    stream: TcpStream,
    pub(crate) release: String,
}

impl Held {
    pub(crate) async fn open(proxy: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream
            .write_all(b"GET /stream HTTP/1.1\r\nhost: agents.test\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = Vec::new();
        let head = read_head(&mut stream, &mut buffer).await.expect("a head");
        let release = release_of(&head).expect("a release").to_owned();
        Self { stream, release }
    }

    /// Waits for more data, which shows that the stream is alive.
    pub(crate) async fn next_chunk(&mut self) {
        let mut buffer = [0; 256];
        let read = self
            .stream
            .read(&mut buffer)
            .await
            .expect("the stream lives");
        assert!(read > 0, "the stream was not cut");
    }
}
