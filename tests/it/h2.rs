//! HTTP/2 from a client to an endpoint and back, with endpoints of either protocol.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::support::h2::{
    DATA, END_STREAM, GOAWAY, H2Client, H2Origin, PING, RawFrame, RawH2, block, pseudo, read,
    read_body, request, send,
};
use crate::support::{Origin, TestProxy, closed_address};

fn before(origin: &H2Origin) -> TestProxy {
    TestProxy::before_with(&origin.release())
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
    assert!(first.value("via").unwrap().starts_with("2 switchback-"));
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
    // All bodies fit: when the window of a connection is used up, another connection is opened.
    let mut settings = h2::server::Builder::new();
    settings.initial_connection_window_size(2 << 20);
    let origin = H2Origin::start_with(settings, crate::support::h2::echo);
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
        // Each token is sent only once the client has requested it, so that a chunk that is held back blocks the test.
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

/// An endpoint whose response begins and never ends; reports when the request was cancelled.
fn stuck(head: bool) -> (H2Origin, std::sync::mpsc::Receiver<()>) {
    let (report, cancelled) = std::sync::mpsc::channel();
    let origin = H2Origin::start(move |request, mut respond| {
        let report = report.clone();
        async move {
            let _body = request;
            if head {
                let mut out = respond.send_response(Response::new(()), false).unwrap();
                out.send_data(Bytes::from_static(b"x"), false).unwrap();
                let _ = std::future::poll_fn(|cx| out.poll_reset(cx)).await;
            } else {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            }
            report.send(()).unwrap();
        }
    });
    (origin, cancelled)
}

#[test]
fn a_client_that_resets_its_stream_frees_the_endpoint_within_a_second() {
    for (has_begun, has_body) in [(false, false), (true, false), (false, true), (true, true)] {
        let (origin, cancelled) = stuck(has_begun);
        let proxy = before(&origin);
        block(async {
            let client = H2Client::connect(proxy.address).await;
            let (answer, mut out) = client.open(request("POST", "/"), !has_body).await;
            if has_body {
                // More than the endpoint's window, so that the body is in flight.
                out.reserve_capacity(60_000);
                out.send_data(Bytes::from(vec![0; 60_000]), false).unwrap();
            }
            let body = if has_begun {
                let mut body = answer.await.unwrap().into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), "x");
                Some(body)
            } else {
                while origin.connections() == 0 {
                    tokio::task::yield_now().await;
                }
                None
            };
            out.send_reset(h2::Reason::CANCEL);
            let started = Instant::now();
            let waiting = tokio::task::spawn_blocking(move || {
                cancelled.recv_timeout(super::support::TIMEOUT)
            });
            waiting.await.unwrap().expect("the endpoint hears of it");
            assert!(
                started.elapsed() < Duration::from_secs(1),
                "{:?}",
                started.elapsed()
            );
            drop(body);
        });
    }
}

#[test]
fn a_client_that_resets_its_stream_closes_the_connection_of_http1() {
    use std::io::Read;
    let (report, closed) = std::sync::mpsc::channel();
    let origin = Origin::scripted(move |mut stream| {
        let mut bytes = [0; 4096];
        let mut is_asked = false;
        while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
            if !is_asked {
                report.send(false).unwrap();
            }
            is_asked = true;
        }
        report.send(true).unwrap();
    });
    let proxy = TestProxy::before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (_answer, mut out) = client.open(request("GET", "/"), true).await;
        let watching = tokio::task::spawn_blocking(move || {
            let asked = closed.recv_timeout(super::support::TIMEOUT).unwrap();
            (asked, closed)
        });
        let (asked, closed) = watching.await.unwrap();
        assert!(!asked);
        out.send_reset(h2::Reason::CANCEL);
        let started = Instant::now();
        let watching =
            tokio::task::spawn_blocking(move || closed.recv_timeout(super::support::TIMEOUT));
        assert!(watching.await.unwrap().unwrap());
        assert!(started.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn an_answer_that_is_cut_never_looks_whole() {
    use std::io::Write;
    let cuts: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ];
    for cut in cuts {
        let origin = Origin::scripted(move |mut stream| {
            let _ = crate::support::read_request(&mut std::io::BufReader::new(&stream));
            stream.write_all(cut).unwrap();
        });
        let proxy = TestProxy::before(&origin);
        block(async {
            let client = H2Client::connect(proxy.address).await;
            let Err(error) = client.get("/").await else {
                panic!("it looked whole");
            };
            assert!(error.is_reset(), "{error}");
            assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
        });
    }
}

