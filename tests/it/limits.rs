//! Timeouts, limits, retries, previews: the data plane when something is too slow, too large, too many or gone.

use std::io::{BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Origin, TIMEOUT, TestProxy, TestProxyBuilder, read_request};

fn blue(origin: &Origin) -> TestProxyBuilder {
    TestProxy::builder()
        .release("blue", &[origin])
        .route("all", "/", &[("blue", 1)])
}

#[test]
fn a_slow_head_is_408_and_a_silent_connection_is_closed() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin)
        .settings("[timeouts]\nhead = \"200ms\"\nkeep_alive = \"200ms\"")
        .start();
    let mut slow = proxy.client();
    slow.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(slow.response().status, 408);
    assert!(slow.is_closed());
    assert!(proxy.client().is_closed(), "a connection without a byte");
    let mut idle = proxy.client();
    assert_eq!(idle.get("/").status, 200);
    assert!(idle.is_closed(), "a connection between two requests");
}

#[test]
fn an_old_connection_is_asked_to_go_with_its_next_answer() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin)
        .settings("[timeouts]\nconnection_age = \"300ms\"")
        .start();
    let mut client = proxy.client();
    let started = std::time::Instant::now();
    let mut answers = 0;
    loop {
        let answer = client.get("/");
        assert_eq!(answer.text(), "x");
        answers += 1;
        if answer.value("connection") == Some("close") {
            break;
        }
    }
    let age = started.elapsed();
    assert!(client.is_closed());
    assert!(answers > 1, "a new connection was asked to go");
    assert!(age >= std::time::Duration::from_millis(250), "{age:?}");
    assert!(age < std::time::Duration::from_secs(2), "{age:?}");
}

#[test]
fn a_body_without_progress_is_408() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin)
        .settings("[timeouts]\nbody = \"200ms\"")
        .start();
    let mut slow = proxy.client();
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab");
    assert_eq!(slow.response().status, 408);
    assert!(slow.is_closed());
    assert!(origin.requests().is_empty());
}

#[test]
fn a_silent_endpoint_is_504_before_the_head_and_a_cut_after_it() {
    let origin = Origin::scripted(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let request = read_request(&mut reader).unwrap();
        if request.line().contains("/begun") {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
                .unwrap();
        }
        let _ = reader.read(&mut [0]);
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], "timeouts = { silence = \"200ms\" }")
        .start();
    let response = proxy.client().get("/");
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (504, Some("upstream_silent"))
    );
    let response = proxy.client().get("/begun");
    assert_eq!((response.status, response.is_whole), (200, false));
}

#[test]
fn a_request_as_a_whole_can_be_limited() {
    let origin = Origin::scripted(|stream| {
        let _ = BufReader::new(stream).read_to_end(&mut Vec::new());
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], "timeouts = { request = \"200ms\" }")
        .start();
    let response = proxy.client().get("/");
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (504, Some("request_timeout"))
    );
}

/// An origin that responds to the first request of each connection and closes after it has read the second.
fn stale(answered: Arc<AtomicUsize>) -> Origin {
    Origin::after_request(move |_, mut stream, mut reader| {
        answered.fetch_add(1, Ordering::SeqCst);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .unwrap();
        let _ = read_request(&mut reader);
    })
}

#[test]
fn a_stale_connection_is_tried_again_for_what_may_be_sent_twice_only() {
    let answered = Arc::new(AtomicUsize::new(0));
    let origin = stale(Arc::clone(&answered));
    let proxy = blue(&origin).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(
        client.get("/").status,
        200,
        "a GET goes to a new connection"
    );
    assert_eq!(answered.load(Ordering::SeqCst), 2);
    let response = client.post("/", b"once");
    assert_eq!(
        (response.status, response.value("x-switchback-reason")),
        (502, Some("upstream_closed"))
    );
    assert_eq!(
        answered.load(Ordering::SeqCst),
        2,
        "a POST is never sent twice"
    );
}

