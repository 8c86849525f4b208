//! Agent cards of A2A through the proxy: one that names an endpoint names the proxy afterwards.

use std::io::Write as _;

use bytes::Bytes;

use crate::support::h2::{H2Client, H2Origin, block, read, request};
use crate::support::{Client, Origin, Request, Response, TestProxy};

const CARD: &str = "/.well-known/agent-card.json";
const A2A: &str = "path_prefix = \"/\"\nagent_protocol = \"a2a\"";
/// A number that a JSON library would not keep.
const BIG: &str = "123456789012345678901234567890.10";

fn card(url: &str) -> String {
    format!(
        "{{ \"name\":\"a\",\n\"big\": {BIG}, \"url\":\"{url}/rpc\",\"supportedInterfaces\":[{{\"url\":\"{url}\"}},{{\"url\":\"https://other.example/\"}}] }}"
    )
}

/// The URL at which a client can reach this endpoint: only it knows its own port.
fn own_url(request: &Request) -> String {
    format!("http://{}", request.value("x-own").unwrap_or("nowhere"))
}

fn reply(fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An agent whose card names its own address, sent with these fields.
fn agent(fields: &'static str) -> Origin {
    Origin::answering(move |request| reply(fields, &card(&own_url(request))))
}

fn proxy(agent: &Origin, lines: &str) -> TestProxy {
    TestProxy::builder()
        .release("blue", &[agent])
        .route_with("agents", &[("blue", 1)], lines)
        .start()
}

fn get(client: &mut Client, agent: &Origin, path: &str, fields: &str) -> Response {
    let own = agent.address();
    client
        .send(format!(
            "GET {path} HTTP/1.1\r\nHost: agents.test:8443\r\nX-Own: {own}\r\n{fields}\r\n"
        ))
        .response()
}

#[test]
fn a_card_that_names_its_endpoint_names_the_proxy_and_keeps_every_other_byte() {
    let agent = agent(
        "ETag: \"v1\"\r\nLast-Modified: Sun, 29 Nov 2026 08:00:00 GMT\r\nRepr-Digest: sha-256=:AA==:\r\nCache-Control: max-age=60\r\n",
    );
    let proxy = proxy(&agent, A2A);
    let mut client = proxy.client();
    for path in [
        CARD,
        "/a/.well-known/agent.json",
        "/extendedAgentCard",
        "/v1/card?x",
    ] {
        let fields = "Accept-Encoding: gzip\r\nRange: bytes=0-3\r\nIf-None-Match: \"v1\"\r\nIf-Modified-Since: Sun, 29 Nov 2026 08:00:00 GMT\r\n";
        let got = get(&mut client, &agent, path, fields);
        assert_eq!(got.status, 200);
        assert_eq!(got.text(), card("http://agents.test:8443"));
        assert_eq!(
            got.value("content-length"),
            Some(&got.body.len().to_string()[..])
        );
        assert_eq!(got.value("cache-control"), Some("max-age=60"));
        assert!(got.value("last-modified").is_none() && got.value("repr-digest").is_none());
        assert!(!got.value("etag").unwrap().contains("v1"));
        let asked = agent.last();
        assert_eq!(asked.value("accept-encoding"), Some("identity"));
        for field in ["range", "if-none-match", "if-modified-since"] {
            assert_eq!(asked.value(field), None, "{field}");
        }
    }
}

#[test]
fn all_other_requests_and_routes_pass_as_they_are() {
    let agent = agent("ETag: \"v1\"\r\n");
    let proxy = TestProxy::builder()
        .release("blue", &[&agent])
        .route_with("plain", &[("blue", 1)], "path_prefix = \"/plain\"")
        .route_with("agents", &[("blue", 1)], A2A)
        .start();
    let mut client = proxy.client();
    for path in [&format!("/plain{CARD}"), "/rpc", "/tasks/agent-card.json"] {
        let fields = "Accept-Encoding: gzip\r\nIf-None-Match: \"v0\"\r\n";
        let got = get(&mut client, &agent, path, fields);
        assert_eq!(got.text(), card(&agent.url()), "{path}");
        assert_eq!(got.value("etag"), Some("\"v1\""));
        assert_eq!(agent.last().value("accept-encoding"), Some("gzip"));
        assert_eq!(agent.last().value("if-none-match"), Some("\"v0\""));
    }
}

#[test]
fn a_card_passes_as_it_is_where_the_route_says_so() {
    let agent = agent("ETag: \"v1\"\r\n");
    let proxy = proxy(&agent, &format!("{A2A}\nagent_card = \"keep\""));
    let got = get(
        &mut proxy.client(),
        &agent,
        CARD,
        "Accept-Encoding: gzip\r\n",
    );
    assert_eq!(got.text(), card(&agent.url()));
    assert_eq!(got.value("etag"), Some("\"v1\""));
    assert_eq!(agent.last().value("accept-encoding"), Some("gzip"));
}

#[test]
fn a_card_names_the_public_url_of_its_route_and_the_prefix_that_is_removed() {
    let agent = agent("");
    let lines = "path_prefix = \"/chat\"\nstrip_prefix = true\nagent_protocol = \"a2a\"";
    let by_host = proxy(&agent, lines);
    let path = format!("/chat{CARD}");
    let got = get(&mut by_host.client(), &agent, &path, "");
    assert_eq!(got.text(), card("http://agents.test:8443/chat"));
    let lines = format!("{lines}\npublic_url = \"https://public.example/base/\"");
    let by_key = proxy(&agent, &lines);
    let got = get(&mut by_key.client(), &agent, &path, "");
    assert_eq!(got.text(), card("https://public.example/base/chat"));
}

#[test]
fn the_endpoints_of_all_releases_are_replaced_and_no_other_address() {
    let (blue, green) = (agent(""), agent(""));
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route_with("agents", &[("blue", 1), ("green", 0)], A2A)
        .start();
    let mut client = proxy.client();
    // The card of blue names green, or the same port of the unspecified address.
    let named = |client: &mut Client, url: &str| {
        client
            .send(format!(
                "GET {CARD} HTTP/1.1\r\nHost: agents.test:8443\r\nX-Own: {url}\r\n\r\n"
            ))
            .response()
            .text()
    };
    let port = blue.address().port();
    for own in [
        green.address().to_string(),
        format!("0.0.0.0:{port}"),
        format!("localhost:{port}"),
    ] {
        assert_eq!(
            named(&mut client, &own),
            card("http://agents.test:8443"),
            "{own}"
        );
    }
    for other in ["127.0.0.1:1".to_owned(), format!("192.0.2.1:{port}")] {
        assert_eq!(named(&mut client, &other), card(&format!("http://{other}")));
    }
}

#[test]
fn a_rewritten_card_has_a_tag_of_its_own_that_the_proxy_compares() {
    let agent = agent("ETag: \"v1\"\r\nCache-Control: max-age=60\r\n");
    let proxy = proxy(&agent, A2A);
    let mut client = proxy.client();
    let first = get(&mut client, &agent, CARD, "");
    let tag = first.value("etag").unwrap().to_owned();
    let again = get(
        &mut client,
        &agent,
        CARD,
        &format!("If-None-Match: \"x\", W/{tag}\r\n"),
    );
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.value("etag"), Some(&tag[..]));
    assert_eq!(again.value("cache-control"), Some("max-age=60"));
    // The tag of what the agent sent is that of no card that a client has.
    let stale = get(&mut client, &agent, CARD, "If-None-Match: \"v1\"\r\n");
    assert_eq!(stale.status, 200);
    // Another host has another card.
    let request = format!(
        "GET {CARD} HTTP/1.1\r\nHost: other.test\r\nX-Own: {}\r\nIf-None-Match: {tag}\r\n\r\n",
        agent.address()
    );
    let other = client.send(request).response();
    assert_eq!(
        (other.status, other.text()),
        (200, card("http://other.test"))
    );
    assert_ne!(other.value("etag"), Some(&tag[..]));
}

