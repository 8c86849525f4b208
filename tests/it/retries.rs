//! Retries: the rule of `src/proxy/retry.rs` over the wire, for HTTP/1.1 and HTTP/2 alike.

use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::h2::{CONTINUATION, DATA, END_STREAM, HEADERS, RST_STREAM, RawH2};
use crate::support::{Client, Origin, TestProxy, TestProxyBuilder, read_request};

const METHODS: [(&str, &str); 4] = [
    ("GET", ""),
    ("DELETE", ""),
    ("PUT", "state"),
    ("POST", "order"),
];

fn builder(protocol: &str, origin: &Origin) -> TestProxyBuilder {
    let lines = format!("protocol = {protocol:?}\nendpoints = [{:?}]", origin.url());
    TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
}

fn before(protocol: &str, origin: &Origin) -> TestProxy {
    builder(protocol, origin).start()
}

fn ask(client: &mut Client, method: &str, body: &str) -> (u16, String) {
    client.send(format!(
        "{method} / HTTP/1.1\r\nHost: agents.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let response = client.response();
    (response.status, response.text())
}

/// Number of failed attempts at the first release of the only route.
fn failed_attempts(proxy: &TestProxy) -> u64 {
    let live = proxy.cell.load();
    let route = live.compiled().routes().iter().next().unwrap();
    let entry = &route.split().entries()[0];
    entry.cells().snapshot().failed_attempts.iter().sum()
}

/// Serves streams of raw frames: `first` gets the number of the connection and each complete request.
fn frames(
    settings: &'static [u8],
    serve: impl Fn(&mut RawH2, (usize, u32), &[u8]) -> bool + Send + Sync + 'static,
) -> Origin {
    let connections = AtomicUsize::new(0);
    Origin::scripted(move |stream| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        let Some(mut raw) = RawH2::accept(stream, settings) else {
            return;
        };
        let mut bodies = std::collections::HashMap::<u32, Vec<u8>>::new();
        while let Some(frame) = raw.next() {
            if !matches!(frame.kind, HEADERS | DATA | CONTINUATION) {
                continue;
            }
            let body = bodies.entry(frame.stream).or_default();
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.flags & END_STREAM != 0 && !serve(&mut raw, (number, frame.stream), body) {
                return;
            }
        }
    })
}

#[test]
fn what_was_refused_goes_again_with_its_body_whatever_the_method() {
    let refuse_stream = |raw: &mut RawH2, stream| raw.frame(RST_STREAM, 0, stream, &[0, 0, 0, 7]);
    let goaway = |raw: &mut RawH2, _| {
        raw.goaway(0);
        false
    };
    for refuse in [refuse_stream as fn(&mut RawH2, u32) -> bool, goaway] {
        for (method, body) in METHODS {
            let origin = frames(&[], move |raw, (connection, stream), body| {
                if connection < 2 {
                    refuse(raw, stream)
                } else {
                    raw.answer(stream, body)
                }
            });
            let proxy = before("h2", &origin);
            let answer = ask(&mut proxy.client(), method, body);
            assert_eq!(answer, (200, body.to_owned()), "{method}");
            assert_eq!(failed_attempts(&proxy), 2, "{method}");
            assert_eq!(origin.connections(), 3, "{method}");
        }
    }
}

#[test]
fn a_body_that_arrives_in_parts_is_sent_again_from_its_beginning() {
    let origin = Origin::scripted({
        let connections = AtomicUsize::new(0);
        move |stream| {
            let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            let mut raw = RawH2::accept(stream, &[]).unwrap();
            let mut body = Vec::new();
            while let Some(frame) = raw.next() {
                if frame.kind != DATA {
                    continue;
                }
                body.extend_from_slice(&frame.payload);
                if is_first {
                    // The rest of the response is still to come.
                    raw.goaway(0);
                    return;
                }
                if frame.flags & END_STREAM != 0 {
                    raw.answer(frame.stream, &body);
                }
            }
        }
    });
    let proxy = before("h2", &origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\none\r\n");
    proxy.wait_until(|| origin.connections() == 2);
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "onetwo");
}

#[test]
fn a_body_longer_than_is_kept_is_sent_once() {
    for (length, status) in [(1_000, 200), (1_001, 503)] {
        let origin = frames(&[], move |raw, (connection, stream), _| {
            if connection == 0 {
                raw.frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])
            } else {
                raw.answer(stream, b"")
            }
        });
        let proxy = builder("h2", &origin)
            .settings("[limits]\nretry_body = 1000")
            .start();
        let body = "x".repeat(length);
        assert_eq!(ask(&mut proxy.client(), "POST", &body).0, status);
    }
}

