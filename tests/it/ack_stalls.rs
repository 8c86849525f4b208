//! Peers that write a message in small pieces, with Nagle's algorithm on: the next piece waits for an acknowledgement,
//! which Linux delays by 40 ms.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::{Origin, TestProxy};

/// Answers that are waited for on one connection.
const ANSWERS: usize = 60;
/// Those that may take as long as a stall: the first one, by which it is learned, and others on a busy machine. Without
/// acknowledgements at once it is nearly each of them.
const STALLED: usize = ANSWERS / 3;
/// A little less than the shortest delay of an acknowledgement on Linux.
const STALL: Duration = Duration::from_millis(35);

/// An origin that answers every request in these pieces, one write each.
fn in_pieces(pieces: &'static [&'static str]) -> Origin {
    Origin::scripted(move |mut stream: TcpStream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.ends_with("\r\n\r\n") || line == "\r\n" {
                for piece in pieces {
                    if stream.write_all(piece.as_bytes()).is_err() {
                        return;
                    }
                }
            }
            line.clear();
        }
    })
}

/// The number of answers that took as long as a stall.
fn stalled(mut answer: impl FnMut() -> String) -> usize {
    let took_long = |_: &usize| {
        let started = Instant::now();
        assert_eq!(answer(), "ok");
        started.elapsed() >= STALL
    };
    (0..ANSWERS).filter(took_long).count()
}

fn stalled_behind(origin: &Origin) -> usize {
    let proxy = TestProxy::before(origin);
    let mut client = proxy.client();
    stalled(|| client.get("/").text())
}

#[test]
fn an_origin_that_writes_head_and_body_apart_is_acknowledged_at_once() {
    let origin = in_pieces(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"]);
    let stalled = stalled_behind(&origin);
    assert!(stalled <= STALLED, "{stalled} of {ANSWERS}");
}

#[test]
fn an_origin_that_writes_a_chunk_and_its_size_apart_is_acknowledged_at_once() {
    let pieces = &[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "2\r\n",
        "ok\r\n",
        "0\r\n\r\n",
    ];
    let stalled = stalled_behind(&in_pieces(pieces));
    assert!(stalled <= STALLED, "{stalled} of {ANSWERS}");
}

#[test]
fn a_client_that_writes_head_and_body_apart_is_acknowledged_at_once() {
    let origin = Origin::answering(|request| {
        assert_eq!(request.body, b"hello");
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.stream().set_nodelay(false).unwrap();
    let stalled = stalled(|| client.post("/", b"hello").text());
    assert!(stalled <= STALLED, "{stalled} of {ANSWERS}");
}
