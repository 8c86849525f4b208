//! Limits on connections to endpoints: to one, and to all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use switchback::fleet::Endpoint;

use crate::support::h2::{H2Origin, echo};
use crate::support::{Client, Origin, TIMEOUT, TestProxy, closed_address, reply};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A proxy with two workers and a limit of one connection to its endpoint.
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

/// Sends requests over one connection without a pause until `is_enough`; returns the number of responses.
fn keep_asking(
    mut client: Client,
    answered: Arc<AtomicUsize>,
    is_enough: Arc<AtomicBool>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !is_enough.load(Ordering::SeqCst) {
            assert_eq!(client.get("/").status, 200);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    })
}

#[test]
fn a_connection_that_is_never_idle_is_shared_among_workers() {
    // Responses overlap, so that there is always a stream on the connection of the worker that has it.
    let origin = H2Origin::start(|request, respond| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        echo(request, respond).await;
    });
    let lines = format!(
        "{}\nlimits = {{ connections_per_endpoint = 1 }}",
        origin.release()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .settings("[timeouts]\nconnect = \"30s\"")
        .workers(2)
        .start();
    let is_enough = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let answered = Arc::new(AtomicUsize::new(0));
            let (count, enough) = (Arc::clone(&answered), Arc::clone(&is_enough));
            (answered, keep_asking(proxy.client(), count, enough))
        })
        .collect();
    let fewest = || {
        let counts = asking
            .iter()
            .map(|(answered, _)| answered.load(Ordering::SeqCst));
        counts.min().unwrap_or_default()
    };
    proxy.wait_until(|| fewest() >= 3 || asking.iter().any(|(_, thread)| thread.is_finished()));
    is_enough.store(true, Ordering::SeqCst);
    for (_, thread) in asking {
        thread.join().expect("nobody is refused");
    }
    assert!(origin.connections() > 1, "both workers had it");
}

#[test]
fn long_streams_are_not_cut_and_delay_no_other_for_long() {
    let origin = H2Origin::start(|request, respond| async move {
        if request.uri().path() == "/long" {
            let mut respond = respond;
            let _open = respond.send_response(http::Response::new(()), false);
            std::future::pending::<()>().await;
        } else {
            echo(request, respond).await;
        }
    });
    let lines = format!(
        "{}\nlimits = {{ connections_per_endpoint = 1 }}",
        origin.release()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .settings("[timeouts]\nconnect = \"1h\"")
        .workers(2)
        .start();
    let mut long = proxy.client();
    long.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(long.response_head().starts_with("HTTP/1.1 200"));
    // Requests of the other worker wait as long as the stream lasts; those of its own worker go on, one by one.
    let mut clients: Vec<_> = (0..16).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let is_answered = |client: &Client| {
        let stream = client.stream();
        stream.set_nonblocking(true).unwrap();
        let is_there = matches!(stream.peek(&mut [0]), Ok(1));
        stream.set_nonblocking(false).unwrap();
        is_there
    };
    proxy.wait_until(|| clients.iter().any(is_answered));
    let own = clients.iter().position(is_answered).unwrap();
    let mut own = clients.swap_remove(own);
    assert_eq!(own.response().status, 200);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        assert_eq!(own.get("/").status, 200);
    }
    assert_eq!(origin.connections(), 1);
    drop(long);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn requests_that_wait_for_a_connection_get_it_in_order() {
    let (origin, is_asked, release) = Origin::holding();
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
            assert_eq!(is_asked.recv_timeout(TIMEOUT).unwrap(), "GET /0 HTTP/1.1");
        } else {
            let places = endpoint.connection_limit();
            proxy.wait_until(|| places.waiting() == number);
        }
    }
    for number in 1..3 {
        release.send(()).unwrap();
        let asked = is_asked.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(asked, format!("GET /{number} HTTP/1.1"));
    }
    release.send(()).unwrap();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(origin.connections(), 1, "the connection is handed on");
}

#[test]
fn a_limit_on_connections_is_reported_when_the_connect_timeout_is_over() {
    let (origin, is_asked, release) = Origin::holding();
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
    is_asked.recv_timeout(TIMEOUT).unwrap();
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
    let (origin, is_asked, release) = Origin::holding();
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
        is_asked.recv_timeout(TIMEOUT).unwrap();
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

/// Idle connections are closed when the limit is reached.
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

#[test]
fn a_request_waits_for_a_busy_endpoint_when_the_other_one_is_dead() {
    let (origin, arrivals, release) = Origin::holding();
    let address = closed_address();
    let endpoints = format!("endpoints = [{:?}, \"http://{address}\"]", origin.url());
    let proxy = one_connection(&endpoints);
    let mut clients: Vec<Client> = (0..6).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(REQUEST);
    }
    for _ in &clients {
        arrivals.recv_timeout(TIMEOUT).unwrap();
        release.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_session_waits_for_its_endpoint_although_another_one_has_room() {
    let minting = |name: &'static str| {
        Origin::answering(move |_| reply(200, &format!("Mcp-Session-Id: {name}\r\n"), name))
    };
    let (one, two) = (minting("one"), minting("two"));
    let endpoints = format!(
        "endpoints = [{:?}, {:?}]\nlimits = {{ connections_per_endpoint = 1 }}",
        one.url(),
        two.url()
    );
    let pins = "path_prefix = \"/\"\npins = [{ header = \"mcp-session-id\" }]";
    let proxy = TestProxy::builder()
        .release_with("blue", &endpoints)
        .route_with("chat", &[("blue", 1)], pins)
        .settings("[timeouts]\nconnect = \"1h\"")
        .start();
    let mut client = proxy.client();
    let begun = client.get("/");
    let id = begun.value("mcp-session-id").unwrap();
    let fields = format!("Host: a\r\nMcp-Session-Id: {id}\r\n");
    // Its body is not whole, so it keeps the only connection of the endpoint.
    client.send(format!(
        "POST / HTTP/1.1\r\n{fields}Content-Length: 2\r\n\r\na"
    ));
    let endpoints = proxy.roster("blue").endpoints();
    let agent = if begun.text() == "one" { &one } else { &two };
    let is_own = |endpoint: &&Arc<Endpoint>| endpoint.address() == agent.address();
    let own = endpoints.iter().find(is_own).unwrap();
    proxy.wait_until(|| own.in_flight() == 1);
    let mut second = proxy.client();
    second.send(format!("GET / HTTP/1.1\r\n{fields}\r\n"));
    proxy.wait_until(|| own.connection_limit().waiting() == 1);
    client.send("b");
    for client in [&mut client, &mut second] {
        assert_eq!(client.response().text(), begun.text());
    }
}
