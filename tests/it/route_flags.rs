//! Flags that a route hands to its endpoints: over every protocol, for the release that serves, and never forged.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use serde_json::{Value, json};
use switchback::config::{self, FileCheck};
use switchback::control::{Expected, RollbackTo};
use switchback::model::Change;
use switchback::server::{self, Options, Running};
use switchback::table::FlagContext;

use crate::controller_fixture::{author, change, folder};
use crate::support::h2::{H2Client, H2Origin, block, read, request, send};
use crate::support::{
    Client, Origin, Request, TestAdmin, TestProxy, TestProxyBuilder, UPGRADE, UPGRADED, cli,
    closed_address, reply,
};

const PLANNER: &str = "[flags.planner]\ntype = \"boolean\"\nvariants = { on = true, off = false }\ndefault = \"off\"\n";
const TINT: &str = "[flags.tint]\ntype = \"string\"\nvariants = { blue = \"of blue\", green = \"of green\" }\ndefault = \"blue\"\n\
    rules = [{ when = [{ attribute = \"release\", equals = \"green\" }], split = { green = 1 } }]\n";
const HANDED: &str = "flags = [\"planner\", \"tint\"]";

fn proxy(lines: &str) -> TestProxyBuilder {
    let on = format!("{PLANNER}rules = [{{ split = {{ on = 1 }} }}]\n{TINT}");
    let lines = format!("path_prefix = \"/\"\n{lines}");
    TestProxy::builder()
        .settings(&on)
        .route_with("chat", &[("blue", 1), ("green", 0)], &lines)
}

fn ask(client: &mut Client, fields: &str) -> String {
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response().text()
}

/// The fields of flags that an endpoint got.
fn seen(request: &Request) -> [Option<&str>; 2] {
    ["x-flag-planner", "x-flag-tint"].map(|name| request.value(name))
}

#[test]
fn an_endpoint_gets_the_flags_of_its_release_until_they_are_off_and_after_the_way_back() {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let proxy = proxy(HANDED)
        .release("blue", &[&blue])
        .release("green", &[&green])
        .start();
    let mut client = proxy.client();
    ask(&mut client, "");
    assert_eq!(seen(&blue.last()), [Some("true"), Some("of blue")]);
    proxy.switch("chat", "green");
    ask(&mut client, "");
    assert_eq!(seen(&green.last()), [Some("true"), Some("of green")]);
    proxy.change(&change(
        r#"{"kind":"set_flag_state","flag":"planner","state":"off"}"#,
    ));
    ask(&mut client, "");
    assert_eq!(seen(&green.last()), [Some("false"), Some("of green")]);
    proxy.rollback();
    ask(&mut client, "");
    assert_eq!(seen(&green.last()), [Some("true"), Some("of green")]);
    proxy.rollback();
    ask(&mut client, "");
    assert_eq!(seen(&blue.last()), [Some("true"), Some("of blue")]);
}

const FORGED: &str = "x-flag-planner: forged\r\nX-Flag-Tint: forged\r\nX-FLAG-OTHER: forged\r\nconnection: x-flag-tint\r\n\
    x-flags: mine\r\nbaggage: a=1;p, flag.tint=forged ,FLAG.other=forged\r\nBaggage: , b=2\r\n";

#[test]
fn nobody_forges_a_flag() {
    let origin = Origin::replying("x");
    let with = |lines: &str| {
        proxy(lines)
            .release("blue", &[&origin])
            .release("green", &[&origin])
            .start()
    };
    let plain = with(HANDED);
    ask(&mut plain.client(), FORGED);
    let got = origin.last();
    assert_eq!(seen(&got), [Some("true"), Some("of blue")]);
    assert_eq!(got.values("x-flag-other"), Vec::<&str>::new());
    assert_eq!(got.value("x-flags"), Some("mine"));
    assert_eq!(got.values("baggage").len(), 2, "it passes as it came");

    let with_baggage = with(&format!("{HANDED}\nflag_baggage = true"));
    ask(&mut with_baggage.client(), FORGED);
    let got = origin.last();
    assert_eq!(
        got.value("baggage"),
        Some("flag.planner=true,flag.tint=of%20blue,a=1;p,b=2")
    );
    assert_eq!(seen(&got), [Some("true"), Some("of blue")]);

    let without = with("");
    ask(&mut without.client(), FORGED);
    let got = origin.last();
    assert_eq!(
        seen(&got),
        [Some("forged"), None],
        "a nominated field is dropped"
    );
    assert_eq!(got.value("x-flag-other"), Some("forged"));
}

