//! A client of every class of work over HTTP/1.1 or HTTP/2: it begins, and describes what came until its end in words.

use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Request, Response};

use super::Transport;
use super::case::Work;
use crate::support::Client;
use crate::support::h2::{H2Client, block, request, send};

/// The end of work: what came, and when it ended.
pub(super) struct End {
    pub(super) seen: String,
    pub(super) at: Instant,
}

/// Does a piece of work, from its request to its end.
pub(super) fn run(address: SocketAddr, transport: Transport, work: Work, path: &str) -> End {
    let seen = match transport {
        Transport::Http1 => http1(Client::connect(address), work, path),
        Transport::Http2 => block(http2(address, work, path)),
    };
    End {
        seen,
        at: Instant::now(),
    }
}

/// Sends a request of a session, with its id if it has one: the id of the next request, and the body.
pub(super) fn ask(
    address: SocketAddr,
    transport: Transport,
    path: &str,
    id: Option<&str>,
) -> (String, String) {
    match transport {
        Transport::Http1 => {
            let mut client = Client::connect(address);
            let field = id.map_or_else(String::new, |id| format!("X-Session: {id}\r\n"));
            client.send(format!(
                "GET {path} HTTP/1.1\r\nHost: a.test\r\n{field}\r\n"
            ));
            let response = client.response();
            assert_eq!(response.status, 200, "{}", response.head);
            let id = response.value("x-session").unwrap().to_owned();
            (id, response.text())
        }
        Transport::Http2 => block(async {
            let client = H2Client::connect(address).await;
            let mut asked = request("GET", path);
            if let Some(id) = id {
                asked.headers_mut().insert("x-session", id.parse().unwrap());
            }
            let (answer, _) = client.open(asked, true).await;
            let (head, mut body) = answer.await.unwrap().into_parts();
            assert_eq!(head.status, 200);
            let id = head.headers["x-session"].to_str().unwrap().to_owned();
            (id, String::from_utf8(read(&mut body).await.0).unwrap())
        }),
    }
}

// === HTTP/1.1 ===

fn http1(mut client: Client, work: Work, path: &str) -> String {
    let fields = match work {
        Work::WebSocket => {
            "Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        }
        _ => "",
    };
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"
    ));
    match work {
        Work::WebSocket => {
            assert_eq!(client.response().status, 101);
            let mut bytes = Vec::new();
            let end = client.reader().read_to_end(&mut bytes);
            let end = end.map_or_else(|error| error.to_string(), |_| "whole".to_owned());
            format!("{} {end}", frames(&bytes))
        }
        Work::Stream => {
            client.response_head();
            let (body, end) = chunks(&mut client);
            format!("{} {end}", events(&body))
        }
        _ => {
            let response = client.response();
            let fields = ["x-switchback-reason", "retry-after"].map(|name| response.value(name));
            whole(response.status, fields, &response.body)
        }
    }
}

/// The data of chunks until their end, and whether it was that of a whole body.
fn chunks(client: &mut Client) -> (Vec<u8>, &'static str) {
    let (mut data, mut line) = (Vec::new(), String::new());
    loop {
        line.clear();
        if client
            .reader()
            .read_line(&mut line)
            .is_ok_and(|read| read == 0)
        {
            return (data, "truncated");
        }
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let chunk = client.read_exact(size + 2);
        if size == 0 {
            return (data, "whole");
        }
        data.extend_from_slice(&chunk[..size]);
    }
}

// === HTTP/2 ===