#[test]
fn an_endpoint_that_refuses_everything_is_asked_a_few_times() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let origin = frames(&[], move |raw, (_, stream), _| {
        count.fetch_add(1, Ordering::SeqCst);
        raw.frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])
    });
    let proxy = before("h2", &origin);
    assert_eq!(ask(&mut proxy.client(), "GET", "").0, 503);
    assert_eq!(seen.load(Ordering::SeqCst), 5);
    assert_eq!(failed_attempts(&proxy), 5);
}

#[test]
fn another_reset_and_a_malformed_answer_are_never_sent_again() {
    let reset = |raw: &mut RawH2, stream| raw.frame(RST_STREAM, 0, stream, &[0, 0, 0, 2]);
    let malformed = |raw: &mut RawH2, stream| raw.head(stream, END_STREAM, &[(":status", "many")]);
    for break_off in [reset as fn(&mut RawH2, u32) -> bool, malformed] {
        for (method, body) in METHODS {
            let seen = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&seen);
            let origin = frames(&[], move |raw, (_, stream), _| {
                match count.fetch_add(1, Ordering::SeqCst) {
                    // The connection is an idle one for the requests below.
                    0 => raw.answer(stream, b""),
                    _ => break_off(raw, stream),
                }
            });
            let proxy = before("h2", &origin);
            let mut client = proxy.client();
            assert_eq!(ask(&mut client, "GET", "").0, 200);
            assert_eq!(ask(&mut client, method, body).0, 502, "{method}");
            assert_eq!(seen.load(Ordering::SeqCst), 2, "{method}");
            assert_eq!(failed_attempts(&proxy), 1, "{method}");
        }
    }
}

/// Responds to the first request on a connection and closes at the second one, `after` a part of a response.
fn closing(after: &'static str) -> Origin {
    Origin::scripted(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(request) = read_request(&mut reader) else {
            return;
        };
        let body = String::from_utf8(request.body).unwrap();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_ok() && read_request(&mut reader).is_some() {
            // The connection may be closed already.
            let _ = stream.write_all(after.as_bytes());
        }
    })
}

#[test]
fn a_kept_connection_that_ends_unanswered_sends_only_idempotent_requests_again() {
    for (method, body) in METHODS {
        let over_http2 = frames(&[], |raw, (connection, stream), body| {
            (connection, stream) != (0, 3) && raw.answer(stream, body)
        });
        for (protocol, origin) in [("http/1.1", closing("")), ("h2", over_http2)] {
            let proxy = before(protocol, &origin);
            let mut client = proxy.client();
            assert_eq!(ask(&mut client, "GET", "").0, 200);
            let (status, echoed) = ask(&mut client, method, body);
            if method == "POST" {
                assert_eq!(status, 502, "{protocol}");
            } else {
                assert_eq!(
                    (status, echoed.as_str()),
                    (200, body),
                    "{protocol} {method}"
                );
            }
            let connections = 1 + usize::from(method != "POST");
            assert_eq!(origin.connections(), connections, "{protocol} {method}");
            assert_eq!(failed_attempts(&proxy), 1, "{protocol} {method}");
        }
    }
}

#[test]
fn a_new_connection_that_ends_and_a_part_of_an_answer_are_never_sent_again() {
    let hasty = Origin::scripted(|stream| {
        read_request(&mut BufReader::new(stream));
    });
    let hasty_http2 = frames(&[], |_, _, _| false);
    for (protocol, origin) in [("http/1.1", hasty), ("h2", hasty_http2)] {
        let proxy = before(protocol, &origin);
        assert_eq!(ask(&mut proxy.client(), "GET", "").0, 502, "{protocol}");
        assert_eq!(origin.connections(), 1, "{protocol}");
    }
    for part in ["H", "HTTP/1.1 103 Early Hints\r\n\r\n", "nonsense\r\n\r\n"] {
        let origin = closing(part);
        let proxy = before("http/1.1", &origin);
        let mut client = proxy.client();
        assert_eq!(ask(&mut client, "GET", "").0, 200);
        assert_eq!(ask(&mut client, "GET", "").0, 502, "{part:?}");
        assert_eq!(origin.connections(), 1, "{part:?}");
    }
}

