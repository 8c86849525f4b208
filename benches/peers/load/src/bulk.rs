//! Endless bodies, as fast as the other side reads them: the load beside which small requests are measured. They have a
//! thread of their own on either side, so that the timed load waits for the proxy and not for them.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    sync::{mpsc, oneshot},
    task::{JoinSet, LocalSet},
};

use crate::{args::Args, http2};

/// The announced length, which is never reached.
const LENGTH: u64 = 1_000_000_000_000_000;

const PIECE: usize = 256 * 1024;

/// Bytes that the bodies have moved.
pub type Moved = Arc<AtomicU64>;

/// Starts `--bulk` bodies towards or from `--address`, each on a connection of its own; returns when all of them flow.
pub async fn start(args: &Args, is_http2: bool) -> Moved {
    let moved = Moved::default();
    let (args, counted) = (args.clone(), Arc::clone(&moved));
    if args.get("bulk", 0) == 0 {
        return moved;
    }
    let (send, flowing) = oneshot::channel();
    thread::spawn(move || {
        own_runtime(async move {
            let ended = if is_http2 { downloads_http2(&args, &counted, send).await } else { bodies(&args, &counted, send).await };
            // Without all of them, what is measured would be something else.
            eprintln!("a bulk body ended: {ended:?}");
            std::process::exit(1);
        });
    });
    flowing.await.expect("bodies that flow");
    moved
}

fn own_runtime(work: impl Future) {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, work);
}

async fn bodies(args: &Args, moved: &Moved, flowing: oneshot::Sender<()>) -> std::io::Result<()> {
    let is_up = args.get("bulk-up", 0) == 1;
    let mut tasks = JoinSet::new();
    for _ in 0..args.get("bulk", 0) {
        let mut socket = TcpStream::connect(args.text("address").expect("--address")).await?;
        let request = if is_up { format!("POST /bulk HTTP/1.1\r\nhost: bench.test\r\ncontent-length: {LENGTH}\r\n\r\n") } else { "GET /bulk HTTP/1.1\r\nhost: bench.test\r\n\r\n".into() };
        socket.write_all(request.as_bytes()).await?;
        let mut piece = vec![b'x'; PIECE];
        if !is_up {
            count(moved, socket.read(&mut piece).await?)?;
        }
        let moved = Arc::clone(moved);
        tasks.spawn_local(async move {
            loop {
                let length = if is_up { socket.write(&piece).await? } else { socket.read(&mut piece).await? };
                count(&moved, length)?;
            }
        });
    }
    let _ = flowing.send(());
    tasks.join_next().await.map_or(Ok(()), |ended| ended.expect("no panic"))
}

async fn downloads_http2(args: &Args, moved: &Moved, flowing: oneshot::Sender<()>) -> std::io::Result<()> {
    let mut tasks: JoinSet<std::io::Result<()>> = JoinSet::new();
    for _ in 0..args.get("bulk", 0) {
        let mut client = http2::client(args).await.ready().await.map_err(std::io::Error::other)?;
        let request = http::Request::get("http://bench.test/bulk").body(()).expect("a request");
        let answer = client.send_request(request, true).map_err(std::io::Error::other)?.0;
        let mut body = answer.await.map_err(std::io::Error::other)?.into_body();
        let moved = Arc::clone(moved);
        tasks.spawn_local(async move {
            // The connection ends with its last handle.
            let _client = client;
            while let Some(data) = body.data().await {
                let length = data.map_err(std::io::Error::other)?.len();
                body.flow_control().release_capacity(length).map_err(std::io::Error::other)?;
                count(&moved, length)?;
            }
            Ok(())
        });
    }
    let _ = flowing.send(());
    tasks.join_next().await.map_or(Ok(()), |ended| ended.expect("no panic"))
}

fn count(moved: &Moved, length: usize) -> std::io::Result<()> {
    if length == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    moved.fetch_add(length as u64, Ordering::Relaxed);
    Ok(())
}

/// The origin's side: connections on which `/bulk` was asked for.
#[derive(Clone)]
pub struct Endless(mpsc::UnboundedSender<(std::net::TcpStream, bool)>);

impl Endless {
    pub fn start() -> Self {
        let (send, mut taken) = mpsc::unbounded_channel();
        thread::spawn(move || {
            own_runtime(async move {
                let piece: Rc<Vec<u8>> = Rc::new(vec![b'x'; PIECE]);
                while let Some((stream, is_up)) = taken.recv().await {
                    let Ok(stream) = TcpStream::from_std(stream) else { continue };
                    tokio::task::spawn_local(flow(stream, is_up, Rc::clone(&piece)));
                }
            });
        });
        Self(send)
    }

    /// Takes a connection over, to write to it or to read from it until the other side has had enough.
    pub fn take(&self, stream: TcpStream, is_up: bool) {
        if let Ok(stream) = stream.into_std() {
            let _ = self.0.send((stream, is_up));
        }
    }
}

async fn flow(mut stream: TcpStream, is_up: bool, piece: Rc<Vec<u8>>) -> Option<()> {
    if is_up {
        let mut sink = vec![0; PIECE];
        while stream.read(&mut sink).await.ok()? > 0 {}
        return None;
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\nx-release: bulk\r\ncontent-length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    loop {
        stream.write_all(&piece).await.ok()?;
    }
}