async fn http2(address: SocketAddr, work: Work, path: &str) -> String {
    let client = H2Client::connect(address).await;
    let (answer, _out) = open(&client, work, path).await;
    let (head, mut body) = answer.into_parts();
    let (bytes, end) = read(&mut body).await;
    let value = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
    let seen = match work {
        Work::WebSocket => format!("{} {end}", frames(&bytes)),
        Work::Stream => format!("{} {end}", events(&bytes)),
        Work::Call if value("grpc-status").is_some() => {
            format!("only {}", value("grpc-status").unwrap())
        }
        Work::GrpcStream | Work::Call => format!("{} {end}", messages(&bytes)),
        Work::Unary => whole(
            head.status.as_u16(),
            ["x-switchback-reason", "retry-after"].map(value),
            &bytes,
        ),
    };
    // The end of a stream is not the end of its connection.
    let other = client.get("/alive").await.unwrap();
    assert_eq!(other.status(), 404, "no route has this path");
    seen
}

async fn open(
    client: &H2Client,
    work: Work,
    path: &str,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let asked = match work {
        Work::WebSocket => Request::builder()
            .method("CONNECT")
            .uri(format!("http://agents.test{path}"))
            .version(http::Version::HTTP_2)
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(())
            .unwrap(),
        Work::Call | Work::GrpcStream => {
            let mut call = request("POST", path);
            let fields = call.headers_mut();
            fields.insert("content-type", "application/grpc".parse().unwrap());
            fields.insert("te", "trailers".parse().unwrap());
            call
        }
        Work::Stream | Work::Unary => request("GET", path),
    };
    let has_body = matches!(work, Work::Call | Work::GrpcStream);
    let is_over = matches!(work, Work::Stream | Work::Unary);
    let (answer, mut out) = client.open(asked, is_over).await;
    if has_body {
        send(&mut out, Bytes::from_static(b"\0\0\0\0\0"), true)
            .await
            .unwrap();
    }
    (answer.await.unwrap(), out)
}

/// The bytes of a stream until its end, and the end in words.
async fn read(body: &mut RecvStream) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                let _ = body.flow_control().release_capacity(data.len());
                bytes.extend_from_slice(&data);
            }
            Err(error) => return (bytes, format!("{:?}", error.reason().unwrap())),
        }
    }
    let status = body.trailers().await.unwrap();
    let status = status.map(|trailers| trailers["grpc-status"].to_str().unwrap().to_owned());
    (bytes, status.unwrap_or_else(|| "whole".to_owned()))
}

// === words ===

/// A response that is no stream.
fn whole(status: u16, [reason, wait]: [Option<&str>; 2], body: &[u8]) -> String {
    let Some(reason) = reason else {
        return format!("{status} {}", String::from_utf8_lossy(body));
    };
    let wait: u64 = wait.unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    format!("{status} {reason}")
}

/// Server-sent events: the data of each, or the reason of an error.
fn events(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let blocks = text.strip_suffix("\n\n").unwrap().split("\n\n");
    blocks.map(event).collect::<Vec<_>>().join(" ")
}

fn event(block: &str) -> String {
    let lines: Vec<_> = block.lines().collect();
    match lines[..] {
        [data] => data.strip_prefix("data: ").unwrap().to_owned(),
        [retry, "event: error", data] => {
            let retry: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
            assert!((1_000..5_000).contains(&retry), "{retry}");
            let data = data.strip_prefix("data: ").unwrap();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            format!("retry {}", data["error"]["code"].as_str().unwrap())
        }
        _ => panic!("{block:?}"),
    }
}

/// Frames of a WebSocket from a server: texts, and the code of the close frame.
fn frames(mut bytes: &[u8]) -> String {
    let mut seen = Vec::new();
    while let [kind, length, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(*length));
        seen.push(match kind {
            0x81 => String::from_utf8(payload.to_vec()).unwrap(),
            0x88 => u16::from_be_bytes(payload.try_into().unwrap()).to_string(),
            other => panic!("a frame of the kind {other:x}"),
        });
        bytes = rest;
    }
    seen.join(" ")
}

/// Messages of gRPC.
fn messages(mut bytes: &[u8]) -> String {
    let mut seen = Vec::new();
    while let [_, 0, 0, 0, length, rest @ ..] = bytes {
        let (message, rest) = rest.split_at(usize::from(*length));
        seen.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = rest;
    }
    seen.join(" ")
}
