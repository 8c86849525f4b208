//! Kept connections that their endpoint closes: no request is lost on one, and a 408 about idle time is no response.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Client, Origin, TestProxy, read_request};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GIVEN_UP: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn before(origin: &Origin) -> TestProxy {
    TestProxy::builder()
        .settings("[timeouts]\nendpoint_idle = \"1h\"")
        .release("blue", &[origin])
        .route("all", "/", &[("blue", 1)])
        .start()
}

fn post(client: &mut Client) -> u16 {
    client.post("/", b"hello").status
}

fn limit_ms(proxy: &TestProxy) -> u64 {
    proxy.roster("blue").endpoints()[0].idle_limit().limit_ms(0)
}

/// Answers requests, and closes a connection that is idle for so long.
fn closing_after(idle: Duration) -> Origin {
    Origin::scripted(move |mut stream| {
        stream.set_read_timeout(Some(idle)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while read_request(&mut reader).is_some() {
            stream.write_all(OK).unwrap();
        }
    })
}

#[test]
fn the_idle_time_of_an_endpoint_is_learned_from_what_it_closes() {
    let origin = closing_after(Duration::from_millis(1_800));
    let proxy = before(&origin);
    let mut client = proxy.client();
    assert_eq!(post(&mut client), 200);
    proxy.wait_until(|| limit_ms(&proxy) != u64::MAX);
    let limit = limit_ms(&proxy);
    assert!((500..1_800).contains(&limit), "{limit}");
    // The next connection is given up before its endpoint closes it.
    assert_eq!(post(&mut client), 200);
    proxy.wait_until(|| proxy.roster("blue").endpoints()[0].connections() == 0);
    assert_eq!(limit_ms(&proxy), limit, "nothing more was to be learned");
}

#[test]
fn no_post_is_lost_to_an_endpoint_that_closes_idle_connections() {
    let idle = Duration::from_millis(1_100);
    let origin = closing_after(idle);
    let proxy = before(&origin);
    post(&mut proxy.client());
    proxy.wait_until(|| limit_ms(&proxy) != u64::MAX);
    thread::scope(|scope| {
        for number in 0..64_u64 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = proxy.client();
                for round in 0..4 {
                    assert_eq!(post(&mut client), 200);
                    // All around the time at which the endpoint closes.
                    let jitter = Duration::from_micros((number * 4 + round) * 137 % 4_000);
                    thread::sleep(idle.saturating_sub(Duration::from_millis(2)) + jitter);
                }
            });
        }
    });
}

/// Answers the first request of a connection, and the second one of the first connection with a 408.
fn crossing() -> (Origin, Arc<AtomicUsize>) {
    let connections = AtomicUsize::new(0);
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let origin = Origin::scripted(move |mut stream: TcpStream| {
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for answer in [OK, if is_first { GIVEN_UP } else { OK }] {
            if read_request(&mut reader).is_none() {
                return;
            }
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(answer).unwrap();
        }
    });
    (origin, seen)
}

#[test]
fn a_408_that_crosses_a_request_is_the_end_of_the_connection_and_no_response() {
    for (method, status, requests) in [("GET", 200, 3), ("POST", 502, 2)] {
        let (origin, seen) = crossing();
        let proxy = before(&origin);
        let mut client = proxy.client();
        let mut ask = |wait| {
            thread::sleep(Duration::from_millis(wait));
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            ));
            client.response().status
        };
        assert_eq!(ask(0), 200);
        assert_eq!(ask(600), status, "{method}");
        assert_eq!(seen.load(Ordering::SeqCst), requests, "{method}");
    }
}

#[test]
fn a_408_of_the_application_is_passed_on() {
    let (origin, _) = crossing();
    let proxy = before(&origin);
    let mut client = proxy.client();
    assert_eq!((post(&mut client), post(&mut client)), (200, 408));
}

#[test]
fn a_408_on_an_idle_connection_is_not_the_response_to_the_next_request() {
    let origin = Origin::scripted(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        read_request(&mut reader);
        stream.write_all(OK).unwrap();
        stream.write_all(GIVEN_UP).unwrap();
    });
    let proxy = before(&origin);
    let mut client = proxy.client();
    let endpoint = Arc::clone(&proxy.roster("blue").endpoints()[0]);
    for done in 1..20 {
        assert_eq!(post(&mut client), 200);
        assert_eq!(origin.connections(), done);
        // It has come before the next request is sent.
        proxy.wait_until(|| endpoint.connections() == 0);
    }
}
