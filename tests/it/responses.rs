//! Responses that are truncated or malformed, local responses, and what a client receives of either.

use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::h2::{DATA, END_STREAM, GOAWAY, RawH2, SETTINGS, WINDOW_UPDATE, pseudo};
use crate::support::{Origin, TestProxy, read_head, read_request};

/// An origin that responds to every request with these bytes, and then waits until the proxy closes.
fn breaking(bytes: &'static [u8]) -> Origin {
    Origin::scripted(move |mut stream| {
        if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
            stream.write_all(bytes).unwrap();
            let _end = stream.read(&mut [0; 16]);
        }
    })
}

#[test]
fn a_response_that_fails_to_decode_before_a_byte_has_left_is_a_bad_gateway() {
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
fn what_came_before_a_decode_error_is_passed_on_and_the_error_is_shown_and_logged() {
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

/// Sent bytes are never sent again: a client that did not read an interim response in time receives the rest of it, and
/// then the error.
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
    // The proxy has aborted before the client reads a byte.
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

/// A route for `/api` only: everything else gets a local response.
fn with_one_route(origin: &Origin) -> TestProxy {
    TestProxy::builder()
        .release("blue", &[origin])
        .route("api", "/api", &[("blue", 1)])
        .start()
}

#[test]
fn a_grpc_error_over_http1_says_where_it_ends() {
    let origin = Origin::replying("x");
    let proxy = with_one_route(&origin);
    let mut client = proxy.client();
    let call = "POST /nope HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    client.send(format!("{call}GET /api HTTP/1.1\r\nHost: a\r\n\r\n"));
    let error = client.response();
    assert_eq!(
        (error.status, error.value("grpc-status")),
        (200, Some("12"))
    );
    assert_eq!(error.value("content-length"), Some("0"));
    assert_eq!(
        client.response().text(),
        "x",
        "the next answer is one of its own"
    );
}

#[test]
fn an_answer_of_ours_to_a_head_has_no_body() {
    let origin = Origin::replying("x");
    let proxy = with_one_route(&origin);
    let mut client = proxy.client();
    client.send("HEAD /nope HTTP/1.1\r\nHost: a\r\n\r\n");
    let missing = client.head_response();
    assert_eq!(missing.status, 404);
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n");
    let refused = client.head_response();
    assert_eq!(refused.status, 400);
    assert_ne!(
        refused.value("content-length"),
        Some("0"),
        "it is that of a GET"
    );
    assert!(client.is_closed(), "nothing follows the head");
}

#[test]
fn every_answer_has_a_date_and_a_405_says_what_is_allowed() {
    let dated = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let origin = Origin::answering(move |request| {
        let date = if request.line().contains("dated") {
            dated
        } else {
            ""
        };
        format!("HTTP/1.1 200 OK\r\n{date}Content-Length: 0\r\n\r\n").into_bytes()
    });
    let proxy = with_one_route(&origin);
    let mut client = proxy.client();
    let dated = client.get("/api/dated");
    assert_eq!(dated.value("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    for path in ["/api", "/nope"] {
        let date = client.get(path).value("date").map(str::len);
        assert_eq!(date, Some(29), "{path}");
    }
    let refused = proxy
        .client()
        .send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        .response();
    assert_eq!(refused.status, 405);
    assert!(refused.value("allow").unwrap().starts_with("GET, HEAD, "));
    assert!(refused.value("date").is_some());
}

#[test]
fn what_may_go_no_further_is_answered_here() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send(
        "TRACE /a?b HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge\r\nCookie: secret\r\nMax-Forwards: 0\r\n\r\n",
    );
    let traced = client.response();
    assert_eq!(
        (traced.status, traced.value("content-type")),
        (200, Some("message/http"))
    );
    assert_eq!(
        traced.text(),
        "TRACE /a HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge\r\nMax-Forwards: 0\r\n\r\n"
    );
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    let options = client.response();
    assert_eq!((options.status, options.text().as_str()), (200, ""));
    assert!(options.value("allow").unwrap().contains("OPTIONS"));
    assert!(origin.requests().is_empty());
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n");
    assert_eq!(client.response().text(), "x");
    assert_eq!(origin.last().value("max-forwards"), Some("0"));
}

#[test]
fn a_request_line_of_before_http_1_is_answered_and_closed() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    let answer = client.send("GET /old\r\n").response();
    assert_eq!(answer.status, 400);
    assert!(client.is_closed());
}

#[test]
fn an_error_of_ours_keeps_the_connection_if_little_of_the_body_is_left() {
    let origin = Origin::replying("x");
    let proxy = with_one_route(&origin);
    let mut client = proxy.client();
    for body in [b"hi".to_vec(), vec![b'b'; 60_000]] {
        let body = body.as_slice();
        let response = client.post("/nope", body);
        assert_eq!((response.status, response.value("connection")), (404, None));
        // The rest of the body comes after the response.
        let head = format!(
            "POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(client.send(head).response().status, 404);
        client.send(body);
        client.send(
            "POST /nope HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        );
        assert_eq!(client.response().status, 404);
        assert_eq!(client.send("0\r\n\r\n").get("/api").text(), "x");
    }
    for head in [
        "Content-Length: 1000000\r\n",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    ] {
        let mut client = proxy.client();
        client.send(format!("POST /nope HTTP/1.1\r\nHost: a\r\n{head}\r\n"));
        assert_eq!(
            client.response().value("connection"),
            Some("close"),
            "{head}"
        );
        assert!(client.is_closed());
    }
}

/// An origin that responds with 413 as soon as it has a head, and reads on.
fn answering_early() -> Origin {
    Origin::scripted(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        if read_head(&mut reader).is_none() {
            return;
        }
        let _sent =
            stream.write_all(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno");
        let _closed = std::io::copy(&mut reader, &mut std::io::sink());
    })
}

#[test]
fn an_early_error_of_an_endpoint_keeps_the_connection_if_little_of_the_body_is_left() {
    let origin = answering_early();
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    let large = vec![b'b'; 60_000];
    for (head, rest) in [
        ("Content-Length: 2\r\n\r\n", &b"hi"[..]),
        ("Content-Length: 60000\r\n\r\n", &large),
        (
            "Transfer-Encoding: chunked\r\n\r\n",
            b"2\r\nhi\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            b"0\r\n\r\n",
        ),
    ] {
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}"));
        let response = client.response();
        assert_eq!(
            (response.status, response.value("connection")),
            (413, None),
            "{head}"
        );
        client.send(rest);
    }
    for head in [
        "Content-Length: 1000000\r\n",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    ] {
        let mut client = proxy.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n"));
        assert_eq!(
            client.response().value("connection"),
            Some("close"),
            "{head}"
        );
        assert!(client.is_closed());
    }
}

#[test]
fn a_close_over_http2_lets_the_client_read_its_answer_whatever_it_has_sent_behind() {
    const SIZE: usize = 300_000;
    let origin = Origin::answering(|_| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + SIZE, b'x');
        bytes
    });
    let proxy = TestProxy::before(&origin);
    let mut client = RawH2::connect(proxy.address);
    // The whole response may be sent at once: streams have a window of 1 MiB, the connection a larger one.
    client.frame(SETTINGS, 0, 0, &[0, 4, 0, 16, 0, 0]);
    client.frame(WINDOW_UPDATE, 0, 0, &[0, 16, 0, 0]);
    client.head(1, END_STREAM, &pseudo("GET", "/"));
    proxy.access_lines(1);
    // DATA on no stream ends the connection; more data is in flight by then.
    client.frame(DATA, 0, 0, b"x");
    client.bytes(&vec![0; 400_000]);
    let frames = client.rest();
    let data = frames.iter().filter(|frame| frame.kind == DATA);
    let length: usize = data.map(|frame| frame.payload.len()).sum();
    assert_eq!(length, SIZE);
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY));
}

