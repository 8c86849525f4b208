//! Feedback of users: from the stamp of an answer to the counts of the release that gave it, and to its rollback.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Client, Origin, Response, Served, cli, reply, wait_until};

/// A switchback whose answers carry stamps, with a listener for feedback.
struct Bench {
    served: Served,
    _origins: [Origin; 2],
}

impl Bench {
    fn start(settings: &str) -> Self {
        // An agent cannot make a stamp itself.
        let origin = |name: &'static str| {
            Origin::answering(move |_| reply(200, "X-Switchback-Stamp: mine\r\n", name))
        };
        let origins = [origin("blue"), origin("green")];
        let [blue, green] = origins.each_ref().map(Origin::url);
        let served = Served::start(&format!(
            "[feedback]\naddress = \"127.0.0.1:0\"\n{settings}\n\
             [releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nexpose_release = \"sealed\"\nsplit = {{ blue = 100, green = 0 }}\n\
             [[routes]]\nname = \"tools\"\npath_prefix = \"/tools\"\nexpose_release = \"sealed\"\nsplit = {{ green = 1 }}\n\
             [[routes]]\nname = \"plain\"\npath_prefix = \"/plain\"\nsplit = {{ blue = 1 }}\n"
        ));
        Self {
            served,
            _origins: origins,
        }
    }

    /// The stamp of an answer, and the answer.
    fn answer(&self, path: &str) -> (String, String) {
        let response = self.served.client().get(path);
        let stamps = response.values("x-switchback-stamp");
        assert_eq!(stamps.len(), 1, "{}", response.head);
        (stamps[0].to_owned(), response.text())
    }

    fn listener(&self) -> SocketAddr {
        self.served.running.feedback().unwrap()
    }

    fn post(&self, body: &str) -> Response {
        let address = self.listener();
        let mut client = Client::connect(address);
        client.send(format!(
            "POST /v1/feedback HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        client.response()
    }

    /// Status of feedback on the listener, and the body.
    fn give(&self, body: &Value) -> (u16, Value) {
        let response = self.post(&body.to_string());
        let body = serde_json::from_slice(&response.body).unwrap();
        (response.status, body)
    }

    fn counts(&self) -> Value {
        let (_, list) = self.served.admin("GET", "/v1/feedback", &Value::Null);
        list["feedback"].clone()
    }
}

fn kind(refusal: &Value) -> &str {
    refusal["type"]
        .as_str()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
}

#[test]
fn an_opinion_is_counted_once_at_the_release_that_gave_the_answer() {
    let bench = Bench::start("labels = { wrong = \"negative\", \"well said\" = \"positive\" }");
    let (stamp, answer) = bench.answer("/");
    assert!(stamp.starts_with("sb1.") && answer == "blue", "{stamp}");
    let down = json!({ "stamp": stamp, "thumb": "down" });
    assert_eq!(bench.give(&down), (200, json!({ "counted": true })));
    assert_eq!(bench.give(&down), (200, json!({ "counted": false })));
    // The release has left, and the answer was still its.
    bench
        .served
        .done("POST", "/v1/routes/chat/switch", &json!({ "to": "green" }));
    for (path, said) in [("/", json!(0.5)), ("/tools", json!(0))] {
        let (stamp, _) = bench.answer(path);
        let (status, receipt) = bench.give(&json!({ "stamp": stamp, "score": said }));
        assert_eq!((status, &receipt["counted"]), (200, &json!(true)));
    }
    for label in ["wrong", "well said"] {
        let (stamp, _) = bench.answer("/tools");
        let said = json!({ "stamp": stamp, "label": label });
        let (status, receipt) = bench.served.admin("POST", "/v1/feedback", &said);
        assert_eq!(status, 200, "{receipt}");
        assert_eq!(receipt["answer"]["release"], "green", "operators see it");
    }
    let entry = |route: &str, release: &str, counts: [u64; 3], score: f64| {
        let version = if release == "blue" { "1" } else { "2" };
        let [positive, neutral, negative] = counts;
        json!({ "route": route, "release": release, "version": version, "positive": positive,
            "neutral": neutral, "negative": negative, "score": score })
    };
    let expected = json!([
        entry("chat", "blue", [0, 0, 1], -1.0),
        entry("chat", "green", [1, 0, 0], 0.5),
        entry("tools", "green", [1, 1, 1], 0.0),
    ]);
    assert_eq!(bench.counts(), expected);
    for (family, line) in [
        ("switchback_feedback_total", "chat blue 1 negative 1"),
        ("switchback_feedback_total", "tools green 2 neutral 1"),
        ("switchback_feedback_score", "chat green 2 0.5"),
        // It counts for the process, which has other tests as well.
        ("switchback_feedback_refused_total", "repeated "),
    ] {
        let found = bench.served.counters(family);
        let is_there = found.iter().any(|one| one.starts_with(line));
        assert!(is_there, "{family}: {found:?}");
    }
}

/// A token by which a request names green.
fn preview(bench: &Bench) -> String {
    let wanted = json!({ "release": "green", "for": "1h" });
    let token = bench
        .served
        .done("POST", "/v1/routes/chat/preview", &wanted);
    token["token"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_no_stamp_of_ours_counts_nothing() {
    let bench = Bench::start("rate = 10000\nper_client = 10000");
    let (stamp, _) = bench.answer("/");
    let mut forged = stamp.clone().into_bytes();
    let last = forged.len() - 3;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for wrong in [
        forged,
        preview(&bench),
        "mine".to_owned(),
        String::new(),
        "sb1.".repeat(600),
    ] {
        let (status, refusal) = bench.give(&json!({ "stamp": wrong, "thumb": "down" }));
        assert_eq!((status, kind(&refusal)), (403, "forged-stamp"), "{refusal}");
    }
    for (said, status) in [
        (json!({ "stamp": stamp }), 422),
        (json!({ "stamp": stamp, "thumb": "up", "score": 1 }), 422),
        (json!({ "stamp": stamp, "score": 1.5 }), 422),
        (json!({ "stamp": stamp, "label": "wrong" }), 404),
        (json!({ "stamp": stamp, "thumb": "sideways" }), 422),
        (json!({ "thumb": "up" }), 422),
        (
            json!({ "stamp": stamp, "thumb": "up", "route": "tools" }),
            422,
        ),
    ] {
        let (found, refusal) = bench.give(&said);
        assert_eq!(found, status, "{said}: {refusal}");
    }
    let long = json!({ "stamp": stamp, "label": "x".repeat(5_000) });
    assert_eq!(bench.post(&long.to_string()).status, 413);
    assert_eq!(bench.counts(), json!([]));
    // The listener serves nothing else.
    let mut client = Client::connect(bench.listener());
    assert_eq!(client.get("/v1/status").status, 404);
    assert_eq!(
        Client::connect(bench.listener()).get("/v1/feedback").status,
        405
    );
}

#[test]
fn only_answers_of_a_route_that_asks_for_it_are_stamped_and_no_previews() {
    let bench = Bench::start("");
    // None but a route that asks for it stamps answers, and none of those that were asked for by name.
    let plain = bench.served.client().get("/plain");
    assert!(
        plain.values("x-switchback-stamp").is_empty(),
        "{}",
        plain.head
    );
    let mut client = bench.served.client();
    let token = preview(&bench);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Switchback-Release: {token}\r\n\r\n"
    ));
    let previewed = client.response();
    assert_eq!(previewed.text(), "green");
    assert!(
        previewed.values("x-switchback-stamp").is_empty(),
        "{}",
        previewed.head
    );
}

#[test]
fn a_stamp_expires() {
    let bench = Bench::start("valid_for = \"1s\"\nrate = 10000\nper_client = 10000");
    let (stamp, _) = bench.answer("/");
    let said = json!({ "stamp": stamp, "thumb": "down" });
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (status, answer) = bench.give(&said);
        if status == 410 {
            assert_eq!(kind(&answer), "expired-stamp");
            break;
        }
        assert_eq!(status, 200, "{answer}");
        assert!(Instant::now() < end, "{answer}");
    }
}

