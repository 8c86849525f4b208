//! Hooks from end to end: a whole switchback, servers that take, hang, lie and come back, and commands.

use std::{
    fs,
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::{
    conformance::child::Switchback,
    support::{Origin, Request, closed_address, read_request, reply, wait_until, write},
};

mod fixture;
mod gates;
mod mistakes;

use fixture::{Bench, HookServer, LONG, SECRET, ask, body, logs};

const ALL: &str = "events = [\"before_start\", \"before_step\", \"after_step\", \"paused\", \"before_promotion\", \"after_rollback\", \"finished\"]";

/// The messages of a rollout that is paused, resumed and taken back, by format.
struct Told {
    bench: Bench,
    path: String,
    /// Hooks `json`, `cloudevents`, `slack`, `other` (of another route), `last` (of the end).
    servers: [HookServer; 5],
}

impl Told {
    fn all() -> Self {
        let servers = [(); 5].map(|()| HookServer::saying("ok"));
        let [json, events, slack, other, last] = servers.each_ref().map(HookServer::url);
        let bench = Bench::start(&format!(
            "[hooks.json]\nurl = {json:?}\n{ALL}\nroutes = [\"chat\"]\n\
             [hooks.cloudevents]\nurl = {events:?}\nformat = \"cloudevents\"\n{ALL}\n\
             [hooks.slack]\nurl = {slack:?}\nformat = \"slack\"\n{ALL}\n\
             [hooks.other]\nurl = {other:?}\n{ALL}\nroutes = [\"tools\"]\n\
             [hooks.last]\nurl = {last:?}\nevents = [\"finished\"]\n"
        ));
        let path = bench.begin(LONG);
        for command in ["pause", "resume", "rollback"] {
            bench.command(&path, command);
        }
        Self {
            bench,
            path,
            servers,
        }
    }
}

#[test]
fn a_rollout_tells_its_hooks_what_happens_in_their_formats() {
    let told = Told::all();
    let [json, events, slack, other, last] = &told.servers;
    check_json(&json.gets(5));
    for request in events.gets(5) {
        let content = request.value("content-type");
        assert_eq!(content, Some("application/cloudevents+json"));
        let event = body(&request);
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["id"].as_str(), request.value("webhook-id"));
        let kind = event["type"].as_str().unwrap();
        assert!(kind.starts_with("switchback.rollout."), "{kind}");
        assert_eq!(event["source"], told.path.as_str());
        assert_eq!(event["subject"], "chat");
    }
    let texts: Vec<_> = slack
        .gets(5)
        .iter()
        .map(|one| body(one)["text"].clone())
        .collect();
    let title = json!("chat: green was taken back, blue has its requests");
    assert!(texts.contains(&title), "{texts:?}");
    assert_eq!(body(&slack.requests()[0])["blocks"][0]["type"], "section");
    assert_eq!(body(&last.gets(1)[0])["data"]["event"], "finished");
    told.bench.has_delivered("json", 5);
    assert_eq!((other.requests().len(), last.requests().len()), (0, 1));
    assert!(told.bench.metrics().contains("\nswitchback_hooks_owed "));
}

fn check_json(requests: &[Request]) {
    let mut found: Vec<_> = requests.iter().map(body).collect();
    found.sort_by_key(|message| message["id"].to_string());
    let events: Vec<_> = found
        .iter()
        .map(|message| message["data"]["event"].clone())
        .collect();
    assert_eq!(
        events,
        [
            "before_start",
            "before_step",
            "paused",
            "after_rollback",
            "finished"
        ]
    );
    let step = &found[1];
    assert_eq!(step["type"], "rollout.before_step");
    assert_eq!(step["data"]["next"], json!({ "step": 0, "weight": 5 }));
    let rollout = &step["data"]["rollout"];
    for (key, value) in [
        ("route", "chat"),
        ("from", "blue"),
        ("from_version", "1"),
        ("to", "green"),
        ("to_version", "2"),
    ] {
        assert_eq!(rollout[key], value, "{key}");
    }
    assert_eq!(rollout["verdict"]["overall"], "not_enough_data");
    assert_eq!(found[4]["data"]["rollout"]["state"], "rolled_back");
}

