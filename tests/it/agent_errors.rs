//! Our own errors on routes of agents, and the `Host` that MCP servers get.

use serde_json::Value;
use switchback::fleet::Health;

use crate::support::{Origin, TestProxy};

/// A proxy whose only endpoint is unhealthy.
fn without_endpoint(route: &str) -> TestProxy {
    let proxy = TestProxy::builder()
        .release_with("blue", "endpoints = [\"http://127.0.0.1:1\"]")
        .route_with("all", &[("blue", 1)], route)
        .preview()
        .start();
    for endpoint in proxy.roster("blue").endpoints().iter() {
        endpoint.set_health(Health::Unhealthy);
    }
    proxy
}

fn error_of(proxy: &TestProxy, request: &str) -> (u16, String, Value) {
    let response = proxy.client().send(request).response();
    let content_type = response.value("content-type").unwrap().to_owned();
    let body = serde_json::from_slice(&response.body).unwrap();
    (response.status, content_type, body)
}

#[test]
fn an_mcp_client_gets_a_json_rpc_error() {
    let proxy = without_endpoint("agent_protocol = \"mcp\"");
    for method in ["POST", "GET"] {
        let request = format!("{method} /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let (status, content_type, body) = error_of(&proxy, &request);
        assert_eq!((status, &*content_type), (503, "application/json"));
        assert_eq!(body["error"]["code"], -32603);
        assert_eq!(body["error"]["data"]["reason"], "no_endpoint");
    }
}

#[test]
fn a_404_of_ours_is_no_unknown_method_of_mcp() {
    let request =
        "POST /mcp HTTP/1.1\r\nHost: a\r\nx-switchback-release: none\r\nContent-Length: 0\r\n\r\n";
    for (route, status) in [("agent_protocol = \"mcp\"", 400), ("", 404)] {
        let proxy = without_endpoint(route);
        let (got, _, body) = error_of(&proxy, request);
        assert_eq!(got, status);
        let reason = body.pointer("/error/data/reason").or(body.get("reason"));
        assert_eq!(reason.unwrap(), "unknown_release");
        assert_eq!(proxy.access_lines(1)[0]["status"], status);
    }
}

#[test]
fn an_a2a_client_gets_the_error_of_its_binding() {
    let proxy = without_endpoint("agent_protocol = \"a2a\"");
    let ask = |path| {
        let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        error_of(&proxy, &request).2
    };
    assert_eq!(ask("/")["jsonrpc"], "2.0");
    assert_eq!(ask("/message:send")["error"]["status"], "UNAVAILABLE");
}

#[test]
fn an_mcp_server_gets_its_own_host_unless_the_route_says_otherwise() {
    for (route, is_own) in [
        ("agent_protocol = \"mcp\"", true),
        (
            "agent_protocol = \"mcp\"\nhost_header = \"preserve\"",
            false,
        ),
        ("agent_protocol = \"a2a\"", false),
        ("", false),
    ] {
        let origin = Origin::replying("x");
        let proxy = TestProxy::builder()
            .release("blue", &[&origin])
            .route_with("all", &[("blue", 1)], route)
            .start();
        proxy.client().get("/");
        let own = origin.address().to_string();
        let host = origin.last().value("host").map(str::to_owned);
        assert_eq!(host == Some(own), is_own, "{route}: {host:?}");
    }
}
