//! Probes of timeouts: with a short one something happens soon, with a long one it does not.

use std::{
    cell::Cell,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::mpsc,
    time::Duration,
};

use crate::support::{Origin, TIMEOUT, TestProxy, UPGRADE, UPGRADED};

/// Wait of a probe for something to happen; that it does not happen costs as much. On a busy machine, what did not
/// happen within the first may yet happen within the second; what never happens does so in neither.
pub(super) const MOMENTS: [Duration; 2] = [Duration::from_millis(1_500), Duration::from_secs(20)];

thread_local! {
    static SOON: Cell<Duration> = const { Cell::new(MOMENTS[0]) };
}

/// The wait of the probes of this thread.
pub(super) fn soon() -> Duration {
    SOON.get()
}

/// Sets the wait of the probes of this thread.
pub(super) fn wait_for(soon: Duration) {
    SOON.set(soon);
}

/// An endpoint that reads requests and never responds.
pub(super) fn silent() -> Origin {
    Origin::scripted(|mut stream| drop(stream.read_to_end(&mut Vec::new())))
}

/// True if data comes soon, or the connection ends.
pub(super) fn happens(reader: &mut BufReader<TcpStream>) -> bool {
    reader.get_ref().set_read_timeout(Some(soon())).unwrap();
    let waits = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    !matches!(reader.fill_buf(), Err(error) if waits.contains(&error.kind()))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// True if a request whose endpoint does not respond ends soon.
pub(super) fn unanswered(route: &str) -> String {
    let origin = silent();
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], route)
        .start();
    happens(proxy.client().send(GET).reader()).to_string()
}

/// True if a request that waits for another one ends soon.
fn second(settings: &str, release: &str, route: &str) -> String {
    let origin = silent();
    let lines = format!("endpoints = [{:?}]\n{release}", origin.url());
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route_with("all", &[("blue", 1)], route)
        .settings(settings)
        .start();
    let (mut first, mut second) = (proxy.client(), proxy.client());
    first.send(GET);
    proxy.wait_until(|| origin.connections() == 1);
    happens(second.send(GET).reader()).to_string()
}

pub(super) fn queued(release: &str) -> String {
    let limits = format!("limits.concurrency = 1\nlimits.queue = 1\n{release}");
    second("", &limits, "")
}

pub(super) fn unconnected(route: &str) -> String {
    second("", "limits.connections_per_endpoint = 1", route)
}

pub(super) fn unconnected_in_all(settings: &str) -> String {
    second(settings, "limits.connections_per_endpoint = 1", "")
}

pub(super) fn quiet_websocket(route: &str) -> String {
    let origin = Origin::after_request(|_, mut stream, mut reader| {
        stream.write_all(UPGRADED.as_bytes()).unwrap();
        drop(reader.read_to_end(&mut Vec::new()));
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], route)
        .start();
    let mut client = proxy.client();
    assert_eq!(client.send(UPGRADE).response().status, 101);
    happens(client.reader()).to_string()
}

/// True if an idle connection is closed soon, as its endpoint sees it.
pub(super) fn idle_connection(settings: &str) -> String {
    let (tell, told) = mpsc::channel();
    let origin = Origin::after_request(move |_, mut stream, mut reader| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        tell.send(happens(&mut reader)).unwrap();
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .settings(settings)
        .start();
    assert_eq!(proxy.client().get("/").status, 200);
    told.recv_timeout(TIMEOUT).unwrap().to_string()
}