#[test]
fn baggage_keeps_both_limits_and_our_members_come_first() {
    let origin = Origin::replying("x");
    let proxy = proxy(&format!("{HANDED}\nflag_baggage = true"))
        .release("blue", &[&origin])
        .release("green", &[&origin])
        .settings("[limits]\nhead = \"64KiB\"")
        .start();
    let many: Vec<_> = (0..100).map(|number| format!("k{number}=v")).collect();
    ask(
        &mut proxy.client(),
        &format!("baggage: {}\r\n", many.join(",")),
    );
    let got = origin.last();
    let members: Vec<_> = got.value("baggage").unwrap().split(',').collect();
    assert_eq!(
        (members.len(), members[2], members[63]),
        (64, "k0=v", "k61=v")
    );
    let long = "x".repeat(8_120);
    let fields = format!("baggage: a={long}\r\nbaggage: b=2,c={long},d=3\r\n");
    ask(&mut proxy.client(), &fields);
    let got = origin.last();
    let value = got.value("baggage").unwrap();
    assert!(
        value.len() <= 8_192 && value.ends_with(",b=2,d=3"),
        "{}",
        value.len()
    );
    assert!(value.starts_with("flag.planner=true,flag.tint=of%20blue,a=xxx"));
}

#[test]
fn a_user_has_the_variant_that_an_application_has_that_asks_for_the_same_key() {
    let origin = Origin::replying("x");
    let half = format!("{PLANNER}rules = [{{ split = {{ on = 1, off = 1 }} }}]\n");
    let proxy = TestProxy::builder()
        .settings(&half)
        .release("blue", &[&origin])
        .route_with(
            "chat",
            &[("blue", 1)],
            "flags = [\"planner\"]\naffinity = [{ header = \"x-user\" }]",
        )
        .start();
    let live = proxy.cell.load();
    let mut client = proxy.client();
    let mut given = [0, 0];
    for user in 0..50 {
        let context = json!({ "targetingKey": format!("user-{user}") });
        let context = FlagContext::new(serde_json::from_value(context).unwrap());
        let found = live
            .compiled()
            .flags()
            .evaluate("planner", &context)
            .unwrap();
        let expected = found.variant.value().to_string();
        for _ in 0..2 {
            ask(&mut client, &format!("x-user: user-{user}\r\n"));
            assert_eq!(
                origin.last().value("x-flag-planner"),
                Some(expected.as_str())
            );
        }
        given[usize::from(expected == "true")] += 1;
    }
    assert!(given[0] > 10 && given[1] > 10, "{given:?}");
    let mut drawn = Vec::new();
    for _ in 0..100 {
        ask(&mut client, "");
        drawn.push(origin.last().value("x-flag-planner") == Some("true"));
    }
    assert!(
        drawn.contains(&true) && drawn.contains(&false),
        "without a key by chance"
    );
}

