//! HTTP/1.1 from a client to an endpoint and back.

use crate::support::{Client, Origin, TestProxy, closed_address};

#[test]
fn a_get_is_forwarded_and_its_connection_is_kept() {
    let origin = Origin::replying("hello");
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    for _ in 0..3 {
        let response = client.get("/chat?x=1");
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_eq!(response.value("connection"), None);
    }
    assert_eq!(
        origin.connections(),
        1,
        "the connection to the endpoint is kept as well"
    );
    assert_eq!(origin.last().line(), "GET /chat?x=1 HTTP/1.1");
    assert_eq!(origin.last().value("host"), Some("agents.test"));
}

#[test]
fn a_body_of_known_length_arrives_whole() {
    let origin = Origin::replying("ok");
    let proxy = TestProxy::before(&origin);
    let body: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    let mut client = proxy.client();
    for body in [&b""[..], b"x", &body] {
        assert_eq!(client.post("/", body).status, 200);
        assert_eq!(origin.last().body, body);
        assert_eq!(
            origin.last().value("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
}

#[test]
fn a_chunked_body_arrives_whole_with_its_trailers() {
    let origin = Origin::replying("ok");
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client
        .send("3\r\nabc\r\n")
        .send("2\r\nde\r\n0\r\nx-checksum: 7\r\nhost: evil\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(origin.last().body, b"abcde");
    assert_eq!(origin.last().trailers, "x-checksum: 7\r\n");
}

#[test]
fn a_chunked_answer_passes_as_it_comes() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n".to_vec()
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.text(), "hello world");
        assert_eq!(response.trailers, "x-sum: 1\r\n");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::answering(|request| {
        let body = request
            .line()
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    let one = |n| format!("POST /{n} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
    let requests = (0..50).map(one).collect::<Vec<_>>().concat();
    client.send(requests);
    for n in 0..50 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

#[test]
fn a_large_answer_arrives_whole() {
    let body: Vec<u8> = (0..5_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let expected = body.clone();
    let origin = Origin::answering(move |_| {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend(&body);
        bytes
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    for _ in 0..2 {
        assert!(client.get("/").body == expected);
    }
}

#[test]
fn an_answer_until_close_becomes_chunks() {
    let origin = Origin::scripted(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 4096]);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
            .unwrap();
    });
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    let response = client.get("/");
    assert_eq!(response.value("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text(), "until close");
    assert_eq!(client.get("/").text(), "until close");
}

#[test]
fn an_answer_that_was_cut_never_looks_whole() {
    let origin = Origin::scripted(|mut stream| {
        use std::io::{Read, Write};
        let mut request = [0; 4096];
        let read = stream.read(&mut request).unwrap();
        let head: &[u8] = if request[..read].starts_with(b"GET /chunks") {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel"
        };
        stream.write_all(head).unwrap();
    });
    let proxy = TestProxy::before(&origin);
    for path in ["/chunks", "/length"] {
        let response = proxy.client().get(path);
        assert_eq!(response.status, 200);
        assert!(!response.is_whole, "{path}");
    }
    let mut old = proxy.client();
    old.send("GET /chunks HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let response = old.response();
    assert!(
        !response.is_whole,
        "HTTP/1.0 has no chunks, so the connection is reset"
    );
}

#[test]
fn no_endpoint_to_send_to_is_a_problem_document_with_its_reason() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("api", "/api", &[("blue", 1)])
        .start();
    let mut client = proxy.client();
    let response = client.get("/other");
    assert_eq!(response.status, 404);
    assert_eq!(response.value("x-switchback-reason"), Some("no_route"));
    assert_eq!(
        response.value("content-type"),
        Some("application/problem+json")
    );
    assert!(
        response
            .text()
            .contains(response.value("x-request-id").unwrap())
    );
    assert_eq!(client.get("/api").status, 200, "the connection goes on");
}

#[test]
fn a_dead_endpoint_is_a_bad_gateway_and_another_one_answers() {
    let dead = closed_address();
    let live = Origin::replying("live");
    let proxy = TestProxy::builder()
        .release_with("dead", &format!("endpoints = [\"http://{dead}\"]"))
        .release_with(
            "half",
            &format!("endpoints = [\"http://{dead}\", {:?}]", live.url()),
        )
        .route("dead", "/dead", &[("dead", 1)])
        .route("half", "/half", &[("half", 1)])
        .start();
    let mut client = proxy.client();
    let response = client.get("/dead");
    assert_eq!(response.status, 502);
    assert_eq!(
        response.value("x-switchback-reason"),
        Some("connect_failed")
    );
    for _ in 0..20 {
        let response = client.post("/half", b"not sent twice");
        assert_eq!(response.text(), "live");
    }
}

#[test]
fn broken_requests_are_refused_and_nothing_goes_upstream() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::before(&origin);
    let broken = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "GET / HTTP/1.1\nHost: a\n\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for request in broken {
        let mut client = proxy.client();
        let response = client.send(request).response();
        assert!((400..=405).contains(&response.status), "{request}");
        assert!(client.is_closed(), "{request}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_broken_chunk_aborts_the_request_upstream() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::before(&origin);
    let mut client = proxy.client();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n");
    assert_eq!(client.response().status, 400);
    assert!(client.is_closed());
    assert!(
        origin.requests().is_empty(),
        "what was cut never looked whole"
    );
}

#[test]
fn a_switch_takes_effect_and_a_rollback_restores() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route("chat", "/", &[("blue", 1), ("green", 0)])
        .workers(2)
        .start();
    let mut clients: Vec<Client> = (0..8).map(|_| proxy.client()).collect();
    let mut all_say = |expected: &str| {
        for client in &mut clients {
            assert_eq!(client.get("/").text(), expected);
        }
    };
    all_say("blue");
    proxy.converged(proxy.switch("chat", "green"));
    all_say("green");
    proxy.converged(proxy.rollback());
    all_say("blue");
}
