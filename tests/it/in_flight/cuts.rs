//! Cuts that an operator orders, and their form; `matrix` has those by policy.

use serde_json::json;

use super::harness::{Held, HeldOrigin, Whole};
use super::work::{EVENTS, GET};
use crate::support::{Client, UPGRADE, UPGRADED, wait_until};

/// One request of each class, on the release that is about to leave, with its endpoint's side.
struct InFlight {
    unary: (Client, Held),
    stream: (Client, Held),
    socket: (Client, Held),
}

impl InFlight {
    fn begin(proxy: &Whole, origin: &HeldOrigin) -> Self {
        let mut unary = proxy.client();
        unary.send(GET);
        let unary = (unary, origin.next());
        let mut stream = proxy.client();
        stream.send(GET);
        let mut events = origin.next();
        events.send(EVENTS).chunk("data: 1\n\n");
        stream.response_head();
        assert_eq!(stream.chunk(), "data: 1\n\n");
        let mut socket = proxy.client();
        socket.send(UPGRADE);
        let mut tunnel = origin.next();
        tunnel.send(UPGRADED);
        assert_eq!(socket.response().status, 101);
        Self {
            unary,
            stream: (stream, events),
            socket: (socket, tunnel),
        }
    }

    /// All of it was ended by the proxy, each in the way of its protocol.
    fn assert_cut(self, reason: &str) {
        let mut unary = self.unary.0;
        let response = unary.response();
        assert_eq!(response.status, 503);
        assert_eq!(response.value("x-switchback-reason"), Some(reason));
        let wait: u64 = response.value("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&wait), "{wait}");
        let mut stream = self.stream.0;
        let event = stream.chunk();
        let lines: Vec<_> = event.lines().collect();
        let [retry, "event: error", data, ""] = lines[..] else {
            panic!("{event:?}");
        };
        let retry: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
        assert!((1_000..5_000).contains(&retry), "{retry}");
        let data: serde_json::Value =
            serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["error"]["code"], reason);
        assert!(stream.is_closed(), "without the chunk that would end it");
        let mut socket = self.socket.0;
        assert_eq!(socket.read_exact(4), [0x88, 2, 3, 0xf4], "1012");
        assert!(socket.is_closed());
    }
}

#[test]
fn a_rollback_with_cut_ends_at_once_what_may_finish_otherwise_and_nothing_of_other_routes() {
    let proxy = Whole::start(
        "[[routes]]\nname = \"other\"\npath_prefix = \"/other\"\nsplit = { green = 1 }\n",
    );
    proxy.switch("green");
    let in_flight = InFlight::begin(&proxy, &proxy.green);
    let mut other = proxy.client();
    other.send(GET.replace("GET / ", "GET /other "));
    let mut kept = proxy.green.next();
    proxy.done("POST", "/v1/routes/chat/rollback?cut=true", &json!({}));
    in_flight.assert_cut("release_left");
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(other.response().text(), "ok");
    let expected = ["unary", "stream", "websocket"];
    wait_until("the counters", || proxy.cuts().len() == 3);
    assert_eq!(
        proxy.cuts(),
        expected.map(|class| format!("green 1 {class} rollback 1"))
    );
}

#[test]
fn a_stream_is_never_ended_inside_an_event() {
    let proxy = Whole::start("[routes.in_flight.switch]\nstream = \"cut\"\n");
    let mut client = proxy.client();
    client.send(GET);
    let mut events = proxy.blue.next();
    events.send(EVENTS).chunk("data: 1\n\ndata: 2\n");
    client.response_head();
    assert_eq!(client.chunk(), "data: 1\n\ndata: 2\n");
    proxy.switch("green");
    assert!(client.is_closed(), "without a word");
    wait_until("the counter", || proxy.cuts() == ["blue 1 stream switch 1"]);
}

#[test]
fn a_call_of_mcp_gets_an_error_with_its_own_id() {
    let proxy = Whole::start("agent_protocol = \"mcp\"\n");
    let mut client = proxy.client();
    let call = r#"{"jsonrpc":"2.0","id":"c-7","method":"tools/call"}"#;
    let length = call.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{call}"
    ));
    let mut events = proxy.blue.next();
    events.send(EVENTS).chunk("data: 1\n\n");
    client.response_head();
    assert_eq!(client.chunk(), "data: 1\n\n");
    proxy.done(
        "POST",
        "/v1/routes/chat/switch?cut=true",
        &json!({ "to": "green" }),
    );
    let event = client.chunk();
    let lines: Vec<_> = event.lines().collect();
    let [retry, data, ""] = lines[..] else {
        panic!("{event:?}");
    };
    assert!(retry.starts_with("retry: "), "{retry}");
    let data: serde_json::Value =
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&data["jsonrpc"], &data["id"]),
        (&json!("2.0"), &json!("c-7"))
    );
    assert_eq!(data["error"]["data"]["reason"], "release_left");
    assert!(client.is_closed());
}

#[test]
fn a_release_that_comes_back_in_time_keeps_its_work() {
    let proxy = Whole::start("[routes.in_flight.switch]\nunary = \"finish within 2s\"\n");
    let mut client = proxy.client();
    client.send(GET);
    let mut answer = proxy.blue.next();
    proxy.switch("green");
    proxy.switch("blue");
    // What green had is cut after its time, and so the time of blue is over as well.
    proxy.switch("green");
    let mut second = proxy.client();
    second.send(GET);
    let _held = proxy.green.next();
    proxy.switch("blue");
    assert_eq!(second.response().status, 503);
    answer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(proxy.cuts(), ["green 1 unary switch 1"]);
}