#[test]
fn a_repeat_stays_with_its_release_whatever_the_table_says() {
    for protocol in ["http/1.1", "h2"] {
        let (arrived, arrival) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let hold = move || {
            arrived.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        };
        let blue = if protocol == "h2" {
            frames(&[], move |raw, (connection, stream), _| {
                if (connection, stream) != (0, 3) {
                    return raw.answer(stream, b"blue");
                }
                hold();
                raw.frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])
            })
        } else {
            let connections = AtomicUsize::new(0);
            Origin::scripted(move |mut stream| {
                let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut requests = 0;
                while read_request(&mut reader).is_some() {
                    requests += 1;
                    if is_first && requests == 2 {
                        return hold();
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue";
                    stream.write_all(answer).unwrap();
                }
            })
        };
        let green = Origin::replying("green");
        let lines = format!("protocol = {protocol:?}\nendpoints = [{:?}]", blue.url());
        let proxy = TestProxy::builder()
            .release_with("blue", &lines)
            .release("green", &[&green])
            .route("all", "/", &[("blue", 1), ("green", 0)])
            .start();
        let mut client = proxy.client();
        assert_eq!(ask(&mut client, "GET", ""), (200, "blue".into()));
        let cells = {
            let live = proxy.cell.load();
            let route = live.compiled().routes().iter().next().unwrap();
            Arc::clone(route.split().entries()[0].cells())
        };
        client.send("DELETE / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        arrival.recv().unwrap();
        let revision = proxy.switch("all", "green");
        proxy.converged(revision);
        go.send(()).unwrap();
        assert_eq!(client.response().text(), "blue", "{protocol}");
        assert!(green.requests().is_empty(), "{protocol}");
        let failed: u64 = cells.snapshot().failed_attempts.iter().sum();
        assert_eq!(failed, 1, "{protocol}");
        assert_eq!(ask(&mut client, "GET", ""), (200, "green".into()));
    }
}

/// An endpoint like nginx with `keepalive_requests`: it allows so many streams per connection, sends GOAWAY with the
/// last of them, ignores the rest, and leaves the close to its client.
#[test]
fn an_endpoint_with_few_requests_per_connection_fails_no_request() {
    const MOST: usize = 5;
    let origin = Origin::scripted(|stream| {
        let Some(mut raw) = RawH2::accept(stream, &[0, 3, 0, 0, 0, 128]) else {
            return;
        };
        let mut taken = Vec::new();
        let mut bodies = std::collections::HashMap::<u32, Vec<u8>>::new();
        while let Some(frame) = raw.next() {
            if frame.kind == HEADERS && taken.len() < MOST {
                taken.push(frame.stream);
                if taken.len() == MOST {
                    raw.goaway(frame.stream);
                }
            }
            if !matches!(frame.kind, HEADERS | DATA) || !taken.contains(&frame.stream) {
                continue;
            }
            let body = bodies.entry(frame.stream).or_default();
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.flags & END_STREAM != 0 {
                let body = bodies.remove(&frame.stream).unwrap();
                raw.answer(frame.stream, &body);
            }
        }
    });
    let proxy = before("h2", &origin);
    let clients = (0..16).map(|_| {
        let mut client = proxy.client();
        std::thread::spawn(move || {
            for round in 0..25 {
                let (method, body) = METHODS[round % METHODS.len()];
                assert_eq!(ask(&mut client, method, body), (200, body.to_owned()));
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().unwrap();
    }
}

#[test]
fn attempts_and_why_one_failed_stand_in_the_log() {
    let origin = frames(&[], |raw, (connection, stream), _| {
        if connection == 0 {
            raw.frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])
        } else {
            raw.answer(stream, b"")
        }
    });
    let proxy = before("h2", &origin);
    let mut client = proxy.client();
    ask(&mut client, "POST", "order");
    ask(&mut client, "POST", "order");
    let lines = proxy.access_lines(2);
    assert_eq!(lines[0]["attempts"], 2);
    assert_eq!(lines[0]["attempt_error"], "refused");
    assert_eq!(lines[1]["attempts"], 1);
    assert!(lines[1].get("attempt_error").is_none());
}
