//! MCP sessions that lose their release or their endpoint: the proxy begins them anew, and their clients do not notice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use bytes::Bytes;
use serde_json::{Value, json};
use switchback::model::Change;

use crate::support::h2::{H2Client, block, read, request, send};
use crate::support::{Client, Origin, Request, Response, TestProxy, TestProxyBuilder};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;

/// Sessions move with every change of weights that leaves their release without any.
const MOVES: &str = "[routes.in_flight.split]\nsession = \"move\"";

/// A stateful MCP server: it knows only the sessions that it has begun itself.
struct Server {
    name: &'static str,
    version: &'static str,
    capabilities: Value,
    sessions: Mutex<HashMap<String, bool>>,
}

impl Server {
    fn new(name: &'static str, version: &'static str, capabilities: Value) -> Self {
        Self {
            name,
            version,
            capabilities,
            sessions: Mutex::default(),
        }
    }

    fn start(name: &'static str, version: &'static str, capabilities: Value) -> Origin {
        let server = Self::new(name, version, capabilities);
        Origin::answering(move |request| server.answer(request))
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mut sessions = self.sessions.lock().unwrap();
        if message["method"] == "initialize" {
            assert_eq!(request.value("mcp-session-id"), None);
            let id = format!("{}-{}", self.name, sessions.len());
            sessions.insert(id.clone(), false);
            let result = json!({
                "protocolVersion": self.version,
                "capabilities": self.capabilities,
                "serverInfo": { "name": self.name, "version": "1" },
            });
            return reply(
                "200 OK",
                &format!("Mcp-Session-Id: {id}\r\n"),
                &answer(&message, &result),
            );
        }
        let id = request.value("mcp-session-id").unwrap_or_default();
        let Some(is_ready) = sessions.get_mut(id) else {
            return reply("404 Not Found", "", "{}");
        };
        if message["method"] == "notifications/initialized" {
            assert_eq!(request.value("mcp-protocol-version"), Some(self.version));
            *is_ready = true;
            return reply("202 Accepted", "", "");
        }
        assert!(*is_ready, "the client has said that it is ready");
        if request.line().starts_with("GET") {
            let event = format!("event: message\ndata: {}\n\n", self.name);
            let length = event.len();
            let encoding = request.value("accept-encoding");
            let encoding = encoding.map_or_else(String::new, |encoding| {
                format!("Content-Encoding: {encoding}\r\n")
            });
            return format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{encoding}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{event}\r\n").into_bytes();
        }
        let result = json!({ "server": self.name, "session": id, "authorization": request.value("authorization") });
        reply("200 OK", "", &answer(&message, &result))
    }
}

fn answer(message: &Value, result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string()
}

