//! Choosing an endpoint inside a release: room, policies, ejection, pauses.

use std::io::{BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use switchback::fleet::{EjectionReason, Endpoint};

use crate::support::{Origin, TIMEOUT, TestProxy, TestProxyBuilder, read_request, reply};

fn blue(origins: &[&Origin], lines: &str) -> TestProxyBuilder {
    let urls: Vec<_> = origins.iter().map(|origin| origin.url()).collect();
    TestProxy::builder()
        .release_with("blue", &format!("endpoints = {urls:?}\n{lines}"))
        .route("all", "/", &[("blue", 1)])
}

fn answer(status: u16, fields: &str) -> Vec<u8> {
    reply(status, fields, "ok")
}

/// An origin whose status can be changed.
fn with_status(status: &Arc<AtomicU16>) -> Origin {
    let status = Arc::clone(status);
    Origin::answering(move |_| answer(status.load(Ordering::SeqCst), ""))
}

#[test]
fn full_endpoints_are_not_picked_and_requests_wait_for_one_with_room() {
    let ((one, at_one, end_one), (two, at_two, end_two)) = (Origin::holding(), Origin::holding());
    let limits = "limits = { in_flight_per_endpoint = 1, queue = 2 }";
    let proxy = blue(&[&one, &two], limits).workers(2).start();
    let roster = proxy.roster("blue");
    let ask = |path: &'static str| {
        let mut client = proxy.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    };
    let mut held = vec![ask("/1"), ask("/2")];
    at_one.recv().unwrap();
    at_two.recv().unwrap();
    for (path, waiting) in [("/3", 1), ("/4", 2)] {
        held.push(ask(path));
        proxy.wait_until(|| roster.waiting_for_room() == waiting);
    }
    let refused = proxy.client().get("/5");
    assert_eq!(
        (refused.status, refused.value("x-switchback-reason")),
        (503, Some("overloaded"))
    );
    end_two.send(()).unwrap();
    assert_eq!(at_two.recv().unwrap(), "GET /3 HTTP/1.1", "first come");
    end_one.send(()).unwrap();
    assert_eq!(at_one.recv().unwrap(), "GET /4 HTTP/1.1");
    end_one.send(()).unwrap();
    end_two.send(()).unwrap();
    assert!(
        held.iter_mut()
            .all(|client| client.response().status == 200)
    );
    proxy.wait_until(|| roster.in_flight() == 0 && roster.waiting_for_room() == 0);
}

/// An origin that notes how many requests it has had at once.
fn counting(most: &Arc<AtomicUsize>) -> Origin {
    let (most, now) = (Arc::clone(most), AtomicUsize::new(0));
    Origin::answering(move |_| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Its work: without the limit, eight clients are here at once.
        thread::sleep(Duration::from_millis(1));
        now.fetch_sub(1, Ordering::SeqCst);
        answer(200, "")
    })
}

#[test]
fn an_agent_that_takes_one_turn_at_a_time_never_gets_two() {
    let most: Vec<_> = (0..2).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let origins: Vec<_> = most.iter().map(counting).collect();
    let limits = "limits = { in_flight_per_endpoint = 1, queue = 100 }";
    let origins: Vec<_> = origins.iter().collect();
    let proxy = blue(&origins, limits).workers(2).start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = proxy.client();
                (0..50).for_each(|_| assert_eq!(client.get("/").status, 200));
            });
        }
    });
    let most: Vec<_> = most
        .iter()
        .map(|most| most.load(Ordering::SeqCst))
        .collect();
    assert_eq!(most, [1, 1]);
}

#[test]
fn each_policy_has_an_effect() {
    let (one, two) = (Origin::replying("1"), Origin::replying("2"));
    let order = |balance: &str, fields: &str, count: usize| {
        let proxy = TestProxy::builder()
            .release_with(
                "blue",
                &format!(
                    "endpoints = [\"{}\", \"{}\"]\nbalance = \"{balance}\"",
                    one.url(),
                    two.url()
                ),
            )
            .route_with(
                "all",
                &[("blue", 1)],
                "affinity = [{ header = \"x-user\" }]",
            )
            .start();
        let mut client = proxy.client();
        let ask = |_| {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
            client.response().text()
        };
        (0..count).map(ask).collect::<String>()
    };
    let in_turn = order("round_robin", "", 60);
    assert!(
        ["12".repeat(30), "21".repeat(30)].contains(&in_turn),
        "{in_turn}"
    );
    for balance in ["least_in_flight", "peak_ewma"] {
        let random = order(balance, "", 60);
        assert!(
            random.contains("11") || random.contains("22"),
            "{balance}: {random}"
        );
    }
    let of = |user: u32| order("consistent_hash", &format!("x-user: {user}\r\n"), 10);
    let users: Vec<_> = (0..24).map(of).collect();
    let stays = ["1".repeat(10), "2".repeat(10)];
    assert!(users.iter().all(|all| stays.contains(all)), "{users:?}");
    assert!(users.iter().any(|all| *all != users[0]), "users are spread");
}