#[test]
fn an_answer_of_http2_that_is_cut_never_looks_whole() {
    use std::io::{Read, Write};
    let origin = H2Origin::start(|request, mut respond| async move {
        let mut out = respond.send_response(Response::new(()), false).unwrap();
        send(&mut out, Bytes::from_static(b"half"), false)
            .await
            .unwrap();
        // The client ends its body once it has received half of the response.
        let _ = read_body(&mut request.into_body()).await;
        out.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, mut out) = client.open(request("POST", "/"), false).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "half");
        out.send_data(Bytes::new(), true).unwrap();
        assert!(body.data().await.unwrap().is_err());
    });
    let mut client = std::net::TcpStream::connect(proxy.address).unwrap();
    client
        .set_read_timeout(Some(super::support::TIMEOUT))
        .unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let mut seen = Vec::new();
    let mut bytes = [0; 1024];
    while !seen.ends_with(b"half\r\n") {
        let read = client.read(&mut bytes).unwrap();
        assert!(read > 0);
        seen.extend_from_slice(&bytes[..read]);
    }
    client.write_all(b"0\r\n\r\n").unwrap();
    // A reset will do here: what must not come is the last chunk.
    let _ = client.read_to_end(&mut seen);
    assert!(seen.ends_with(b"half\r\n"), "{}", seen.escape_ascii());
}

#[test]
fn an_endpoint_that_resets_instead_of_answering_is_502() {
    let origin = H2Origin::start(|_, mut respond| async move {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = client.get("/").await.unwrap();
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.value("x-switchback-reason"), Some("upstream_closed"));
    });
}

#[test]
fn a_stream_that_was_refused_unprocessed_is_sent_again() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&count);
    let origin = H2Origin::start(move |_, mut respond| {
        let is_first = seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        async move {
            if is_first {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                respond.send_response(Response::new(()), true).unwrap();
            }
        }
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, _) = client.open(request("POST", "/"), true).await;
        assert_eq!(answer.await.unwrap().status().as_u16(), 200);
    });
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn nothing_of_a_length_that_is_wrong_looks_whole_to_the_endpoint() {
    let origin = Origin::replying("never");
    let proxy = TestProxy::before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut lying = request("POST", "/");
        lying
            .headers_mut()
            .insert("content-length", "5".parse().unwrap());
        let (answer, mut out) = client.open(lying, false).await;
        // This side's library does not enforce the length before the end.
        let _ = out.send_data(Bytes::from_static(b"abc"), false);
        let _ = out.send_data(Bytes::new(), true);
        assert!(answer.await.is_err());
    });
    assert!(origin.requests().is_empty());
}

#[test]
fn a_client_that_does_not_read_slows_the_endpoint_down() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&sent);
    let origin = H2Origin::start(move |_, mut respond| {
        let sent = std::sync::Arc::clone(&counted);
        async move {
            let mut out = respond.send_response(Response::new(()), false).unwrap();
            let chunk = Bytes::from(vec![0; 16 * 1024]);
            while send(&mut out, chunk.clone(), false).await.is_ok() {
                sent.fetch_add(chunk.len(), std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, _) = client.open(request("GET", "/"), true).await;
        let _body = answer.await.unwrap().into_body();
        // Another stream on the same connections is served meanwhile, which shows that everything else is done.
        let mut before = usize::MAX;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = sent.load(std::sync::atomic::Ordering::SeqCst);
            if now == before {
                break;
            }
            before = now;
        }
        assert!(
            before > 0 && before <= 512 * 1024,
            "{before} bytes are under way"
        );
    });
}