#[test]
fn an_unchanged_card_keeps_the_tag_of_its_agent_and_conditions_hold() {
    let agent = Origin::answering(|_| reply("ETag: \"v1\"\r\n", &card("https://agents.example")));
    let proxy = proxy(&agent, A2A);
    let mut client = proxy.client();
    let got = get(&mut client, &agent, CARD, "If-None-Match: \"v0\"\r\n");
    assert_eq!(
        (got.status, got.text()),
        (200, card("https://agents.example"))
    );
    assert_eq!(got.value("etag"), Some("\"v1\""));
    assert_eq!(
        get(&mut client, &agent, CARD, "If-None-Match: \"v1\"\r\n").status,
        304
    );
}

#[test]
fn a_head_request_says_nothing_about_bytes_that_it_does_not_know() {
    let agent = agent("ETag: \"v1\"\r\nX-Agent: a\r\n");
    let proxy = proxy(&agent, A2A);
    let mut client = proxy.client();
    client.send(format!("HEAD {CARD} HTTP/1.1\r\nHost: a\r\n\r\n"));
    // The origin sends a body to a `HEAD`, which ends its connection; what the client gets is in order.
    let got = client.head_response();
    assert_eq!((got.status, got.value("x-agent")), (200, Some("a")));
    assert_eq!(
        (got.value("etag"), got.value("content-length")),
        (None, None)
    );
    assert_eq!(get(&mut client, &agent, CARD, "").status, 200);
}

#[test]
fn a_signed_card_passes_as_it_is() {
    let signed = |request: &Request| {
        let url = own_url(request);
        format!(
            "{{\"url\":\"{url}\",\"signatures\":[{{\"protected\":\"e30\",\"signature\":\"s\"}}]}}"
        )
    };
    let agent = Origin::answering(move |request| reply("ETag: \"v1\"\r\n", &signed(request)));
    let proxy = proxy(&agent, A2A);
    let got = get(&mut proxy.client(), &agent, CARD, "");
    assert!(
        got.text()
            .starts_with(&format!("{{\"url\":\"{}\"", agent.url()))
    );
    assert_eq!(got.value("etag"), Some("\"v1\""));
}