#[test]
fn a_body_that_was_read_for_a_dead_endpoint_keeps_the_connection() {
    let origin = Origin::scripted(|mut stream| {
        let _read = stream.read(&mut [0; 4096]);
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    for _ in 0..3 {
        let response = client.post("/", b"hi");
        assert_eq!((response.status, response.value("connection")), (502, None));
    }
}

#[test]
fn a_close_lets_the_client_read_its_answer_whatever_it_has_sent_behind() {
    const SIZE: usize = 300_000;
    let origin = Origin::answering(|_| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + SIZE, b'x');
        bytes
    });
    let proxy = TestProxy::before(&origin);
    let behind = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3_000);
    for first in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    ] {
        let mut client = proxy.client();
        client.send(first).send(&behind);
        // All sent bytes have arrived before the first one is read.
        proxy.access_lines(1);
        let response = client.response();
        assert_eq!((response.body.len(), response.is_whole), (SIZE, true));
        assert!(client.is_closed());
    }
}

#[test]
fn an_endpoint_cannot_say_which_release_it_is() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 103 Early Hints\r\nX-Release: green\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-RELEASE: green\r\n\r\n"
            .to_vec()
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with(
            "all",
            &[("blue", 1)],
            "path_prefix = \"/\"\nexpose_release = \"x-release\"",
        )
        .start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = client.try_response().unwrap();
    assert_eq!((hints.status, hints.value("x-release")), (103, None));
    assert_eq!(client.response().value("x-release"), Some("blue"));
}

