//! The end of the process: not ready first, then drained, with WebSockets closed one after the other.

use std::io::{Read, Write};
use std::net::TcpStream;

use switchback::model::{CutCause, Revision, WorkClass};
use switchback::table::CutOrder;

use crate::conformance::child::Switchback;
use crate::support::signal::{Signal, send};
use crate::support::{Client, Origin, TestProxy, UPGRADE, UPGRADED, wait_until};

fn before(origin: &Origin, settings: &str) -> Switchback {
    let rest = format!(
        "{settings}\n[releases.blue]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"all\"\nsplit = {{ blue = 1 }}\n",
        origin.url()
    );
    Switchback::start(&[""], &rest)
}

fn is_ready(switchback: &Switchback) -> bool {
    let mut client = Client::connect(switchback.admin());
    client.send("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    client.response().status == 200
}

fn socket() -> Origin {
    Origin::after_request(|_, mut stream, mut reader| {
        stream.write_all(UPGRADED.as_bytes()).unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_terminated_process_is_not_ready_first_and_serves_on() {
    let origin = Origin::replying("ok");
    let mut switchback = before(
        &origin,
        "shutdown = { not_ready_for = \"1h\", grace = \"2h\" }",
    );
    assert!(is_ready(&switchback));
    send(switchback.child.id(), Signal::TERM);
    wait_until("it is not ready", || !is_ready(&switchback));
    for _ in 0..3 {
        let response = Client::connect(switchback.listeners[0]).get("/");
        assert_eq!(response.status, 200);
        assert_eq!(response.value("connection"), None);
    }
    send(switchback.child.id(), Signal::TERM);
    assert!(switchback.child.wait().unwrap().success());
}

#[test]
fn a_reload_is_refused_once_the_process_ends() {
    let origin = Origin::replying("ok");
    let mut switchback = before(
        &origin,
        "shutdown = { not_ready_for = \"1h\", grace = \"2h\" }",
    );
    send(switchback.child.id(), Signal::TERM);
    wait_until("it is not ready", || !is_ready(&switchback));
    let host = switchback.admin();
    let mut client = Client::connect(host);
    client.send(format!(
        "POST /v1/reload HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"
    ));
    let response = client.response();
    assert_eq!(response.status, 503, "{}", response.text());
    send(switchback.child.id(), Signal::TERM);
    assert!(switchback.child.wait().unwrap().success());
}

#[test]
fn after_that_it_takes_no_connections_and_ends_with_its_work() {
    let (origin, arrived, release) = Origin::holding();
    let mut switchback = before(&origin, "shutdown.not_ready_for = \"200ms\"");
    let mut client = Client::connect(switchback.listeners[0]);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    arrived.recv().unwrap();
    send(switchback.child.id(), Signal::TERM);
    wait_until("its listener closes", || {
        TcpStream::connect(switchback.listeners[0]).is_err()
    });
    assert!(switchback.is_alive());
    release.send(()).unwrap();
    let response = client.response();
    assert_eq!(
        (response.status, response.value("connection")),
        (200, Some("close"))
    );
    assert!(switchback.child.wait().unwrap().success());
}

#[test]
fn websockets_are_closed_with_1012_before_the_grace_is_over() {
    let origin = socket();
    let mut switchback = before(
        &origin,
        "shutdown = { grace = \"1h\", in_flight = { websocket = \"finish within 100ms\" } }",
    );
    let mut client = Client::connect(switchback.listeners[0]);
    assert_eq!(client.send(UPGRADE).response().status, 101);
    send(switchback.child.id(), Signal::TERM);
    assert_eq!(client.read_exact(4), [0x88, 2, 3, 0xf4]);
    assert!(client.is_closed());
    drop(client);
    assert!(switchback.child.wait().unwrap().success());
}

#[test]
fn each_class_has_a_limit_of_its_own_at_the_end() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::after_request(move |request, mut stream, mut reader| {
        if request.head.starts_with("GET /events") {
            stream.write_all(events.as_bytes()).unwrap();
            let _ = reader.read_to_end(&mut Vec::new());
        } else {
            released.lock().unwrap().recv().unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).unwrap();
        }
    });
    let mut switchback = before(
        &origin,
        "shutdown = { grace = \"1h\", in_flight = { stream = \"cut\", unary = \"finish\" } }",
    );
    let address = switchback.listeners[0];
    let (mut stream, mut unary) = (Client::connect(address), Client::connect(address));
    unary.send("GET /unary HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stream.response_head().contains("200"));
    wait_until("both are at the endpoint", || origin.connections() == 2);
    send(switchback.child.id(), Signal::TERM);
    let mut rest = Vec::new();
    stream.reader().read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("event: error"), "{rest}");
    assert!(rest.contains("shutting_down"), "{rest}");
    assert!(switchback.is_alive());
    release.send(()).unwrap();
    assert_eq!(unary.response().text(), "ok");
    assert!(switchback.child.wait().unwrap().success());
}

#[test]
fn websockets_are_not_all_closed_together() {
    let origin = socket();
    let proxy = TestProxy::before(&origin);
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = proxy.client();
            assert_eq!(client.send(UPGRADE).response().status, 101);
            client
        })
        .collect();
    let open = || proxy.roster("blue").in_flight();
    assert_eq!(open(), 40);
    let close = |part| {
        proxy.cell.work().cut(CutOrder {
            roster: None,
            route: None,
            class: Some(WorkClass::Websocket),
            before: Revision(u64::MAX),
            part,
            cause: CutCause::Shutdown,
        });
    };
    close(u32::MAX / 2);
    proxy.wait_until(|| open() < 40);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!((1..40).contains(&open()), "{} of 40", open());
    close(u32::MAX);
    for mut client in clients {
        assert_eq!(client.read_exact(4), [0x88, 2, 3, 0xf4]);
    }
    proxy.wait_until(|| open() == 0);
}
