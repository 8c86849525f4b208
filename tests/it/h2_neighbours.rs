//! An HTTP/2 stream to an endpoint that fails, and its effect on the other streams of the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;

use crate::support::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2Client, H2Origin, HEADERS, RST_STREAM, RawH2,
    block, frame, header_block, read_body, request, send,
};
use crate::support::{Origin, TestProxy, UPGRADE};

/// An endpoint that runs `serve` on each connection.
fn raw(serve: impl Fn(&mut RawH2) -> Option<()> + Send + Sync + 'static) -> Origin {
    Origin::scripted(move |stream| {
        if let Some(mut raw) = RawH2::accept(stream, b"") {
            while serve(&mut raw).is_some() {}
        }
    })
}

fn before(address: std::net::SocketAddr) -> TestProxy {
    let lines = format!("endpoints = [\"http://{address}\"]\nprotocol = \"h2\"");
    TestProxy::before_with(&lines)
}

/// A response head.
fn head(stream: u32, status: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS,
        stream,
        &header_block(&[(":status", status)]),
    )
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &2_u32.to_be_bytes())
}

#[test]
fn what_came_before_a_reset_is_passed_on_and_the_reset_is_shown_and_logged() {
    let origin = raw(|raw| {
        let stream = raw.asked()?;
        let fields = header_block(&[(":status", "200"), ("content-length", "10")]);
        let head = frame(HEADERS, END_HEADERS, stream, &fields);
        let data = frame(DATA, 0, stream, b"half");
        raw.bytes(&[head, data, reset(stream)].concat());
        Some(())
    });
    let proxy = before(origin.address());
    let response = proxy.client().post("/", b"buy=1");
    assert_eq!((response.status, response.is_whole), (200, false));
    assert_eq!(response.text(), "half");
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, _) = client.open(request("GET", "/"), true).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(&body.data().await.unwrap().unwrap()[..], b"half");
        assert!(body.data().await.unwrap().is_err());
    });
    for line in proxy.access_lines(2) {
        assert_eq!(line["status"], 200);
        assert_eq!(line["error"], "upstream_closed");
    }
}

/// The frames of an endpoint on a stream.
type Answering = fn(u32) -> Vec<u8>;

#[test]
fn a_head_that_was_reset_before_a_byte_has_left_is_a_bad_gateway() {
    let good_and_reset = |stream| [head(stream, "200"), reset(stream)].concat();
    let bad_and_reset = |stream| [head(stream, "999999"), reset(stream)].concat();
    let no_head = |stream| frame(DATA, END_STREAM, stream, b"no head");
    let answers: [(Answering, &str); 3] = [
        (good_and_reset, "upstream_closed"),
        (bad_and_reset, "bad_answer"),
        (no_head, "bad_answer"),
    ];
    for (answer, reason) in answers {
        let origin = raw(move |raw| {
            let stream = raw.asked()?;
            raw.bytes(&answer(stream));
            Some(())
        });
        let proxy = before(origin.address());
        let response = proxy.client().post("/", b"buy=1");
        let why = response.value("x-switchback-reason");
        assert_eq!((response.status, why), (502, Some(reason)));
        block(async {
            let client = H2Client::connect(proxy.address).await;
            let answer = client.post("/", b"buy=1").await.unwrap();
            let why = answer.value("x-switchback-reason");
            assert_eq!((answer.status(), why), (502, Some(reason)));
        });
        for line in proxy.access_lines(2) {
            assert_eq!(
                (&line["status"], &line["error"]),
                (&502.into(), &reason.into())
            );
        }
    }
}

/// Sends a head of 90 KB.
fn send_large_head(raw: &mut RawH2, stream: u32) {
    let value = "z".repeat(15_000);
    let mut fields = vec![(":status", "200")];
    fields.extend(std::iter::repeat_n(("x-large", value.as_str()), 6));
    let block = header_block(&fields);
    let mut parts = block.chunks(16_000).peekable();
    raw.frame(HEADERS, 0, stream, parts.next().unwrap());
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() {
            0
        } else {
            END_HEADERS
        };
        raw.frame(CONTINUATION, flags, stream, part);
    }
}