#[test]
fn a_refused_head_is_in_the_access_log_with_its_id_and_the_field_at_fault() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .settings("[limits]\nhead = \"4KiB\"")
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .start();
    let large = format!("Cookie: {}\r\n", "c".repeat(5_000));
    let cases = [
        ("X_Y: 1\r\n", "underscore_name", "X_Y"),
        ("Host: b\r\n", "duplicate_host", "Host"),
        (
            "Content-Length: +1\r\n",
            "invalid_content_length",
            "Content-Length",
        ),
        (&large, "head_too_large", "Cookie"),
    ];
    for (number, (fields, reason, field)) in cases.into_iter().enumerate() {
        let mut client = proxy.client();
        client.send(format!(
            "GET /p?secret HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"
        ));
        let response = client.response();
        let lines = proxy.access_lines(number + 1);
        let line = &lines[number];
        assert_eq!(line["request_id"], response.value("x-request-id").unwrap());
        assert_eq!(line["status"], response.status);
        assert_eq!(
            (&line["error"], &line["field"]),
            (&reason.into(), &field.into())
        );
        assert_eq!(
            (&line["method"], &line["host"], &line["path"]),
            (&"GET".into(), &"a.test".into(), &"/p".into())
        );
    }
}

#[test]
fn two_instances_with_the_names_they_give_themselves_stand_in_a_row() {
    let origin = Origin::replying("through");
    let inner = TestProxy::before(&origin);
    let outer = TestProxy::builder()
        .release_with(
            "inner",
            &format!("endpoints = [\"http://{}\"]", inner.address),
        )
        .route("all", "/", &[("inner", 1)])
        .start();
    assert_eq!(outer.client().get("/").text(), "through");
    let via = origin.last().value("via").unwrap().to_owned();
    assert_eq!(via.matches("switchback-").count(), 2, "{via}");
    // A request that has passed the proxy before is still detected.
    let mut client = inner.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nVia: {via}\r\n\r\n"));
    assert_eq!(client.response().status, 508);
}

#[test]
fn a_proxy_that_is_not_to_be_seen_leaves_no_via_and_starts_a_trace_if_it_is_to() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .settings("[headers]\nsend_via = false\ntraceparent = \"create\"")
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .start();
    proxy.client().get("/");
    assert_eq!(origin.last().value("via"), None);
    let trace = origin.last().value("traceparent").unwrap().to_owned();
    assert!(
        trace.starts_with("00-") && trace.ends_with("-00"),
        "{trace}"
    );
}

#[test]
fn an_empty_affinity_value_is_none_and_the_next_source_is_asked() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route_with(
            "all",
            &[("blue", 50), ("green", 50)],
            "path_prefix = \"/\"\naffinity = [{ header = \"x-session-id\" }, { cookie = \"sid\" }]",
        )
        .start();
    let mut client = proxy.client();
    let mut ask = |fields: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.response().text()
    };
    for fields in [
        "X-Session-Id:\r\n",
        "Cookie: sid=\r\n",
        "Cookie: sid=\"\"; a=b\r\n",
    ] {
        let first = ask(fields);
        assert!(
            (0..100).any(|_| ask(fields) != first),
            "{fields} binds everybody"
        );
    }
    let with_cookie = |n: usize| format!("X-Session-Id: \r\nCookie: sid=k{n}\r\n");
    let answers: Vec<_> = (0..100).map(|n| ask(&with_cookie(n))).collect();
    assert!(answers.iter().any(|answer| *answer != answers[0]));
    assert!(
        (0..100).all(|n| ask(&with_cookie(n)) == answers[n]),
        "and each is bound"
    );
}

