//! Dialing: it ends with its request and with its client.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::h2::{DATA, END_STREAM, RST_STREAM, RawH2, pseudo};
use crate::support::{Origin, TIMEOUT, TestProxy, TestProxyBuilder};

/// Reads until the peer closes, without a response.
fn say_nothing(mut stream: TcpStream) {
    let _closed = io::copy(&mut stream, &mut io::sink());
}

/// An HTTP/2 endpoint that accepts no connection: connecting lasts as long as it may.
fn before(origin: &Origin) -> TestProxyBuilder {
    let lines = format!("protocol = \"h2\"\nendpoints = [{:?}]", origin.url());
    TestProxy::builder()
        .release_with("blue", &lines)
        .settings("[timeouts]\nconnect = \"1h\"")
}

#[test]
fn a_request_ends_at_its_deadline_while_it_is_dialing() {
    let origin = Origin::scripted(say_nothing);
    let proxy = before(&origin)
        .route_with("all", &[("blue", 1)], "timeouts = { request = \"200ms\" }")
        .start();
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let response = proxy.client().send(request).response();
        assert_eq!(
            (response.status, response.value("x-switchback-reason")),
            (504, Some("request_timeout"))
        );
    }
    let line = &proxy.access_lines(2)[1];
    assert_eq!(
        (&line["status"], &line["error"], &line["attempt_error"]),
        (
            &504.into(),
            &"request_timeout".into(),
            &"request_timeout".into()
        )
    );
}

#[test]
fn a_call_ends_at_the_deadline_that_its_client_gave_it_while_it_is_dialing() {
    let origin = Origin::scripted(say_nothing);
    let proxy = before(&origin).route("all", "/", &[("blue", 1)]).start();
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nGrpc-Timeout: 200m\r\n\
         Content-Length: 0\r\n\r\n",
    );
    assert_eq!(client.response().value("grpc-status"), Some("4"));
}

#[test]
fn a_request_ends_at_its_deadline_while_it_waits_for_a_permit() {
    let origin = Origin::scripted(say_nothing);
    let lines = format!(
        "endpoints = [{:?}]\nlimits = {{ concurrency = 1, queue = 9, queue_timeout = \"1h\" }}",
        origin.url()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route_with(
            "short",
            &[("blue", 1)],
            "path_prefix = \"/short\"\ntimeouts = { request = \"200ms\" }",
        )
        .route("all", "/", &[("blue", 1)])
        .start();
    let mut held = proxy.client();
    held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    proxy.wait_until(|| proxy.roster("blue").in_flight() == 1);
    let response = proxy.client().get("/short");
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (504, Some("request_timeout"))
    );
}

/// Refuses the only stream of its first connection, and accepts no connection afterwards.
fn refusing_once() -> Origin {
    let connections = AtomicUsize::new(0);
    Origin::scripted(move |stream| {
        if connections.fetch_add(1, Ordering::SeqCst) > 0 {
            return say_nothing(stream);
        }
        let Some(mut raw) = RawH2::accept(stream, b"") else {
            return;
        };
        let body = raw.until(|frame| frame.kind == DATA && frame.flags & END_STREAM != 0);
        if let Some(body) = body {
            raw.frame(RST_STREAM, 0, body.stream, &7_u32.to_be_bytes());
        }
        raw.rest();
    })
}

/// A disconnect of the client is noticed while its request, whose body is buffered, is dialing again.
fn is_noticed(leave: impl FnOnce(&TestProxy, &dyn Fn())) {
    let origin = refusing_once();
    let proxy = before(&origin).route("all", "/", &[("blue", 1)]).start();
    let began = Instant::now();
    leave(&proxy, &|| {
        proxy.wait_until(|| origin.connections() == 2);
    });
    let line = &proxy.access_lines(1)[0];
    assert_eq!(
        (&line["status"], &line["outcome"], &line["attempts"]),
        (&499.into(), &"client_gone".into(), &2.into())
    );
    // The dial has no waiter any more and is given up.
    proxy.wait_until(|| proxy.roster("blue").endpoints()[0].connections() <= 1);
    assert!(began.elapsed() < TIMEOUT);
}

#[test]
fn a_client_that_leaves_while_its_body_is_to_be_sent_again_is_noticed() {
    is_noticed(|proxy, is_dialing| {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        is_dialing();
    });
}

#[test]
fn a_reset_of_a_stream_whose_body_is_to_be_sent_again_is_noticed() {
    is_noticed(|proxy, is_dialing| {
        let mut client = RawH2::connect(proxy.address);
        client.head(1, 0, &pseudo("POST", "/"));
        client.frame(DATA, END_STREAM, 1, b"hi");
        is_dialing();
        client.frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        // The connection stays open.
        client.head(3, END_STREAM, &pseudo("GET", "/"));
        proxy.access_lines(1);
    });
}
