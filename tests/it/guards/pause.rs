//! Routes that are paused while their agents restart.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use switchback::model::{Change, HumanDuration, PauseSpec};

use super::{guarded, reason, roll_back};
use crate::support::h2::{H2Client, block};
use crate::support::{Origin, TestAdmin, TestProxy, cli};

/// Pauses the route, or resumes it.
fn set_pause(proxy: &TestProxy, pause: Option<PauseSpec>) {
    let route = "all".parse().unwrap();
    let swapped = proxy.change(&Change::SetPause { route, pause });
    proxy.converged(swapped.table.revision());
}

fn waiting(proxy: &TestProxy) -> u32 {
    let routes = proxy.fleet.paused_routes();
    routes.iter().map(|(_, waiting)| waiting).sum()
}

#[test]
fn requests_of_a_paused_route_wait_until_it_is_resumed_over_either_protocol() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, "");
    set_pause(&proxy, Some(PauseSpec::default()));
    thread::scope(|scope| {
        let (answered, answers) = channel();
        for _ in 0..3 {
            let answered = answered.clone();
            let mut client = proxy.client();
            scope.spawn(move || answered.send(client.post("/", b"hello").status).unwrap());
        }
        let address = proxy.address;
        scope.spawn(move || {
            let status = block(async {
                let client = H2Client::connect(address).await;
                client.get("/").await.unwrap().status()
            });
            answered.send(status).unwrap();
        });
        proxy.wait_until(|| waiting(&proxy) == 4);
        assert!(origin.requests().is_empty() && answers.try_recv().is_err());
        set_pause(&proxy, None);
        assert_eq!(answers.iter().collect::<Vec<_>>(), [200; 4]);
    });
    assert_eq!((waiting(&proxy), origin.requests().len()), (0, 4));
}

#[test]
fn the_wait_counts_for_no_time_limit_of_the_request_and_for_no_duration() {
    const LIMIT: Duration = Duration::from_millis(200);
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, "timeouts = { request = \"200ms\" }");
    set_pause(&proxy, Some(PauseSpec::default()));
    thread::scope(|scope| {
        let mut client = proxy.client();
        let answer = scope.spawn(move || client.get("/").status);
        proxy.wait_until(|| waiting(&proxy) == 1);
        let begun = Instant::now();
        proxy.wait_until(|| begun.elapsed() > 2 * LIMIT);
        set_pause(&proxy, None);
        assert_eq!(answer.join().unwrap(), 200);
    });
}

#[test]
fn what_is_in_flight_goes_on_and_a_rollback_takes_the_pause_back() {
    let (origin, arrived, release) = Origin::holding();
    let proxy = guarded(&origin, "");
    let mut before = proxy.client();
    before.send("GET /before HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(arrived.recv().unwrap().contains("/before"));
    set_pause(&proxy, Some(PauseSpec::default()));
    let mut after = proxy.client();
    after.send("GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    proxy.wait_until(|| waiting(&proxy) == 1);
    release.send(()).unwrap();
    assert_eq!(before.response().text(), "ok");
    assert!(arrived.try_recv().is_err());
    roll_back(&proxy);
    assert!(arrived.recv().unwrap().contains("/after"));
    release.send(()).unwrap();
    assert_eq!(after.response().text(), "ok");
}

#[test]
fn one_too_many_and_one_too_long_are_503_with_the_time_to_come_back() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, "");
    let for_long = PauseSpec {
        max_waiting: 1,
        ..PauseSpec::default()
    };
    set_pause(&proxy, Some(for_long.clone()));
    let mut first = proxy.client();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    proxy.wait_until(|| waiting(&proxy) == 1);
    let refused = proxy.client().get("/");
    assert_eq!(reason(&refused), (503, Some("paused")));
    assert!(refused.value("retry-after").is_some());
    let max_wait = HumanDuration::seconds(1);
    set_pause(
        &proxy,
        Some(PauseSpec {
            max_wait,
            ..for_long
        }),
    );
    assert_eq!(reason(&first.response()), (503, Some("paused")));
    set_pause(&proxy, Some(for_long));
    proxy.wait_until(|| waiting(&proxy) == 0);
    let mut gone = proxy.client();
    gone.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    proxy.wait_until(|| waiting(&proxy) == 1);
    drop(gone);
    proxy.wait_until(|| waiting(&proxy) == 0);
    assert!(origin.requests().is_empty());
}

#[test]
fn a_route_is_paused_and_resumed_by_the_api_and_the_command_line() {
    let admin = TestAdmin::start();
    let before = admin.get("/v1/routes/chat");
    let receipt = admin.done(
        "POST",
        "/v1/routes/chat/pause",
        &json!({ "max_wait": "1m" }),
    );
    assert_eq!(receipt["changed"], true);
    let pause = &admin.get("/v1/routes/chat")["pause"];
    assert_eq!(pause, &json!({ "max_wait": "1m", "max_waiting": 1_000 }));
    let (status, _) = admin.json(
        "POST",
        "/v1/routes/chat/pause",
        &json!({ "max_wait": "1h" }),
    );
    assert_eq!(status, 422);
    cli::run_ok(&admin, &["resume", "chat"]);
    assert_eq!(admin.get("/v1/routes/chat"), before);
    let said = cli::run_ok(&admin, &["resume", "chat"]);
    assert!(said.contains("nothing to change"), "{said}");
    cli::run_ok(
        &admin,
        &["pause", "chat", "--max-waiting", "0", "-m", "maintenance"],
    );
    assert_eq!(admin.get("/v1/routes/chat")["pause"]["max_waiting"], 0);
    cli::run_ok(&admin, &["rollback"]);
    assert_eq!(admin.get("/v1/routes/chat"), before);
    let (status, _) = admin.json("POST", "/v1/routes/none/pause", &json!({}));
    assert_eq!(status, 404);
}