#[test]
fn a_flood_of_feedback_is_refused_and_others_are_not() {
    let bench = Bench::start("per_client = 1");
    let flood = json!({ "stamp": "mine", "thumb": "down" });
    let first: Vec<u16> = (0..5).map(|_| bench.give(&flood).0).collect();
    assert_eq!(first, [403; 5], "as many as that at once");
    let refused = (0..1_000).map(|_| bench.post(&flood.to_string()));
    let refused = refused.into_iter().find(|answer| answer.status == 429);
    let refused = refused.expect("a client has one a second");
    assert_eq!(refused.value("retry-after"), Some("1"));
    let (stamp, _) = bench.answer("/");
    let said = json!({ "stamp": stamp, "thumb": "up" });
    let (status, receipt) = bench.served.admin("POST", "/v1/feedback", &said);
    assert_eq!(
        (status, &receipt["counted"]),
        (200, &json!(true)),
        "{receipt}"
    );
}

#[test]
fn the_rate_of_all_clients_is_limited() {
    let bench = Bench::start("rate = 1\nper_client = 10000");
    let flood = json!({ "stamp": "mine", "thumb": "down" });
    assert!((0..1_000).any(|_| bench.give(&flood).0 == 429));
}

#[test]
fn a_release_that_users_dislike_is_taken_back_by_itself() {
    let bench = Bench::start("rate = 10000\nper_client = 10000");
    let plan = json!({ "steps": [{ "weight": 50, "hold": "10m" }, { "weight": 100 }] });
    let rollout = json!({ "route": "chat", "to": "green", "plan": plan });
    let (status, rollout) = bench.served.admin("POST", "/v1/rollouts", &rollout);
    assert_eq!(status, 201, "{rollout}");
    let path = format!("/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        for _ in 0..10 {
            let (stamp, answer) = bench.answer("/");
            let thumb = if answer == "green" { "down" } else { "up" };
            assert_eq!(
                bench.give(&json!({ "stamp": stamp, "thumb": thumb })).0,
                200
            );
        }
        let (_, rollout) = bench.served.admin("GET", &path, &Value::Null);
        if rollout["state"] == "rolled_back" {
            let metrics = rollout["verdict"]["metrics"].as_array().unwrap();
            let found = metrics
                .iter()
                .find(|one| one["name"] == "negative_feedback");
            assert_eq!(found.unwrap()["verdict"], "worse", "{rollout:#}");
            break;
        }
        assert!(Instant::now() < end, "{rollout:#}");
    }
    let (_, route) = bench.served.admin("GET", "/v1/routes/chat", &Value::Null);
    assert_eq!(route["split"], json!({ "blue": 100, "green": 0 }));
}

