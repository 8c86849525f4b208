//! Trailers: their size, and which of them are forwarded.

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::support::h2::{H2Client, H2Origin, block, read, read_body, request, send};
use crate::support::{Origin, TestProxy};

fn long(length: usize) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "c".repeat(length).parse().unwrap());
    trailers
}

/// An endpoint with a header limit of 8 KiB that responds with the length of the body once it has all of it.
fn strict() -> H2Origin {
    let mut settings = h2::server::Builder::new();
    settings.max_header_list_size(8_192);
    H2Origin::start_with(settings, |request, mut respond| async move {
        let Ok((body, trailers)) = read_body(&mut request.into_body()).await else {
            return;
        };
        let trailer = trailers.and_then(|trailers| trailers.get("x-checksum").cloned());
        let text = format!("{} {}", body.len(), trailer.map_or(0, |value| value.len()));
        if let Ok(mut out) = respond.send_response(Response::new(()), false) {
            let _sent = send(&mut out, Bytes::from(text), true).await;
        }
    })
}

fn before(origin: &H2Origin) -> TestProxy {
    TestProxy::before_with(&origin.release())
}

fn failures(proxy: &TestProxy) -> u64 {
    let live = proxy.cell.load();
    let route = live.compiled().routes().iter().next().unwrap();
    let cells = route.split().entries()[0].cells().snapshot();
    cells.failed_attempts.iter().sum()
}

#[test]
fn trailers_that_are_longer_than_the_endpoint_takes_are_refused_alone() {
    let origin = strict();
    let proxy = before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (beside, mut rest) = client.open(request("POST", "/beside"), false).await;
        for (length, status, text) in [(9_000, 431, ""), (7_000, 200, "2 7000"), (9_000, 431, "")] {
            let (answer, mut out) = client.open(request("POST", "/"), false).await;
            send(&mut out, Bytes::from_static(b"hi"), false)
                .await
                .unwrap();
            out.send_trailers(long(length)).unwrap();
            let answer = read(answer.await.unwrap()).await.unwrap();
            assert_eq!(answer.status(), status, "{length}");
            if status == 431 {
                let why = answer.value("x-switchback-reason");
                assert_eq!(why, Some("trailers_too_large"));
            } else {
                assert_eq!(answer.text(), text);
            }
        }
        send(&mut rest, Bytes::from_static(b"all"), true)
            .await
            .unwrap();
        let beside = read(beside.await.unwrap()).await.unwrap();
        assert_eq!(beside.text(), "3 0", "the others go on");
    });
    assert_eq!((failures(&proxy), origin.connections()), (0, 1));
    let lines = proxy.access_lines(4);
    let refused: Vec<_> = lines.iter().filter(|line| line["status"] == 431).collect();
    assert_eq!(refused.len(), 2);
    for line in refused {
        assert_eq!(line["outcome"], "refused");
        assert_eq!(line["error"], "trailers_too_large");
    }
}

#[test]
fn the_same_trailers_over_http1() {
    let origin = strict();
    let proxy = before(&origin);
    let mut client = proxy.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Checksum: {}\r\n\r\n",
        "c".repeat(9_000)
    ));
    let response = client.response();
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (431, Some("trailers_too_large"))
    );
    assert_eq!(failures(&proxy), 0);
}

/// Endpoints of both protocols; each claims in a trailer to be another release.
fn forging() -> (Origin, H2Origin) {
    let http1 = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-RELEASE: green\r\nx-checksum: 7\r\n\r\n"
            .to_vec()
    });
    let http2 = H2Origin::start(|_, mut respond| async move {
        let mut out = respond.send_response(Response::new(()), false).unwrap();
        let mut trailers = long(1);
        trailers.insert("x-release", "green".parse().unwrap());
        let _sent = send(&mut out, Bytes::from_static(b"ok"), false).await;
        let _sent = out.send_trailers(trailers);
    });
    (http1, http2)
}

#[test]
fn an_endpoint_cannot_say_in_a_trailer_which_release_it_is() {
    let (http1, http2) = forging();
    let exposed = "expose_release = \"x-release\"";
    let proxy = TestProxy::builder()
        .release("blue", &[&http1])
        .release_with("second", &http2.release())
        .route_with(
            "one",
            &[("blue", 1)],
            &format!("path_prefix = \"/one\"\n{exposed}"),
        )
        .route_with(
            "two",
            &[("second", 1)],
            &format!("path_prefix = \"/two\"\n{exposed}"),
        )
        .start();
    for (path, release) in [("/one", "blue"), ("/two", "second")] {
        let mut client = proxy.client();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(response.value("x-release"), Some(release));
        let trailers = response.trailers.to_lowercase();
        assert!(
            trailers.contains("x-checksum") && !trailers.contains("x-release"),
            "{trailers}"
        );
        block(async {
            let client = H2Client::connect(proxy.address).await;
            let answer = client.get(path).await.unwrap();
            assert_eq!(answer.value("x-release"), Some(release));
            assert!(answer.trailer("x-checksum").is_some());
            assert_eq!(answer.trailer("x-release"), None);
        });
    }
}

#[test]
fn a_body_that_is_read_for_its_task_arrives_whole_though_trailers_follow_it() {
    let origin = strict();
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route_with(
            "agent",
            &[("blue", 1)],
            "path_prefix = \"/\"\nagent_protocol = \"a2a\"",
        )
        .start();
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut asked = request("POST", "/");
        for (name, value) in [
            ("content-type", "application/json"),
            ("content-length", "2"),
        ] {
            asked.headers_mut().insert(name, value.parse().unwrap());
        }
        let (answer, mut out) = client.open(asked, false).await;
        send(&mut out, Bytes::from_static(b"{}"), false)
            .await
            .unwrap();
        out.send_trailers(long(5)).unwrap();
        let answer = read(answer.await.unwrap()).await.unwrap();
        assert_eq!((answer.status(), answer.text()), (200, "2 0"));
    });
}