/// An origin that accepts every upgrade with a 101 to this protocol and then echoes; otherwise it responds `no
/// upgrade`.
fn upgrading(to: &'static str) -> Origin {
    Origin::scripted(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read_request(&mut reader) {
            if request.value("upgrade").is_none() {
                let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nno upgrade";
                stream.write_all(plain).unwrap();
                continue;
            }
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\nhello "
            );
            stream.write_all(head.as_bytes()).unwrap();
            let _echoed = std::io::copy(&mut reader, &mut stream);
            return;
        }
    })
}

#[test]
fn a_route_forwards_other_upgrades_if_it_allows_them() {
    let (origin, odd) = (upgrading("tcp"), upgrading("other"));
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .release("odd", &[&odd])
        .route_with(
            "open",
            &[("blue", 1)],
            "path_prefix = \"/open\"\nupgrades = [\"TCP\"]",
        )
        .route_with(
            "odd",
            &[("odd", 1)],
            "path_prefix = \"/odd\"\nupgrades = [\"tcp\"]",
        )
        .route("shut", "/", &[("blue", 1)])
        .start();
    let ask = |path: &str, protocol: &str| {
        let mut client = proxy.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: 0\r\n\r\n"
        ));
        let response = client.response();
        (client, response)
    };
    let (mut client, answer) = ask("/open", "tcp");
    assert_eq!((answer.status, answer.value("upgrade")), (101, Some("tcp")));
    assert_eq!(answer.value("connection"), Some("upgrade"));
    assert_eq!(client.read_exact(6), b"hello ");
    assert_eq!(
        client.send(b"\x88\x02bytes").read_exact(7),
        b"\x88\x02bytes"
    );
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed(), "the end of either side is passed on");
    for (path, protocol) in [("/", "tcp"), ("/open", "other"), ("/open", "tcp, other")] {
        let (_, answer) = ask(path, protocol);
        assert_eq!(answer.text(), "no upgrade", "{path} {protocol}");
    }
    let (_, answer) = ask("/odd", "tcp");
    assert_eq!(answer.status, 502, "that protocol was not requested");
}

#[test]
fn an_answer_has_a_limit_of_its_own_on_fields() {
    let origin = Origin::answering(|request| {
        let count = request.line().split('/').nth(1).unwrap();
        let count: usize = count.split(' ').next().unwrap().parse().unwrap();
        let cookies = "Set-Cookie: a=b\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: 0\r\n\r\n").into_bytes()
    });
    let build = || {
        TestProxy::builder()
            .release("blue", &[&origin])
            .route("all", "/", &[("blue", 1)])
    };
    let proxy = build().start();
    assert_eq!(proxy.client().get("/200").values("set-cookie").len(), 200);
    assert_eq!(proxy.client().get("/256").status, 502);
    let strict = build()
        .settings("[limits]\nresponse_head_fields = 20")
        .start();
    assert_eq!(strict.client().get("/19").status, 200);
    assert_eq!(strict.client().get("/20").status, 502);
}

#[test]
fn a_refused_head_over_http2_is_answered_without_a_body_and_logged() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::before(&origin);
    let mut raw = RawH2::connect(proxy.address);
    let fields = [&pseudo("HEAD", "/p?secret")[..], &[("x_y", "1")]].concat();
    raw.head(1, 5, &fields);
    let answer = raw.until(|frame| frame.stream == 1).unwrap();
    assert_eq!(answer.flags & 1, 1, "the head is all there is");
    let line = &proxy.access_lines(1)[0];
    assert_eq!(
        (&line["protocol"], &line["method"]),
        (&"HTTP/2".into(), &"HEAD".into())
    );
    assert_eq!(
        (&line["error"], &line["field"]),
        (&"underscore_name".into(), &"x_y".into())
    );
    assert_eq!(line["path"], "/p");
}
