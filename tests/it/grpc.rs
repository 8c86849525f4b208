//! gRPC calls through the proxy: every kind, deadlines, and local errors as its clients understand them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use switchback::model::{LeaveCause, OutcomeClass, WorkClass};

use crate::support::h2::{H2Client, H2Origin, H2Response, block, read, read_body, request, send};
use crate::support::{TestProxy, closed_address};

/// A message with its prefix of five bytes.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

fn call(path: &str) -> Request<()> {
    let mut call = request("POST", path);
    let fields = call.headers_mut();
    fields.insert("content-type", "application/grpc+proto".parse().unwrap());
    fields.insert("te", "trailers".parse().unwrap());
    call
}

fn status(code: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers.insert("grpc-message", "as it is".parse().unwrap());
    trailers
}

/// A service: `/echo` returns every message as it comes, `/sum` responds at the end, `/count` with many messages,
/// `/status/N` with that status, `/only/N` with trailers only, `/never` not at all, `/stuck` with a head only.
fn service() -> H2Origin {
    H2Origin::start(|request, mut respond| async move {
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["content-type"], "application/grpc+proto");
        let path = request.uri().path().to_owned();
        let mut body = request.into_body();
        let head = Response::builder().header("content-type", "application/grpc+proto");
        if let Some(code) = path.strip_prefix("/only/") {
            let only = head.header("grpc-status", code).body(()).unwrap();
            respond.send_response(only, true).unwrap();
            return;
        }
        if path == "/never" {
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            return;
        }
        let mut out = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        match path.as_str() {
            "/echo" => {
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        send(&mut out, data, false).await.unwrap();
                    }
                }
            }
            "/stuck" => {
                send(&mut out, message("first"), false).await.unwrap();
                let _ = std::future::poll_fn(|cx| out.poll_reset(cx)).await;
                return;
            }
            "/sum" => {
                let (received, _) = read_body(&mut body).await.unwrap();
                send(&mut out, message(&received.len().to_string()), false)
                    .await
                    .unwrap();
            }
            "/count" => {
                for number in 0..20 {
                    send(&mut out, message(&number.to_string()), false)
                        .await
                        .unwrap();
                }
            }
            _ => {}
        }
        let code = path.strip_prefix("/status/").unwrap_or("0");
        out.send_trailers(status(code)).unwrap();
    })
}

fn before(origin: &H2Origin) -> TestProxy {
    TestProxy::before_with(&origin.release())
}

async fn unary(client: &H2Client, call: Request<()>, body: Bytes) -> H2Response {
    let (answer, mut out) = client.open(call, false).await;
    let _ = send(&mut out, body, true).await;
    read(answer.await.unwrap()).await.unwrap()
}

#[test]
fn unary_and_streams_of_either_side_pass() {
    let origin = service();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = unary(&client, call("/echo"), message("hello")).await;
        assert_eq!(answer.body, message("hello"));
        assert_eq!(answer.value("content-type"), Some("application/grpc+proto"));
        assert_eq!(answer.trailer("grpc-status"), Some("0"));
        assert_eq!(answer.trailer("grpc-message"), Some("as it is"));

        let many: Vec<u8> = (0..20).flat_map(|n: i32| message(&n.to_string())).collect();
        let answer = unary(&client, call("/sum"), Bytes::from(many.clone())).await;
        assert_eq!(answer.body, message(&many.len().to_string()));
        let answer = unary(&client, call("/count"), message("?")).await;
        assert_eq!(answer.body, many);

        let answer = unary(&client, call("/only/5"), message("?")).await;
        assert_eq!(answer.value("grpc-status"), Some("5"));
        assert!(answer.body.is_empty() && answer.trailers.is_none());
    });
}

#[test]
fn both_sides_may_stream_at_once() {
    let origin = service();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, mut out) = client.open(call("/echo"), false).await;
        // The head comes before any message was sent.
        let mut body = answer.await.unwrap().into_body();
        for number in 0..20 {
            let sent = message(&number.to_string());
            send(&mut out, sent.clone(), false).await.unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), sent);
            body.flow_control().release_capacity(sent.len()).unwrap();
        }
        out.send_data(Bytes::new(), true).unwrap();
        let (rest, trailers) = read_body(&mut body).await.unwrap();
        assert!(rest.is_empty());
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
    });
}

