//! Sessions of agents that speak MCP and A2A: tasks and contexts whose ids are only in messages.

use std::collections::HashSet;
use std::io::{BufReader, Read, Write};
use std::time::Duration;

use bytes::Bytes;

use crate::support::h2::{H2Client, block, read, request, send};
use crate::support::{Client, Origin, Request, Response, TestProxy, read_head};

/// Form of an agent's message.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Chunked,
    Events,
}

fn response(form: Form, name: &str, message: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nX-Agent: {name}\r\n");
    let length = message.len();
    match form {
        Form::Json => format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{message}"),
        Form::Chunked => {
            let (one, two) = message.split_at(length / 2);
            format!(
                "{head}Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
                one.len(),
                two.len()
            )
        }
        Form::Events => {
            let events = format!(": hello\n\nevent: message\ndata: {message}\n\n");
            format!("{head}Content-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{events}", events.len())
        }
    }
    .into_bytes()
}

/// An agent whose responses `message` makes, with a number of its own for each request.
fn agent(name: &'static str, form: Form, message: fn(&str) -> String) -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::answering(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        response(form, name, &message(&format!("{name}-{number}")))
    })
}

fn proxy(agents: &[Origin; 4], settings: &str, lines: &str) -> TestProxy {
    TestProxy::builder()
        .settings(settings)
        .release("blue", &[&agents[0], &agents[1]])
        .release("green", &[&agents[2], &agents[3]])
        .route_with(
            "chat",
            &[("blue", 1), ("green", 1)],
            &format!("path_prefix = \"/\"\n{lines}"),
        )
        .start()
}

fn post(client: &mut Client, path: &str, fields: &str, body: &str) -> Response {
    let length = body.len();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ));
    client.response()
}

fn name(response: &Response) -> String {
    response.value("x-agent").unwrap().to_owned()
}

fn mcp_task(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"task","taskId":"{id}","ttlMs":60000}}}}"#
    )
}

fn mcp_task_for_a_day(id: &str) -> String {
    mcp_task(id).replace("60000", "86400000")
}

fn a2a_task(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"task":{{"id":"{id}","contextId":"c-{id}","status":{{"state":"x"}}}}}}}}"#
    )
}

/// The id in the message of a response.
fn task_id(response: &Response) -> String {
    let text = response.text();
    let at = text
        .find("\"taskId\":\"")
        .map(|at| at + 10)
        .or_else(|| text.find("\"id\":\"").map(|at| at + 6));
    let rest = &text[at.unwrap()..];
    rest[..rest.find('"').unwrap()].to_owned()
}

fn agents(form: Form, message: fn(&str) -> String) -> [Origin; 4] {
    ["blue-1", "blue-2", "green-1", "green-2"].map(|name| agent(name, form, message))
}

