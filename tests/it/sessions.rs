//! Sessions: what identifies one, and that it stays whole while weights change.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use switchback::seal::{KeyRing, Label, Pin};

use crate::conformance::child::Switchback;
use crate::support::h2::{H2Client, block, read, request};
use crate::support::{Client, Origin, Response, SECRET, TestProxy, UPGRADE, reply, write};

/// A proxy whose one route has these lines, with `blue` and `green` at equal weights.
fn halves(blue: &Origin, green: &Origin, settings: &str, lines: &str) -> TestProxy {
    TestProxy::builder()
        .settings(settings)
        .release("blue", &[blue])
        .release("green", &[green])
        .route_with(
            "chat",
            &[("blue", 50), ("green", 50)],
            &format!("path_prefix = \"/\"\n{lines}"),
        )
        .start()
}

fn ask(client: &mut Client, path: &str, fields: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response()
}

/// True if each of many keys stays with its release, and both releases have some.
fn is_split_by_key(mut answer: impl FnMut(usize) -> String) -> bool {
    let first: Vec<_> = (0..40).map(&mut answer).collect();
    let is_stable = (0..5).all(|_| (0..40).map(&mut answer).eq(first.iter().cloned()));
    is_stable && first.iter().any(|name| *name != first[0])
}

#[test]
fn a_session_is_identified_by_what_the_route_says() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    for (source, path, fields) in [
        ("{ query = \"thread\" }", "/?a=b&thread=KEY", ""),
        ("\"bearer\"", "/", "Authorization: Bearer KEY\r\n"),
        (
            "{ mcp_param = \"thread\" }",
            "/",
            "Mcp-Param-Thread: KEY\r\n",
        ),
        (
            "\"client_address\"",
            "/",
            "X-Forwarded-For: 9.9.9.9, 10.0.0.KEY, 127.0.0.9\r\n",
        ),
    ] {
        let trusted = "trusted_proxies = [\"127.0.0.0/8\"]";
        let proxy = halves(&blue, &green, trusted, &format!("affinity = [{source}]"));
        let mut client = proxy.client();
        let by_key = is_split_by_key(|key| {
            let put = |text: &str| text.replace("KEY", &key.to_string());
            ask(&mut client, &put(path), &put(fields)).text()
        });
        assert!(by_key, "{source}");
    }
}

#[test]
fn the_address_that_a_stranger_claims_is_not_believed() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = halves(&blue, &green, "", "affinity = [\"client_address\"]");
    let mut client = proxy.client();
    let mut of = |key: usize| {
        ask(
            &mut client,
            "/",
            &format!("X-Forwarded-For: 10.0.0.{key}\r\n"),
        )
        .text()
    };
    let first = of(0);
    assert!(
        (1..60).all(|key| of(key) == first),
        "all come from one address"
    );
}

#[test]
fn a_client_without_a_key_gets_a_cookie_that_keeps_its_release() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let lines = "affinity = [{ header = \"x-user\" }, { generated_cookie = \"route\" }]";
    let proxy = halves(&blue, &green, "", lines);
    let mut client = proxy.client();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let first = ask(&mut client, "/", "");
        let cookie = first.value("set-cookie").unwrap().to_owned();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
        assert!(seen.insert(pair.to_owned()), "{pair} was given twice");
        for _ in 0..5 {
            let again = ask(&mut client, "/", &format!("Cookie: a=b; {pair}\r\n"));
            assert_eq!(
                (again.text(), again.value("set-cookie")),
                (first.text(), None)
            );
        }
    }
    let known = ask(&mut client, "/", "X-User: 7\r\n");
    assert_eq!(
        known.value("set-cookie"),
        None,
        "another source has the key"
    );
}

#[test]
fn a_generated_cookie_is_secure_where_the_client_uses_tls() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let lines = "affinity = [{ generated_cookie = \"route\" }]";
    let https = "X-Forwarded-Proto: https\r\n";
    for (settings, is_secure) in [("trusted_proxies = [\"127.0.0.1\"]", true), ("", false)] {
        let proxy = halves(&blue, &green, settings, lines);
        let answer = ask(&mut proxy.client(), "/", https);
        let cookie = answer.value("set-cookie").unwrap();
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
    }
}

// === pins ===