#[test]
fn what_is_no_card_is_not_touched() {
    for (fields, body) in [
        ("Content-Encoding: gzip\r\n", "{\"url\":\"X\"}"),
        ("", "[\"X\"]"),
        ("", "{\"url\":\"X\""),
        ("", ""),
    ] {
        let agent =
            Origin::answering(move |request| reply(fields, &body.replace('X', &own_url(request))));
        let proxy = proxy(&agent, A2A);
        let got = get(&mut proxy.client(), &agent, CARD, "");
        assert_eq!(
            (got.status, got.text()),
            (200, body.replace('X', &agent.url()))
        );
    }
    let html = Origin::answering(|request| {
        let body = card(&own_url(request));
        let length = body.len();
        format!("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    });
    let proxy = proxy(&html, A2A);
    let got = get(&mut proxy.client(), &html, CARD, "");
    assert_eq!((got.status, got.text()), (404, card(&html.url())));
}

#[test]
fn a_card_that_is_too_long_passes_whole() {
    fn long(request: &Request) -> String {
        let filler = "x".repeat(300 * 1024);
        format!(
            "{{\"url\":\"{}\",\"filler\":\"{filler}\"}}",
            own_url(request)
        )
    }
    let chunked = |request: &Request| {
        let mut out = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in long(request).as_bytes().chunks(10_000) {
            write!(out, "{:x}\r\n", part.len()).unwrap();
            out.extend_from_slice(part);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        out
    };
    let agents = [
        Origin::answering(|request| reply("ETag: \"v1\"\r\n", &long(request))),
        Origin::answering(chunked),
    ];
    for agent in agents {
        let proxy = proxy(&agent, A2A);
        let got = get(&mut proxy.client(), &agent, CARD, "");
        assert_eq!(
            (got.status, got.body.len()),
            (200, long(&agent.last()).len())
        );
        assert!(got.text() == long(&agent.last()) && got.is_whole);
        assert_eq!(got.value("etag"), Some("\"v1\""));
    }
}

#[test]
fn a_card_that_is_cut_is_an_error_and_no_part_of_a_card() {
    let agent = Origin::after_request(|_, mut stream, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"url\":";
        stream.write_all(head.as_bytes()).unwrap();
    });
    let proxy = proxy(&agent, A2A);
    let got = get(&mut proxy.client(), &agent, CARD, "");
    assert_eq!(got.status, 502);
    assert!(
        got.text().contains("google.rpc.ErrorInfo") || got.text().contains("error"),
        "{}",
        got.text()
    );
}

#[test]
fn the_extended_card_of_a_call_is_rewritten_and_other_calls_are_not() {
    let agent = Origin::answering(|request| {
        let card = card(&own_url(request));
        reply(
            "",
            &format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{card}}}"),
        )
    });
    let proxy = proxy(&agent, A2A);
    let mut client = proxy.client();
    let mut call = |method: &str| {
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}");
        let (own, length) = (agent.address(), body.len());
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: agents.test\r\nX-Own: {own}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        client.response()
    };
    let of = |url: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}}", card(url));
    for method in ["GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"] {
        let got = call(method);
        assert_eq!(got.text(), of("http://agents.test"), "{method}");
        assert_eq!(got.value("etag"), None);
    }
    assert_eq!(call("SendMessage").text(), of(&agent.url()));
}

#[test]
fn a_card_is_rewritten_between_peers_of_http2() {
    let agent = H2Origin::start(|request, mut respond| async move {
        assert_eq!(request.headers()["accept-encoding"], "identity");
        let own = request.headers()["x-own"].to_str().unwrap().to_owned();
        let head = http::Response::builder()
            .header("content-type", "application/json")
            .header("etag", "\"v1\"")
            .body(())
            .unwrap();
        let mut out = respond.send_response(head, false).unwrap();
        out.send_data(Bytes::from(card(&format!("http://{own}"))), true)
            .unwrap();
    });
    let proxy = TestProxy::builder()
        .release_with("blue", &agent.release())
        .route_with("agents", &[("blue", 1)], A2A)
        .start();
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let get = async |tag: &str| {
            let mut asked = request("GET", CARD);
            let fields = asked.headers_mut();
            fields.insert("x-own", agent.address.to_string().parse().unwrap());
            fields.insert("if-none-match", tag.parse().unwrap());
            read(client.open(asked, true).await.0.await.unwrap())
                .await
                .unwrap()
        };
        let got = get("\"v1\"").await;
        assert_eq!(
            (got.status(), got.text()),
            (200, &card("http://agents.test")[..])
        );
        let length = got.body.len().to_string();
        assert_eq!(got.value("content-length"), Some(&length[..]));
        let again = get(got.value("etag").unwrap()).await;
        assert_eq!((again.status(), again.text()), (304, ""));
    });
}
