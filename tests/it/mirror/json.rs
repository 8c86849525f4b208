//! Mirroring: answers in JSON are compared with those to their copies, and what differs is told by its path.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use switchback::model::JsonSkip;
use switchback::stats::JsonSnapshot;

use super::{at, seen};
use crate::support::h2::{H2Client, H2Origin, block};
use crate::support::{
    Origin, Served, TestAdmin, TestProxy, TestProxyBuilder, cli, reply, wait_until,
};

const JSON: &str = "Content-Type: application/json\r\n";

/// A route for everything, served by blue and mirrored to green; the answers in JSON are compared with these keys.
fn comparing(blue: &Origin, green: &str, route: &str, keys: &str) -> TestProxyBuilder {
    let mirror = format!(
        "{route}\n[routes.mirror]\nrelease = \"green\"\npercent = 100\ncompare_json = {{ {keys} }}"
    );
    TestProxy::builder()
        .release("blue", &[blue])
        .release_with("green", green)
        .route_with("all", &[("blue", 1)], &mirror)
}

/// The comparisons once so many requests were copied, and all copies are over.
fn compared(proxy: &TestProxy, mirrored: u64) -> JsonSnapshot {
    proxy.wait_until(|| seen(proxy).mirrored == mirrored && seen(proxy).pending == 0);
    let seen = seen(proxy);
    assert_eq!(seen.json.all(), seen.answered(), "{seen:?}");
    seen.json
}

fn paths(seen: &JsonSnapshot) -> Vec<&str> {
    seen.paths.iter().map(|(path, _)| &**path).collect()
}

fn answering(status: u16, fields: &'static str, body: &'static str) -> Origin {
    Origin::answering(move |_| reply(status, fields, body))
}

#[test]
fn answers_that_hold_the_same_are_the_same_and_others_differ_at_a_path() {
    let blue = answering(
        200,
        JSON,
        r#"{"id":"a1","reply":{"text":"hi","n":1},"usage":{"in":3,"out":4}}"#,
    );
    let green = Origin::answering(|request| {
        let reply_of = |text: &str| {
            format!(
                r#"{{ "usage": {{"out": 9}}, "reply": {{"n": 1.0, "text": "{text}"}}, "id": "b" }}"#
            )
        };
        let text = if request.line().contains("same") {
            "hi"
        } else {
            "hello"
        };
        reply(
            200,
            "Content-Type: application/json; charset=utf-8\r\n",
            &reply_of(text),
        )
    });
    let keys = r#"ignore = ["/id", "/usage/*"]"#;
    let proxy = comparing(&blue, &at(&green), "", keys).start();
    let mut client = proxy.client();
    for path in ["/same", "/other", "/same", "/other"] {
        assert!(client.get(path).text().contains("\"usage\":{\"in\":3"));
    }
    let seen = compared(&proxy, 4);
    assert_eq!((seen.same, seen.different), (2, 2), "{seen:?}");
    assert_eq!(seen.paths, [("/reply/text".to_owned(), 2)]);
    assert_eq!(seen.skipped.iter().sum::<u64>(), 0);
}

