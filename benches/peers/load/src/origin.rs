//! The origin: one port for each release, HTTP/1.1 and HTTP/2, fixed responses made once.

use std::{collections::HashMap, rc::Rc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::{args::Args, bulk::Endless, clock::now_ns, tls};

pub async fn run(args: &Args) {
    let endless = Endless::start();
    for release in ["blue", "green"] {
        let http1 = TcpListener::bind(("127.0.0.1", args.get(release, 0))).await.expect("the port is free");
        tokio::task::spawn_local(accept(http1, release, Some(endless.clone())));
        let http2 = TcpListener::bind(("127.0.0.1", args.get(&format!("h2-{release}"), 0))).await.expect("the port is free");
        tokio::task::spawn_local(accept(http2, release, None));
    }
    if let Some((cert, key)) = args.text("cert").zip(args.text("key")) {
        let listener = TcpListener::bind(("127.0.0.1", args.get("tls", 0))).await.expect("the port is free");
        tokio::task::spawn_local(accept_tls(listener, tls::acceptor(cert, key)));
    }
    println!("ready");
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = ended.await;
}

/// HTTP/1.1 where endless bodies have a handler, else HTTP/2.
async fn accept(listener: TcpListener, release: &'static str, http1: Option<Endless>) {
    let answers = Rc::new(Answers::new(release));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        if let Some(endless) = http1.clone() {
            let answers = Rc::clone(&answers);
            tokio::task::spawn_local(async move {
                let (stream, is_up) = serve_http1(stream, answers).await?;
                endless.take(stream, is_up);
                Some(())
            });
        } else {
            tokio::task::spawn_local(serve_http2(stream, release));
        }
    }
}

/// Blue over TLS: what the candidates that end TLS are compared with.
async fn accept_tls(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor) {
    let answers = Rc::new(Answers::new("blue"));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (acceptor, answers) = (acceptor.clone(), Rc::clone(&answers));
        tokio::task::spawn_local(async move { serve_http1(acceptor.accept(stream).await.ok()?, answers).await });
    }
}

struct Answers {
    release: &'static str,
    bodies: HashMap<&'static str, Vec<u8>>,
}

impl Answers {
    fn new(release: &'static str) -> Self {
        let sizes = [("/b/1024", 1024), ("/b/10240", 10_240), ("/b/102400", 102_400)];
        let answer = |(path, size)| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-release: {release}\r\ncontent-length: {size}\r\n\r\n");
            (path, [head.into_bytes(), vec![b'x'; size]].concat())
        };
        Self { release, bodies: sizes.into_iter().map(answer).collect() }
    }
}

/// Responds until the connection ends; or returns it once `/bulk` is requested, with true if that has a body.
async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answers: Rc<Answers>) -> Option<(S, bool)> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let target = head.split(' ').nth(1)?.to_owned();
        let path = target.split('?').next()?;
        match path {
            "/bulk" => return Some((stream, head.starts_with("POST"))),
            "/sse" => {
                stream_chunks(stream, &target, answers.release, false).await?;
                return None;
            }
            "/echo" => {
                let answer = format!("HTTP/1.1 200 OK\r\nx-release: {}\r\ncontent-length: {}\r\n\r\n{head}", answers.release, head.len());
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            "/ws" => {
                stream_chunks(stream, &target, answers.release, true).await?;
                return None;
            }
            _ => {
                let answer = answers.bodies.get(path).or_else(|| answers.bodies.get("/b/1024"))?;
                stream.write_all(answer).await.ok()?;
            }
        }
    }
}

fn query(target: &str, key: &str, default: f64) -> f64 {
    let pairs = target.split(['?', '&']).filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(k, _)| *k == key).and_then(|(_, v)| v.parse().ok()).unwrap_or(default)
}

/// A token stream: each chunk begins with the time at which it was sent, 20 digits.
async fn stream_chunks(mut stream: impl AsyncRead + AsyncWrite + Unpin, target: &str, release: &str, websocket: bool) -> Option<()> {
    let rate = query(target, "rate", 20.0);
    let head = if websocket {
        format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-release: {release}\r\n\r\n")
    } else {
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-release: {release}\r\ntransfer-encoding: chunked\r\n\r\n")
    };
    stream.write_all(head.as_bytes()).await.ok()?;
    let period = Duration::from_secs_f64(1.0 / rate);
    // Spread over the period, so that streams do not all speak at once.
    let offset = Duration::from_nanos(now_ns().wrapping_mul(2_654_435_761) % u64::try_from(period.as_nanos()).unwrap_or(1));
    let mut ticks = interval_at(Instant::now() + offset, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sink = [0; 256];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let payload = format!("data: {:020} tokens of an agent's answer\n\n", now_ns());
                let chunk = if websocket {
                    let mut frame = vec![0x81, u8::try_from(payload.len()).ok()?];
                    frame.extend_from_slice(payload.as_bytes());
                    frame
                } else {
                    format!("{:x}\r\n{payload}\r\n", payload.len()).into_bytes()
                };
                stream.write_all(&chunk).await.ok()?;
            }
            read = stream.read(&mut sink) => if read.ok()? == 0 { return None },
        }
    }
}

async fn serve_http2(stream: TcpStream, release: &'static str) -> Option<()> {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1024).initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
    let mut connection = builder.handshake(stream).await.ok()?;
    let body = Bytes::from(vec![b'x'; 1024]);
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let body = body.clone();
        tokio::task::spawn_local(async move {
            let grpc = request.headers().get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
            let mut incoming = request.into_body();
            while let Some(Ok(data)) = incoming.data().await {
                let _ = incoming.flow_control().release_capacity(data.len());
            }
            let kind = if grpc { "application/grpc" } else { "application/json" };
            let response = http::Response::builder().header("content-type", kind).header("x-release", release);
            let mut sink = respond.send_response(response.body(()).ok()?, false).ok()?;
            if grpc {
                let mut message = vec![0, 0, 0, 0, 64];
                message.extend_from_slice(&[7; 64]);
                sink.send_data(message.into(), false).ok()?;
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                sink.send_trailers(trailers).ok()?;
            } else {
                sink.send_data(body, true).ok()?;
            }
            Some(())
        });
    }
    Some(())
}