#[test]
fn calls_about_a_task_of_mcp_reach_the_agent_that_has_it() {
    for form in [Form::Json, Form::Chunked, Form::Events] {
        let agents = agents(form, mcp_task);
        let proxy = proxy(&agents, "", "agent_protocol = \"mcp\"");
        let mut client = proxy.client();
        let begun: Vec<_> = (0..30)
            .map(|_| {
                post(
                    &mut client,
                    "/mcp",
                    "Mcp-Method: tools/call\r\nMcp-Name: slow\r\n",
                    "{}",
                )
            })
            .collect();
        proxy.switch("chat", "green");
        let mut reached = HashSet::new();
        for first in &begun {
            let fields = format!("Mcp-Method: tasks/get\r\nMcp-Name: {}\r\n", task_id(first));
            let again = post(&mut client, "/mcp", &fields, "{}");
            assert_eq!(name(&again), name(first));
            reached.insert(name(first));
        }
        assert!(reached.len() >= 3, "{reached:?}");
        let fields = format!(
            "Mcp-Method: tools/call\r\nMcp-Name: {}\r\n",
            task_id(&begun[0])
        );
        let others: HashSet<_> = (0..20)
            .map(|_| name(&post(&mut client, "/mcp", &fields, "{}")))
            .collect();
        assert!(
            others.iter().all(|name| name.starts_with("green")),
            "a tool may have any name"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of requests")]
fn messages_about_a_task_or_a_context_of_a2a_reach_its_agent_with_their_body() {
    let agents = agents(Form::Json, a2a_task);
    let proxy = proxy(&agents, "", "agent_protocol = \"a2a\"");
    let mut client = proxy.client();
    let first_message =
        r#"{"jsonrpc":"2.0","id":"1","method":"SendMessage","params":{"message":{"parts":[]}}}"#;
    let begun: Vec<_> = (0..20)
        .map(|_| post(&mut client, "/", "", first_message))
        .collect();
    proxy.switch("chat", "green");
    let bodies = |id: &str| {
        [
            format!(
                r#"{{"jsonrpc":"2.0","id":"1","method":"SendMessage","params":{{"message":{{"taskId":"{id}","parts":[{{"text":"x"}}]}}}}}}"#
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":"1","method":"SendMessage","params":{{"message":{{"contextId":"c-{id}"}}}}}}"#
            ),
            format!(r#"{{"jsonrpc":"2.0","id":"1","method":"GetTask","params":{{"id":"{id}"}}}}"#),
        ]
    };
    let of = |name: &str| {
        agents
            .iter()
            .zip(["blue-1", "blue-2", "green-1", "green-2"])
            .find(|(_, own)| *own == name)
            .unwrap()
            .0
    };
    for first in &begun {
        let id = task_id(first);
        for body in bodies(&id) {
            let again = post(&mut client, "/", "", &body);
            assert_eq!(name(&again), name(first), "{body}");
            let got: Request = of(&name(first)).last();
            assert_eq!(String::from_utf8(got.body).unwrap(), body);
        }
        for path in [
            format!("/tasks/{id}"),
            format!("/v1/tasks/{id}:cancel"),
            format!("/tasks/{id}/pushNotificationConfigs"),
        ] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(name(&client.response()), name(first), "{path}");
        }
    }
    let new = post(&mut client, "/", "", first_message);
    assert!(name(&new).starts_with("green"));
    block(async {
        let client = H2Client::connect(proxy.address).await;
        for first in &begun {
            let [body, ..] = bodies(&task_id(first));
            let mut asked = request("POST", "/");
            asked
                .headers_mut()
                .insert("content-type", "application/json".parse().unwrap());
            asked
                .headers_mut()
                .insert("content-length", body.len().into());
            let (answer, mut out) = client.open(asked, false).await;
            send(&mut out, Bytes::from(body.clone()), true)
                .await
                .unwrap();
            let answer = read(answer.await.unwrap()).await.unwrap();
            assert_eq!(answer.value("x-agent"), Some(&name(first)[..]));
            assert_eq!(of(&name(first)).last().body, body.as_bytes());
        }
    });
}

#[test]
fn a_message_that_was_read_first_is_sent_whole_after_a_failed_connection() {
    let agent = agent("blue", Form::Json, a2a_task);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = closed.local_addr().unwrap();
    drop(closed);
    let proxy = TestProxy::builder()
        .release_with(
            "blue",
            &format!("endpoints = [\"http://{gone}\", {:?}]", agent.url()),
        )
        .route_with(
            "chat",
            &[("blue", 1)],
            "path_prefix = \"/\"\nagent_protocol = \"a2a\"",
        )
        .start();
    for number in 0..10 {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"{number}","method":"SendMessage","params":{{"message":{{}}}}}}"#
        );
        let answer = post(&mut proxy.client(), "/", "", &body);
        assert_eq!((answer.status, agent.last().body), (200, body.into_bytes()));
    }
}

