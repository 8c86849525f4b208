//! The fallback to the stable release, the retry budget, and retries that a route asks for.

use std::io::{BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use switchback::fleet::Health;
use switchback::model::OutcomeClass;
use switchback::stats::CellSnapshot;

use crate::support::{
    Origin, Response, TestProxy, TestProxyBuilder, closed_address, read_request, reply,
};

const FALLBACK: &str = "stable = \"blue\"\nfallback = \"stable\"";

/// The counters of a release, once `requests` have ended.
fn cells(proxy: &TestProxy, requests: usize, release: &str) -> CellSnapshot {
    proxy.access_lines(requests);
    let live = proxy.cell.load();
    let route = live.compiled().routes().iter().next().unwrap();
    route.split().entry(release).unwrap().cells().snapshot()
}

/// Green has all the weight and these lines, blue is stable.
fn trial(blue: &Origin, green: &str, route: &str) -> TestProxyBuilder {
    TestProxy::builder()
        .settings("[timeouts]\nconnect = \"200ms\"")
        .release("blue", &[blue])
        .release_with("green", green)
        .route_with("all", &[("blue", 0), ("green", 1)], route)
        .preview()
}

fn ask(proxy: &TestProxy, method: &str, fields: &str) -> Response {
    let request =
        format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{fields}\r\nhello");
    proxy.client().send(request).response()
}

/// Closes each connection after its first request, which counts as executed.
fn executing_then_closing() -> (Origin, Arc<AtomicUsize>) {
    let executed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executed);
    let origin = Origin::after_request(move |_, _, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (origin, executed)
}

/// Responds with a status, and counts its requests.
fn responding(status: u16) -> Origin {
    Origin::answering(move |_| reply(status, "", "bad"))
}

fn endpoints(origin: &Origin) -> String {
    format!("endpoints = [{:?}]", origin.url())
}

/// An endpoint that has gone.
fn closed() -> String {
    format!("endpoints = [\"http://{}\"]", closed_address())
}

#[test]
fn a_dead_canary_is_seen_and_users_do_not_feel_it() {
    let blue = Origin::replying("blue");
    let proxy = trial(&blue, &closed(), FALLBACK).start();
    for method in ["GET", "POST"] {
        let response = ask(&proxy, method, "");
        assert_eq!((response.status, &*response.text()), (200, "blue"));
        assert_eq!(blue.last().body, b"hello");
    }
    let (green, blue) = (cells(&proxy, 2, "green"), cells(&proxy, 2, "blue"));
    assert_eq!(green.of_class(OutcomeClass::Failure), 2);
    assert_eq!(green.failed_attempts.iter().sum::<u64>(), 2);
    assert_eq!(blue.of_class(OutcomeClass::Success), 2);
    assert_eq!((blue.requests(), green.requests()), (2, 2));
    assert_eq!((blue.fallbacks, green.fallbacks), (0, 2));
    let line = &proxy.access_lines(2)[1];
    assert_eq!(
        (&line["decision"], &line["release"]),
        (&"fallback".into(), &"blue".into())
    );
    assert_eq!(line["attempts"], 2);
    assert_eq!(line["attempt_error"], "connect_failed");
    assert_eq!(proxy.roster("green").in_flight(), 0);
}

#[test]
fn a_canary_without_a_healthy_endpoint_falls_back_too() {
    let blue = Origin::replying("blue");
    let proxy = trial(&blue, &closed(), FALLBACK).start();
    for endpoint in proxy.roster("green").endpoints().iter() {
        endpoint.set_health(Health::Unhealthy);
    }
    assert_eq!(ask(&proxy, "POST", "").status, 200);
    assert_eq!(cells(&proxy, 1, "green").of_class(OutcomeClass::Failure), 1);
}

#[test]
fn nothing_falls_back_that_the_canary_may_have_executed() {
    let blue = Origin::replying("blue");
    let (green, executed) = executing_then_closing();
    let proxy = trial(&blue, &endpoints(&green), FALLBACK).start();
    for (done, method) in ["POST", "GET"].into_iter().enumerate() {
        assert_eq!(ask(&proxy, method, "").status, 502, "{method}");
        assert_eq!(executed.load(Ordering::SeqCst), done + 1);
    }
    assert_eq!(blue.requests().len(), 0);
}

#[test]
fn a_request_that_names_its_release_and_a_route_without_fallback_stay() {
    let blue = Origin::replying("blue");
    let proxy = trial(&blue, &closed(), FALLBACK).start();
    let named = ask(&proxy, "GET", "x-switchback-release: green\r\n");
    assert_eq!(named.status, 502);
    let proxy = trial(&blue, &closed(), "stable = \"blue\"").start();
    assert_eq!(ask(&proxy, "GET", "").status, 502);
    assert_eq!(blue.requests().len(), 0);
}

#[test]
fn a_stable_release_that_cannot_answer_has_no_fallback() {
    let blue = Origin::replying("blue");
    let proxy = trial(&blue, &closed(), FALLBACK).start();
    for release in ["blue", "green"] {
        for endpoint in proxy.roster(release).endpoints().iter() {
            endpoint.set_health(Health::Unhealthy);
        }
    }
    assert_eq!(ask(&proxy, "GET", "").status, 503);
    for release in ["blue", "green"] {
        let failures = cells(&proxy, 1, release).of_class(OutcomeClass::Failure);
        assert_eq!(failures, 1, "{release}");
    }
}

#[test]
fn a_status_that_the_route_names_is_retried_for_idempotent_requests_alone() {
    let (good, bad) = (Origin::replying("good"), responding(503));
    let both = format!(
        "endpoints = [{:?}, {:?}]\nbalance = \"round_robin\"",
        good.url(),
        bad.url()
    );
    let proxy = TestProxy::builder()
        .release_with("blue", &both)
        .route_with(
            "all",
            &[("blue", 1)],
            "retries = { on_status = [503], idempotency_key = true }",
        )
        .start();
    let statuses = |method, fields| {
        let all = (0..10).map(|_| ask(&proxy, method, fields).status);
        all.collect::<Vec<_>>()
    };
    assert_eq!(statuses("GET", ""), [200; 10]);
    assert_eq!(statuses("POST", "Idempotency-Key: 7\r\n"), [200; 10]);
    let before = bad.requests().len();
    assert!(before > 0, "the other endpoint has half of the requests");
    let posts = statuses("POST", "");
    let refused = posts.iter().filter(|status| **status == 503).count();
    assert_eq!(bad.requests().len() - before, refused);
    assert_eq!(refused, 5);
}

#[test]
fn the_last_response_with_such_a_status_is_passed_on() {
    let bad = responding(503);
    let retries = "retries = { on_status = [503], attempts = 3 }";
    let proxy = TestProxy::builder()
        .release("blue", &[&bad])
        .route_with("all", &[("blue", 1)], retries)
        .start();
    let response = ask(&proxy, "GET", "");
    assert_eq!((response.status, &*response.text()), (503, "bad"));
    assert_eq!(bad.requests().len(), 3);
    let blue = cells(&proxy, 1, "blue");
    assert_eq!((blue.retries, blue.requests()), (2, 1));
    assert_eq!(proxy.access_lines(1)[0]["attempt_error"], "upstream_status");
}

#[test]
fn a_status_of_the_canary_falls_back_once_its_attempts_are_used_up() {
    let (blue, green) = (Origin::replying("blue"), responding(502));
    let route = format!("{FALLBACK}\nretries = {{ on_status = [502], attempts = 2 }}");
    let proxy = trial(&blue, &endpoints(&green), &route).start();
    let response = ask(&proxy, "PUT", "");
    assert_eq!((response.status, &*response.text()), (200, "blue"));
    assert_eq!(blue.last().body, b"hello");
    assert_eq!(green.requests().len(), 2);
    let green_cells = cells(&proxy, 1, "green");
    assert_eq!(green_cells.of_class(OutcomeClass::Failure), 1);
    let passed = ask(&proxy, "POST", "");
    assert_eq!((passed.status, &*passed.text()), (502, "bad"));
    assert_eq!(blue.requests().len(), 1);
}

#[test]
fn a_post_is_executed_once_whatever_happens_to_its_connection() {
    for route in [
        "",
        "retries = { idempotency_key = true, on_status = [502, 503, 504] }",
    ] {
        let (origin, executed) = executing_then_closing();
        let proxy = TestProxy::builder()
            .release("blue", &[&origin])
            .route_with("all", &[("blue", 1)], route)
            .start();
        for done in 1..20 {
            let response = ask(&proxy, "POST", "");
            assert_eq!(response.status, 502);
            // Its client does not have it executed again either.
            assert_eq!(response.value("x-should-retry"), Some("false"));
            assert_eq!(executed.load(Ordering::SeqCst), done);
        }
    }
}

#[test]
fn what_was_not_executed_or_may_be_twice_is_left_to_the_client() {
    let (origin, _) = executing_then_closing();
    let proxy = TestProxy::before(&origin);
    assert_eq!(ask(&proxy, "GET", "").value("x-should-retry"), None);
    let proxy = TestProxy::builder()
        .settings("[timeouts]\nconnect = \"50ms\"")
        .release_with("blue", &closed())
        .route("all", "/", &[("blue", 1)])
        .start();
    let response = ask(&proxy, "POST", "");
    assert_eq!(
        (response.status, response.value("x-should-retry")),
        (502, None)
    );
}

/// The second request of each connection is read, and not answered.
fn closing_kept_connections() -> (Origin, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let origin = Origin::scripted(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for answer in [&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], b""] {
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
fn a_key_makes_a_post_idempotent_where_the_route_says_so() {
    for (route, key, statuses) in [
        ("", "Idempotency-Key: a\r\n", [200, 502]),
        ("retries = { idempotency_key = true }", "", [200, 502]),
        (
            "retries = { idempotency_key = true }",
            "Idempotency-Key: a\r\n",
            [200, 200],
        ),
    ] {
        let (origin, _) = closing_kept_connections();
        let proxy = TestProxy::builder()
            .release("blue", &[&origin])
            .route_with("all", &[("blue", 1)], route)
            .start();
        let got = [(); 2].map(|()| ask(&proxy, "POST", key).status);
        assert_eq!(got, statuses, "{route} {key}");
    }
}

#[test]
fn retries_end_with_their_budget_and_the_request_gets_its_error() {
    let bad = responding(503);
    let retries = "retries = { on_status = [503], attempts = 2 }";
    let proxy = TestProxy::builder()
        .release("blue", &[&bad])
        .route_with("all", &[("blue", 1)], retries)
        .start();
    let mut client = proxy.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 503);
    }
    let blue = cells(&proxy, 100, "blue");
    assert_eq!(blue.retries + blue.denied_retries, 100);
    // A fifth of the requests and the floor; the run takes far less than the ten seconds that fill it again.
    assert!((30..=60).contains(&blue.retries), "{}", blue.retries);
    assert_eq!(bad.requests().len() as u64, 100 + blue.retries);
}

/// Reads requests and answers none.
fn silent() -> (Origin, Arc<AtomicU64>) {
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let origin = Origin::after_request(move |_, _, mut reader| {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = std::io::Read::read_to_end(&mut reader, &mut Vec::new());
    });
    (origin, seen)
}

#[test]
fn an_attempt_that_brings_no_response_in_time_is_repeated_if_it_may_be() {
    for (method, attempts) in [("GET", 2), ("POST", 1)] {
        let (origin, seen) = silent();
        let proxy = TestProxy::builder()
            .release("blue", &[&origin])
            .route_with(
                "all",
                &[("blue", 1)],
                "timeouts = { try = \"50ms\" }\nretries = { attempts = 2 }",
            )
            .start();
        let response = ask(&proxy, method, "");
        let reason = response.value("x-switchback-reason");
        assert_eq!(
            (response.status, reason),
            (504, Some("try_timeout")),
            "{method}"
        );
        let retries = cells(&proxy, 1, "blue").retries;
        assert_eq!(retries, attempts - 1, "{method}");
        proxy.wait_until(|| seen.load(Ordering::SeqCst) == attempts);
    }
}

#[test]
fn a_response_that_does_not_begin_in_time_is_504_and_its_request_is_not_repeated() {
    let (origin, seen) = silent();
    let proxy = TestProxy::builder()
        .release("blue", &[&origin])
        .route_with(
            "all",
            &[("blue", 1)],
            "timeouts = { first_byte = \"50ms\" }",
        )
        .start();
    let response = ask(&proxy, "GET", "");
    let reason = response.value("x-switchback-reason");
    assert_eq!((response.status, reason), (504, Some("first_byte_timeout")));
    assert_eq!(cells(&proxy, 1, "blue").retries, 0);
    proxy.wait_until(|| seen.load(Ordering::SeqCst) == 1);
    let stream = Origin::after_request(|_, mut stream, mut reader| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1_300));
        stream.write_all(b"2\r\nok\r\n0\r\n\r\n").unwrap();
        let _ = std::io::Read::read_to_end(&mut reader, &mut Vec::new());
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&stream])
        .route_with(
            "all",
            &[("blue", 1)],
            "timeouts = { first_byte = \"1s\", try = \"1s\" }",
        )
        .start();
    assert_eq!(
        ask(&proxy, "GET", "").text(),
        "ok",
        "a response has its time"
    );
}