#[test]
fn a_release_takes_so_many_requests_queues_some_and_refuses_the_rest() {
    let (origin, is_asked, release) = Origin::holding();
    let limits = "limits = { concurrency = 1, queue = 1, queue_timeout = \"5s\" }";
    let proxy = TestProxy::builder()
        .release_with(
            "blue",
            &format!("endpoints = [{:?}]\n{limits}", origin.url()),
        )
        .route("all", "/", &[("blue", 1)])
        .start();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut first, mut second, mut third) = (proxy.client(), proxy.client(), proxy.client());
    first.send(request);
    is_asked.recv_timeout(TIMEOUT).unwrap();
    second.send(request);
    proxy.wait_until(|| proxy.roster("blue").concurrency_limit().waiting() == 1);
    let refused = third.get("/");
    assert_eq!(
        (refused.status, refused.value("x-switchback-reason")),
        (503, Some("overloaded"))
    );
    let wait: u64 = refused.value("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
    is_asked.recv_timeout(TIMEOUT).unwrap();
    release.send(()).unwrap();
    assert_eq!(second.response().status, 200);
}

/// A client whose next request is already there when its last one ends is not served before those that wait.
#[test]
fn no_request_overtakes_the_queue_of_a_release() {
    let (origin, is_asked, release) = Origin::holding();
    let limits = "limits = { concurrency = 1, queue = 9, queue_timeout = \"30s\" }";
    let proxy = TestProxy::builder()
        .release_with(
            "blue",
            &format!("endpoints = [{:?}]\n{limits}", origin.url()),
        )
        .route("all", "/", &[("blue", 1)])
        .start();
    let places = || proxy.roster("blue").concurrency_limit().waiting();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let asked = || is_asked.recv_timeout(TIMEOUT).unwrap();
    let (mut greedy, mut second, mut third) = (proxy.client(), proxy.client(), proxy.client());
    greedy.send(request("/1").repeat(2));
    assert_eq!(asked(), "GET /1 HTTP/1.1");
    second.send(request("/2"));
    proxy.wait_until(|| places() == 1);
    third.send(request("/3"));
    proxy.wait_until(|| places() == 2);
    for next in ["/2", "/3", "/1"] {
        release.send(()).unwrap();
        assert_eq!(asked(), format!("GET {next} HTTP/1.1"));
    }
    release.send(()).unwrap();
    for client in [&mut greedy, &mut second, &mut third] {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_queued_request_selects_again_when_the_table_changes() {
    let (origin, is_asked, release) = Origin::holding();
    let green = Origin::replying("green");
    let limits = "limits = { concurrency = 1, queue = 9, queue_timeout = \"5s\" }";
    let proxy = TestProxy::builder()
        .release_with(
            "blue",
            &format!("endpoints = [{:?}]\n{limits}", origin.url()),
        )
        .release("green", &[&green])
        .route("all", "/", &[("blue", 1), ("green", 0)])
        .start();
    let (mut first, mut queued) = (proxy.client(), proxy.client());
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is_asked.recv_timeout(TIMEOUT).unwrap();
    queued.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    proxy.wait_until(|| proxy.roster("blue").concurrency_limit().waiting() == 1);
    proxy.converged(proxy.switch("all", "green"));
    assert_eq!(queued.response().text(), "green");
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
}

#[test]
fn too_many_requests_in_all_are_refused() {
    let (origin, is_asked, release) = Origin::holding();
    let proxy = blue(&origin).settings("[limits]\nrequests = 1").start();
    let mut first = proxy.client();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is_asked.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(proxy.client().get("/").status, 503);
    release.send(()).unwrap();
    assert_eq!(first.response().status, 200);
}

#[test]
fn a_preview_names_its_release_only_where_that_is_allowed() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let build = || {
        TestProxy::builder()
            .release("blue", &[&blue])
            .release("green", &[&green])
            .route_with(
                "all",
                &[("blue", 1), ("green", 0)],
                "expose_release = \"x-release\"",
            )
    };
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Switchback-Release: green\r\n\r\n";
    let preview = build().preview().start();
    let response = preview.client().send(request).response();
    assert_eq!(
        (response.text().as_str(), response.value("x-release")),
        ("green", Some("green"))
    );
    assert_eq!(green.last().value("x-switchback-release"), None);
    let other = preview
        .client()
        .send(request.replace("green", "red"))
        .response();
    assert_eq!(
        (other.status, other.value("x-switchback-reason")),
        (404, Some("unknown_release"))
    );
    assert_eq!(
        build().start().client().send(request).response().text(),
        "blue"
    );
}

#[test]
fn a_request_that_was_here_before_is_a_loop() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin).settings("[headers]\nvia = \"near\"").start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 edge, 1.1 near\r\n\r\n");
    assert_eq!(client.response().status, 508);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn prefixes_are_taken_off_and_games_with_paths_are_refused() {
    let (api, other) = (Origin::replying("api"), Origin::replying("other"));
    let proxy = TestProxy::builder()
        .release("api", &[&api])
        .release("other", &[&other])
        .route_with(
            "api",
            &[("api", 1)],
            "path_prefix = \"/api\"\nstrip_prefix = true\nhost_header = \"endpoint\"",
        )
        .route("other", "/", &[("other", 1)])
        .start();
    let mut client = proxy.client();
    for (asked, seen) in [("/api/x?y=1", "/x?y=1"), ("/api", "/"), ("/api/", "/")] {
        assert_eq!(client.get(asked).text(), "api");
        assert_eq!(api.last().line(), format!("GET {seen} HTTP/1.1"));
        assert_eq!(
            api.last().value("host"),
            Some(api.address().to_string().as_str())
        );
    }
    assert_eq!(client.get("/apix").text(), "other");
    for game in [
        "/x/../api",
        "/%61pi/x",
        "//api",
        "/api/../x",
        "/x/%2e%2e/api/",
    ] {
        assert_eq!(proxy.client().get(game).status, 400, "{game}");
    }
}

