//! Open token streams: many SSE responses or WebSockets, each chunk timed against the clock that its origin wrote in it.

use std::{rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{args::Args, clock::now_ns, http1::{Socket, connect}, http2, report::Shared};

/// Number of connections that are opened at a time.
const AT_ONCE: usize = 32;

pub async fn run(args: &Args, websocket: bool) {
    let seen = Shared::default();
    let count: usize = args.get("connections", 1_000);
    let rate: f64 = args.get("rate", 20.0);
    let head = if websocket {
        format!("GET /ws?rate={rate} HTTP/1.1\r\nhost: bench.test\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    } else {
        format!("GET /sse?rate={rate} HTTP/1.1\r\nhost: bench.test\r\naccept: text/event-stream\r\n\r\n")
    };
    let sockets = open_many(args, count, head.into_bytes()).await;
    let (start, from, end) = settled(args, &seen).await;
    let tasks: Vec<_> = sockets
        .into_iter()
        .map(|mut socket| {
            let seen = Rc::clone(&seen);
            tokio::task::spawn_local(async move {
                let mut buffer = Vec::with_capacity(4_096);
                loop {
                    buffer.clear();
                    match timeout_at(end, socket.read_buf(&mut buffer)).await {
                        Err(_) => return,
                        Ok(Err(_) | Ok(0)) => {
                            seen.borrow_mut().errors += 1;
                            return;
                        }
                        Ok(Ok(_)) => note(&seen, &buffer, from),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        let _ = task.await;
    }
    seen.borrow_mut().print(start.elapsed().as_secs_f64(), None);
}

/// Connections that have sent this and have received the beginning of a response.
async fn open_many(args: &Args, count: usize, request: Vec<u8>) -> Vec<Box<dyn Socket>> {
    let (places, request) = (Rc::new(Semaphore::new(AT_ONCE)), Rc::new(request));
    let opening: Vec<_> = (0..count)
        .map(|_| {
            let (args, places, request) = (args.clone(), Rc::clone(&places), Rc::clone(&request));
            tokio::task::spawn_local(async move {
                let _place = places.acquire().await.expect("nobody closes it");
                let mut socket = connect(&args).await.expect("a connection");
                socket.write_all(&request).await.expect("a request");
                let begun = socket.read(&mut [0; 4_096]).await.expect("an answer");
                assert!(begun > 0, "the connection was closed");
                socket
            })
        })
        .collect();
    let mut sockets = Vec::with_capacity(count);
    for one in opening {
        sockets.push(one.await.expect("a stream that opens"));
    }
    sockets
}

/// The bench looks at memory and CPU from when it reads `open` to the end; what is timed begins a little later.
async fn settled(args: &Args, seen: &Shared) -> (Instant, u64, Instant) {
    seen.borrow_mut().counting = true;
    println!("open");
    tokio::time::sleep(Duration::from_secs_f64(args.get("settle", 1.0))).await;
    let start = Instant::now();
    (start, now_ns(), start + Duration::from_secs_f64(args.get("seconds", 3.0)))
}

/// The same over HTTP/2: `--connections` connections with `--streams` streams each.
pub async fn run_http2(args: &Args) {
    let seen = Shared::default();
    let rate: f64 = args.get("rate", 20.0);
    let mut bodies = Vec::new();
    for _ in 0..args.get("connections", 10) {
        let client = http2::client(args).await;
        for _ in 0..args.get("streams", 100) {
            let request = http::Request::get(format!("http://bench.test/sse?rate={rate}")).header("accept", "text/event-stream");
            let mut client = client.clone().ready().await.expect("the peer allows another stream");
            let answer = client.send_request(request.body(()).expect("a request"), true).expect("a stream").0;
            bodies.push(answer.await.expect("an answer").into_body());
        }
    }
    let (start, from, end) = settled(args, &seen).await;
    let tasks: Vec<_> = bodies
        .into_iter()
        .map(|body| {
            let seen = Rc::clone(&seen);
            tokio::task::spawn_local(async move {
                if timeout_at(end, read_http2(body, &seen, from)).await.is_ok() {
                    seen.borrow_mut().errors += 1;
                }
            })
        })
        .collect();
    for task in tasks {
        let _ = task.await;
    }
    seen.borrow_mut().print(start.elapsed().as_secs_f64(), None);
}

/// Reads until the stream ends, which it never should.
async fn read_http2(mut body: h2::RecvStream, seen: &Shared, from: u64) -> Option<()> {
    loop {
        let data = body.data().await?.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
        note(seen, &data, from);
    }
}

/// Every time stamp in what was read; what was sent before the measurement began does not count.
fn note(seen: &Shared, bytes: &[u8], from: u64) {
    let now = now_ns();
    let mut seen = seen.borrow_mut();
    let mut any = false;
    for place in bytes.windows(6).enumerate().filter(|(_, window)| *window == b"data: ").map(|(place, _)| place + 6) {
        let stamp = bytes.get(place..place + 20).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|text| text.parse::<u64>().ok());
        if let Some(sent) = stamp.filter(|sent| *sent >= from) {
            seen.answer(now.saturating_sub(sent) / 1_000, false);
            any = true;
        }
    }
    seen.reads += u64::from(any);
}