fn reply(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A client with a session.
struct Session {
    client: Client,
    id: String,
}

impl Session {
    fn begin(proxy: &TestProxy) -> Self {
        let mut client = proxy.client();
        let begun = post(&mut client, "", INITIALIZE);
        assert_eq!(begun.status, 200, "{}", begun.text());
        let id = begun.value("mcp-session-id").unwrap().to_owned();
        let mut session = Self { client, id };
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(
            session
                .post("Mcp-Protocol-Version: 2025-06-18\r\n", ready)
                .status,
            202
        );
        session
    }

    fn post(&mut self, fields: &str, body: &str) -> Response {
        let fields = format!("Mcp-Session-Id: {}\r\n{fields}", self.id);
        post(&mut self.client, &fields, body)
    }

    /// The server and the session that respond to a call.
    fn call(&mut self) -> (String, String) {
        let response = self.post(
            "Authorization: Bearer 7\r\n",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#,
        );
        assert_eq!(response.status, 200, "{}", response.text());
        let message: Value = serde_json::from_str(&response.text()).unwrap();
        assert_eq!(
            (&message["id"], &message["result"]["authorization"]),
            (&json!(7), &json!("Bearer 7"))
        );
        let text = |key: &str| message["result"][key].as_str().unwrap().to_owned();
        (text("server"), text("session"))
    }
}

fn post(client: &mut Client, fields: &str, body: &str) -> Response {
    let length = body.len();
    client.send(format!(
        "POST /mcp HTTP/1.1\r\nHost: agents.test\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ));
    client.response()
}

fn tools() -> Value {
    json!({ "tools": { "listChanged": true } })
}

fn proxy(blue: &[&Origin], green: &[&Origin], lines: &str) -> TestProxy {
    build(blue, green, lines).start()
}

fn build(blue: &[&Origin], green: &[&Origin], lines: &str) -> TestProxyBuilder {
    let lines = format!(
        "path_prefix = \"/\"\nagent_protocol = \"mcp\"\npins = [{{ header = \"mcp-session-id\" }}]\n{lines}"
    );
    TestProxy::builder()
        .release("blue", blue)
        .release("green", green)
        .route_with("tools", &[("blue", 1), ("green", 0)], &lines)
}

#[test]
fn a_session_stays_through_a_switch_and_moves_with_a_rollback() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = proxy(&[&blue], &[&green], "");
    let mut old = Session::begin(&proxy);
    proxy.switch("tools", "green");
    assert_eq!(old.call().0, "blue", "a switch moves no session");
    let mut new = Session::begin(&proxy);
    assert_eq!(new.call(), ("green".into(), "green-0".into()));
    proxy.rollback();
    for _ in 0..3 {
        assert_eq!(
            new.call(),
            ("blue".into(), "blue-1".into()),
            "it was begun anew once"
        );
    }
    assert_eq!(
        old.call(),
        ("blue".into(), "blue-0".into()),
        "nothing has changed for it"
    );
    // And back: the moved session is moved again.
    proxy.switch("tools", "green");
    proxy.rollback();
    assert_eq!(new.call(), ("blue".into(), "blue-1".into()));
}

#[test]
fn a_session_that_was_moved_can_be_moved_again() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = proxy(&[&blue], &[&green], MOVES);
    let mut session = Session::begin(&proxy);
    for (to, server, id) in [
        ("green", "green", "green-0"),
        ("blue", "blue", "blue-1"),
        ("green", "green", "green-1"),
    ] {
        proxy.switch("tools", to);
        assert_eq!(session.call(), (server.into(), id.into()));
    }
}

#[test]
fn a_session_outlives_any_number_of_moves() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = proxy(&[&blue], &[&green], MOVES);
    let mut session = Session::begin(&proxy);
    for number in 0..70 {
        let to = ["green", "blue"][number % 2];
        proxy.switch("tools", to);
        assert_eq!(session.call().0, to, "move {number}");
    }
}

#[test]
fn a_key_of_the_clients_request_is_not_sent_with_ours() {
    let begun = Server::start("blue", "2025-06-18", tools());
    let keys = Arc::new(Mutex::new(Vec::new()));
    let (server, seen) = (
        Server::new("green", "2025-06-18", tools()),
        Arc::clone(&keys),
    );
    let green = Origin::answering(move |request| {
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let key = request.value("idempotency-key").map(str::to_owned);
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        seen.lock().unwrap().push((method, key));
        server.answer(request)
    });
    let proxy = proxy(&[&begun], &[&green], MOVES);
    let mut session = Session::begin(&proxy);
    proxy.switch("tools", "green");
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#;
    assert_eq!(session.post("Idempotency-Key: k\r\n", call).status, 200);
    let seen = keys.lock().unwrap();
    let of = |at: usize| (seen[at].0.as_str(), seen[at].1.as_deref());
    assert_eq!(of(0), ("initialize", None));
    assert_eq!(of(1), ("notifications/initialized", None));
    assert_eq!(of(2), ("tools/call", Some("k")));
}

#[test]
fn requests_that_come_together_move_their_session_once() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = Arc::new(proxy(&[&blue], &[&green], MOVES));
    let id = Session::begin(&proxy).id;
    proxy.switch("tools", "green");
    let barrier = Arc::new(Barrier::new(8));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (proxy, id, barrier) = (Arc::clone(&proxy), id.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                let mut session = Session {
                    client: proxy.client(),
                    id,
                };
                barrier.wait();
                session.call()
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.join().unwrap(), ("green".into(), "green-0".into()));
    }
}

