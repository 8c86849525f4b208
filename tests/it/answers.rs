//! Answers that break, answers of our own, and what a client reads of either.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Origin, TestProxy};

/// An origin that answers every request with these bytes, and then waits for the proxy to close.
fn breaking(bytes: &'static [u8]) -> Origin {
    Origin::scripted(move |mut stream| {
        if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
            stream.write_all(bytes).unwrap();
            let _end = stream.read(&mut [0; 16]);
        }
    })
}

#[test]
fn an_answer_that_breaks_before_a_byte_has_left_is_a_bad_gateway() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
    ] {
        let origin = breaking(bytes);
        let proxy = TestProxy::before(&origin);
        for count in 1..=2 {
            let response = proxy.client().post("/bad", b"buy=1");
            assert_eq!(response.status, 502, "{}", response.head);
            assert_eq!(response.value("x-switchback-reason"), Some("bad_answer"));
            assert!(response.is_whole);
            assert_eq!(origin.connections(), count, "it is sent once");
            let lines = proxy.access_lines(count);
            let line = &lines[count - 1];
            assert_eq!((&line["status"], &line["error"]), (&502.into(), &"bad_answer".into()));
        }
    }
}

#[test]
fn what_came_before_a_break_is_passed_on_and_the_break_is_shown_and_logged() {
    let cases = [
        (
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"[..],
            "bad_answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n12Z",
            "bad_answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx\r\n\r\n",
            "bad_answer",
        ),
    ];
    for (bytes, error) in cases {
        let origin = breaking(bytes);
        let proxy = TestProxy::before(&origin);
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.response_head();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(client.read_exact(10), b"5\r\nhello\r\n");
        assert!(client.is_closed(), "nothing that looks like an end follows");
        let line = &proxy.access_lines(1)[0];
        assert_eq!(
            (&line["status"], &line["error"]),
            (&200.into(), &error.into())
        );
        assert_eq!(line["outcome"], "failure");
    }
}

#[test]
fn every_cut_answer_has_its_error_in_the_log() {
    let origin = Origin::scripted(|mut stream| {
        let _read = stream.read(&mut [0; 4096]);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel")
            .unwrap();
    });
    let proxy = TestProxy::before(&origin);
    assert!(!proxy.client().get("/").is_whole);
    assert_eq!(proxy.access_lines(1)[0]["error"], "upstream_closed");

    let origin = breaking(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel");
    let proxy = TestProxy::builder()
        .settings("[timeouts]\nrequest = \"300ms\"")
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .start();
    assert!(!proxy.client().get("/").is_whole);
    assert_eq!(proxy.access_lines(1)[0]["error"], "request_timeout");
}

/// What has left is never sent again: a client that did not read an interim answer in time reads the rest of it, and then
/// why nothing else comes.
#[test]
fn an_interim_answer_that_left_in_part_goes_on_where_it_stopped() {
    const HINTS: usize = 400;
    let given_up = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&given_up);
    let origin = Origin::scripted(move |mut stream| {
        let _read = stream.read(&mut [0; 4096]);
        let hints = (0..HINTS).map(|n| {
            let link = "l".repeat(40_000);
            format!("HTTP/1.1 103 Early Hints\r\nLink: <{n:03}{link}>\r\n\r\n")
        });
        let all_written = hints
            .into_iter()
            .all(|head| stream.write_all(head.as_bytes()).is_ok());
        assert!(
            !all_written,
            "the proxy read on although its client did not"
        );
        end.store(true, Ordering::SeqCst);
    });
    let proxy = TestProxy::builder()
        .settings("[limits]\ninterim_responses = 1000")
        .release("blue", &[&origin])
        .route_with(
            "all",
            &[("blue", 1)],
            "path_prefix = \"/\"\ntimeouts = { request = \"500ms\" }",
        )
        .start();
    let mut client = proxy.client();
    client.send("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
    // The proxy has given up before the client reads a byte.
    proxy.wait_until(|| given_up.load(Ordering::SeqCst));
    let mut next = 0;
    loop {
        let response = client.try_response().expect("a final answer");
        if response.status == 504 {
            assert!(response.is_whole);
            break;
        }
        assert_eq!(response.status, 103);
        let link = response.value("link").expect("a head of its own");
        assert!(link.starts_with(&format!("<{next:03}l")), "{}", &link[..8]);
        assert_eq!(link.len(), 40_005);
        next += 1;
    }
    assert!(next < HINTS, "the client was too slow for all of them");
}