/// An endpoint of agents: a request without a session gets an id of its own, one with an id of another endpoint a 404.
/// The id is in a header field and in a cookie, and the body is the name and the id as the endpoint knows it.
fn agent(name: &'static str) -> Origin {
    let minted = Mutex::new(HashSet::new());
    Origin::answering(move |request| {
        let cookie = request.value("cookie").unwrap_or_default();
        let cookie = cookie
            .split("; ")
            .find_map(|pair| pair.strip_prefix("agent_sid="));
        let id = request.value("mcp-session-id").or(cookie);
        let mut minted = minted.lock().unwrap();
        let (status, id) = match id {
            None => {
                let id = format!("{name}/{}", minted.len());
                minted.insert(id.clone());
                (200, id)
            }
            Some(id) if minted.contains(id) => (200, id.to_owned()),
            Some(id) => (404, id.to_owned()),
        };
        let fields = format!(
            "Mcp-Session-Id: {id}\r\nSet-Cookie: a=b\r\nSet-Cookie: agent_sid={id}; Path=/; HttpOnly\r\n"
        );
        reply(status, &fields, &format!("{name} {id}"))
    })
}

const PINS: &str =
    "path_prefix = \"/\"\npins = [{ header = \"mcp-session-id\" }, { cookie = \"agent_sid\" }]";

/// The fields of the next request of a session that began with this response: by the header field or by the cookie.
fn session(response: &Response, by_cookie: bool) -> String {
    if by_cookie {
        let cookies = response.values("set-cookie");
        let sealed = cookies
            .iter()
            .find_map(|cookie| cookie.strip_prefix("agent_sid="));
        let (sealed, attributes) = sealed.unwrap().split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly");
        format!("Cookie: x=y; agent_sid={sealed}; z\r\n")
    } else {
        format!(
            "Mcp-Session-Id: {}\r\n",
            response.value("mcp-session-id").unwrap()
        )
    }
}

fn set_split(proxy: &TestProxy, blue: u32, green: u32) {
    let change = serde_json::json!({"kind": "set_split", "route": "chat", "weights": {"blue": blue, "green": green}});
    proxy.change(&serde_json::from_value(change).unwrap());
}

#[test]
fn sessions_of_an_id_that_the_server_mints_stay_whole() {
    let agents = ["blue-1", "blue-2", "green-1", "green-2"].map(agent);
    for (blue, green) in [(95, 5), (50, 50)] {
        let proxy = TestProxy::builder()
            .release("blue", &[&agents[0], &agents[1]])
            .release("green", &[&agents[2], &agents[3]])
            .route_with("chat", &[("blue", blue), ("green", green)], PINS)
            .start();
        let mut client = proxy.client();
        let begun: Vec<_> = (0..300).map(|_| ask(&mut client, "/", "")).collect();
        // Every weight moves, and the way back too.
        set_split(&proxy, 0, 1);
        let mut answers = Vec::new();
        for (number, first) in begun.iter().enumerate() {
            assert_eq!(first.status, 200);
            let sealed = first.value("mcp-session-id").unwrap();
            assert!(
                sealed.starts_with("sb1.") && !sealed.contains("blue"),
                "{sealed}"
            );
            let again = ask(&mut client, "/", &session(first, number % 2 == 0));
            answers.push((again.status, again.text() == first.text()));
            assert_eq!(
                again.value("mcp-session-id"),
                Some(sealed),
                "an id keeps its text"
            );
        }
        assert_eq!(
            answers
                .iter()
                .filter(|(status, same)| (*status, *same) != (200, true))
                .count(),
            0
        );
        let releases: HashSet<_> = begun
            .iter()
            .map(|first| first.text()[..6].to_owned())
            .collect();
        assert!(
            releases.len() >= 3,
            "all kinds of sessions were there: {releases:?}"
        );
        let new = ask(&mut client, "/", "");
        assert!(
            new.text().starts_with("green"),
            "a new session follows the split"
        );
    }
}

