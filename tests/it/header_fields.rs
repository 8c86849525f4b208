//! Header fields that a route sets, adds and removes: over both protocols on either side, in streams, handshakes and our
//! own responses, and back after a rollback.

use std::io::Write as _;

use bytes::Bytes;
use serde_json::json;

use crate::controller_fixture::change;
use crate::support::h2::{H2Client, H2Origin, block, read, request, send};
use crate::support::{
    Client, Origin, Response, TestProxy, TestProxyBuilder, UPGRADE, UPGRADED, reply,
};

const CHANGES: &str = "request_headers = { set = { x-user = \"{client_address}\", x-by = \"{route} {release} {version} {host} {{r{revision}}}\" }, \
    add = { x-tag = \"ours\" }, remove = [\"x-internal\", \"cookie\"] }\n\
    response_headers = { set = { server = \"front\", x-served-by = \"{release}/{version} {route}\" }, \
    add = { x-tag = \"ours\", set-cookie = \"a=b\" }, remove = [\"x-secret\"] }";

/// Fields of a client that forges and leaks.
const SENT: &str = "X-User: forged\r\nx_user: forged\r\nx-tag: theirs\r\nX-Internal: 1\r\nx_internal: 2\r\nCookie: c=d\r\nx-kept: 1\r\n";

fn proxy(lines: &str) -> TestProxyBuilder {
    let lines = format!("path_prefix = \"/\"\n{lines}");
    TestProxy::builder().route_with("chat", &[("blue", 1)], &lines)
}

fn release(urls: &[String]) -> String {
    format!("version = \"1.0.0\"\nendpoints = {urls:?}")
}

fn ask(client: &mut Client, fields: &str) -> Response {
    client.send(format!("GET / HTTP/1.1\r\nHost: A.test:81\r\n{fields}\r\n"));
    client.response()
}

#[test]
fn fields_are_set_added_and_removed_and_a_rollback_takes_them_back() {
    let answer = |_: &_| {
        let fields = "Server: endpoint\r\nX-Secret: 1\r\nx-tag: theirs\r\nSet-Cookie: c=d\r\n";
        reply(200, fields, "x")
    };
    let origin = Origin::answering(answer);
    let proxy = proxy(CHANGES)
        .settings("[headers]\nunderscores = \"pass\"")
        .release_with("blue", &release(&[origin.url()]))
        .start();
    let mut client = proxy.client();
    let response = ask(&mut client, SENT);
    let got = origin.last();
    assert_eq!(got.value("x-user"), Some("127.0.0.1"));
    assert_eq!(
        got.value("x_user"),
        None,
        "another spelling of a field that is set"
    );
    let revision = proxy.cell.load().revision();
    assert_eq!(
        got.value("x-by"),
        Some(format!("chat blue 1.0.0 A.test {{r{revision}}}").as_str())
    );
    assert_eq!(got.values("x-tag"), ["theirs", "ours"]);
    for gone in ["x-internal", "x_internal", "cookie"] {
        assert_eq!(got.value(gone), None, "{gone}");
    }
    assert_eq!(got.value("x-kept"), Some("1"));
    assert_eq!(response.value("server"), Some("front"));
    assert_eq!(response.value("x-served-by"), Some("blue/1.0.0 chat"));
    assert_eq!(response.values("x-tag"), ["theirs", "ours"]);
    assert_eq!(response.values("set-cookie"), ["c=d", "a=b"]);
    assert_eq!(response.value("x-secret"), None);

    let plain = json!({ "name": "chat", "path_prefix": "/", "split": { "blue": 1 } });
    proxy.change(&change(
        &json!({ "kind": "put_route", "route": plain }).to_string(),
    ));
    let response = ask(&mut client, SENT);
    assert_eq!(response.value("server"), Some("endpoint"));
    assert_eq!(origin.last().value("x-internal"), Some("1"));
    proxy.rollback();
    let response = ask(&mut client, SENT);
    assert_eq!(response.value("server"), Some("front"));
    assert_eq!(origin.last().value("x-internal"), None);
}

#[test]
fn the_address_of_a_client_is_that_behind_trusted_proxies() {
    let origin = Origin::replying("x");
    let proxy = proxy("request_headers = { set = { x-user = \"{client_address}\" } }")
        .settings("trusted_proxies = [\"127.0.0.1\"]")
        .release_with("blue", &release(&[origin.url()]))
        .start();
    let mut client = proxy.client();
    ask(&mut client, "X-Forwarded-For: 192.0.2.1, 192.0.2.9\r\n");
    assert_eq!(origin.last().value("x-user"), Some("192.0.2.9"));
    ask(&mut client, "");
    assert_eq!(origin.last().value("x-user"), Some("127.0.0.1"));
}

#[test]
fn what_a_guard_refuses_has_the_fields_of_the_route() {
    let origin = Origin::replying("x");
    let lines = "max_body = \"10\"\nresponse_headers = { set = { x-by = \"{route}\", x-of = \"{release}\" } }";
    let proxy = proxy(lines)
        .release_with("blue", &release(&[origin.url()]))
        .start();
    let refused = proxy.client().post("/", &[b'x'; 11]);
    assert_eq!(refused.status, 413);
    assert_eq!(refused.value("x-by"), Some("chat"));
    assert_eq!(refused.value("x-of"), None, "no release was chosen");
}

