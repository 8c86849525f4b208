//! Streams: tokens that are forwarded as they come, clients that disconnect, `WebSockets`.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::support::{Origin, TIMEOUT, TestProxy, UPGRADE, UPGRADED};

/// An origin that sends the bytes of a channel, and reports when its connection has ended.
fn reporting(report: Sender<&'static str>) -> (Origin, Sender<Vec<u8>>) {
    let (send, orders) = channel::<Vec<u8>>();
    let orders: Arc<Mutex<Receiver<Vec<u8>>>> = Arc::new(Mutex::new(orders));
    let origin = Origin::after_request(move |_, mut stream, mut reader| {
        report.send("asked").unwrap();
        let watch = {
            let report = report.clone();
            std::thread::spawn(move || {
                let mut byte = [0];
                if matches!(reader.read(&mut byte), Ok(0) | Err(_)) {
                    let _ = report.send("gone");
                }
            })
        };
        let orders = orders.lock().unwrap();
        while let Ok(bytes) = orders.recv() {
            if bytes.is_empty() || stream.write_all(&bytes).is_err() {
                break;
            }
        }
        drop(stream);
        drop(watch);
    });
    (origin, send)
}

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn every_token_passes_as_soon_as_it_comes() {
    let (report, reports) = channel();
    let (origin, order) = reporting(report);
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(reports.recv_timeout(TIMEOUT), Ok("asked"));
    order.send(STREAM.to_vec()).unwrap();
    // The head, before any token.
    client.response_head();
    for token in ["data: a\n\n", "data: b\n\n"] {
        order
            .send(format!("{:x}\r\n{token}\r\n", token.len()).into_bytes())
            .unwrap();
        assert_eq!(client.read_line(), "9\r\n");
        assert_eq!(client.read_exact(11), format!("{token}\r\n").into_bytes());
    }
    order.send(b"0\r\n\r\n".to_vec()).unwrap();
    assert_eq!(client.read_exact(5), b"0\r\n\r\n");
    order.send(Vec::new()).unwrap();
}

#[test]
fn a_client_that_leaves_frees_the_endpoint_before_and_after_the_first_byte() {
    for has_begun in [false, true] {
        let (report, reports) = channel();
        let (origin, order) = reporting(report);
        let proxy = TestProxy::before(&origin);
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(reports.recv_timeout(TIMEOUT), Ok("asked"));
        if has_begun {
            order.send(STREAM.to_vec()).unwrap();
            assert!(client.read_line().starts_with("HTTP/1.1 200"));
        }
        let left = std::time::Instant::now();
        drop(client);
        assert_eq!(reports.recv_timeout(TIMEOUT), Ok("gone"));
        assert!(left.elapsed() < std::time::Duration::from_secs(1));
        order.send(Vec::new()).unwrap();
        let live = proxy.cell.load();
        let cells = live
            .compiled()
            .routes()
            .iter()
            .next()
            .unwrap()
            .split()
            .entries()[0]
            .cells()
            .clone();
        drop(proxy);
        let snapshot = cells.snapshot();
        assert_eq!(
            snapshot.of_class(switchback::model::OutcomeClass::ClientGone),
            1
        );
    }
}

#[test]
fn counts_go_back_to_zero_when_a_stream_ends() {
    let (report, reports) = channel();
    let (origin, order) = reporting(report);
    let proxy = TestProxy::before(&origin);
    let roster = proxy.roster("blue");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(reports.recv_timeout(TIMEOUT), Ok("asked"));
    assert_eq!((roster.in_flight(), proxy.shared.requests()), (1, 1));
    order.send([STREAM, b"0\r\n\r\n"].concat()).unwrap();
    assert!(client.response().is_whole);
    // The next response on the same connection comes after the last request was counted.
    order.send(Vec::new()).unwrap();
    client.send("BAD\r\n\r\n");
    assert_eq!(client.response().status, 400);
    assert_eq!((roster.in_flight(), proxy.shared.requests()), (0, 0));
}

fn echo() -> Origin {
    Origin::after_request(|request, mut stream, mut reader| {
        assert_eq!(request.value("upgrade"), Some("websocket"));
        assert_eq!(request.value("connection"), Some("upgrade"));
        stream
            .write_all(format!("{UPGRADED}first").as_bytes())
            .unwrap();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            if stream.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
        let _ = stream.write_all(b"bye");
    })
}