/// A route with two flags, of which `planner` has key figures.
fn with_flags(blue: &Origin) -> Served {
    let flag = |name: &str, kpis: bool| {
        format!(
            "[flags.{name}]\ntype = \"boolean\"\nvariants = {{ on = true, off = false }}\ndefault = \"off\"\n\
             kpis = {kpis}\nrules = [{{ split = {{ on = 50, off = 50 }} }}]\n"
        )
    };
    Served::start(&format!(
        "[feedback]\naddress = \"127.0.0.1:0\"\n{}{}[releases.blue]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"chat\"\nexpose_release = \"sealed\"\nsplit = {{ blue = 1 }}\n\
         affinity = [{{ header = \"x-user\" }}]\nflags = [\"plain\", \"planner\"]\n",
        flag("plain", false),
        flag("planner", true),
        blue.url()
    ))
}

/// The stamps of 24 users, and whether they were served with the variant `on`.
fn stamped(served: &Served, blue: &Origin) -> Vec<(String, bool)> {
    (0..24)
        .map(|user| {
            let mut client = served.client();
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX-User: u{user}\r\n\r\n"
            ));
            let stamp = client.response().values("x-switchback-stamp")[0].to_owned();
            (stamp, blue.last().value("x-flag-planner") == Some("true"))
        })
        .collect()
}

#[test]
fn an_opinion_counts_at_the_variants_that_its_answer_was_given_with() {
    let blue = Origin::replying("blue");
    let served = with_flags(&blue);
    let answers = stamped(&served, &blue);
    let on = answers.iter().filter(|(_, is_on)| *is_on).count();
    assert!((1..23).contains(&on), "{on} of 24");
    // Everybody has another variant by now than when it was served.
    served.done("POST", "/v1/flags/planner/off", &Value::Null);
    let give = |served: &Served, (stamp, is_on): &(String, bool)| {
        let said = json!({ "stamp": stamp, "thumb": if *is_on { "down" } else { "up" } });
        served.done("POST", "/v1/feedback", &said)["counted"] == true
    };
    let (last, before) = answers.split_last().unwrap();
    for answer in before {
        assert!(give(&served, answer));
        assert!(!give(&served, answer), "once");
    }
    let on = on - usize::from(last.1);
    let mut counted = served.counters("switchback_flag_feedback_total");
    counted.sort();
    let expected = [
        "planner off negative 0".to_owned(),
        "planner off neutral 0".to_owned(),
        format!("planner off positive {}", 23 - on),
        format!("planner on negative {on}"),
        "planner on neutral 0".to_owned(),
        "planner on positive 0".to_owned(),
    ];
    assert_eq!(counted, expected, "of the flag with key figures alone");
    let kpis = || served.done("GET", "/v1/flags/planner/kpis?window=5m", &Value::Null);
    let negative = |report: &Value| report["variants"][1]["kpis"]["feedback"]["negative"].clone();
    wait_until("a reading", || negative(&kpis()) == json!(on));
    let admin = format!("http://{}", served.running.admin());
    let shown = cli::program(
        &["flag", "kpis", "planner"],
        &[("SWITCHBACK_ADMIN", &admin)],
    );
    let line = format!("users said of on: 0 positive, 0 neutral, {on} negative\n");
    assert!(
        cli::stdout(&shown).contains(&line),
        "{}",
        cli::stdout(&shown)
    );
    // The stamp outlives the process.
    let served = served.restart();
    assert!(give(&served, last));
    let (variant, opinion) = if last.1 {
        ("on", "negative")
    } else {
        ("off", "positive")
    };
    let counted = served.counters("switchback_flag_feedback_total");
    assert!(
        counted.contains(&format!("planner {variant} {opinion} 1")),
        "{counted:?}"
    );
}
