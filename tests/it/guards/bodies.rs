//! Limits of request bodies.

use std::io::{BufReader, Read as _, Write as _};
use std::sync::mpsc::channel;

use bytes::Bytes;

use super::{change_route, guarded, reason, roll_back};
use crate::support::h2::{H2Client, H2Origin, block, read, request, send};
use crate::support::{Origin, TIMEOUT, TestProxy, read_head};

#[test]
fn a_body_that_says_it_is_too_long_is_413_before_any_endpoint_is_asked() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, "max_body = \"1KiB\"");
    assert_eq!(proxy.client().post("/", &[b'x'; 1_024]).status, 200);
    let mut client = proxy.client();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n");
    let refused = client.try_response().unwrap();
    assert_eq!(
        reason(&refused),
        (413, Some("body_too_large")),
        "and no 100"
    );
    assert!(client.is_closed());
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (mut parts, ()) = request("POST", "/").into_parts();
        parts.headers.insert("content-length", 1_025.into());
        let asked = http::Request::from_parts(parts, ());
        let (answer, _out) = client.open(asked, false).await;
        let answer = read(answer.await.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 413);
        let again = client.post("/", &[b'x'; 1_024]).await.unwrap();
        assert_eq!(again.status(), 200, "the connection goes on");
    });
    assert_eq!(origin.requests().len(), 2);
    change_route(&proxy, |route| route.max_body = None);
    assert_eq!(proxy.client().post("/", &[b'x'; 1_025]).status, 200);
    roll_back(&proxy);
    assert_eq!(proxy.client().post("/", &[b'x'; 1_025]).status, 413);
}

#[test]
fn a_grpc_call_with_too_long_a_body_is_told_the_limit() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, "max_body = \"1KiB\"");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 1025\r\n\r\n");
    let answer = client.response();
    let text = "the body is longer than 1KiB (`max_body` of the route)";
    assert_eq!(answer.value("grpc-message"), Some(text));
}

#[test]
fn a_body_that_grows_too_long_is_413_and_its_endpoint_sees_a_broken_request() {
    let (ended, end) = channel();
    let origin = Origin::scripted(move |stream| {
        let mut rest = Vec::new();
        // The end may be a reset.
        let _ = BufReader::new(stream).read_to_end(&mut rest);
        ended.send(rest).unwrap();
    });
    let proxy = guarded(&origin, "max_body = \"1KiB\"");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(&chunk).send("1\r\ny\r\n0\r\n\r\n");
    assert_eq!(reason(&client.response()), (413, Some("body_too_large")));
    assert!(client.is_closed());
    let seen = end.recv_timeout(TIMEOUT).unwrap();
    let seen = String::from_utf8(seen).unwrap();
    assert!(
        !seen.contains('y') && !seen.ends_with("0\r\n\r\n"),
        "{seen}"
    );
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(&chunk).send("0\r\n\r\n");
    let seen = {
        drop(client);
        end.recv_timeout(TIMEOUT).unwrap()
    };
    assert!(
        seen.len() > 1_024,
        "what is as long as it may is not cut by us"
    );
}

#[test]
fn a_body_that_grows_too_long_over_http2_is_413_as_well() {
    let origin = H2Origin::echo();
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route_with("all", &[("blue", 1)], "max_body = \"1KiB\"")
        .start();
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = client.post("/", &[b'x'; 1_024]).await.unwrap();
        assert_eq!((answer.status(), answer.body.len()), (200, 1_024));
        let (answer, mut out) = client.open(request("POST", "/"), false).await;
        let sending = send(&mut out, Bytes::from(vec![b'x'; 1_025]), true);
        let (_, answer) = tokio::join!(sending, answer);
        // The endpoint echoes at once, so its answer may have begun.
        match answer {
            Ok(answer) if answer.status() == 413 => {}
            Ok(answer) => assert!(read(answer).await.is_err(), "it is cut"),
            Err(error) => assert!(error.is_reset(), "{error}"),
        }
        let answer = client.get("/").await.unwrap();
        assert_eq!(answer.status(), 200, "the connection goes on");
    });
}

#[test]
fn an_answer_that_has_begun_is_cut_when_its_request_grows_too_long() {
    let origin = Origin::scripted(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        read_head(&mut reader).unwrap();
        let start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
        (&stream).write_all(start).unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let proxy = guarded(&origin, "max_body = 10");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    assert!(client.response_head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.chunk(), "a");
    client.send("a\r\n0123456789\r\n");
    assert!(client.is_closed(), "without the end of the body");
}
