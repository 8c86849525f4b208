//! Endpoints that restart: a request that was not sent waits for one, within limits.

use std::io::{BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use switchback::fleet::Health;

use crate::support::{Origin, ReservedPort, TestProxy, read_request, reply, wait_until};

/// An endpoint that does not listen until [`Restarting::start`].
struct Restarting {
    port: ReservedPort,
    ended: Arc<AtomicBool>,
}

impl Restarting {
    fn down() -> Self {
        Self {
            port: ReservedPort::new(),
            ended: Arc::default(),
        }
    }

    fn lines(&self) -> String {
        format!("endpoints = [\"http://{}\"]", self.port.address())
    }

    fn start(&self) {
        let listener = self.port.listen();
        let ended = Arc::clone(&self.ended);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while read_request(&mut reader).is_some() {
                        if (&stream).write_all(&reply(200, "", "up")).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
}

impl Drop for Restarting {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.port.address()));
    }
}

fn before(endpoint: &Restarting, connect: &str, route: &str) -> TestProxy {
    TestProxy::builder()
        .settings(&format!("[timeouts]\nconnect = {connect:?}"))
        .release_with("blue", &endpoint.lines())
        .route_with("all", &[("blue", 1)], route)
        .start()
}

/// True once a connection to the endpoint has failed.
fn has_failed(proxy: &TestProxy) -> bool {
    let live = proxy.cell.load();
    let route = live.compiled().routes().iter().next().unwrap();
    let cells = route.split().entries()[0].cells().snapshot();
    cells.failed_attempts.iter().sum::<u64>() > 0
}

#[test]
fn requests_wait_for_an_endpoint_that_restarts() {
    let endpoint = Restarting::down();
    let proxy = before(&endpoint, "1m", "");
    let mut clients: Vec<_> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    }
    proxy.wait_until(|| has_failed(&proxy));
    endpoint.start();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let line = &proxy.access_lines(8)[0];
    assert_eq!(
        line["attempts"], 2,
        "the wait is one failed attempt: {line}"
    );
}

#[test]
fn the_wait_for_a_restart_ends_with_the_time_for_connecting() {
    let endpoint = Restarting::down();
    let proxy = before(&endpoint, "150ms", "");
    let response = proxy.client().get("/");
    assert_eq!(response.status, 502);
    assert_eq!(
        response.value("x-switchback-reason"),
        Some("connect_failed")
    );
    let took = proxy.access_lines(1)[0]["duration_ms"].as_f64().unwrap();
    assert!((149.0..10_000.0).contains(&took), "{took}");
}

#[test]
fn a_request_that_waits_for_a_restart_follows_a_switch() {
    let (endpoint, green) = (Restarting::down(), Origin::replying("green"));
    let proxy = TestProxy::builder()
        .settings("[timeouts]\nconnect = \"1m\"")
        .release_with("blue", &endpoint.lines())
        .release("green", &[&green])
        .route("all", "/", &[("blue", 1), ("green", 0)])
        .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    proxy.wait_until(|| has_failed(&proxy));
    proxy.switch("all", "green");
    assert_eq!(client.response().text(), "green");
}

#[test]
fn a_client_that_leaves_ends_its_wait() {
    let endpoint = Restarting::down();
    let proxy = before(&endpoint, "1h", "");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    proxy.wait_until(|| has_failed(&proxy));
    drop(client);
    assert_eq!(proxy.access_lines(1)[0]["outcome"], "client_gone");
    // It is recorded while it still counts.
    proxy.wait_until(|| proxy.roster("blue").in_flight() == 0);
}

#[test]
fn what_opens_an_mcp_session_waits_for_a_release_that_starts() {
    let endpoint = Restarting::down();
    let proxy = before(&endpoint, "150ms", "agent_protocol = \"mcp\"");
    let set = |health| {
        for endpoint in proxy.roster("blue").endpoints().iter() {
            endpoint.set_health(health);
        }
    };
    set(Health::Unhealthy);
    let ask = |fields: &str| {
        let mut client = proxy.client();
        client.send(format!(
            "POST /mcp HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 0\r\n\r\n"
        ));
        client
    };
    for other in ["Mcp-Method: tools/call\r\n", "Mcp-Session-Id: 7\r\n"] {
        assert_eq!(ask(other).response().status, 503, "{other}");
    }
    let mut opening: Vec<_> = ["Mcp-Method: server/discover\r\n", ""]
        .into_iter()
        .map(ask)
        .collect();
    wait_until("both are waiting", || proxy.shared.requests() == 2);
    // Longer than `connect`: they wait for the start, first for its health and then for its socket.
    thread::sleep(Duration::from_millis(300));
    set(Health::Unknown);
    thread::sleep(Duration::from_millis(300));
    endpoint.start();
    for client in &mut opening {
        assert_eq!(client.response().status, 200);
    }
}
