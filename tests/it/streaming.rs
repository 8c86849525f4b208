//! Streams through the proxy: frames are forwarded as they come, in both directions at once; a truncated response is
//! visible as such; a client that disconnects frees the endpoint; a slow reader slows the writer down.
//!
//! Both ends proceed step by step: the next frame is sent only when the last one has arrived. A proxy that buffers
//! would not be slow here, it would never finish.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use socket2::SockRef;
use switchback::model::Version;

use super::support::{Origin, TIMEOUT, TestProxy};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET: &str = "GET /stream HTTP/1.1\r\nHost: agents.test\r\n\r\n";

/// An origin that sends each text of the channel as one chunk, and ends the body when the sender is dropped.
fn stepwise() -> (Origin, Sender<String>) {
    let (sender, receiver) = channel::<String>();
    let receiver = Mutex::new(receiver);
    let origin = Origin::after_request(move |_, mut stream, _| {
        stream.write_all(EVENTS.as_bytes()).unwrap();
        for text in receiver.lock().unwrap().iter() {
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            if stream.write_all(chunk.as_bytes()).is_err() {
                return;
            }
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    (origin, sender)
}

#[test]
fn each_event_arrives_before_the_next_is_sent_and_at_once() {
    let (origin, tokens) = stepwise();
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send(GET);
    let head = client.response_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut lags = Vec::new();
    for number in 0..200 {
        let token = format!("data: {number}\n\n");
        let sent = Instant::now();
        tokens.send(token.clone()).unwrap();
        assert_eq!(client.chunk(), token);
        lags.push(sent.elapsed());
    }
    drop(tokens);
    assert_eq!(client.chunk(), "");
    // The machine may be busy; the median is not affected by that.
    lags.sort_unstable();
    assert!(lags[100] < Duration::from_millis(20), "{:?}", lags[100]);
}

#[test]
fn a_body_goes_up_while_its_answer_comes_down() {
    let origin = Origin::scripted(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap() == 0 {
                return;
            }
        }
        writer.write_all(EVENTS.as_bytes()).unwrap();
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let length = usize::from_str_radix(size.trim_end(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk).unwrap();
            writer.write_all(size.as_bytes()).unwrap();
            writer.write_all(&chunk).unwrap();
            if length == 0 {
                return;
            }
        }
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("POST /echo HTTP/1.1\r\nHost: agents.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nfirst\r\n");
    client.response_head();
    assert_eq!(client.chunk(), "first");
    for number in 0..50 {
        let text = format!("part {number}");
        client.send(format!("{:x}\r\n{text}\r\n", text.len()));
        assert_eq!(client.chunk(), text);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), "");
}

#[test]
fn a_body_that_is_cut_never_looks_whole() {
    let cuts = [
        (
            "a chunked one between chunks",
            format!("{EVENTS}5\r\nhello\r\n"),
        ),
        ("a chunked one in a chunk", format!("{EVENTS}5\r\nhel")),
        (
            "one with a length",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".into(),
        ),
    ];
    for (what, bytes) in cuts {
        for abruptly in [false, true] {
            let bytes = bytes.clone();
            let origin = Origin::after_request(move |_, mut stream, _| {
                stream.write_all(bytes.as_bytes()).unwrap();
                end(&stream, abruptly);
            });
            let proxy = TestProxy::before(&origin);
            let answer = proxy.client().get("/stream");
            assert_eq!(answer.status, 200);
            assert!(!answer.is_whole, "{what}, abruptly: {abruptly}");
        }
    }
}

/// Ends the origin's side, with a FIN or with a reset.
fn end(stream: &TcpStream, abruptly: bool) {
    if abruptly {
        SockRef::from(stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole_after_a_fin_and_cut_after_a_reset() {
    for abruptly in [false, true] {
        let (sent, arrived) = channel::<()>();
        let arrived = Mutex::new(arrived);
        let origin = Origin::after_request(move |_, mut stream, _| {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
                .unwrap();
            arrived.lock().unwrap().recv().unwrap();
            end(&stream, abruptly);
        });
        let proxy = TestProxy::before(&origin);
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: agents.test\r\nConnection: close\r\n\r\n");
        client.response_head();
        assert_eq!(client.chunk(), "hello");
        sent.send(()).unwrap();
        let mut rest = Vec::new();
        // After a cut the connection may end in a reset.
        let _ = client.reader().read_to_end(&mut rest);
        assert_eq!(
            rest == b"0\r\n\r\n",
            !abruptly,
            "{:?}",
            String::from_utf8_lossy(&rest)
        );
    }
}

/// An origin that sends these bytes, and reports when the proxy has closed the connection.
fn tells_when_left(first: &'static str) -> (Origin, Receiver<()>, Receiver<Instant>) {
    let (asked, was_asked) = channel();
    let (left, was_left) = channel();
    let tell = Mutex::new((asked, left));
    let origin = Origin::after_request(move |_, mut stream, mut reader| {
        stream.write_all(first.as_bytes()).unwrap();
        let (asked, left) = tell.lock().unwrap().clone();
        asked.send(()).unwrap();
        // The proxy sends nothing more but its FIN or RST.
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
        left.send(Instant::now()).unwrap();
    });
    (origin, was_asked, was_left)
}

#[test]
fn a_client_that_leaves_frees_the_endpoint_within_a_second() {
    for (what, first) in [
        ("before the first byte", ""),
        ("after the head", EVENTS),
        (
            "in a stream",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
    ] {
        let (origin, was_asked, was_left) = tells_when_left(first);
        let proxy = TestProxy::before(&origin);
        let mut client = proxy.client();
        client.send(GET);
        was_asked.recv_timeout(TIMEOUT).unwrap();
        if !first.is_empty() {
            client.response_head();
        }
        let leaving = Instant::now();
        drop(client);
        let left = was_left.recv_timeout(TIMEOUT).unwrap();
        let took = left.saturating_duration_since(leaving);
        assert!(took < Duration::from_secs(1), "{what}: {took:?}");
    }
}

#[test]
fn a_client_that_leaves_while_its_body_is_unread_frees_its_permit_within_a_second() {
    let (origin, was_asked, was_left) = tells_when_left("");
    let release = format!(
        "endpoints = [{:?}]\nlimits = {{ concurrency = 1, queue = 9, queue_timeout = \"1m\" }}",
        origin.url()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &release)
        .route("all", "/", &[("blue", 1)])
        .start();
    let roster = proxy.roster("blue");
    let mut first = proxy.client();
    first.send(GET);
    was_asked.recv_timeout(TIMEOUT).unwrap();
    for (what, body, abruptly) in [
        ("after half of its body", "half", false),
        ("after all of its body", "whole body", false),
        ("with a reset", "half", true),
    ] {
        let mut queued = proxy.client();
        queued.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
        queued.send(body);
        proxy.wait_until(|| roster.concurrency_limit().waiting() == 1);
        let leaving = Instant::now();
        if abruptly {
            end(queued.stream(), true);
        }
        drop(queued);
        proxy.wait_until(|| roster.concurrency_limit().waiting() == 0);
        let took = leaving.elapsed();
        assert!(took < Duration::from_secs(1), "{what}: {took:?}");
    }
    drop(first);
    was_left.recv_timeout(TIMEOUT).unwrap();
}

#[test]
fn a_client_that_is_reset_while_its_endpoint_does_not_read_frees_it_within_a_second() {
    let (asked, was_asked) = channel();
    let (left, was_left) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let tell = Mutex::new((asked, left, may_go_on));
    let origin = Origin::scripted(move |mut stream| {
        let mut start = [0; 16];
        stream.read_exact(&mut start).unwrap();
        let tell = tell.lock().unwrap();
        tell.0.send(()).unwrap();
        // Nothing is read until the client has disconnected; only what was sent by then arrives.
        tell.2.recv_timeout(TIMEOUT).unwrap();
        let mut sink = vec![0; 1 << 20];
        while matches!(stream.read(&mut sink), Ok(1..)) {}
        tell.1.send(()).unwrap();
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    was_asked.recv_timeout(TIMEOUT).unwrap();
    // Until all buffers on the way are full.
    let socket = client.stream();
    socket.set_nonblocking(true).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut stuck_since = Instant::now();
    while stuck_since.elapsed() < Duration::from_millis(300) {
        match (&*socket).write(&piece) {
            Ok(1..) => stuck_since = Instant::now(),
            Ok(0) | Err(_) => std::thread::yield_now(),
        }
    }
    let leaving = Instant::now();
    end(socket, true);
    drop(client);
    proxy.wait_until(|| proxy.shared.requests() == 0);
    let took = leaving.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    go_on.send(()).unwrap();
    was_left.recv_timeout(TIMEOUT).unwrap();
}

#[test]
fn a_client_that_says_no_more_but_listens_is_taken_as_gone() {
    let (origin, was_asked, was_left) = tells_when_left(EVENTS);
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send(GET);
    was_asked.recv_timeout(TIMEOUT).unwrap();
    client.response_head();
    client.stream().shutdown(Shutdown::Write).unwrap();
    was_left.recv_timeout(TIMEOUT).unwrap();
}

#[test]
fn a_client_that_stops_reading_holds_the_endpoint_up() {
    const PIECE: usize = 64 * 1024;
    const MOST: usize = 12 << 20;
    let (count, counted) = channel();
    let count = Mutex::new(count);
    let origin = Origin::after_request(move |_, mut stream, _| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20);
        stream.write_all(head.as_bytes()).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let piece = vec![b'x'; PIECE];
        let mut written = 0;
        // Blocked if nothing could be written for a second.
        while let Ok(length @ 1..) = stream.write(&piece) {
            written += length;
            if written > MOST {
                break;
            }
        }
        count.lock().unwrap().send(written).unwrap();
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send(GET);
    client.response_head();
    let written = counted.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        written <= MOST,
        "{written} bytes are under way to a client that reads none"
    );
}

#[test]
fn a_stream_stays_where_it_began_when_the_route_is_switched() {
    let (blue, tokens) = stepwise();
    let green = Origin::replying("green");
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route("chat", "/", &[("blue", 1), ("green", 0)])
        .start();
    let mut stream = proxy.client();
    stream.send(GET);
    stream.response_head();
    tokens.send("one".into()).unwrap();
    assert_eq!(stream.chunk(), "one");

    let revision = proxy.switch("chat", "green");
    proxy.converged(revision);
    assert_eq!(proxy.client().get("/").text(), "green");
    let roster = proxy
        .fleet
        .roster(&"blue".parse().unwrap(), &Version::default());
    assert_eq!(
        roster.in_flight(),
        1,
        "an open stream delays no change, and is counted"
    );
    tokens.send("two".into()).unwrap();
    assert_eq!(stream.chunk(), "two");
    drop(tokens);
    assert_eq!(stream.chunk(), "");
    // The client may see the end before the worker has counted it: the next response on the connection comes later.
    assert_eq!(stream.get("/").text(), "green");
    assert_eq!(roster.in_flight(), 0);
}

#[test]
fn a_stream_that_goes_on_has_no_limit_in_all() {
    let (origin, tokens) = stepwise();
    let proxy = TestProxy::builder()
        .settings("[timeouts]\nsilence = \"400ms\"\nhead = \"400ms\"\nbody = \"400ms\"\nkeep_alive = \"400ms\"")
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .start();
    let mut client = proxy.client();
    client.send(GET);
    client.response_head();
    let start = Instant::now();
    // Three times as long as any timeout, but never idle for as long as one.
    while start.elapsed() < Duration::from_millis(1_200) {
        tokens.send("token".into()).unwrap();
        assert_eq!(client.chunk(), "token");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(tokens);
    assert_eq!(client.chunk(), "");
}
