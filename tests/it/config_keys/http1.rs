//! Probes of the limits of HTTP/1.1 and its connections.

use crate::support::{Origin, TestProxy, closed_address};

fn status_of(settings: &str, origin: &Origin, request: &str) -> String {
    let proxy = TestProxy::builder()
        .release("blue", &[origin])
        .route("all", "/", &[("blue", 1)])
        .settings(settings)
        .start();
    proxy.client().send(request).response().status.to_string()
}

fn asked(settings: &str, request: &str) -> String {
    status_of(settings, &Origin::replying("x"), request)
}

pub(super) fn underscore(settings: &str) -> String {
    asked(settings, "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n")
}

/// The `Via` that the endpoint receives.
pub(super) fn via(settings: &str) -> String {
    let origin = Origin::replying("x");
    asked_of(settings, &origin);
    origin.last().values("via").join(",")
}

fn asked_of(settings: &str, origin: &Origin) {
    let status = status_of(settings, origin, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status, "200");
}

pub(super) fn via_is_sent(settings: &str) -> String {
    via(settings)
}

pub(super) fn long_head(settings: &str) -> String {
    let value = "y".repeat(2_000);
    asked(
        settings,
        &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n"),
    )
}

pub(super) fn many_fields(settings: &str) -> String {
    let fields = "X: y\r\n".repeat(40);
    asked(
        settings,
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"),
    )
}

pub(super) fn long_target(settings: &str) -> String {
    let path = "y".repeat(9_000);
    asked(
        settings,
        &format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n"),
    )
}

pub(super) fn long_method(settings: &str) -> String {
    let method = "Y".repeat(20);
    asked(settings, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
}

pub(super) fn long_answer_head(settings: &str) -> String {
    let value = "y".repeat(2_000);
    let origin = Origin::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {value}\r\n\r\n").into_bytes()
    });
    status_of(settings, &origin, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn chunked(settings: &str, body: &str) -> String {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    asked(settings, &format!("{head}{body}"))
}

pub(super) fn long_trailer(settings: &str) -> String {
    let value = "y".repeat(500);
    chunked(settings, &format!("1\r\na\r\n0\r\nX-Y: {value}\r\n\r\n"))
}

pub(super) fn long_extension(settings: &str) -> String {
    let value = "y".repeat(500);
    chunked(settings, &format!("1;x={value}\r\na\r\n0\r\n\r\n"))
}

pub(super) fn interim(settings: &str) -> String {
    let origin = Origin::answering(|_| {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(3);
        format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .settings(settings)
        .start();
    let mut client = proxy.client();
    // HTTP/1.0 has no interim responses, so the final one comes first.
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    client.response().status.to_string()
}

/// True if a second connection is closed without a response.
pub(super) fn two_connections(settings: &str) -> String {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .settings(settings)
        .start();
    let mut first = proxy.client();
    assert_eq!(first.get("/").status, 200);
    let mut second = proxy.client();
    second.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    second.is_closed().to_string()
}

/// True if a request fails because one of two endpoints is down.
pub(super) fn dead_endpoint(settings: &str) -> String {
    let origin = Origin::replying("x");
    let dead = closed_address();
    let lines = format!("endpoints = [{:?}, \"http://{dead}\"]", origin.url());
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .settings(settings)
        .start();
    let failed = (0..40).any(|_| proxy.client().get("/").status != 200);
    failed.to_string()
}

/// True if the proxy starts a trace.
pub(super) fn trace(settings: &str) -> String {
    let origin = Origin::replying("x");
    asked_of(settings, &origin);
    origin.last().value("traceparent").is_some().to_string()
}