/// A PROXY protocol header of version 2 with an IPv4 client.
fn proxy_header(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([10, 0, 0, 1, 0x10, 0, 0x01, 0xbb]);
    header
}

#[test]
fn a_proxy_protocol_header_names_the_client_and_is_required() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin).proxy_protocol_from("127.0.0.0/8").start();
    let version_1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 54321 443\r\n".to_vec();
    for header in [proxy_header([203, 0, 113, 7]), version_1] {
        let mut client = proxy.client();
        client.send(&header);
        assert_eq!(client.get("/").status, 200);
        assert_eq!(origin.last().value("x-forwarded-for"), Some("203.0.113.7"));
    }
    let mut pieces = proxy.client();
    for piece in ["PROXY TCP4 203.0.1", "13.8 10.0.0.1 54321 443\r", "\n"] {
        pieces.send(piece);
    }
    assert_eq!(pieces.get("/").status, 200);
    assert_eq!(origin.last().value("x-forwarded-for"), Some("203.0.113.8"));
    let mut direct = proxy.client();
    assert!(direct.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_closed());
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_proxy_protocol_header_of_a_sender_that_is_not_listed_is_refused() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin).proxy_protocol_from("10.0.0.0/8").start();
    let mut client = proxy.client();
    // In one write: the connection may be closed before a second one.
    let mut bytes = proxy_header([203, 0, 113, 7]);
    bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.send(bytes).is_closed());
    assert!(origin.requests().is_empty());
}

#[test]
fn a_sender_that_is_not_trusted_makes_no_peer_a_trusted_proxy() {
    let origin = Origin::replying("x");
    let forwarded = |trusted: &str| {
        let proxy = blue(&origin)
            .settings(&format!("trusted_proxies = [{trusted}]"))
            .proxy_protocol_from("127.0.0.0/8")
            .start();
        let mut client = proxy.client();
        client.send(proxy_header([10, 1, 1, 1]));
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Real-Ip: 7.7.7.7\r\n\r\n");
        assert_eq!(client.response().status, 200);
        origin.last().value("x-real-ip").unwrap().to_owned()
    };
    assert_eq!(
        forwarded("\"10.0.0.0/8\""),
        "127.0.0.1",
        "neither the address nor the field is believed"
    );
    assert_eq!(forwarded("\"10.0.0.0/8\", \"127.0.0.1\""), "7.7.7.7");
    assert_eq!(forwarded("\"192.0.2.0/24\""), "10.1.1.1");
}

