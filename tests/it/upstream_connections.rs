//! Connections to HTTP/2 endpoints: their number, their lifetime, and pings on them.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::support::h2::{ACK, DATA, HEADERS, PING, RawH2, SETTINGS};
use crate::support::{Origin, TestProxy, TestProxyBuilder};

/// `MAX_CONCURRENT_STREAMS` (RFC 9113, section 6.5.2).
fn streams(most: u8) -> [u8; 6] {
    [0, 3, 0, 0, 0, most]
}

fn before(origin: &Origin) -> TestProxyBuilder {
    let lines = format!("protocol = \"h2\"\nendpoints = [{:?}]", origin.url());
    TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
}

fn connections(proxy: &TestProxy) -> u32 {
    proxy.roster("blue").endpoints()[0].connections()
}

#[test]
fn an_endpoint_that_allows_no_streams_costs_one_connection() {
    let origin = Origin::scripted(|stream| {
        let raw = RawH2::accept(stream, &streams(0));
        raw.map(|mut raw| raw.rest());
    });
    let proxy = before(&origin).start();
    let mut client = proxy.client();
    for _ in 0..20 {
        let response = client.get("/");
        assert_eq!(response.status, 503);
        assert_eq!(response.value("x-switchback-reason"), Some("overloaded"));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_announced_its_end_is_closed_with_its_last_stream() {
    let (closed, is_closed) = mpsc::channel();
    let closed = Mutex::new(closed);
    let origin = Origin::scripted(move |stream| {
        let mut raw = RawH2::accept(stream, &[]).unwrap();
        let head = raw.until(|frame| frame.kind == HEADERS).unwrap();
        raw.goaway(head.stream);
        raw.answer(head.stream, b"ok");
        raw.rest();
        let _ = closed.lock().unwrap().send(());
    });
    let proxy = before(&origin)
        .settings("[timeouts]\nendpoint_idle = \"1h\"")
        .start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
        is_closed.recv_timeout(crate::support::TIMEOUT).unwrap();
    }
    assert_eq!(origin.connections(), 3);
}

/// An endpoint that allows one stream per connection and responds to all of them once there are `count`.
fn one_by_one(count: usize) -> Origin {
    let gate = Arc::new(std::sync::Barrier::new(count));
    Origin::scripted(move |stream| {
        let Some(mut raw) = RawH2::accept(stream, &streams(1)) else {
            return;
        };
        if let Some(head) = raw.until(|frame| frame.kind == HEADERS) {
            gate.wait();
            raw.answer(head.stream, b"ok");
            raw.rest();
        }
    })
}

fn ask_at_once(proxy: &TestProxy, count: usize) {
    let asking = (0..count).map(|_| {
        let mut client = proxy.client();
        std::thread::spawn(move || assert_eq!(client.get("/").text(), "ok"))
    });
    for asking in asking.collect::<Vec<_>>() {
        asking.join().unwrap();
    }
}

#[test]
fn idle_connections_are_as_few_as_the_limit_says() {
    let origin = one_by_one(8);
    let proxy = before(&origin)
        .settings("[limits]\nidle_per_endpoint = 3\n[timeouts]\nendpoint_idle = \"1h\"")
        .start();
    ask_at_once(&proxy, 8);
    assert_eq!(origin.connections(), 8);
    proxy.wait_until(|| connections(&proxy) == 3);
}

#[test]
fn an_idle_connection_lives_as_long_as_that_of_an_endpoint() {
    let origin = one_by_one(4);
    let proxy = before(&origin)
        .settings("[timeouts]\nendpoint_idle = \"100ms\"\nhttp2_idle = \"1h\"")
        .start();
    ask_at_once(&proxy, 4);
    proxy.wait_until(|| connections(&proxy) == 0);
}

#[test]
fn a_missed_ping_keeps_new_streams_away_and_ends_none() {
    let pings = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pings);
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let numbers = AtomicUsize::new(0);
    let origin = Origin::scripted(move |stream| {
        let is_first = numbers.fetch_add(1, Ordering::SeqCst) == 0;
        let mut raw = RawH2::accept(stream, &[]).unwrap();
        while let Some(frame) = raw.next() {
            match frame.kind {
                HEADERS if is_first => {
                    // It delays its response; two pings wait behind it.
                    for _ in 0..2 {
                        raw.until(|frame| frame.kind == PING).unwrap();
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    gate.lock().unwrap().recv().unwrap();
                    raw.answer(frame.stream, b"thought");
                }
                HEADERS => {
                    raw.answer(frame.stream, b"at once");
                }
                _ => {}
            }
        }
    });
    let proxy = before(&origin)
        .settings("[timeouts]\nendpoint_ping = \"100ms\"\nhttp2_ping_answer = \"100ms\"")
        .start();
    let mut thinking = proxy.client();
    thinking.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    proxy.wait_until(|| pings.load(Ordering::SeqCst) == 2);
    assert_eq!(proxy.client().get("/").text(), "at once");
    assert_eq!(origin.connections(), 2);
    go.send(()).unwrap();
    assert_eq!(thinking.response().text(), "thought");
}

#[test]
fn an_endpoint_is_not_pinged_unless_asked_for_nor_without_a_stream() {
    for settings in ["http2_ping = \"50ms\"", "endpoint_ping = \"50ms\""] {
        let (seen, frames) = mpsc::channel();
        let seen = Mutex::new(seen);
        let origin = Origin::scripted(move |stream| {
            let Some(mut raw) = RawH2::accept(stream, &[]) else {
                return;
            };
            let head = raw.until(|frame| frame.kind == HEADERS).unwrap();
            if settings.starts_with("endpoint") {
                raw.answer(head.stream, b"");
            }
            let rest = raw.rest();
            let pings = rest.iter().filter(|frame| frame.kind == PING).count();
            let _ = seen.lock().unwrap().send(pings);
        });
        let timeouts = "silence = \"300ms\"\nendpoint_idle = \"300ms\"";
        let proxy = before(&origin)
            .settings(&format!("[timeouts]\n{settings}\n{timeouts}"))
            .start();
        proxy.client().get("/");
        let pings = frames.recv_timeout(crate::support::TIMEOUT).unwrap();
        assert_eq!(pings, 0, "{settings}");
    }
}

#[test]
fn a_connection_without_window_takes_no_new_streams() {
    let numbers = AtomicUsize::new(0);
    let (stalled, is_stalled) = mpsc::channel();
    let stalled = Mutex::new(stalled);
    let origin = Origin::scripted(move |stream| {
        let is_first = numbers.fetch_add(1, Ordering::SeqCst) == 0;
        let mut raw = RawH2::accept(stream, &[]).unwrap();
        let (mut received, mut is_acknowledged) = (0, false);
        while let Some(frame) = raw.next() {
            match frame.kind {
                SETTINGS if frame.flags == 0 => {
                    // The ACK of the ping shows that the acknowledgement was read as well.
                    raw.frame(SETTINGS, ACK, 0, b"");
                    raw.frame(PING, 0, 0, &[0; 8]);
                }
                PING => is_acknowledged = true,
                DATA => received += frame.payload.len(),
                HEADERS if !is_first => {
                    raw.answer(frame.stream, b"ok");
                }
                _ => {}
            }
            if received == 65_535 && is_acknowledged {
                let _ = stalled.lock().unwrap().send(());
            }
        }
    });
    let proxy = before(&origin).start();
    let mut upload = proxy.client();
    let body = vec![b'x'; 100_000];
    upload.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    upload.send(&body);
    is_stalled.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(proxy.client().get("/").text(), "ok");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_connection_that_ends_with_its_response_does_not_wait_for_a_client_that_stays() {
    let (closed, is_closed) = mpsc::channel();
    let closed = Mutex::new(closed);
    let origin = Origin::after_request(move |_, mut stream, mut reader| {
        let response = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(response).unwrap();
        let _ = closed.lock().unwrap().send(reader.read(&mut [0]).unwrap());
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(client.reader().read(&mut [0]).unwrap(), 0);
    // The proxy has ended its side and waits for the client's end, which does not come yet.
    assert_eq!(proxy.roster("blue").endpoints()[0].connections(), 0);
    assert_eq!(is_closed.recv_timeout(crate::support::TIMEOUT), Ok(0));
}
