//! HTTP/1.1 load: closed loop, open loop at a rate, or a connection for each request; and connections that idle.

use std::rc::Rc;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::Instant,
};

use crate::{
    args::Args,
    bulk,
    clock::now_ns,
    pace::pace,
    report::{Seen, Shared, Window},
    tls,
};

pub trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

pub async fn connect(args: &Args) -> std::io::Result<Box<dyn Socket>> {
    let tcp = TcpStream::connect(args.text("address").expect("--address")).await?;
    tcp.set_nodelay(true)?;
    if args.get("tls", 0) == 0 {
        return Ok(Box::new(tcp));
    }
    Ok(Box::new(tls::connector(args.get("resume", 0) == 1).connect(tls::name(), tcp).await?))
}

fn request(args: &Args, close: bool) -> Vec<u8> {
    let path = args.text("path").unwrap_or("/b/1024");
    let close = if close { "connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nhost: bench.test\r\nuser-agent: peer-load\r\naccept: application/json\r\naccept-encoding: gzip\r\ncontent-type: application/json\r\nx-session-id: s\r\n{close}\r\n").into_bytes()
}

pub async fn run(args: &Args, close: bool) {
    let seen = Shared::default();
    seen.borrow_mut().bulk = bulk::start(args, false).await;
    let window = Window::open(args, &seen);
    let rate: f64 = args.get("rate", 0.0);
    let mut turns = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..args.get("connections", 64) {
        let (args, seen) = (args.clone(), Rc::clone(&seen));
        let (send, due) = mpsc::unbounded_channel();
        turns.push(send);
        tasks.push(tokio::task::spawn_local(async move {
            if close {
                each_its_own(&args, &seen, window).await;
            } else {
                keep_alive(&args, &seen, window, (rate > 0.0).then_some(due)).await;
            }
        }));
    }
    if rate > 0.0 {
        pace(turns, rate, window.end).await;
    }
    for task in tasks {
        let _ = task.await;
    }
    seen.borrow_mut().print(window.begin.elapsed().as_secs_f64(), args.text("log"));
}

async fn each_its_own(args: &Args, seen: &Shared, window: Window) {
    let request = request(args, true);
    while !window.over(seen) {
        let begin = Instant::now();
        let answer = async {
            let mut socket = connect(args).await?;
            socket.write_all(&request).await?;
            read_answer(&mut socket, &mut Vec::with_capacity(16_384)).await
        };
        note(seen, answer.await, begin, now_ns());
    }
}

fn note(seen: &Shared, answer: std::io::Result<bool>, begin: Instant, sent: u64) -> bool {
    let mut seen = seen.borrow_mut();
    match answer {
        Ok(green) => {
            seen.answer(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX), green);
            seen.log.push((sent, now_ns(), u8::from(green)));
            true
        }
        Err(_) => {
            seen.errors += 1;
            seen.log.push((sent, now_ns(), 9));
            false
        }
    }
}

/// With `turns`, a request is sent at its signal and timed from then, however late the connection is.
async fn keep_alive(args: &Args, seen: &Shared, window: Window, mut turns: Option<mpsc::UnboundedReceiver<Instant>>) {
    let request = request(args, false);
    let mut buffer = Vec::with_capacity(32_768);
    let mut socket = connect(args).await.ok();
    while !window.over(seen) {
        let begin = match turns.as_mut() {
            None => Instant::now(),
            Some(turns) => match turns.recv().await {
                Some(due) => due,
                None => return,
            },
        };
        let sent = now_ns();
        let Some(open) = socket.as_mut() else {
            seen.borrow_mut().connections_lost += 1;
            socket = connect(args).await.ok();
            continue;
        };
        let answer = async {
            open.write_all(&request).await?;
            read_answer(open, &mut buffer).await
        };
        if !note(seen, answer.await, begin, sent) {
            socket = None;
        }
    }
}

/// Reads one response with a Content-Length; true if it is from green.
async fn read_answer(socket: &mut Box<dyn Socket>, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    buffer.clear();
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(cut());
        }
    };
    let head = std::str::from_utf8(&buffer[..end]).unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other("another status"));
    }
    let green = head.contains("green");
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()).and_then(|text| text.parse::<usize>().ok());
    let mut missing = length.ok_or_else(cut)?.saturating_sub(buffer.len() - end);
    buffer.clear();
    while missing > 0 {
        let read = socket.read_buf(buffer).await?;
        if read == 0 {
            return Err(cut());
        }
        missing = missing.saturating_sub(read);
        buffer.clear();
    }
    Ok(green)
}

/// Opens connections, sends one request on each, and holds them until standard input ends.
pub async fn idle(args: &Args) {
    let request = request(args, false);
    let mut held = Vec::new();
    let mut seen = Seen::default();
    for _ in 0..args.get("connections", 5_000) {
        let one = async {
            let mut socket = connect(args).await?;
            socket.write_all(&request).await?;
            read_answer(&mut socket, &mut Vec::with_capacity(4_096)).await?;
            std::io::Result::Ok(socket)
        };
        match one.await {
            Ok(socket) => held.push(socket),
            Err(_) => seen.errors += 1,
        }
    }
    println!("{{\"held\":{},\"errors\":{}}}", held.len(), seen.errors);
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = ended.await;
}
