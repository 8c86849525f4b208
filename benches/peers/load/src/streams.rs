//! Open token streams: many SSE responses or WebSockets, each chunk timed against the clock that its origin wrote in it.

use std::{rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use crate::{args::Args, clock::now_ns, http1::connect, report::Shared};

pub async fn run(args: &Args, websocket: bool) {
    let seen = Shared::default();
    let count: usize = args.get("connections", 1_000);
    let seconds: f64 = args.get("seconds", 3.0);
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = connect(args).await.expect("a connection");
        let rate: f64 = args.get("rate", 20.0);
        let head = if websocket {
            format!("GET /ws?rate={rate} HTTP/1.1\r\nhost: bench.test\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        } else {
            format!("GET /sse?rate={rate} HTTP/1.1\r\nhost: bench.test\r\naccept: text/event-stream\r\n\r\n")
        };
        socket.write_all(head.as_bytes()).await.expect("a request");
        sockets.push(socket);
    }
    // The bench looks at memory and CPU from here to the end.
    println!("open");
    tokio::time::sleep(Duration::from_secs_f64(args.get("settle", 1.0))).await;
    let start = Instant::now();
    let (from, end) = (now_ns(), start + Duration::from_secs_f64(seconds));
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