#[test]
fn a_head_of_an_answer_that_is_too_long_fails_one_request() {
    let origin = raw(|raw| {
        let slow = raw.asked()?;
        raw.bytes(&head(slow, "200"));
        let large = raw.asked()?;
        send_large_head(raw, large);
        raw.until(|frame| frame.kind == RST_STREAM && frame.stream == large)?;
        raw.frame(DATA, END_STREAM, slow, b"done");
        Some(())
    });
    let proxy = before(origin.address());
    block(async {
        let others = H2Client::connect(proxy.address).await;
        let (answer, _) = others.open(request("GET", "/slow"), true).await;
        let mut slow = answer.await.unwrap().into_body();
        let client = H2Client::connect(proxy.address).await;
        let large = client.get("/large").await.unwrap();
        let why = large.value("x-switchback-reason");
        assert_eq!((large.status(), why), (502, Some("bad_answer")));
        assert_eq!(read_body(&mut slow).await.unwrap().0, b"done");
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_head_that_is_longer_than_the_endpoint_takes_is_refused_and_never_sent() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let mut settings = h2::server::Builder::new();
    settings.max_header_list_size(8_192);
    let origin = H2Origin::start_with(settings, move |request, mut respond| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut out = respond.send_response(Response::new(()), false).unwrap();
            // The response comes when the request body has ended.
            let _ = read_body(&mut request.into_body()).await;
            let _ = send(&mut out, Bytes::from_static(b"done"), true).await;
        }
    });
    let proxy = before(origin.address);
    block(async {
        let others = H2Client::connect(proxy.address).await;
        let (answer, mut out) = others.open(request("POST", "/slow"), false).await;
        let mut slow = answer.await.unwrap().into_body();
        let client = H2Client::connect(proxy.address).await;
        for (length, status) in [(9_000, 431), (7_000, 200), (8_192, 431)] {
            let mut large = request("GET", "/large");
            let cookie = "c".repeat(length).parse().unwrap();
            large.headers_mut().insert("cookie", cookie);
            let (answer, _) = client.open(large, true).await;
            let answer = answer.await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{length}");
            let why = answer.headers().get("x-switchback-reason");
            assert_eq!(why.is_some(), status == 431);
        }
        send(&mut out, Bytes::new(), true).await.unwrap();
        assert_eq!(read_body(&mut slow).await.unwrap().0, b"done");
    });
    assert_eq!((count.load(Ordering::SeqCst), origin.connections()), (2, 1));
}

#[test]
fn a_websocket_to_an_endpoint_that_announces_no_connect_is_refused_and_nothing_gets_there() {
    let origin = H2Origin::echo();
    let proxy = before(origin.address);
    let mut client = proxy.client();
    client.send(UPGRADE);
    let response = client.response();
    let why = response.value("x-switchback-reason");
    assert_eq!((response.status, why), (501, Some("upgrade_unsupported")));
    assert_eq!(origin.connections(), 1, "to be told what it takes");
    let answer = client.get("/");
    assert_eq!((answer.status, origin.connections()), (200, 1));
    assert_eq!(proxy.access_lines(2)[0]["status"], 501);
}

#[test]
fn more_interim_answers_than_the_limit_are_a_bad_answer() {
    let origin = raw(|raw| {
        let stream = raw.asked()?;
        // The number of frames follows from the stream id.
        let count = if stream == 1 { 7 } else { 8 };
        raw.bytes(&head(stream, "103").repeat(count));
        raw.bytes(&head(stream, "200"));
        raw.frame(DATA, END_STREAM, stream, b"done");
        Some(())
    });
    let lines = format!(
        "endpoints = [\"http://{}\"]\nprotocol = \"h2\"",
        origin.address()
    );
    let proxy = TestProxy::builder()
        .settings("[limits]\ninterim_responses = 7")
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .start();
    block(async {
        let client = H2Client::connect(proxy.address).await;
        assert_eq!(client.get("/").await.unwrap().text(), "done");
        let answer = client.get("/").await.unwrap();
        let why = answer.value("x-switchback-reason");
        assert_eq!((answer.status(), why), (502, Some("bad_answer")));
    });
}