#[test]
fn draining_closes_what_is_idle_and_lets_what_is_busy_end() {
    let (origin, is_asked, release) = Origin::holding();
    let proxy = blue(&origin).start();
    let (mut idle, mut busy) = (proxy.client(), proxy.client());
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is_asked.recv_timeout(TIMEOUT).unwrap();
    proxy.shared.drain();
    assert!(idle.is_closed());
    release.send(()).unwrap();
    let response = busy.response();
    assert_eq!(
        (response.status, response.value("connection")),
        (200, Some("close"))
    );
    assert!(busy.is_closed());
}

#[test]
fn a_release_that_cannot_answer_is_named_in_its_statistics_and_in_the_log() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin).start();
    let healths = proxy.roster("blue").endpoints();
    healths[0].set_health(switchback::fleet::Health::Unhealthy);
    let response = proxy.client().get("/");
    assert_eq!(response.value("x-switchback-reason"), Some("no_endpoint"));
    let line = &proxy.access_lines(1)[0];
    for (key, value) in [
        ("route", "all"),
        ("release", "blue"),
        ("decision", "split"),
        ("outcome", "failure"),
        ("error", "no_endpoint"),
    ] {
        assert_eq!(line[key], value, "{key}: {line}");
    }
    assert_eq!(
        (&line["status"], &line["attempts"]),
        (&503.into(), &0.into())
    );
    let live = proxy.cell.load();
    let route = live.compiled().routes().iter().next().unwrap();
    let snapshot = route.split().entries()[0].cells().snapshot();
    let failed = switchback::model::OutcomeClass::Failure;
    assert_eq!(snapshot.counts.get(&(failed, 503)), Some(&1));
}

#[test]
fn a_release_at_its_limit_is_named_in_the_log() {
    let (arrived, arrival) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let origin = Origin::answering(move |_| {
        arrived.send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let lines = format!(
        "endpoints = [{:?}]\n[releases.blue.limits]\nconcurrency = 1",
        origin.url()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .start();
    let mut first = proxy.client();
    first.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    arrival.recv().unwrap();
    assert_eq!(proxy.client().get("/").status, 503);
    let line = &proxy.access_lines(1)[0];
    assert_eq!(
        (&line["error"], &line["release"]),
        (&"overloaded".into(), &"blue".into())
    );
    go.send(()).unwrap();
    assert_eq!(first.response().status, 200);
}

/// Size of the largest chunk in which a body arrives: there is one for each buffer that was read.
fn largest_chunk(buffer: &str) -> usize {
    const CHUNKS: usize = 4;
    let origin = Origin::after_request(|_, mut stream, _| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).unwrap();
        let chunk = [
            b"100000\r\n".to_vec(),
            vec![b'x'; 1 << 20],
            b"\r\n".to_vec(),
        ]
        .concat();
        for _ in 0..CHUNKS {
            stream.write_all(&chunk).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let proxy = blue(&origin)
        .settings(&format!("[limits]\nbuffer = \"{buffer}\""))
        .start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head_response().status, 200);
    let (mut largest, mut total) = (0, 0);
    loop {
        let size = client.chunk().len();
        (largest, total) = (largest.max(size), total + size);
        if size == 0 {
            assert_eq!(total, CHUNKS << 20);
            return largest;
        }
    }
}

#[test]
fn a_body_is_read_into_buffers_of_the_size_that_is_allowed() {
    let sizes = ["16KiB", "256KiB"].map(largest_chunk);
    assert!(sizes[0] <= 16 * 1024, "{sizes:?}");
    assert!(sizes[1] > 16 * 1024, "{sizes:?}");
}

#[test]
fn a_head_may_be_as_large_as_its_limit_says() {
    let origin = Origin::replying("x");
    let proxy = blue(&origin)
        .settings("[limits]\nhead = \"256KiB\"\nresponse_head = \"256KiB\"")
        .start();
    for (length, status) in [(256 * 1024, 200), (256 * 1024 + 1, 431)] {
        let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
        let value = "y".repeat(length - start.len() - end.len());
        let mut client = proxy.client();
        client.send(format!("{start}{value}{end}"));
        assert_eq!(client.response().status, status, "{length}");
    }
}
