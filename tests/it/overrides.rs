//! Overrides: requests that choose their release, by a preview token or by name.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use switchback::model::{DecisionReason, OutcomeClass};
use switchback::seal::{KeyRing, Label, Preview};
use switchback::stats::CellSnapshot;

use crate::support::{Client, Origin, Response, SECRET, Served, TestAdmin, TestProxy, cli};

fn proxy(blue: &Origin, green: &Origin, lines: &str) -> TestProxy {
    TestProxy::builder()
        .release("blue", &[blue])
        .release("green", &[green])
        .route_with(
            "chat",
            &[("blue", 1), ("green", 0)],
            &format!("path_prefix = \"/\"\n{lines}"),
        )
        .start()
}

fn ask(client: &mut Client, fields: &str) -> Response {
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response()
}

fn choosing(release: &str) -> String {
    format!("x-switchback-release: {release}\r\n")
}

/// A token for a route that expires this many seconds from now.
fn token(secret: &str, route: &str, release: &str, seconds: i64) -> String {
    let ring = KeyRing::new(&[secret]).unwrap().unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expires = now.saturating_add_signed(seconds);
    let sealed = Preview { expires, release }.seal(&ring, &Label::preview(route));
    sealed.unwrap().as_str().to_owned()
}

fn statistics(proxy: &TestProxy, release: &str) -> CellSnapshot {
    let mut found = CellSnapshot::default();
    proxy.fleet.each_cells(|(_, name, _), cells| {
        if name.as_str() == release {
            found.add(&cells.snapshot());
        }
    });
    found
}

#[test]
fn a_token_of_the_api_reaches_its_release_at_weight_0_on_any_listener() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = proxy(&blue, &green, "");
    let admin = TestAdmin::start();
    let made = admin.done(
        "POST",
        "/v1/routes/chat/preview",
        &json!({"release": "green", "for": "1h"}),
    );
    assert_eq!(
        (&made["header"], &made["release"]),
        (&json!("x-switchback-release"), &json!("green"))
    );
    let mut client = proxy.client();
    let token = made["token"].as_str().unwrap();
    assert_eq!(ask(&mut client, &choosing(token)).text(), "green");
    assert_eq!(
        green.last().value("x-switchback-release"),
        None,
        "the endpoint does not see it"
    );
    assert_eq!(ask(&mut client, "").text(), "blue");
}

#[test]
fn the_command_line_prints_the_token_and_a_command_that_uses_it() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = proxy(&blue, &green, "");
    let admin = TestAdmin::start();
    let said = cli::run_ok(&admin, &["preview", "chat", "green", "--for", "10m"]);
    let (token, rest) = said.split_once('\n').unwrap();
    assert!(
        rest.contains(&format!("curl -H 'x-switchback-release: {token}' 'http://")),
        "{said}"
    );
    assert_eq!(ask(&mut proxy.client(), &choosing(token)).text(), "green");
    let (_, wrong) = cli::run_failing(&admin, &["preview", "chat", "gren"]);
    assert!(wrong.contains("did you mean `green`?"), "{wrong}");
    let (_, wrong) = cli::run_failing(&admin, &["preview", "chat", "green", "--for", "31d"]);
    assert!(wrong.contains("a token holds for 1s to 30d"), "{wrong}");
}

#[test]
fn the_answer_names_a_listener_of_the_proxy_as_this_machine_reaches_it() {
    let served = Served::start(
        "[releases.blue]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\nname = \"chat\"\nsplit = { blue = 1 }\n",
    );
    let ask = json!({ "release": "blue", "for": "1h" });
    let (status, made) = served.admin("POST", "/v1/routes/chat/preview", &ask);
    assert_eq!(status, 200, "{made}");
    let listener = served.running.listeners()[0];
    assert_eq!(made["listener"], json!(format!("http://{listener}")));
}