#[test]
fn a_slow_endpoint_gets_fewer_requests_by_peak_ewma() {
    let fast = Origin::replying("fast");
    let slow = Origin::answering(|_| {
        thread::sleep(Duration::from_millis(100));
        answer(200, "")
    });
    let proxy = blue(&[&slow, &fast], "balance = \"peak_ewma\"").start();
    let mut client = proxy.client();
    (0..60).for_each(|_| assert_eq!(client.get("/").status, 200));
    let slow = slow.requests().len();
    assert!((1..=3).contains(&slow), "{slow}");
}

#[test]
fn an_endpoint_that_fails_is_ejected_and_comes_back_after_a_probe() {
    let status = Arc::new(AtomicU16::new(500));
    let (bad, good) = (with_status(&status), Origin::replying("ok"));
    let ejection = "ejection = { base_time = \"300ms\", max_time = \"300ms\" }";
    let proxy = blue(&[&bad, &good], ejection).start();
    let endpoint = Arc::clone(&proxy.roster("blue").endpoints()[0]);
    let mut client = proxy.client();
    while bad.requests().len() < 5 {
        client.get("/");
    }
    assert_eq!(
        endpoint.ejected(),
        Some(EjectionReason::ConsecutiveFailures)
    );
    // A failed probe ejects it again, without five failures.
    while bad.requests().len() < 6 {
        client.get("/");
    }
    assert_eq!(endpoint.ejections(EjectionReason::ConsecutiveFailures), 2);
    status.store(200, Ordering::SeqCst);
    while bad.requests().len() < 8 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(endpoint.ejected(), None);
}

#[test]
fn gateway_failures_have_a_limit_of_their_own() {
    let status = Arc::new(AtomicU16::new(500));
    let (bad, good) = (with_status(&status), Origin::replying("ok"));
    let ejection = "ejection = { consecutive_failures = 0, consecutive_gateway_failures = 3 }";
    let proxy = blue(&[&bad, &good], ejection).start();
    let endpoint = Arc::clone(&proxy.roster("blue").endpoints()[0]);
    let mut client = proxy.client();
    while bad.requests().len() < 10 {
        client.get("/");
    }
    assert_eq!(endpoint.ejected(), None, "500 is no gateway's failure");
    status.store(503, Ordering::SeqCst);
    while bad.requests().len() < 13 {
        client.get("/");
    }
    let reason = EjectionReason::ConsecutiveGatewayFailures;
    assert_eq!(endpoint.ejected(), Some(reason));
}

#[test]
fn the_only_endpoint_of_a_release_is_never_ejected() {
    let status = Arc::new(AtomicU16::new(500));
    let origin = with_status(&status);
    let proxy = blue(&[&origin], "ejection = {}").start();
    let mut client = proxy.client();
    (0..20).for_each(|_| assert_eq!(client.get("/").text(), "ok"));
    assert_eq!(origin.requests().len(), 20);
}

#[test]
fn an_endpoint_that_cuts_its_answers_is_ejected() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let bad = Origin::after_request(move |_, mut stream, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    });
    let good = Origin::replying("ok");
    let proxy = blue(&[&bad, &good], "ejection = {}").start();
    while asked.load(Ordering::SeqCst) < 5 {
        proxy.client().get("/");
    }
    let endpoint = Arc::clone(&proxy.roster("blue").endpoints()[0]);
    proxy.wait_until(|| endpoint.ejected().is_some());
    (0..20).for_each(|_| assert_eq!(proxy.client().get("/").text(), "ok"));
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

/// An endpoint that closes as soon as a body does not come, as a server with a timeout does. It reports requests for
/// `/held`, and does not answer them.
fn impatient(held: &Sender<()>) -> Origin {
    let held = held.clone();
    Origin::scripted(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        while let Some(request) = read_request(&mut reader) {
            let status = match request.line().split(' ').nth(1) {
                Some("/held") => {
                    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                    held.send(()).unwrap();
                    let _ = reader.read_to_end(&mut Vec::new());
                    return;
                }
                Some("/500") => 500,
                Some("/501") => 501,
                Some("/505") => 505,
                _ => 404,
            };
            if (&stream).write_all(&answer(status, "")).is_err() {
                return;
            }
        }
    })
}