#[test]
fn answers_that_are_not_compared_are_counted_with_the_reason() {
    let long: &'static str = Box::leak(format!("\"{}\"", "x".repeat(1_023)).into_boxed_str());
    let deep: &'static str = Box::leak("[".repeat(1_000).into_boxed_str());
    let gzip = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    for (status, fields, body, expected) in [
        (200, "Content-Type: text/plain\r\n", "{}", JsonSkip::Type),
        (200, JSON, "", JsonSkip::Type),
        (200, gzip, "{}", JsonSkip::Encoded),
        (200, JSON, long, JsonSkip::Long),
        (500, JSON, "{}", JsonSkip::Status),
        (200, JSON, "{", JsonSkip::Malformed),
        (200, JSON, deep, JsonSkip::Malformed),
        (200, JSON, "[1e999]", JsonSkip::Malformed),
        (200, JSON, r#"{"a":1,"a":2}"#, JsonSkip::Malformed),
    ] {
        let (good, bad) = (answering(200, JSON, "{}"), answering(status, fields, body));
        for (blue, green) in [(&good, &bad), (&bad, &good)] {
            let proxy = comparing(blue, &at(green), "", "max_body = \"1KiB\"").start();
            let answer = proxy.client().get("/");
            let served = if std::ptr::eq(blue, &raw const bad) {
                body
            } else {
                "{}"
            };
            assert_eq!(answer.text(), served, "the client gets it as it is");
            let seen = compared(&proxy, 1);
            assert_eq!(seen.skipped[expected.index()], 1, "{expected:?}: {seen:?}");
            assert_eq!((seen.all(), seen.paths.len()), (1, 0));
        }
    }
}

#[test]
fn a_client_gets_its_answer_as_it_comes_while_it_is_kept() {
    let (go_on, gone_on) = channel::<()>();
    let gone_on = Mutex::new(gone_on);
    let blue = Origin::after_request(move |_, mut stream, _| {
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
        drop(stream.write_all(format!("{head}5\r\n{{\"a\":\r\n").as_bytes()));
        gone_on.lock().unwrap().recv().unwrap();
        drop(stream.write_all(b"4\r\n[1]}\r\n0\r\n\r\n"));
    });
    let green = answering(200, JSON, r#"{"a":[2]}"#);
    let proxy = comparing(&blue, &at(&green), "", "").start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_head();
    assert_eq!(client.read_exact(10), b"5\r\n{\"a\":\r\n");
    go_on.send(()).unwrap();
    assert_eq!(client.read_exact(14), b"4\r\n[1]}\r\n0\r\n\r\n");
    let seen = compared(&proxy, 1);
    assert_eq!((seen.different, paths(&seen)), (1, vec!["/a/0"]));
}

#[test]
fn answers_over_http2_and_of_agents_are_compared_as_well() {
    let blue = answering(200, JSON, r#"{"a":1,"b":2}"#);
    let green = H2Origin::start(|_, mut respond| async move {
        let head = Response::builder().header("content-type", "application/json");
        let mut out = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        out.send_data(Bytes::from_static(b"{\"b\":"), false)
            .unwrap();
        out.send_data(Bytes::from_static(b"3,\"a\":1}"), true)
            .unwrap();
    });
    for route in ["", "agent_protocol = \"a2a\"", "agent_protocol = \"mcp\""] {
        let proxy = comparing(&blue, &green.release(), route, "").start();
        block(async {
            let client = H2Client::connect(proxy.address).await;
            let answer = client.get("/").await.unwrap();
            assert_eq!(answer.text(), r#"{"a":1,"b":2}"#);
        });
        let seen = compared(&proxy, 1);
        assert_eq!((seen.different, paths(&seen)), (1, vec!["/b"]), "{route}");
    }
}

#[test]
fn an_answer_of_ours_is_not_compared() {
    let blue = answering(200, JSON, r#"{"a":1}"#);
    let green = answering(200, JSON, r#"{"a":1}"#);
    let proxy = comparing(&blue, &at(&green), "", "").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(compared(&proxy, 1).same, 1);
    drop(blue);
    assert!(client.get("/").status >= 502);
    let seen = compared(&proxy, 2);
    assert_eq!((seen.same, seen.skipped[JsonSkip::Status.index()]), (1, 1));
}

#[test]
fn the_api_the_cli_and_the_metrics_show_where_answers_differ() {
    let blue = answering(200, JSON, r#"{"a":1,"secret":"blue"}"#);
    let green = Origin::answering(|request| {
        let body = if request.line().contains("same") {
            r#"{"secret":"blue","a":1}"#
        } else {
            r#"{"secret":"green","b/c":1}"#
        };
        reply(200, JSON, body)
    });
    let served = Served::start(&format!(
        "[releases.blue]\n{}\n[releases.green]\nversion = \"2\"\n{}\n[[routes]]\nname = \"chat\"\nsplit = {{ blue = 1 }}",
        at(&blue),
        at(&green)
    ));
    let mirror = json!({"release": "green", "percent": 100});
    let route = |mirror: &Value| json!({"split": {"blue": 1}, "mirror": mirror});
    let report = || served.done("GET", "/v1/routes/chat/mirror", &Value::Null);
    served.done("PUT", "/v1/routes/chat", &route(&mirror));
    assert_eq!(served.client().get("/").status, 200);
    wait_until("a copy", || report()["releases"][0]["answered"] == 1);
    assert_eq!(report()["releases"][0]["json"], Value::Null, "nobody asked");
    let mut comparing = mirror;
    comparing["compare_json"] = json!({});
    served.done("PUT", "/v1/routes/chat", &route(&comparing));
    for path in ["/same", "/other", "/other"] {
        assert_eq!(served.client().get(path).status, 200);
    }
    wait_until("the copies", || report()["releases"][0]["answered"] == 4);
    let report = report();
    assert_eq!(
        report["mirror"]["compare_json"],
        json!({"max_body": "64KiB"})
    );
    let found = &report["releases"][0]["json"];
    assert_eq!(
        (&found["same"], &found["different"]),
        (&json!(1), &json!(2))
    );
    let places = json!([
        {"path": "/b~1c", "count": 2}, {"path": "/secret", "count": 2}, {"path": "/a", "count": 2}
    ]);
    assert_eq!(found["differences"], places);
    assert!(!found.to_string().contains("green"), "no values: {found}");
    let counted = served.counters("switchback_mirror_json_answers_total");
    for line in [
        "chat green 2 same 1",
        "chat green 2 different 2",
        "chat green 2 type 0",
    ] {
        assert!(counted.contains(&line.to_owned()), "{counted:?}");
    }
    let admin = format!("http://{}", served.running.admin());
    let shown = cli::program(&["mirror", "show", "chat"], &[("SWITCHBACK_ADMIN", &admin)]);
    let said = cli::stdout(&shown);
    assert!(
        said.contains(
            "  1 hold the same JSON, of 3 answers (33.3%); not compared: 0\n  differed at /b~1c (2), /secret (2), /a (2)\n"
        ),
        "{said}"
    );
}

#[test]
fn a_wrong_path_is_refused_with_its_place() {
    let admin = TestAdmin::start();
    let compare = json!({"ignore": ["/id", "usage.total"]});
    let mirror = json!({"release": "green", "percent": 10, "compare_json": compare});
    let route = json!({"split": {"blue": 1}, "mirror": mirror});
    let (status, problem) = admin.json("PUT", "/v1/routes/chat", &route);
    assert_eq!(status, 422, "{problem}");
    let text = problem.to_string();
    assert!(text.contains("`usage.total` is no JSON pointer"), "{text}");
    assert!(text.contains("mirror.compare_json.ignore"), "{text}");
    let said = cli::run_ok(&admin, &["mirror", "show", "chat"]);
    assert_eq!(said, "chat: no mirror\n");
}