#[test]
fn a_websocket_is_a_tunnel_after_its_101_and_is_counted_until_it_ends() {
    let origin = echo();
    let proxy = TestProxy::before(&origin);
    let roster = proxy.roster("blue");
    let mut client = proxy.client();
    let response = client.send(UPGRADE).response();
    assert_eq!(response.status, 101);
    assert_eq!(response.value("upgrade"), Some("websocket"));
    assert_eq!(
        response.value("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(client.read_exact(5), b"first");
    for frame in ["hello", "again"] {
        client.send(frame);
        assert_eq!(client.read_exact(5), frame.as_bytes());
    }
    assert_eq!(roster.in_flight(), 1);
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(
        client.read_exact(3),
        b"bye",
        "the other direction goes on after ours has ended"
    );
    assert!(client.is_closed());
    // The worker counts the request as ended after it has sent the end to the client.
    proxy.wait_until(|| roster.in_flight() == 0);
}

#[test]
fn a_release_that_left_ends_its_streams_visibly_and_serves_what_comes_later() {
    let (report, reports) = channel();
    let (origin, order) = reporting(report);
    let echo = echo();
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .release("green", &[&echo])
        .route("all", "/", &[("blue", 1)])
        .route("ws", "/ws", &[("green", 1)])
        .start();
    let (mut stream, mut silent, mut tunnel) = (proxy.client(), proxy.client(), proxy.client());
    stream.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(reports.recv_timeout(TIMEOUT), Ok("asked"));
    order.send(STREAM.to_vec()).unwrap();
    order.send(b"2\r\nab\r\n".to_vec()).unwrap();
    while stream.read_line() != "ab\r\n" {}
    silent.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(reports.recv_timeout(TIMEOUT), Ok("asked"));
    assert_eq!(tunnel.send(UPGRADE).response().status, 101);
    assert_eq!(tunnel.read_exact(5), b"first");

    proxy.cut("blue");
    assert!(stream.is_closed(), "without the chunk that would end it");
    let answer = silent.response();
    assert_eq!(
        (answer.status, answer.value("x-switchback-reason")),
        (503, Some("release_removed"))
    );
    // A tunnel to another release stays open until that release is aborted.
    assert_eq!(tunnel.send("hello").read_exact(5), b"hello");
    proxy.cut("green");
    assert!(
        tunnel.is_closed(),
        "without a word, in the middle of a frame"
    );
    order.send(Vec::new()).unwrap();
}

#[test]
fn a_websocket_that_we_end_ends_with_a_close_frame_to_both_sides() {
    for is_silent in [true, false] {
        let (report, reports) = channel();
        let origin = Origin::after_request(move |_, mut stream, mut reader| {
            stream.write_all(UPGRADED.as_bytes()).unwrap();
            stream.write_all(b"\x82\x03abc").unwrap();
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest);
            report.send(rest).unwrap();
        });
        let idle = if is_silent { "300ms" } else { "1h" };
        let proxy = TestProxy::builder()
            .release("blue", &[&origin])
            .route("all", "/", &[("blue", 1)])
            .settings(&format!("[timeouts]\nwebsocket_idle = {idle:?}"))
            .start();
        let mut client = proxy.client();
        assert_eq!(client.send(UPGRADE).response().status, 101);
        assert_eq!(client.read_exact(5), b"\x82\x03abc");
        if !is_silent {
            proxy.cut("blue");
        }
        let code = if is_silent { 0xe9 } else { 0xf4 };
        assert_eq!(client.read_exact(4), [0x88, 2, 3, code], "1001 or 1012");
        assert!(client.is_closed());
        drop(client);
        let rest = reports.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(rest, [0x88, 0x82, 0, 0, 0, 0, 3, 0xe9]);
    }
}

#[test]
fn an_unsolicited_101_is_a_bad_gateway() {
    let origin = Origin::answering(|_| UPGRADED.into());
    let proxy = TestProxy::before(&origin);
    let response = proxy.client().get("/");
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (502, Some("bad_answer"))
    );
}

#[test]
fn informational_answers_pass_and_too_many_are_refused() {
    let hints = |count: usize| {
        move |_: &crate::support::Request| {
            let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
            bytes.extend(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            bytes
        }
    };
    let (few, many) = (Origin::answering(hints(3)), Origin::answering(hints(101)));
    let proxy = TestProxy::builder()
        .release("few", &[&few])
        .release("many", &[&many])
        .route("few", "/few", &[("few", 1)])
        .route("many", "/many", &[("many", 1)])
        .start();
    let mut client = proxy.client();
    client.send("GET /few HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..3 {
        let hint = client.try_response().unwrap();
        assert_eq!((hint.status, hint.value("link")), (103, Some("</a>")));
    }
    assert_eq!(client.response().text(), "ok");
    assert_eq!(client.get("/many").status, 502);
}

#[test]
fn interim_answers_may_be_larger_than_a_buffer_together() {
    let hint = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </{}>\r\n\r\n",
        "a".repeat(4_000)
    );
    let all = hint.repeat(100) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::answering(move |_| all.clone().into_bytes());
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..100 {
        assert_eq!(client.try_response().unwrap().status, 103);
    }
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn an_empty_line_before_a_head_makes_it_no_larger() {
    let origin = Origin::replying("ok");
    let proxy = TestProxy::before(&origin);
    let largest = 64 * 1024;
    let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX-A: ", "\r\n\r\n");
    for (length, status) in [(largest, 200), (largest + 1, 431)] {
        let mut client = proxy.client();
        let value = "a".repeat(length - start.len() - end.len());
        client.send(format!("\r\n{start}{value}{end}"));
        assert_eq!(client.response().status, status);
    }
}

#[test]
fn an_expectation_is_passed_on_and_so_is_the_answer_to_it() {
    let origin = Origin::scripted(|mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(
            String::from_utf8(head)
                .unwrap()
                .to_lowercase()
                .contains("expect: 100-continue")
        );
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 5];
        stream.read_exact(&mut body).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .unwrap();
        stream.write_all(&body).unwrap();
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.try_response().unwrap().status, 100);
    assert_eq!(client.send("hello").response().text(), "hello");
}

#[test]
fn an_early_answer_reaches_the_client_and_ends_both_connections() {
    let origin = Origin::scripted(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
    let response = client.response();
    assert_eq!(
        (response.status, response.value("connection")),
        (413, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn a_stream_that_was_delivered_is_a_success_although_its_client_left_before_the_last_chunk() {
    for (event, outcome) in [
        ("data: [DONE]\n\n", "good"),
        ("data: {}\n\n", "client_gone"),
    ] {
        let (report, _reports) = channel();
        let (origin, orders) = reporting(report);
        let proxy = TestProxy::before(&origin);
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        orders.send(STREAM.to_vec()).unwrap();
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        orders.send(chunk.into_bytes()).unwrap();
        client.response_head();
        assert_eq!(client.chunk(), event);
        drop(client);
        let line = &proxy.access_lines(1)[0];
        assert_eq!(
            (&line["outcome"], &line["status"]),
            (&outcome.into(), &200.into())
        );
        orders.send(Vec::new()).unwrap();
    }
}
