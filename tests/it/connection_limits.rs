//! How many connections there may be to endpoints: to one, and to all of them.

use std::sync::{Mutex, mpsc};

use crate::support::{Origin, PATIENCE, TestProxy, h2::H2Origin};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A proxy with two workers whose endpoint may have one connection.
fn one_connection(release: &str) -> TestProxy {
    let lines = format!("{release}\nlimits = {{ connections_per_endpoint = 1 }}");
    TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .workers(2)
        .start()
}

fn all_are_answered(proxy: &TestProxy) {
    for number in 0..40 {
        let mut client = proxy.client();
        client.send(REQUEST);
        assert_eq!(client.response().status, 200, "request {number}");
    }
}

#[test]
fn one_request_at_a_time_is_never_refused_for_a_connection_that_is_idle_elsewhere() {
    let origin = Origin::replying("x");
    let proxy = one_connection(&format!("endpoints = [{:?}]", origin.url()));
    all_are_answered(&proxy);
    let endpoint = proxy.roster("blue").endpoints()[0].clone();
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn the_same_over_http2() {
    let origin = H2Origin::echo();
    let proxy = one_connection(&origin.release());
    all_are_answered(&proxy);
}

/// Answers when it is told to, and says which request it has.
fn holding() -> (Origin, mpsc::Receiver<String>, mpsc::Sender<()>) {
    let (asked, is_asked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::answering(move |request| {
        asked.send(request.line().to_owned()).unwrap();
        released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    (origin, is_asked, release)
}

#[test]
fn who_waits_for_a_connection_gets_it_in_turn() {
    let (origin, is_asked, release) = holding();
    let lines = format!(
        "endpoints = [{:?}]\nlimits = {{ connections_per_endpoint = 1 }}",
        origin.url()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .settings("[timeouts]\nconnect = \"30s\"")
        .start();
    let endpoint = proxy.roster("blue").endpoints()[0].clone();
    let mut clients = Vec::new();
    for number in 0..3 {
        let mut client = proxy.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        clients.push(client);
        if number == 0 {
            assert_eq!(is_asked.recv_timeout(PATIENCE).unwrap(), "GET /0 HTTP/1.1");
        } else {
            let places = endpoint.connection_places();
            proxy.wait_until(|| places.waiting() == number);
        }
    }
    for number in 1..3 {
        release.send(()).unwrap();
        let asked = is_asked.recv_timeout(PATIENCE).unwrap();
        assert_eq!(asked, format!("GET /{number} HTTP/1.1"));
    }
    release.send(()).unwrap();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(origin.connections(), 1, "the connection is handed on");
}

#[test]
fn a_limit_on_connections_is_told_when_the_time_for_connecting_is_over() {
    let (origin, is_asked, release) = holding();
    let lines = format!(
        "endpoints = [{:?}]\nlimits = {{ connections_per_endpoint = 1 }}",
        origin.url()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .settings("[timeouts]\nconnect = \"100ms\"")
        .start();
    let (mut first, mut second) = (proxy.client(), proxy.client());
    first.send(REQUEST);
    is_asked.recv_timeout(PATIENCE).unwrap();
    let refused = second.get("/");
    assert_eq!(
        (refused.status, refused.value("x-switchback-reason")),
        (503, Some("overloaded"))
    );
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
}

#[test]
fn a_release_that_eats_connections_leaves_some_to_the_others() {
    let (origin, is_asked, release) = holding();
    let other = Origin::replying("other");
    let proxy = TestProxy::builder()
        .release("greedy", &[&origin])
        .release("other", &[&other])
        .route("greedy", "/greedy", &[("greedy", 1)])
        .route("other", "/other", &[("other", 1)])
        .settings("[limits]\nupstream_connections = 5\n[timeouts]\nconnect = \"100ms\"")
        .start();
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.client();
        client.send("GET /greedy HTTP/1.1\r\nHost: a\r\n\r\n");
        is_asked.recv_timeout(PATIENCE).unwrap();
        held.push(client);
    }
    assert_eq!(proxy.client().get("/greedy").status, 503);
    assert_eq!(proxy.client().get("/other").text(), "other");
    for _ in &held {
        release.send(()).unwrap();
    }
    for client in &mut held {
        assert_eq!(client.response().status, 200);
    }
}

/// What is idle makes room when all connections are taken.
#[test]
fn idle_connections_make_room_for_others() {
    let origins: Vec<_> = (0..4).map(|_| Origin::replying("x")).collect();
    let mut builder = TestProxy::builder().settings("[limits]\nupstream_connections = 2");
    for (number, origin) in origins.iter().enumerate() {
        let name = format!("r{number}");
        builder =
            builder
                .release(&name, &[origin])
                .route(&name, &format!("/{number}"), &[(&name, 1)]);
    }
    let proxy = builder.workers(2).start();
    for round in 0..8 {
        let answer = proxy.client().get(&format!("/{}", round % 4));
        assert_eq!(answer.status, 200, "{round}");
    }
}