#[test]
fn errors_of_ours_are_a_status_without_a_body() {
    let dead = closed_address();
    let proxy = TestProxy::builder()
        .release_with(
            "dead",
            &format!("endpoints = [\"http://{dead}\"]\nprotocol = \"h2\""),
        )
        .route("dead", "/dead", &[("dead", 1)])
        .start();
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for (path, code, reason) in [
            ("/dead/x", "14", "connect_failed"),
            ("/nowhere", "12", "no_route"),
            ("/dead/%zz", "3", "invalid_escape"),
        ] {
            let answer = unary(&client, call(path), message("?")).await;
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(answer.value("content-type"), Some("application/grpc"));
            assert_eq!(answer.value("grpc-status"), Some(code), "{path}");
            assert!(
                answer
                    .value("grpc-message")
                    .is_some_and(|text| !text.is_empty())
            );
            assert_eq!(answer.value("x-switchback-reason"), Some(reason));
            assert!(answer.body.is_empty() && answer.trailers.is_none());
        }
        // Other clients get an HTTP status.
        assert_eq!(client.get("/nowhere").await.unwrap().status(), 404);
    });
}

#[test]
fn a_deadline_of_the_client_is_kept_and_cancels_the_call() {
    let origin = service();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut late = call("/never");
        late.headers_mut()
            .insert("grpc-timeout", "300m".parse().unwrap());
        let started = Instant::now();
        let answer = unary(&client, late, message("?")).await;
        assert_eq!(answer.value("grpc-status"), Some("4"));
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(300), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
}

#[test]
fn a_deadline_that_passes_in_the_middle_of_an_answer_ends_it_with_a_status() {
    let origin = service();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut late = call("/stuck");
        late.headers_mut()
            .insert("grpc-timeout", "300m".parse().unwrap());
        let answer = unary(&client, late, message("?")).await;
        assert_eq!(answer.body, message("first"));
        assert_eq!(answer.trailer("grpc-status"), Some("4"));
    });
    proxy.wait_until(|| proxy.shared.requests() == 0);
}

#[test]
fn a_release_that_left_ends_its_calls_with_a_status_and_not_their_connection() {
    let origin = service();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, mut out) = client.open(call("/stuck"), false).await;
        send(&mut out, message("?"), true).await.unwrap();
        let mut body = answer.await.unwrap().into_body();
        let first = body.data().await.unwrap().unwrap();
        assert_eq!(first, message("first"));
        proxy.cut("blue");
        let (rest, trailers) = read_body(&mut body).await.unwrap();
        assert!(rest.is_empty());
        assert_eq!(trailers.unwrap()["grpc-status"], "14");
        let answer = unary(&client, call("/echo"), message("hello")).await;
        assert_eq!(answer.body, message("hello"));
    });
    let table = proxy.cell.load();
    let route = table.compiled().routes().get(0).unwrap();
    let cuts = route.split().entries()[0].cells().snapshot().cuts;
    assert_eq!(
        cuts[WorkClass::GrpcStream.index()][LeaveCause::Remove.index()],
        1
    );
    assert_eq!(cuts.iter().flatten().sum::<u64>(), 1);
}

#[test]
fn what_the_status_says_is_held_against_the_release_or_not() {
    let origin = service();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for code in [0, 3, 5, 16, 2, 13, 14] {
            unary(&client, call(&format!("/status/{code}")), message("?")).await;
        }
        unary(&client, call("/only/15"), message("?")).await;
    });
    let table = proxy.cell.load();
    let cells = table
        .compiled()
        .routes()
        .iter()
        .next()
        .unwrap()
        .split()
        .entries()[0]
        .cells()
        .clone();
    let count = |wanted: OutcomeClass| -> u64 {
        let counts = cells.snapshot().counts;
        counts
            .iter()
            .filter(|((class, _), _)| *class == wanted)
            .map(|(_, n)| n)
            .sum()
    };
    assert_eq!(count(OutcomeClass::Success), 1);
    assert_eq!(count(OutcomeClass::ClientError), 3);
    assert_eq!(count(OutcomeClass::Failure), 4);
}