#[test]
fn http2_endpoints_grpc_calls_and_websockets_get_the_same_fields() {
    let origin = H2Origin::start(|request, mut respond| async move {
        let text = |name: &str| {
            let values = request.headers().get_all(name).iter();
            let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
            values.join("|")
        };
        let names = ["x-flag-planner", "x-flag-tint", "x-flag-other", "baggage"];
        let body = names.map(text).join(" ");
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut out = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        let _ = send(&mut out, Bytes::from(body), true).await;
    });
    let proxy = proxy(&format!("{HANDED}\nflag_baggage = true"))
        .release_with("blue", &origin.release())
        .release_with("green", &origin.release())
        .start();
    let expected = "true of blue  flag.planner=true,flag.tint=of%20blue,a=1";
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for is_grpc in [false, true] {
            let mut asked = request("POST", "/x");
            let fields = asked.headers_mut();
            for (name, value) in [
                ("x-flag-tint", "forged"),
                ("x-flag-other", "forged"),
                ("baggage", "flag.planner=forged,a=1"),
            ] {
                fields.insert(name, value.parse().unwrap());
            }
            if is_grpc {
                fields.insert("content-type", "application/grpc".parse().unwrap());
                fields.insert("te", "trailers".parse().unwrap());
            }
            let (answer, mut out) = client.open(asked, false).await;
            send(&mut out, Bytes::from_static(b"hello"), true)
                .await
                .unwrap();
            let answer = read(answer.await.unwrap()).await.unwrap();
            assert_eq!(answer.text(), expected, "gRPC: {is_grpc}");
        }
    });
    let text = ask(
        &mut proxy.client(),
        "x-flag-tint: forged\r\nbaggage: a=1\r\n",
    );
    assert_eq!(text, expected, "HTTP/1.1 before HTTP/2");
}

#[test]
fn a_handshake_of_a_websocket_carries_the_flags() {
    let origin = Origin::after_request(|request, mut stream, _| {
        let [planner, tint] = seen(&request).map(|value| value.unwrap_or("none").to_owned());
        let field = format!("x-seen: {planner} {tint}\r\n\r\n");
        let answer = UPGRADED.strip_suffix("\r\n").unwrap();
        stream
            .write_all(format!("{answer}{field}").as_bytes())
            .unwrap();
    });
    let proxy = proxy(HANDED)
        .release("blue", &[&origin])
        .release("green", &[&origin])
        .start();
    let forging = UPGRADE.strip_suffix("\r\n").unwrap();
    let mut client = proxy.client();
    client.send(format!("{forging}x-flag-tint: forged\r\n\r\n"));
    let head = client.response_head();
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("x-seen: true of blue"),
        "{head}"
    );
}

/// Gives green everything; a switch would make it the stable release.
const GREEN: &str = r#"{"kind":"set_split","route":"chat","weights":{"blue":0,"green":1}}"#;

#[test]
fn a_repeat_and_a_fallback_carry_the_flags_of_the_release_that_serves() {
    let blue = Origin::replying("blue");
    let bad = Origin::answering(|_| reply(503, "", "bad"));
    let green = format!("endpoints = [{:?}, {:?}]", bad.url(), Origin::url(&blue));
    let retrying = "stable = \"blue\"\nfallback = \"stable\"\n[routes.retries]\non_status = [503]";
    let proxy = proxy(&format!("{HANDED}\n{retrying}"))
        .release("blue", &[&blue])
        .release_with("green", &green)
        .start();
    proxy.change(&change(GREEN));
    let mut client = proxy.client();
    // Each of the endpoints may be the first one that is asked.
    for _ in 0..64 {
        assert_eq!(ask(&mut client, ""), "blue");
        if !bad.requests().is_empty() {
            break;
        }
    }
    assert!(
        !bad.requests().is_empty(),
        "one attempt at least was repeated"
    );
    for request in bad.requests().iter().chain(&blue.requests()) {
        assert_eq!(seen(request), [Some("true"), Some("of green")]);
    }

    let served = Origin::replying("blue");
    let dead = format!("endpoints = [\"http://{}\"]", closed_address());
    let proxy = self::proxy(&format!(
        "{HANDED}\nstable = \"blue\"\nfallback = \"stable\""
    ))
    .settings("[timeouts]\nconnect = \"200ms\"")
    .release("blue", &[&served])
    .release_with("green", &dead)
    .start();
    proxy.change(&change(GREEN));
    assert_eq!(ask(&mut proxy.client(), ""), "blue");
    assert_eq!(seen(&served.last()), [Some("true"), Some("of blue")]);
}