#[test]
fn a_token_that_is_not_valid_is_refused_and_not_split() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = proxy(&blue, &green, "overrides = \"plain\"");
    let mut client = proxy.client();
    let good = token(SECRET, "chat", "green", 60);
    assert_eq!(ask(&mut client, &choosing(&good)).text(), "green");
    for wrong in [
        token(SECRET, "chat", "green", 0),
        token(SECRET, "search", "green", 60),
        token(&"x".repeat(40), "chat", "green", 60),
        good[..good.len() - 4].to_owned(),
        "sb1.".to_owned(),
    ] {
        let answer = ask(&mut client, &choosing(&wrong));
        assert_eq!(
            (answer.status, answer.value("x-switchback-reason")),
            (403, Some("override_refused"))
        );
    }
    let gone = ask(&mut client, &choosing(&token(SECRET, "chat", "red", 60)));
    assert_eq!(
        (gone.status, gone.value("x-switchback-reason")),
        (404, Some("unknown_release"))
    );
}

#[test]
fn a_name_is_enough_where_the_route_says_so() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    for (lines, name) in [
        ("", "blue"),
        ("overrides = \"token\"", "blue"),
        ("overrides = \"plain\"", "green"),
    ] {
        let proxy = proxy(&blue, &green, lines);
        assert_eq!(
            ask(&mut proxy.client(), &choosing("green")).text(),
            name,
            "{lines}"
        );
    }
}

#[test]
fn overridden_requests_are_in_no_statistics_of_the_release() {
    let blue = Origin::replying("blue");
    let green = Origin::answering(|_| b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = proxy(&blue, &green, "");
    let mut client = proxy.client();
    for _ in 0..5 {
        ask(&mut client, &choosing(&token(SECRET, "chat", "green", 60)));
    }
    ask(&mut client, "");
    proxy.access_lines(6);
    let seen = statistics(&proxy, "green");
    assert_eq!(seen.requests(), 0);
    assert_eq!(seen.decisions.overridden[OutcomeClass::Failure.index()], 5);
    assert_eq!(seen.duration, CellSnapshot::default().duration);
    assert_eq!(seen.decisions.of_reason(DecisionReason::Override, 0), 5);
    let blue = statistics(&proxy, "blue");
    assert_eq!(
        (
            blue.requests(),
            blue.decisions.of_reason(DecisionReason::Split, 1)
        ),
        (1, 1)
    );
}

#[test]
fn an_override_comes_before_a_pin_and_a_pin_before_the_split() {
    let minting = |name: &'static str| {
        Origin::answering(move |_| {
            let length = name.len();
            format!("HTTP/1.1 200 OK\r\nX-Sid: {name}-id\r\nContent-Length: {length}\r\n\r\n{name}")
                .into_bytes()
        })
    };
    let (blue, green) = (minting("blue"), minting("green"));
    let proxy = proxy(
        &blue,
        &green,
        "pins = [{ header = \"x-sid\" }]\nexpose_decision = true",
    );
    let mut client = proxy.client();
    let first = ask(&mut client, "");
    let pinned = format!("X-Sid: {}\r\n", first.value("x-sid").unwrap());
    proxy.switch("chat", "green");
    let decision = |answer: &Response| answer.value("x-switchback-decision").unwrap().to_owned();
    assert_eq!(decision(&first), "blue; reason=split; revision=1");
    assert_eq!(
        decision(&ask(&mut client, &pinned)),
        "blue; reason=pin; revision=2"
    );
    assert_eq!(
        decision(&ask(&mut client, "")),
        "green; reason=split; revision=2"
    );
    let both = format!("{pinned}{}", choosing(&token(SECRET, "chat", "green", 60)));
    let overridden = ask(&mut client, &both);
    assert_eq!(decision(&overridden), "green; reason=override; revision=2");
    assert_eq!(
        green.last().value("x-sid"),
        Some("blue-id"),
        "the id is opened all the same"
    );
    let lines = proxy.access_lines(4);
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| line["decision"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["split", "pin", "split", "override"]);
    let blue = statistics(&proxy, "blue");
    let count = |reason| blue.decisions.of_reason(reason, blue.requests());
    assert_eq!(
        (count(DecisionReason::Split), count(DecisionReason::Pin)),
        (1, 1)
    );
}