#[test]
fn draining_asks_clients_to_go_and_lets_them_finish() {
    let (release, held) = tokio::sync::watch::channel(false);
    let origin = H2Origin::start(move |_, mut respond| {
        let mut held = held.clone();
        async move {
            let mut out = respond.send_response(Response::new(()), false).unwrap();
            out.send_data(Bytes::from_static(b"a"), false).unwrap();
            held.wait_for(|open| *open).await.unwrap();
            out.send_data(Bytes::from_static(b"b"), true).unwrap();
        }
    });
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, _) = client.open(request("GET", "/"), true).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "a");
        proxy.shared.drain();
        // The connection accepts no new stream, while the open one goes on.
        let mut requests = client.requests.clone();
        while std::future::poll_fn(|cx| requests.poll_ready(cx))
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
        release.send_replace(true);
        assert_eq!(body.data().await.unwrap().unwrap(), "b");
        assert!(body.data().await.is_none());
        drop((body, requests));
        while client.ended.borrow().is_none() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_head_request_has_a_length_and_no_body() {
    let origin = Origin::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_vec());
    let proxy = TestProxy::before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for _ in 0..2 {
            let (answer, _) = client.open(request("HEAD", "/"), true).await;
            let answer = answer.await.unwrap();
            assert_eq!(answer.headers()["content-length"], "1234");
            assert!(answer.body().is_end_stream());
        }
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_endpoint_that_is_down_is_502_and_one_that_goes_away_is_connected_to_again() {
    let address = closed_address();
    let proxy = TestProxy::before_with(&format!(
        "endpoints = [\"http://{address}\"]\nprotocol = \"h2\""
    ));
    block(async {
        let client = H2Client::connect(proxy.address).await;
        assert_eq!(client.get("/").await.unwrap().status(), 502);
    });
    let origin = H2Origin::echo();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        origin.graceful_shutdown();
        let mut statuses = Vec::new();
        while origin.connections() < 2 {
            statuses.push(client.get("/").await.unwrap().status());
        }
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    });
}

fn is_question(frame: &RawFrame) -> bool {
    frame.kind == PING && frame.flags == 0
}

#[test]
fn a_quiet_client_is_asked_whether_it_is_there_and_let_go_if_it_does_not_say_so() {
    let (origin, cancelled) = stuck(true);
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route("all", "/", &[("blue", 1)])
        .settings("[timeouts]\nhttp2_ping = \"200ms\"\nhttp2_ping_answer = \"200ms\"")
        .start();
    let mut raw = RawH2::connect(proxy.address);
    raw.head(1, END_STREAM, &pseudo("GET", "/"));
    raw.until(|frame| frame.kind == DATA).unwrap();
    for _ in 0..3 {
        let question = raw.until(is_question).expect("it stays while it answers");
        raw.frame(PING, 1, 0, &question.payload);
    }
    raw.until(is_question).unwrap();
    let asked = Instant::now();
    raw.rest();
    assert!(asked.elapsed() >= Duration::from_millis(200));
    cancelled
        .recv_timeout(crate::support::TIMEOUT)
        .expect("the endpoint is free");
}

#[test]
fn a_connection_without_streams_gets_a_goaway_and_one_with_a_stream_does_not() {
    let (release, held) = tokio::sync::watch::channel(false);
    let origin = H2Origin::start(move |_, mut respond| {
        let mut held = held.clone();
        async move {
            let mut out = respond.send_response(Response::new(()), false).unwrap();
            held.wait_for(|open| *open).await.unwrap();
            out.send_data(Bytes::from_static(b"x"), true).unwrap();
        }
    });
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route("all", "/", &[("blue", 1)])
        .settings("[timeouts]\nhttp2_idle = \"200ms\"")
        .start();
    let mut idle = RawH2::connect(proxy.address);
    let mut busy = RawH2::connect(proxy.address);
    busy.head(1, END_STREAM, &pseudo("GET", "/"));
    assert!(idle.rest().iter().any(|frame| frame.kind == GOAWAY));
    // It was open as long, and has not ended.
    release.send_replace(true);
    let first = busy.until(|frame| matches!(frame.kind, DATA | GOAWAY));
    assert_eq!(first.unwrap().kind, DATA);
    assert!(busy.rest().iter().any(|frame| frame.kind == GOAWAY));
}