#[test]
fn the_stream_of_a_session_ends_when_the_session_has_moved() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = proxy(&[&blue], &[&green], "");
    proxy.switch("tools", "green");
    let (mut session, mut other) = (Session::begin(&proxy), Session::begin(&proxy));
    let open_with = |id: &str, fields: &str| {
        let mut client = proxy.client();
        client.send(format!("GET /mcp HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{fields}Mcp-Session-Id: {id}\r\n\r\n"));
        assert!(client.response_head().starts_with("HTTP/1.1 200"));
        let server = client.chunk();
        (client, server)
    };
    let open = |id: &str| open_with(id, "");
    let (mut stream, server) = open(&session.id);
    let (mut encoded, _) = open_with(&session.id, "Accept-Encoding: gzip\r\n");
    let (mut kept, _) = open(&other.id);
    assert!(server.contains("data: green"), "{server}");
    proxy.rollback();
    assert_eq!(session.call().0, "blue");
    let last = stream.chunk();
    assert!(last.starts_with("retry: "), "{last}");
    assert!(
        last.contains("event: error") && last.contains("release_left"),
        "{last}"
    );
    assert!(stream.is_closed());
    assert!(encoded.is_closed(), "nothing can be added to it");
    let (_stream, server) = open(&session.id);
    assert!(server.contains("data: blue"), "{server}");
    // Of a session that makes no request it stays, until it opens a new one.
    assert_eq!(other.call().0, "blue");
    assert!(kept.chunk().starts_with("retry: "));
}

#[test]
fn a_session_moves_when_its_release_is_out_of_the_split() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = TestProxy::builder()
        .release("blue", &[&blue])
        .release("green", &[&green])
        .route_with(
            "tools",
            &[("blue", 1)],
            "path_prefix = \"/\"\nagent_protocol = \"mcp\"",
        )
        .start();
    let mut session = Session::begin(&proxy);
    proxy.change(&Change::SetSplit {
        route: "tools".parse().unwrap(),
        weights: serde_json::from_value(json!({ "green": 1 })).unwrap(),
    });
    for _ in 0..2 {
        assert_eq!(session.call(), ("green".into(), "green-0".into()));
    }
    proxy.rollback();
    for _ in 0..2 {
        assert_eq!(session.call(), ("blue".into(), "blue-1".into()));
    }
}

#[test]
fn a_session_whose_endpoint_is_gone_goes_on_at_another_one() {
    let (first, second) = (
        Server::start("first", "2025-06-18", tools()),
        Server::start("second", "2025-06-18", tools()),
    );
    let green = Origin::replying("");
    let proxy = proxy(&[&first, &second], &[&green], "");
    let mut sessions: Vec<_> = (0..32).map(|_| Session::begin(&proxy)).collect();
    let on_first = sessions
        .iter_mut()
        .filter_map(|session| (session.call().0 == "first").then_some(()))
        .count();
    assert!((1..32).contains(&on_first), "{on_first} of 32");
    proxy
        .roster("blue")
        .configure(&[second.url().parse().unwrap()], &[]);
    for session in &mut sessions {
        assert_eq!(session.call().0, "second");
    }
}

#[test]
fn a_release_that_offers_less_gets_no_session_and_the_client_a_json_rpc_404() {
    let blue = Server::start("blue", "2025-06-18", tools());
    for (version, capabilities) in [
        ("2025-03-26", tools()),
        ("2025-06-18", json!({ "tools": {} })),
    ] {
        let green = Server::start("green", version, capabilities);
        let proxy = proxy(&[&blue], &[&green], MOVES);
        let mut session = Session::begin(&proxy);
        proxy.switch("tools", "green");
        let response = session.post("", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#);
        assert_eq!(response.status, 404);
        assert_eq!(response.value("content-type"), Some("application/json"));
        assert_eq!(response.value("x-switchback-reason"), Some("session_lost"));
        let message: Value = serde_json::from_str(&response.text()).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
        assert!(message["error"]["code"].is_i64(), "{message}");
        // Its end goes where its requests go: the release that it was on may have been stopped.
        let id = &session.id;
        session.client.send(format!(
            "DELETE /mcp HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: {id}\r\n\r\n"
        ));
        session.client.response();
        let end = green.last();
        assert!(end.line().starts_with("DELETE"), "{}", end.line());
        let opened = end.value("mcp-session-id").unwrap();
        assert!(opened.starts_with("blue-"), "{opened}");
    }
}

#[test]
fn a_release_that_cannot_begin_a_session_at_the_moment_gets_it_later() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server {
        name: "green",
        version: "2025-06-18",
        capabilities: tools(),
        sessions: Mutex::default(),
    };
    let refused = AtomicUsize::new(0);
    let green = Origin::answering(
        move |request| match refused.fetch_add(1, Ordering::SeqCst) {
            0 => reply("503 Service Unavailable", "", "{}"),
            _ => green.answer(request),
        },
    );
    let proxy = proxy(&[&blue], &[&green], MOVES);
    let mut session = Session::begin(&proxy);
    proxy.switch("tools", "green");
    let response = session.post("", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#);
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.value("x-switchback-reason"), Some("session_move"));
    assert!(response.value("retry-after").is_some());
    assert_eq!(session.call(), ("green".into(), "green-0".into()));
}