/// The example of the documentation, and a call of it with what comes on its standard input.
fn verified_by_python(request: &Request, now: u64) -> bool {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hooks.md"));
    let docs = docs.unwrap();
    let (_, example) = docs.split_once("```python\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let call = "\nimport json, sys\nasked = json.load(sys.stdin)\n\
                sys.exit(0 if verify(asked['secret'], asked['headers'], asked['body'].encode(), asked['now']) else 9)\n";
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(request.value(name).unwrap())))
        .collect();
    let asked = json!({ "secret": SECRET, "headers": headers, "now": now,
        "body": String::from_utf8(request.body.clone()).unwrap() });
    let mut python = Command::new("python3")
        .args(["-c", &format!("{example}{call}")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 runs the example");
    let mut input = python.stdin.take().unwrap();
    input.write_all(asked.to_string().as_bytes()).unwrap();
    drop(input);
    match python.wait().unwrap().code() {
        Some(0) => true,
        Some(9) => false,
        other => panic!("the example failed: {other:?}"),
    }
}

#[test]
fn the_example_of_the_documentation_verifies_a_signature() {
    let server = HookServer::saying("");
    let secrets = "secrets = [{ file = \"secret\" }]\nevents = [\"before_start\"]";
    let bench = Bench::with("signed", &server, secrets);
    bench.begin(LONG);
    let request = server.gets(1).remove(0);
    let now: u64 = request.value("webhook-timestamp").unwrap().parse().unwrap();
    assert!(verified_by_python(&request, now));
    assert!(!verified_by_python(&request, now + 3_600), "it is too old");
    let mut forged = request.clone();
    forged.body.push(b' ');
    assert!(!verified_by_python(&forged, now));
    let mut other = request;
    other.head = other.head.replace("msg_", "msg_1");
    assert!(!verified_by_python(&other, now));
}

#[test]
fn a_failed_delivery_is_repeated_with_the_same_id_and_body() {
    let server = HookServer::answering(|number| match number {
        0 => reply(500, "", "no"),
        1 => reply(302, "Location: http://127.0.0.1:1/elsewhere\r\n", ""),
        2 => b"this is not HTTP\r\n\r\n".to_vec(),
        _ => reply(204, "", ""),
    });
    let bench = Bench::with("flaky", &server, "events = [\"before_start\"]");
    bench.begin(LONG);
    let requests = server.gets(4);
    let ids: Vec<_> = requests
        .iter()
        .map(|request| request.value("webhook-id"))
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(
        requests
            .iter()
            .all(|request| request.body == requests[0].body)
    );
    bench.has_delivered("flaky", 1);
    assert_eq!(server.requests().len(), 4);
    let failed = "switchback_hook_calls_total{hook=\"flaky\",outcome=\"failed\"} 3\n";
    assert!(bench.metrics().contains(failed));
}

#[test]
fn what_is_owed_survives_a_restart_with_its_id_and_a_hook_that_is_down_holds_nothing() {
    let is_up = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&is_up);
    let server = HookServer::answering(move |_| {
        let status = if answers.load(Ordering::Relaxed) {
            200
        } else {
            503
        };
        reply(status, "", "")
    });
    let mut bench = Bench::with(
        "late",
        &server,
        "events = [\"after_rollback\", \"finished\"]",
    );
    let path = bench.begin(LONG);
    let begun = Instant::now();
    assert_eq!(bench.command(&path, "rollback")["state"], "rolled_back");
    assert!(begun.elapsed() < Duration::from_secs(10));
    server.gets(2);
    bench.restart();
    is_up.store(true, Ordering::Relaxed);
    bench.has_delivered("late", 2);
    let ids = |requests: &[Request]| {
        let mut ids: Vec<_> = requests
            .iter()
            .map(|request| request.value("webhook-id").unwrap().to_owned())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    };
    let all = server.requests();
    assert_eq!(ids(&all).len(), 2, "no message has a second id");
    assert_eq!(ids(&all[..2]), ids(&all));
    bench.restart();
    assert!(bench.ask("GET", &path, "").1["log"].is_array());
    assert_eq!(
        server.requests().len(),
        all.len(),
        "what was taken is not sent again"
    );
}

#[test]
fn a_message_that_is_never_taken_is_given_up_and_the_log_says_so() {
    let url = format!("http://{}/", closed_address());
    let bench = Bench::start(&format!(
        "[hooks.gone]\nurl = {url:?}\nevents = [\"before_start\"]\ngive_up_after = \"0s\"\n"
    ));
    let path = bench.begin(LONG);
    let rollout = bench.until(&path, |rollout| logs(rollout, "given up"));
    assert!(logs(&rollout, "before_start"), "{rollout:#}");
}