#[test]
fn an_endpoint_of_http2_and_a_client_of_http2_get_the_same_fields() {
    let origin = H2Origin::start(async |request, mut respond| {
        let text = |name: &str| {
            let values = request.headers().get_all(name).iter();
            let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
            values.join("|")
        };
        let names = ["x-user", "x-by", "x-tag", "x-internal", "cookie"];
        let body = names.map(text).join(";");
        let head = http::Response::builder()
            .header("content-type", "application/grpc")
            .header("x-secret", "1");
        let mut out = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        let _ = send(&mut out, Bytes::from(body), false).await;
        let mut trailers = http::HeaderMap::new();
        for (name, value) in [("grpc-status", "0"), ("x-secret", "2"), ("x-other", "3")] {
            trailers.insert(name, value.parse().unwrap());
        }
        let _ = out.send_trailers(trailers);
    });
    let proxy = proxy(CHANGES)
        .release_with(
            "blue",
            &format!("version = \"1.0.0\"\n{}", origin.release()),
        )
        .start();
    let revision = proxy.cell.load().revision();
    let expected =
        |host: &str| format!("127.0.0.1;chat blue 1.0.0 {host} {{r{revision}}};theirs|ours;;");
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for is_grpc in [false, true] {
            let mut asked = request("POST", "/x");
            let fields = asked.headers_mut();
            for (name, value) in [
                ("x-user", "forged"),
                ("x-tag", "theirs"),
                ("x-internal", "1"),
                ("cookie", "c=d"),
            ] {
                fields.insert(name, value.parse().unwrap());
            }
            if is_grpc {
                fields.insert("content-type", "application/grpc".parse().unwrap());
                fields.insert("te", "trailers".parse().unwrap());
            }
            let (answer, mut out) = client.open(asked, false).await;
            send(&mut out, Bytes::from_static(b"hello"), true)
                .await
                .unwrap();
            let answer = read(answer.await.unwrap()).await.unwrap();
            assert_eq!(answer.text(), expected("agents.test"), "gRPC: {is_grpc}");
            assert_eq!(answer.value("server"), Some("front"));
            assert_eq!(answer.value("x-served-by"), Some("blue/1.0.0 chat"));
            assert_eq!(answer.value("x-secret"), None);
            assert_eq!(answer.trailer("x-secret"), None, "nor behind the body");
            assert_eq!(answer.trailer("x-other"), Some("3"));
        }
    });
}

#[test]
fn an_event_stream_and_a_handshake_have_them() {
    let origin = Origin::after_request(|request, mut stream, _| {
        let seen = request.value("x-user").unwrap_or("none").to_owned();
        let field = format!("x-seen: {seen}\r\nx-secret: 1\r\n\r\n");
        let answer = UPGRADED.strip_suffix("\r\n").unwrap();
        stream
            .write_all(format!("{answer}{field}").as_bytes())
            .unwrap();
    });
    let upgrading = proxy(CHANGES)
        .release_with("blue", &release(&[origin.url()]))
        .start();
    let mut client = upgrading.client();
    client.send(UPGRADE);
    let head = client.response_head();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for field in [
        "x-seen: 127.0.0.1\r\n",
        "x-served-by: blue/1.0.0 chat\r\n",
        "server: front\r\n",
    ] {
        assert!(head.contains(field), "{head}");
    }
    assert!(!head.contains("x-secret"), "{head}");

    let events = Origin::answering(|_| {
        let fields = "Content-Type: text/event-stream\r\nX-Secret: 1\r\n";
        reply(200, fields, "data: a\n\ndata: b\n\n")
    });
    let streaming = proxy(CHANGES)
        .release_with("blue", &release(&[events.url()]))
        .start();
    let response = ask(&mut streaming.client(), "");
    assert_eq!(response.value("server"), Some("front"));
    assert_eq!(response.value("x-secret"), None);
    assert_eq!(response.text(), "data: a\n\ndata: b\n\n");
}

#[test]
fn responses_of_our_own_have_them_as_far_as_they_have_values() {
    let changes = "response_headers = { set = { strict-transport-security = \"max-age=60\", content-type = \"text/x\", \
        cache-control = \"max-age=5\" }, add = { x-route = \"{route}\", x-release = \"{release}\" } }";
    let proxy = TestProxy::builder()
        .splitless(
            "fixed",
            &format!("path = \"/fixed\"\nrespond = {{ body = \"x\" }}\n{changes}"),
        )
        .splitless(
            "moved",
            &format!("path = \"/moved\"\nredirect = {{ host = \"b.test\" }}\n{changes}"),
        )
        .release_with("dead", &release(&["http://127.0.0.1:1".to_owned()]))
        .route_with(
            "dead",
            &[("dead", 1)],
            &format!("path = \"/dead\"\n{changes}"),
        )
        .settings("[timeouts]\nconnect = \"50ms\"")
        .start();
    let mut client = proxy.client();
    let mut get = |path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        client.response()
    };
    for (path, status, cache, release, content_type) in [
        (
            "/fixed",
            200,
            "max-age=5",
            None,
            Some("text/plain; charset=utf-8"),
        ),
        ("/moved", 307, "max-age=5", None, None),
        (
            "/dead",
            502,
            "no-store",
            Some("dead"),
            Some("application/problem+json"),
        ),
    ] {
        let response = get(path);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(
            response.value("strict-transport-security"),
            Some("max-age=60"),
            "{path}"
        );
        assert_eq!(response.value("x-route"), Some(&path[1..]));
        assert_eq!(response.value("x-release"), release, "{path}");
        assert_eq!(response.value("content-type"), content_type, "{path}");
        assert_eq!(response.value("cache-control"), Some(cache), "{path}");
    }
    let unrouted = get("/other");
    assert_eq!(unrouted.status, 404);
    assert_eq!(
        unrouted.value("strict-transport-security"),
        None,
        "it has no route"
    );
}