#[test]
fn a_trailer_is_no_flag_either() {
    let origin = Origin::replying("x");
    let in_baggage = format!("{HANDED}\nflag_baggage = true");
    for (lines, has_baggage) in [(HANDED, true), (&*in_baggage, false)] {
        let proxy = proxy(lines)
            .release("blue", &[&origin])
            .release("green", &[&origin])
            .start();
        let mut client = proxy.client();
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nx-flag-tint: forged\r\nBaggage: flag.tint=forged\r\nx-sum: 7\r\n\r\n",
        );
        assert_eq!(client.response().status, 200);
        let trailers = origin.last().trailers.to_ascii_lowercase();
        assert!(
            trailers.contains("x-sum: 7") && !trailers.contains("x-flag"),
            "{trailers}"
        );
        assert_eq!(trailers.contains("baggage"), has_baggage, "{trailers}");
    }
}

#[test]
fn the_api_and_the_command_line_say_which_flags_a_route_hands_over() {
    let admin = TestAdmin::start();
    let planner =
        json!({ "type": "boolean", "variants": { "on": true, "off": false }, "default": "off" });
    admin.done("PUT", "/v1/flags/planner", &planner);
    cli::run_ok(
        &admin,
        &[
            "route",
            "set",
            "chat",
            "--flag",
            "planner",
            "--flag-baggage",
        ],
    );
    let route = admin.get("/v1/routes/chat");
    assert_eq!(
        (&route["flags"], &route["flag_baggage"]),
        (&json!(["planner"]), &json!(true))
    );
    let (_, dry) = admin.json("DELETE", "/v1/flags/planner?dry_run=true", &Value::Null);
    let (status, refused) = admin.json("DELETE", "/v1/flags/planner", &Value::Null);
    assert_eq!(status, 409, "{dry}");
    assert_eq!(refused["problems"][0]["path"], "routes.chat.flags.0");
    let shown = cli::run_ok(&admin, &["route", "show", "chat"]);
    assert!(
        shown.contains("flags = [\"planner\"]") && shown.contains("flag_baggage = true"),
        "{shown}"
    );
    let shown = cli::run_ok(&admin, &["flag", "show", "planner"]);
    assert!(
        shown.starts_with("# handed to the endpoints of route chat\n"),
        "{shown}"
    );
    let kept = cli::file(&admin, "planner.toml", &shown);
    cli::run_ok(&admin, &["flag", "set", "planner", "--file", &kept]);
    let (_, wrong) = cli::run_failing(&admin, &["route", "set", "chat", "--flag", "planer"]);
    assert!(wrong.contains("did you mean `planner`?"), "{wrong}");
    let dry = admin.done(
        "PUT",
        "/v1/routes/chat?dry_run=true",
        &json!({ "split": { "blue": 100, "green": 0 }, "stable": "blue" }),
    );
    let paths: Vec<_> = dry["diff"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].clone())
        .collect();
    assert_eq!(paths, ["routes.chat.flag_baggage", "routes.chat.flags"]);
}

/// Number of revisions that change a release and two flags at once.
const FLIPS: u64 = 10_000;

/// The live release and step, as the table of a revision says.
fn decided(running: &Running) -> (u64, [String; 2]) {
    let live = running.controller().live();
    let spec = live.state().spec;
    let route = spec.route(&"chat".parse().unwrap()).unwrap();
    let step = &spec.flag(&"step".parse().unwrap()).unwrap().default;
    let release = route.whole().unwrap().to_string();
    (live.revision().0, [release, step.to_string()])
}

fn flip(number: u64) -> Change {
    let to = if number.is_multiple_of(3) {
        "green"
    } else {
        "blue"
    };
    change(&format!(
        r#"{{"kind":"batch","changes":[{{"kind":"switch","route":"chat","to":"{to}"}},
            {{"kind":"patch_flag","flag":"tint","patch":{{"rules":[{{"split":{{"{to}":1}}}}]}}}},
            {{"kind":"patch_flag","flag":"step","patch":{{"default":"s{}"}}}}]}}"#,
        number % 16
    ))
}