/// A client that leaves, a body that stays incomplete, 4xx, and what an endpoint says about an odd method.
#[test]
fn what_clients_cause_ejects_no_endpoint() {
    let (held, arrivals) = channel();
    let (one, two) = (impatient(&held), impatient(&held));
    let ejection = "ejection = { consecutive_failures = 1 }";
    let proxy = blue(&[&one, &two], ejection)
        .settings("[timeouts]\nbody = \"10s\"")
        .start();
    let roster = proxy.roster("blue");
    let ejections = || -> u64 {
        let of = |one: &Arc<Endpoint>| one.ejections(EjectionReason::ConsecutiveFailures);
        roster.endpoints().iter().map(of).sum()
    };
    for (path, status) in [("/404", 404), ("/501", 501), ("/505", 505)] {
        (0..8).for_each(|_| assert_eq!(proxy.client().get(path).status, status));
    }
    for _ in 0..8 {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
        let response = client.try_response();
        let status = response.expect("an error").status;
        assert_eq!(status, 502, "its endpoint gives up first");
        let mut leaving = proxy.client();
        leaving.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        arrivals.recv_timeout(TIMEOUT).unwrap();
    }
    proxy.access_lines(24 + 16);
    proxy.wait_until(|| roster.in_flight() == 0);
    assert_eq!(ejections(), 0);
    assert_eq!(proxy.client().get("/500").status, 500);
    proxy.wait_until(|| ejections() == 1);
}

#[test]
fn an_endpoint_that_asks_for_a_pause_is_avoided_for_that_time() {
    let paused = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (is_paused, times) = (Arc::clone(&paused), Arc::clone(&asked));
    let busy = Origin::answering(move |_| {
        times.lock().unwrap().push(Instant::now());
        if is_paused.load(Ordering::SeqCst) {
            answer(429, "Retry-After: 3600\r\n")
        } else {
            answer(200, "")
        }
    });
    let good = Origin::replying("ok");
    let proxy = blue(&[&busy, &good], "max_retry_after = \"300ms\"").start();
    let endpoint = Arc::clone(&proxy.roster("blue").endpoints()[0]);
    let mut client = proxy.client();
    while busy.requests().is_empty() {
        client.get("/");
    }
    assert_eq!(endpoint.retry_afters(), 1);
    paused.store(false, Ordering::SeqCst);
    while busy.requests().len() < 2 {
        assert_eq!(client.get("/").status, 200);
    }
    let pause = {
        let asked = asked.lock().unwrap();
        asked[1] - asked[0]
    };
    // The clock has milliseconds.
    assert!(pause >= Duration::from_millis(298), "{pause:?}");
    let no_pause = "max_retry_after = \"0s\"\nbalance = \"round_robin\"";
    let ignored = blue(&[&busy, &good], no_pause).start();
    paused.store(true, Ordering::SeqCst);
    let before = busy.requests().len();
    let mut client = ignored.client();
    (0..60).for_each(|_| drop(client.get("/")));
    assert_eq!(busy.requests().len() - before, 30);
}

#[test]
fn in_a_storm_of_429_every_request_is_answered_by_an_endpoint() {
    let storm = || Origin::answering(|_| answer(429, "Retry-After: 30\r\n"));
    let (one, two) = (storm(), storm());
    let proxy = blue(&[&one, &two], "ejection = {}").start();
    let mut client = proxy.client();
    (0..100).for_each(|_| assert_eq!(client.get("/").status, 429));
    let both = [one.requests().len(), two.requests().len()];
    assert!(both.iter().all(|count| *count > 10), "{both:?}");
}

#[test]
fn endpoints_get_requests_by_their_weights_and_none_at_0() {
    let origins: Vec<_> = (0..3).map(|_| Origin::replying("x")).collect();
    let of = |index: usize, weight| {
        let url = origins[index].url();
        format!("{{ url = \"{url}\", weight = {weight} }}")
    };
    let endpoints = format!("[{}, {}, \"{}\"]", of(0, 0), of(1, 3), origins[2].url());
    let lines = format!("endpoints = {endpoints}\nbalance = \"round_robin\"");
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .start();
    let mut client = proxy.client();
    (0..40).for_each(|_| assert_eq!(client.get("/").status, 200));
    let counts: Vec<_> = origins
        .iter()
        .map(|origin| origin.requests().len())
        .collect();
    assert_eq!(counts, [0, 30, 10]);
}