#[test]
fn the_endpoint_sees_its_own_id_and_other_values_as_they_are() {
    let blue = agent("blue");
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .route_with("chat", &[("blue", 1)], PINS)
        .start();
    let mut client = proxy.client();
    let first = ask(&mut client, "/", "");
    let fields = session(&first, true);
    ask(&mut client, "/", &fields);
    assert_eq!(
        blue.last().value("cookie"),
        Some("x=y; agent_sid=blue/0; z")
    );
    ask(
        &mut client,
        "/",
        &format!(
            "{}Mcp-Protocol-Version: 1\r\nCookie: p=q\r\n",
            session(&first, false)
        ),
    );
    assert_eq!(blue.last().value("mcp-session-id"), Some("blue/0"));
    assert_eq!(blue.last().value("mcp-protocol-version"), Some("1"));
    assert_eq!(blue.last().value("cookie"), Some("p=q"));
    let sealed = first.value("mcp-session-id").unwrap();
    let altered = format!(
        "{}{}",
        &sealed[..sealed.len() - 1],
        if sealed.ends_with('A') { 'B' } else { 'A' }
    );
    for other in ["plain-id", "sb1.", &altered] {
        ask(&mut client, "/", &format!("Mcp-Session-Id: {other}\r\n"));
        assert_eq!(blue.last().value("mcp-session-id"), Some(other));
    }
    let swapped = sealed.to_owned();
    ask(
        &mut client,
        "/",
        &format!("Cookie: agent_sid={swapped}\r\n"),
    );
    let cookie = format!("agent_sid={swapped}");
    assert_eq!(
        blue.last().value("cookie"),
        Some(&cookie[..]),
        "a seal of another field"
    );
}

#[test]
fn the_reason_of_a_pinned_request_is_in_the_access_log() {
    let (blue, green) = (agent("blue"), agent("green"));
    let proxy = halves(&blue, &green, "", &PINS[PINS.find('\n').unwrap()..]);
    let mut client = proxy.client();
    let first = ask(&mut client, "/", "");
    ask(&mut client, "/", &session(&first, false));
    let lines = proxy.access_lines(2);
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| line["decision"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["split", "pin"]);
    assert_eq!(lines[0]["release"], lines[1]["release"]);
}

#[test]
fn pins_outlive_the_proxy_and_hold_on_every_node_with_the_same_keys() {
    let agents = ["blue-1", "blue-2", "green-1"].map(agent);
    let node = |secrets: &[&str]| {
        TestProxy::builder()
            .secrets(secrets)
            .release("blue", &[&agents[0], &agents[1]])
            .release("green", &[&agents[2]])
            .route_with("chat", &[("blue", 50), ("green", 50)], PINS)
            .start()
    };
    let (old, new) = ("o".repeat(40), "n".repeat(40));
    let begun: Vec<_> = {
        let proxy = node(&[&old]);
        let mut client = proxy.client();
        (0..60).map(|_| ask(&mut client, "/", "")).collect()
    };
    let kept = |secrets: &[&str]| {
        let proxy = node(secrets);
        let mut client = proxy.client();
        let same = begun.iter().filter(|first| {
            let again = ask(&mut client, "/", &session(first, false));
            (again.status, again.text()) == (200, first.text())
        });
        same.count()
    };
    assert_eq!(kept(&[&old]), 60, "after a restart");
    assert_eq!(kept(&[&new, &old]), 60, "after a rotation");
    assert_eq!(kept(&[&new]), 0, "without the key");
}

#[test]
fn a_pin_that_is_too_old_is_not_followed_and_its_id_is_opened() {
    let (blue, green) = (agent("blue"), agent("green"));
    let proxy = TestProxy::builder()
        .settings("[sessions]\nmax_age = \"1h\"")
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route_with("chat", &[("blue", 0), ("green", 1)], PINS)
        .start();
    let table = proxy.cell.load();
    let route = table.compiled().routes().get(0).unwrap();
    let ring = KeyRing::new(&[SECRET]).unwrap().unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let sealed = |age: u64, release: u64| {
        let issued = u32::try_from(now - age).unwrap();
        let pin = Pin {
            issued,
            release,
            endpoint: blue.address(),
            id: b"the-id",
        };
        let label = Label::pin_header("mcp-session-id");
        pin.seal(&ring, &label).unwrap().as_str().to_owned()
    };
    let identity = route.split().entry("blue").unwrap().identity();
    let mut client = proxy.client();
    for (text, name) in [
        (sealed(3_000, identity), "blue the-id"),
        (sealed(4_000, identity), "green the-id"),
        (sealed(0, identity + 1), "green the-id"),
    ] {
        let answer = ask(&mut client, "/", &format!("Mcp-Session-Id: {text}\r\n"));
        assert_eq!(answer.text(), name);
    }
}

