//! Routes by the method and by parameters of the query.

use bytes::Bytes;
use serde_json::json;

use crate::controller_fixture::change;
use crate::support::h2::{H2Client, block, read, request};
use crate::support::{Client, Response, TestProxy, UPGRADE};

fn proxy() -> TestProxy {
    TestProxy::builder()
        .splitless("post", "path = \"/x\"\nmethods = [\"POST\", \"PUT\"]\nrespond = { body = \"post\" }")
        .splitless("get", "path = \"/x\"\nmethods = [\"GET\"]\nquery = { version = \"2\" }\nrespond = { body = \"second\" }")
        .splitless("named", "path = \"/x\"\nquery = { \"a b\" = \"c&d\" }\nrespond = { body = \"named\" }")
        .splitless("sockets", "path = \"/ws\"\nmethods = [\"GET\"]\nrespond = { body = \"sockets\" }")
        .start()
}

fn ask(client: &mut Client, line: &str) -> Response {
    client.send(format!(
        "{line} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"
    ));
    client.response()
}

#[test]
fn a_route_is_found_by_its_method_and_by_parameters_of_the_query() {
    let proxy = proxy();
    let mut client = proxy.client();
    for (line, expected) in [
        ("POST /x", "post"),
        ("PUT /x?version=2", "post"),
        ("GET /x?version=2", "second"),
        ("GET /x?a=1&%76ersion=%32", "second"),
        ("DELETE /x?a+b=c%26d", "named"),
        ("GET /x?a%20b=c%26d&version=2", "second"),
    ] {
        assert_eq!(ask(&mut client, line).text(), expected, "{line}");
    }
    client.send(UPGRADE);
    assert_eq!(client.response().text(), "sockets", "a handshake is a GET");
    let over_h2 = block(async {
        let client = H2Client::connect(proxy.address).await;
        let (answer, mut out) = client.open(request("POST", "/x"), false).await;
        out.send_data(Bytes::new(), true).unwrap();
        read(answer.await.unwrap()).await.unwrap()
    });
    assert_eq!((over_h2.status(), over_h2.text()), (200, "post"));
}

#[test]
fn a_method_that_no_route_has_is_405_with_those_that_it_may_have() {
    let proxy = proxy();
    let mut client = proxy.client();
    let denied = ask(&mut client, "DELETE /x");
    assert_eq!(
        (denied.status, denied.value("allow")),
        (405, Some("POST, PUT"))
    );
    assert_eq!(
        denied.value("x-switchback-reason"),
        Some("method_not_allowed")
    );
    let denied = ask(&mut client, "DELETE /x?version=2");
    assert_eq!(
        (denied.status, denied.value("allow")),
        (405, Some("GET, POST, PUT, HEAD"))
    );
    client.send("HEAD /x?version=2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = client.response_head();
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("content-length: 6"),
        "{head}"
    );
    let unknown = ask(&mut client, "GET /y");
    assert_eq!((unknown.status, unknown.value("allow")), (404, None));
}

#[test]
fn a_rollback_takes_a_match_back() {
    let proxy = proxy();
    let mut client = proxy.client();
    let any = json!({ "name": "post", "path": "/x", "respond": { "body": "any" } });
    proxy.change(&change(
        &json!({ "kind": "put_route", "route": any }).to_string(),
    ));
    assert_eq!(ask(&mut client, "DELETE /x").text(), "any");
    proxy.rollback();
    assert_eq!(ask(&mut client, "DELETE /x").status, 405);
}
