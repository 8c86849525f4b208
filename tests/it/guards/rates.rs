//! Rate limits by key.

use switchback::fleet::RateLimitOf;
use switchback::model::RateLimitSpec;
use switchback::stats::CellSnapshot;

use super::{change_route, get_with, guarded, reason, roll_back};
use crate::support::h2::{H2Client, block, read, request};
use crate::support::{Origin, TestProxy};

/// Three requests at once for each user, and no further one within the test.
const BY_USER: &str =
    r#"rate_limit = { rate = "1/h", burst = 3, key = [{ header = "x-user" }, "client_address"] }"#;

fn by(user: &str) -> String {
    format!("X-User: {user}\r\n")
}

#[test]
fn one_request_too_many_is_429_with_the_time_to_wait_over_either_protocol_and_on_any_worker() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::builder()
        .workers(2)
        .release("blue", &[&origin])
        .route_with("all", &[("blue", 1)], BY_USER)
        .start();
    let user = by("ada");
    for _ in 0..3 {
        assert_eq!(get_with(&mut proxy.client(), &user).status, 200);
    }
    let mut client = proxy.client();
    let refused = get_with(&mut client, &user);
    assert_eq!(reason(&refused), (429, Some("rate_limited")));
    let wait: u64 = refused.value("retry-after").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    assert!(refused.text().contains(r#""reason":"rate_limited""#));
    assert_eq!(
        get_with(&mut client, &by("bob")).status,
        200,
        "another user"
    );
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let (mut parts, ()) = request("GET", "/").into_parts();
        parts.headers.insert("x-user", "ada".parse().unwrap());
        let asked = http::Request::from_parts(parts, ());
        let (answer, _) = client.open(asked, true).await;
        let answer = read(answer.await.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 429);
        assert!(answer.value("retry-after").is_some());
    });
    // Without the first source the second one is the key.
    for expected in [200, 200, 200, 429] {
        assert_eq!(proxy.client().get("/").status, expected);
    }
    assert_eq!(origin.requests().len(), 7);
}

#[test]
fn what_a_limit_refuses_is_apart_from_what_releases_answer() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, BY_USER);
    let mut client = proxy.client();
    for _ in 0..10 {
        get_with(&mut client, &by("ada"));
    }
    let lines = proxy.access_lines(10);
    let refused = lines.iter().filter(|line| line["outcome"] == "refused");
    assert_eq!(refused.clone().count(), 7);
    assert!(
        refused
            .into_iter()
            .all(|line| line["error"] == "rate_limited")
    );
    let mut counted = CellSnapshot::default();
    (proxy.fleet).each_cells(|_, cells| counted.add(&cells.snapshot()));
    assert_eq!((counted.requests(), counted.failures()), (3, 0));
}

#[test]
fn a_limit_that_stays_keeps_its_buckets_over_changes_and_a_rollback_takes_it_back() {
    let origin = Origin::replying("x");
    let proxy = guarded(&origin, "");
    let mut client = proxy.client();
    let mut status = || get_with(&mut client, &by("ada")).status;
    let limit: toml::Table = toml::from_str(BY_USER).unwrap();
    let limit: RateLimitSpec = limit["rate_limit"].clone().try_into().unwrap();
    change_route(&proxy, |route| {
        route.rate_limit = Some(limit.clone());
    });
    assert_eq!(
        [status(), status(), status(), status()],
        [200, 200, 200, 429]
    );
    change_route(&proxy, |route| route.expose_decision = true);
    assert_eq!(status(), 429, "another key of the route has changed");
    change_route(&proxy, |route| {
        route.rate_limit.as_mut().unwrap().burst = Some(4);
    });
    assert_eq!(status(), 200, "another limit begins with full buckets");
    roll_back(&proxy);
    assert_eq!(status(), 429, "the limit before, as it was");
    roll_back(&proxy);
    roll_back(&proxy);
    assert_eq!(status(), 200, "no limit");
}

#[test]
fn a_flood_of_keys_takes_no_memory_and_locks_nobody_out() {
    let origin = Origin::replying("x");
    let proxy = guarded(
        &origin,
        r#"rate_limit = { rate = "1/h", burst = 2, key = [{ header = "x-user" }], max_keys = 1024 }"#,
    );
    let mut client = proxy.client();
    for number in 0..3_000 {
        assert_eq!(get_with(&mut client, &by(&number.to_string())).status, 200);
    }
    assert_eq!(get_with(&mut client, &by("ada")).status, 200);
    let route = "all".parse().unwrap();
    let live = proxy.cell.load();
    let state = live.state();
    let spec = state
        .spec
        .routes()
        .get(0)
        .unwrap()
        .rate_limit
        .clone()
        .unwrap();
    let buckets = (proxy.fleet).rate_buckets(&route, RateLimitOf::Requests, &spec);
    assert_eq!(buckets.places(), 1_024);
    // A few keys may share a bucket with another one.
    assert!(buckets.evicted() >= 1_900, "{}", buckets.evicted());
}

#[test]
fn requests_without_a_key_have_one_bucket_and_an_agent_gets_the_error_of_its_protocol() {
    let origin = Origin::replying("x");
    let proxy = guarded(
        &origin,
        "agent_protocol = \"mcp\"\nrate_limit = { rate = \"1/h\", burst = 1, key = [\"bearer\"] }",
    );
    assert_eq!(proxy.client().get("/").status, 200);
    let refused = proxy.client().get("/");
    assert_eq!(refused.status, 429);
    let error: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(error["jsonrpc"], "2.0");
    assert_eq!(error["error"]["data"]["reason"], "rate_limited");
    let with_key = get_with(&mut proxy.client(), "Authorization: Bearer x\r\n");
    assert_eq!(with_key.status, 200);
}