#[test]
fn a_body_that_is_long_or_cut_is_no_reason_to_wait() {
    let agents = agents(Form::Json, a2a_task);
    let proxy = proxy(&agents, "", "agent_protocol = \"a2a\"");
    let mut client = proxy.client();
    let long = format!(
        r#"{{"jsonrpc":"2.0","params":{{"text":"{}"}}}}"#,
        "x".repeat(100_000)
    );
    let answer = post(&mut client, "/", "", &long);
    assert_eq!(answer.status, 200);
    let got = agents
        .iter()
        .filter(|agent| !agent.requests().is_empty())
        .map(Origin::last);
    assert_eq!(
        got.map(|request| request.body).collect::<Vec<_>>(),
        [long.into_bytes()]
    );
    let mut cut = proxy.client();
    cut.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\"");
    drop(cut);
    assert_eq!(post(&mut client, "/", "", "{}").status, 200);
}

#[test]
fn a_body_that_waits_for_a_100_is_not_waited_for() {
    let agent = Origin::scripted(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head = read_head(&mut reader).unwrap();
        assert!(head.to_lowercase().contains("expect: 100-continue"));
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 2];
        reader.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"{}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&agent])
        .route_with(
            "chat",
            &[("blue", 1)],
            "path_prefix = \"/\"\nagent_protocol = \"a2a\"",
        )
        .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.try_response().unwrap().status, 100);
    assert_eq!(client.send("{}").response().status, 200);
}

#[test]
fn the_table_of_ids_has_a_size_and_a_time() {
    let agents = agents(Form::Json, mcp_task_for_a_day);
    for (settings, at, waits) in [
        ("learned_ids = 0", "green", false),
        ("learned_for = \"1s\"", "green", true),
        ("learned_for = \"1h\"", "blue", true),
    ] {
        let settings = format!("[sessions]\n{settings}");
        let proxy = proxy(&agents, &settings, "agent_protocol = \"mcp\"");
        let mut client = proxy.client();
        let only_blue = |client: &mut Client| {
            let begun = (0..40).map(|_| post(client, "/", "", "{}"));
            let by_blue = begun.filter(|response| name(response).starts_with("blue"));
            by_blue.collect::<Vec<_>>()
        };
        let begun = only_blue(&mut client);
        proxy.switch("chat", "green");
        if waits {
            // The time that is tested is the time that passes.
            std::thread::sleep(Duration::from_millis(2_100));
        }
        for first in &begun {
            let fields = format!("Mcp-Method: tasks/get\r\nMcp-Name: {}\r\n", task_id(first));
            let now = name(&post(&mut client, "/", &fields, "{}"));
            assert!(now.starts_with(at), "{settings}: {now}");
        }
    }
}

#[test]
fn sessions_of_mcp_are_pinned_without_a_word_in_the_route() {
    let agent = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nMcp-Session-Id: s-1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".to_vec()
    });
    let proxy = TestProxy::builder()
        .release("blue", &[&agent])
        .route_with(
            "chat",
            &[("blue", 1)],
            "path_prefix = \"/\"\nagent_protocol = \"mcp\"",
        )
        .start();
    let mut client = proxy.client();
    let first = post(&mut client, "/", "", "{}");
    let sealed = first.value("mcp-session-id").unwrap();
    assert!(sealed.starts_with("sb1."));
    post(
        &mut client,
        "/",
        &format!("Mcp-Session-Id: {sealed}\r\n"),
        "{}",
    );
    assert_eq!(agent.last().value("mcp-session-id"), Some("s-1"));
}

#[test]
fn heads_that_announce_bodies_and_send_none_take_no_room_from_others() {
    let agents = agents(Form::Json, a2a_task);
    // The one worker reads the heads of those that stall before the calls that come after them.
    let proxy = proxy(&agents, "", "agent_protocol = \"a2a\"");
    let mut client = proxy.client();
    let first = post(
        &mut client,
        "/",
        "",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{}}",
    );
    let (id, agent) = (task_id(&first), name(&first));
    let stalled: Vec<_> = (0..300)
        .map(|_| {
            let mut client = proxy.client();
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n{");
            client
        })
        .collect();
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"SendMessage","params":{{"message":{{"taskId":"{id}"}}}}}}"#
    );
    for _ in 0..20 {
        assert_eq!(name(&post(&mut client, "/", "", &message)), agent);
    }
    drop(stalled);
}