#[test]
fn the_cookies_of_an_http2_client_are_one_field_of_our_own_requests() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = proxy(&[&blue], &[&green], MOVES);
    let id = Session::begin(&proxy).id;
    proxy.switch("tools", "green");
    let call = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut asked = request("POST", "/mcp");
        for (name, value) in [
            ("mcp-session-id", id.as_str()),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ] {
            asked.headers_mut().append(name, value.parse().unwrap());
        }
        let (answer, mut body) = client.open(asked, false).await;
        send(&mut body, call, true).await.unwrap();
        let response = read(answer.await.unwrap()).await.unwrap();
        assert_eq!(response.head.status(), 200);
    });
    for request in green.requests() {
        assert_eq!(
            request.value("cookie"),
            Some("a=1; b=2"),
            "{}",
            request.head
        );
    }
    assert_eq!(
        green.requests().len(),
        3,
        "initialize, the notification, the call"
    );
}

#[test]
fn a_response_of_a_session_is_not_given_up_for_another_endpoint() {
    let unwell = |name: &'static str| {
        let server = Server {
            name,
            version: "2025-06-18",
            capabilities: tools(),
            sessions: Mutex::default(),
        };
        Origin::answering(move |request| match request.line() {
            line if line.starts_with("GET") => reply("503 Service Unavailable", "", name),
            _ => server.answer(request),
        })
    };
    let (first, second) = (unwell("first"), unwell("second"));
    let green = Origin::replying("");
    let proxy = proxy(
        &[&first, &second],
        &[&green],
        "retries = { on_status = [503] }",
    );
    for _ in 0..8 {
        let mut session = Session::begin(&proxy);
        let (server, _) = session.call();
        let id = &session.id;
        session.client.send(format!(
            "GET /mcp HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: {id}\r\n\r\n"
        ));
        let response = session.client.response();
        assert_eq!((response.status, response.text()), (503, server));
    }
}

#[test]
fn a_session_that_began_at_another_proxy_cannot_be_moved() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let (here, there) = (
        proxy(&[&blue], &[&green], MOVES),
        proxy(&[&blue], &[&green], MOVES),
    );
    let id = Session::begin(&there).id;
    let mut session = Session {
        client: here.client(),
        id,
    };
    assert_eq!(
        session.call().0,
        "blue",
        "the seal is enough while the release stays"
    );
    here.switch("tools", "green");
    let response = session.post("", "{}");
    assert_eq!(response.status, 404);
    assert_eq!(response.value("x-switchback-reason"), Some("session_lost"));
}

#[test]
fn a_session_whose_start_was_forgotten_cannot_be_moved() {
    let blue = Server::start("blue", "2025-06-18", tools());
    let green = Server::start("green", "2025-06-18", tools());
    let proxy = build(&[&blue], &[&green], MOVES)
        .settings("[sessions]\nmcp_starts = \"0B\"")
        .start();
    let mut session = Session::begin(&proxy);
    assert_eq!(session.call().0, "blue");
    proxy.switch("tools", "green");
    assert_eq!(session.post("", "{}").status, 404);
}