#[test]
fn a_command_decides_and_its_output_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        write(&path, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let kept = folder.path().join("kept");
    let gate = script(
        "gate",
        &format!(
            "cat > {}; echo '{{\"decision\":\"rollback\",\"reason\":\"schema\"}}'",
            kept.display()
        ),
    );
    let tell = script("tell", "read line; echo told $1");
    let slow = script("slow", "sleep 600");
    let bench = Bench::start(&format!(
        "[hooks.gate]\ncommand = [{gate:?}]\n\
         [hooks.tell]\ncommand = [{tell:?}, \"twice; echo no shell\"]\nevents = [\"finished\"]\n\
         [hooks.slow]\ncommand = [{slow:?}]\ntimeout = \"100ms\"\ngive_up_after = \"0s\"\nevents = [\"finished\"]\n"
    ));
    let path = bench.begin(r#"{"steps":[{"weight":5,"hold":"0s","gate":"gate"},{"weight":100}]}"#);
    let done = bench.under_load(|| bench.reaches(&path, "rolled_back"));
    assert!(logs(&done, "rollback: schema"), "{done:#}");
    let question: Value = serde_json::from_slice(&fs::read(kept).unwrap()).unwrap();
    assert_eq!(question["data"]["gate"]["name"], "gate");
    bench.until(&path, |rollout| {
        logs(rollout, "finished: told twice; echo no shell")
            && logs(rollout, "no answer within 100ms")
    });
}

/// A server with TLS that takes everything, and its certificate.
fn tls_server() -> (SocketAddr, String, Arc<Mutex<Vec<Request>>>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(rustls::StreamOwned::new(connection, tcp));
            if let Some(request) = read_request(&mut reader) {
                kept.lock().unwrap().push(request);
                let _gone = reader.get_mut().write_all(&reply(200, "", ""));
            }
        }
    });
    (address, cert.pem(), seen)
}

#[test]
fn a_hook_over_tls_is_verified() {
    let (address, pem, seen) = tls_server();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    write(&ca, pem);
    let hook = |name: &str, line: &str| {
        format!(
            "[hooks.{name}]\nurl = \"https://{address}/{name}\"\nevents = [\"before_start\"]\ngive_up_after = \"0s\"\n{line}\n"
        )
    };
    let known = hook("known", &format!("ca = {:?}", ca.display().to_string()));
    let bench = Bench::start(&format!("{known}{}", hook("unknown", "")));
    let path = bench.begin(LONG);
    let rollout = bench.until(&path, |rollout| logs(rollout, "given up"));
    assert!(logs(&rollout, "TLS handshake"), "{rollout:#}");
    wait_until("the hook is called", || !seen.lock().unwrap().is_empty());
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line(), "POST /known HTTP/1.1");
}

#[test]
fn hooks_are_read_again_by_a_reload() {
    let (before, after) = (HookServer::saying(""), HookServer::saying(""));
    let origins = [Origin::replying("blue"), Origin::replying("green")];
    let [blue, green] = origins.each_ref().map(Origin::url);
    let running = Switchback::start(
        &[""],
        &format!(
            "[releases.blue]\nendpoints = [{blue:?}]\n[releases.green]\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 1, green = 0 }}\n\
             [hooks.one]\nurl = {:?}\nevents = [\"finished\"]\n",
            before.url()
        ),
    );
    let order = |path: &str, body: &str, expected| {
        let (status, answer) = ask(running.admin(), "POST", path, body);
        assert_eq!(status, expected, "{answer}");
        answer
    };
    let begin = format!(r#"{{"route":"chat","to":"green","plan":{LONG}}}"#);
    order("/v1/rollouts", &begin, 201);
    let text = fs::read_to_string(running.file()).unwrap();
    write(running.file(), text.replace(&before.url(), &after.url()));
    let report = order("/v1/reload", "", 200);
    assert_eq!(report.get("restart"), None, "{report}");
    order("/v1/rollouts/chat/abort", "", 200);
    let message = body(&after.gets(1)[0]);
    assert_eq!(message["data"]["rollout"]["state"], "aborted");
    assert!(before.requests().is_empty());
}