/// The revision and the release of an answer, and the fields of flags that its endpoint got.
type Answer = (u64, [String; 4]);

fn answer(client: &mut Client) -> Answer {
    let response = client.get("/");
    assert_eq!(response.status, 200, "{}", response.text());
    let decision = response.value("x-switchback-decision").unwrap();
    let (release, rest) = decision.split_once(';').unwrap();
    let revision = rest.rsplit_once('=').unwrap().1.parse().unwrap();
    let body = response.text();
    let mut parts = body.split(' ').map(str::to_owned);
    let mut next = || parts.next().unwrap();
    (revision, [release.to_owned(), next(), next(), next()])
}

fn telling(name: &'static str) -> Origin {
    Origin::answering(move |request| {
        let field = |name: &str| request.value(name).unwrap_or("none").to_owned();
        let fields = ["x-flag-tint", "x-flag-step", "baggage"].map(field);
        reply(200, &format!("x-name: {name}\r\n"), &fields.join(" "))
    })
}

/// Two releases, and a flag that goes with each, and one with sixteen steps.
fn flipping(history: &Path, [blue, green]: [&Origin; 2]) -> String {
    let steps: Vec<_> = (0..16)
        .map(|step| format!("s{step} = \"s{step}\""))
        .collect();
    format!(
        "workers = 2\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [history]\npath = {:?}\n[access_log]\nformat = \"off\"\n\
         [flags.tint]\ntype = \"string\"\nvariants = {{ blue = \"blue\", green = \"green\" }}\ndefault = \"blue\"\n\
         [flags.step]\ntype = \"string\"\nvariants = {{ {} }}\ndefault = \"s0\"\n\
         [releases.blue]\nendpoints = [{:?}]\n[releases.green]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"chat\"\nsplit = {{ blue = 1, green = 0 }}\nexpose_decision = true\n\
         flags = [\"tint\", \"step\"]\nflag_baggage = true\n",
        history.display().to_string(),
        steps.join(", "),
        blue.url(),
        green.url(),
    )
}

/// Flips release and flags, each tenth time back; what each revision decided is noted.
fn flip_all(running: &Running, timeline: &mut HashMap<u64, [String; 2]>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let controller = running.controller();
    for number in 0..FLIPS {
        if number % 10 == 9 {
            let back = controller.rollback(RollbackTo::Previous, author(), Expected::Any, true);
            runtime.block_on(back).unwrap();
        } else {
            let changed = controller.apply(flip(number), author(), Expected::Any, false);
            runtime.block_on(changed).unwrap();
        }
        let (revision, decision) = decided(running);
        timeline.insert(revision, decision);
    }
}

#[test]
fn release_flags_and_fields_come_from_one_revision_under_ten_thousand_flips() {
    let (blue, green, folder) = (telling("blue"), telling("green"), folder());
    let text = flipping(folder.path(), [&blue, &green]);
    let config = config::parse(&text, Path::new("/"), FileCheck::MustExist).unwrap();
    let running = server::start(config, Options::default()).unwrap();
    let (address, is_over) = (running.listeners()[0], AtomicBool::new(false));
    let mut timeline = HashMap::from([decided(&running)]);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut seen) = (Client::connect(address), Vec::new());
                    while !is_over.load(Ordering::Relaxed) {
                        seen.push(answer(&mut client));
                    }
                    seen
                })
            })
            .collect();
        flip_all(&running, &mut timeline);
        is_over.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let mut revisions = std::collections::BTreeSet::new();
    for (revision, [release, tint, step, baggage]) in &answers {
        let [of_release, of_step] = &timeline[revision];
        assert_eq!(
            (release, tint, step),
            (of_release, of_release, of_step),
            "revision {revision}"
        );
        assert_eq!(*baggage, format!("flag.tint={tint},flag.step={step}"));
        revisions.insert(revision);
    }
    assert!(
        revisions.len() > 100,
        "{} of {} answers",
        revisions.len(),
        answers.len()
    );
    running.stop();
}
