//! HTTP/2 from a client to an endpoint and back, whatever the endpoint speaks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::support::h2::{H2Client, H2Origin, block, read, read_body, request, send};
use crate::support::{Origin, TestProxy};

fn before(origin: &H2Origin) -> TestProxy {
    TestProxy::builder()
        .release_with("blue", &origin.release())
        .route("all", "/", &[("blue", 1)])
        .start()
}

#[test]
fn requests_reach_an_endpoint_that_speaks_http1() {
    let origin = Origin::replying("hello");
    let proxy = TestProxy::before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for _ in 0..3 {
            let answer = client.get("/chat?x=1").await.unwrap();
            assert_eq!((answer.status(), answer.text()), (200, "hello"));
            assert_eq!(answer.value("content-length"), Some("5"));
        }
        let body: Vec<u8> = (0..300_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let answer = client.post("/up", &body).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(origin.last().body, body);
    });
    let first = &origin.requests()[0];
    assert_eq!(first.line(), "GET /chat?x=1 HTTP/1.1");
    assert_eq!(first.value("host"), Some("agents.test"));
    assert_eq!(first.value("via"), Some("2 switchback"));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn requests_reach_an_endpoint_that_speaks_http2() {
    let origin = H2Origin::echo();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = client.get("/chat?x=1").await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.value("x-target"),
            Some("http://agents.test/chat?x=1")
        );
        assert_eq!(answer.value("x-got-host"), None);
        assert_eq!(answer.value("x-got-x-forwarded-for"), Some("127.0.0.1"));
        let body: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let answer = client.post("/up", &body).await.unwrap();
        assert_eq!(answer.value("x-method"), Some("POST"));
        assert!(answer.body == body, "the body comes back whole");
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_of_http1_reaches_an_endpoint_that_speaks_http2() {
    let origin = H2Origin::echo();
    let proxy = before(&origin);
    let mut client = proxy.client();
    let response = client.get("/a?b");
    assert_eq!(response.status, 200);
    assert_eq!(response.value("x-target"), Some("http://agents.test/a?b"));
    assert_eq!(client.post("/", b"hello").text(), "hello");
    assert_eq!(client.post("/", b"").text(), "");
}

#[test]
fn trailers_pass_both_ways() {
    let origin = H2Origin::echo();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, mut out) = client.open(request("POST", "/"), false).await;
        send(&mut out, Bytes::from_static(b"data"), false)
            .await
            .unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", "7".parse().unwrap());
        trailers.insert("authorization", "forged".parse().unwrap());
        out.send_trailers(trailers).unwrap();
        let answer = read(answer.await.unwrap()).await.unwrap();
        assert_eq!(answer.text(), "data");
        assert_eq!(answer.trailer("x-checksum"), Some("7"));
        assert_eq!(answer.trailer("authorization"), None);
    });
}

#[test]
fn a_hundred_and_twenty_eight_streams_share_a_few_connections() {
    let origin = H2Origin::echo();
    let proxy = before(&origin);
    block(async {
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let client = H2Client::connect(proxy.address).await;
            for stream in 0..16 {
                let client = client.clone();
                streams.spawn_local(async move {
                    let body = vec![b'x'; 1_000 * stream];
                    let answer = client.post("/", &body).await.unwrap();
                    assert_eq!(answer.body, body);
                });
            }
        }
        while let Some(ended) = streams.join_next().await {
            ended.unwrap();
        }
    });
    assert!(origin.connections() <= 2, "{}", origin.connections());
}

#[test]
fn another_connection_is_opened_where_the_endpoint_allows_few_streams() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(4);
    let (release, held) = tokio::sync::watch::channel(false);
    let origin = H2Origin::start_with(builder, move |_, mut respond| {
        let mut held = held.clone();
        async move {
            held.wait_for(|open| *open).await.unwrap();
            respond.send_response(Response::new(()), true).unwrap();
        }
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let client = client.clone();
            streams.spawn_local(async move { client.get("/").await.unwrap().status() });
        }
        while origin.connections() < 3 {
            tokio::task::yield_now().await;
        }
        release.send_replace(true);
        while let Some(status) = streams.join_next().await {
            assert_eq!(status.unwrap(), 200);
        }
    });
    assert_eq!(origin.connections(), 3);
}

#[test]
fn informational_answers_pass_through() {
    let origin = H2Origin::start(|_, mut respond| async move {
        let early = Response::builder().status(103).header("link", "</a.css>");
        respond.send_informational(early.body(()).unwrap()).unwrap();
        respond.send_response(Response::new(()), true).unwrap();
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (mut answer, _) = client.open(request("GET", "/"), true).await;
        let early = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        let early = early.unwrap().unwrap();
        assert_eq!(early.status().as_u16(), 103);
        assert_eq!(early.headers()["link"], "</a.css>");
        assert_eq!(answer.await.unwrap().status().as_u16(), 200);
    });
}

#[test]
fn each_chunk_of_a_stream_leaves_at_once() {
    let origin = H2Origin::start(|request, mut respond| async move {
        let response = Response::builder().header("content-type", "text/event-stream");
        let mut out = respond
            .send_response(response.body(()).unwrap(), false)
            .unwrap();
        let mut body = request.into_body();
        // Each token is sent only once the client has asked for it, so that a chunk that is held back ends the test.
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            if data.is_empty() {
                continue;
            }
            send(&mut out, Bytes::from_static(b"data: token\n\n"), false)
                .await
                .unwrap();
        }
        out.send_data(Bytes::new(), true).unwrap();
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, mut out) = client.open(request("POST", "/"), false).await;
        let mut body = answer.await.unwrap().into_body();
        let mut slowest = Duration::ZERO;
        for _ in 0..50 {
            let asked = Instant::now();
            send(&mut out, Bytes::from_static(b"?"), false)
                .await
                .unwrap();
            let data = body.data().await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            assert_eq!(data, "data: token\n\n");
            slowest = slowest.max(asked.elapsed());
        }
        out.send_data(Bytes::new(), true).unwrap();
        assert!(read_body(&mut body).await.unwrap().0.is_empty());
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    });
}