#[test]
fn a_session_whose_endpoint_is_gone_goes_where_the_route_says() {
    for (lost, status) in [("another", None), ("404", Some(404)), ("503", Some(503))] {
        let agents = ["blue-1", "blue-2", "green"].map(agent);
        let proxy = TestProxy::builder()
            .release("blue", &[&agents[0], &agents[1]])
            .release("green", &[&agents[2]])
            .route_with(
                "chat",
                &[("blue", 1), ("green", 0)],
                &format!("{PINS}\npin_lost = \"{lost}\""),
            )
            .start();
        let mut client = proxy.client();
        let begun: Vec<_> = (0..20).map(|_| ask(&mut client, "/", "")).collect();
        let gone = agents[0].address();
        let stays: Vec<_> = proxy
            .roster("blue")
            .endpoints()
            .iter()
            .filter(|endpoint| endpoint.address() != gone)
            .map(|endpoint| (endpoint.spec(), endpoint.address()))
            .collect();
        proxy.roster("blue").set(&stays);
        set_split(&proxy, 0, 1);
        proxy.roster("blue").set(&stays);
        for first in &begun {
            let again = ask(&mut client, "/", &session(first, false));
            if first.text().starts_with("blue-2") {
                assert_eq!((again.status, again.text()), (200, first.text()));
            } else if let Some(status) = status {
                assert_eq!(again.status, status, "{lost}");
                assert_eq!(again.value("x-switchback-reason"), Some("pin_lost"));
            } else {
                assert!(
                    again.text().starts_with("blue-2 "),
                    "the same release: {}",
                    again.text()
                );
            }
        }
        assert!(begun.iter().any(|first| first.text().starts_with("blue-1")));
    }
}

#[test]
fn a_client_of_http2_and_a_websocket_follow_their_pins() {
    let (blue, green) = (agent("blue"), agent("green"));
    let proxy = halves(&blue, &green, "", &PINS[PINS.find('\n').unwrap()..]);
    let mut begun = proxy.client();
    let begun: Vec<_> = (0..20).map(|_| ask(&mut begun, "/", "")).collect();
    set_split(&proxy, 1, 0);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for first in &begun {
            let sealed = session(first, true);
            let (name, value) = sealed.trim().split_once(": ").unwrap();
            let mut asked = request("GET", "/");
            for crumb in value.split("; ") {
                asked.headers_mut().append("cookie", crumb.parse().unwrap());
            }
            assert_eq!(name, "Cookie");
            let (answer, _) = client.open(asked, true).await;
            let answer = read(answer.await.unwrap()).await.unwrap();
            assert_eq!(answer.text(), first.text());
        }
    });
    for first in &begun {
        let mut client = proxy.client();
        let session = session(first, false);
        client.send(format!("{}\r\n{session}\r\n", UPGRADE.trim_end()));
        assert_eq!(
            client.response().text(),
            first.text(),
            "the handshake reached its release"
        );
    }
}

/// A switchback in a process of its own, with this key.
fn node(agents: [&Origin; 2], key: &str, variables: &[(&str, &str)]) -> Switchback {
    let [blue, green] = agents.map(Origin::url);
    let rest = format!(
        "workers = 1\nsessions = {{ keys = [{key}] }}\n[releases.blue]\nendpoints = [{blue:?}]\n\
         [releases.green]\nendpoints = [{green:?}]\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 1, green = 1 }}\n{PINS}\n"
    );
    Switchback::start_with(variables, &[""], &rest)
}

#[test]
fn two_proxies_with_one_key_agree_on_their_pins() {
    let (blue, green) = (agent("blue"), agent("green"));
    let secret = "one-key-of-all-the-nodes-of-a-fleet";
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), format!("{secret}\n"));
    let by_file = format!("{{ file = {:?} }}", file.path());
    let by_env = "{ env = \"SESSION_KEY_OF_A_TEST\" }";
    let variables = [("SESSION_KEY_OF_A_TEST", secret)];
    let nodes = [
        node([&blue, &green], &by_file, &[]),
        node([&blue, &green], by_env, &variables),
    ];
    let [mut one, mut two] = [0, 1].map(|node: usize| Client::connect(nodes[node].listeners[0]));
    for turn in 0..40 {
        let first = ask(&mut one, "/", "");
        let again = ask(&mut two, "/", &session(&first, turn % 2 == 0));
        assert_eq!((again.status, again.text()), (200, first.text()));
    }
}
