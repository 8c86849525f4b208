//! `WebSockets` over HTTP/2, on either side and on both (RFC 8441).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use switchback::message::handshake;

use super::support::h2::{
    DATA, END_HEADERS, END_STREAM, H2Client, H2Origin, HEADERS, RST_STREAM, RawH2, block, echo,
    frame, header_block, pseudo, send,
};
use super::support::{Client, Origin, TIMEOUT, TestProxy};

const UPGRADE: &str = "GET /ws?a=b HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const AWAY: [u8; 4] = [0x88, 2, 3, 0xe9];
const RESTART: [u8; 4] = [0x88, 2, 3, 0xf4];
const AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 3, 0xe9];

/// A CONNECT request for another protocol over HTTP/2.
fn asking(protocol: &'static str) -> Request<()> {
    Request::builder()
        .method("CONNECT")
        .uri("http://agents.test/ws?a=b")
        .version(http::Version::HTTP_2)
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

/// An HTTP/1.1 endpoint that runs `talk` once it has switched protocols.
fn http1(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Origin {
    Origin::after_request(move |request, mut stream, _| {
        assert_eq!(request.line(), "GET /ws?a=b HTTP/1.1");
        assert_eq!(request.value("host"), Some("agents.test"));
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
        ] {
            assert_eq!(request.values(name), [value], "{name}");
        }
        let [key] = request.values("sec-websocket-key")[..] else {
            panic!("not one key")
        };
        assert_eq!(key.len(), 24);
        let accept = String::from_utf8(handshake::accept(key.as_bytes()).to_vec()).unwrap();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\nfirst"
        );
        stream.write_all(head.as_bytes()).unwrap();
        talk(stream);
    })
}

/// Echoes everything, and then sends `bye`.
fn talk_back(mut stream: TcpStream) {
    let mut from = stream.try_clone().unwrap();
    let _echoed = std::io::copy(&mut from, &mut stream);
    let _ = stream.write_all(b"bye");
}

/// An HTTP/2 endpoint that accepts CONNECT with a `:protocol`.
fn http2<F>(
    answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static,
) -> H2Origin
where
    F: Future<Output = ()> + 'static,
{
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    H2Origin::start_with(builder, answer)
}

fn before(origin: &H2Origin) -> TestProxy {
    TestProxy::before_with(&origin.release())
}

/// Opens a WebSocket over HTTP/2.
async fn open(address: SocketAddr) -> (Response<RecvStream>, SendStream<Bytes>) {
    let client = H2Client::connect(address).await;
    let (answer, out) = client.open(asking("websocket"), false).await;
    (answer.await.unwrap(), out)
}

/// The next bytes of a stream, at least this many unless it ends.
async fn next(stream: &mut RecvStream, least: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < least
        && let Some(data) = stream.data().await
    {
        let data = data.unwrap();
        let _ = stream.flow_control().release_capacity(data.len());
        got.extend_from_slice(&data);
    }
    got
}

fn status_of(answer: Result<Response<RecvStream>, h2::Error>) -> (u16, Option<String>) {
    let answer = answer.unwrap();
    let why = answer.headers().get("x-switchback-reason");
    let why = why.map(|why| why.to_str().unwrap().to_owned());
    (answer.status().as_u16(), why)
}

#[test]
fn a_socket_over_http2_is_an_upgrade_to_an_endpoint_of_http1() {
    let origin = http1(talk_back);
    let proxy = TestProxy::before(&origin);
    let roster = proxy.roster("blue");
    block(async {
        let (answer, mut out) = open(proxy.address).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
        for gone in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(answer.headers().get(gone).is_none(), "{gone}");
        }
        let mut body = answer.into_body();
        assert_eq!(next(&mut body, 5).await, b"first");
        for frame in ["hello", "again"] {
            send(&mut out, Bytes::from(frame), false).await.unwrap();
            assert_eq!(next(&mut body, 5).await, frame.as_bytes());
        }
        assert_eq!(roster.in_flight(), 1);
        out.send_data(Bytes::new(), true).unwrap();
        assert_eq!(next(&mut body, usize::MAX).await, b"bye", "and the end");
    });
    proxy.wait_until(|| roster.in_flight() == 0);
    let line = &proxy.access_lines(1)[0];
    for (key, value) in [
        ("method", serde_json::Value::from("GET")),
        ("protocol", "HTTP/2".into()),
        ("status", 200.into()),
        ("bytes_in", 10.into()),
        ("bytes_out", 18.into()),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
}

#[test]
fn a_socket_of_http1_is_a_connect_with_a_protocol_to_an_endpoint_of_http2() {
    let origin = http2(|request, respond| async move {
        let protocol = request.extensions().get::<Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        echo(request, respond).await;
    });
    let proxy = before(&origin);
    let roster = proxy.roster("blue");
    let mut client = proxy.client();
    let answer = client.send(format!("{UPGRADE}early")).response();
    assert_eq!(answer.status, 101);
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", ACCEPT),
        ("x-method", "CONNECT"),
        ("x-target", "http://a.test/ws?a=b"),
        ("x-got-sec-websocket-version", "13"),
        ("x-got-sec-websocket-protocol", "chat"),
    ] {
        assert_eq!(answer.values(name), [value], "{name}");
    }
    for gone in ["upgrade", "connection", "host", "sec-websocket-key"] {
        assert_eq!(answer.value(&format!("x-got-{gone}")), None);
    }
    assert_eq!(client.read_exact(5), b"early");
    assert_eq!(client.send("hello").read_exact(5), b"hello");
    assert_eq!(roster.in_flight(), 1);
    // More than any window: capacity is released as data is read.
    let large = vec![7; 3 << 20];
    let mut writer = client.stream().try_clone().unwrap();
    let sent = large.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(client.read_exact(large.len()) == large);
    writing.join().unwrap();
    assert!(client.is_closed(), "its end is passed on, and back");
    proxy.wait_until(|| roster.in_flight() == 0);
    let line = &proxy.access_lines(1)[0];
    assert_eq!(
        (line["status"].as_u64(), line["protocol"].as_str()),
        (Some(101), Some("HTTP/1.1"))
    );
}

#[test]
fn a_socket_passes_from_http2_to_http2() {
    let origin = http2(echo);
    let proxy = before(&origin);
    block(async {
        let (answer, mut out) = open(proxy.address).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-method"], "CONNECT");
        let mut body = answer.into_body();
        let large = Bytes::from(vec![7; 3 << 20]);
        let writing = send(&mut out, large.clone(), true);
        let (sent, got) = tokio::join!(writing, next(&mut body, usize::MAX));
        sent.unwrap();
        assert!(got == large);
    });
}

#[test]
fn another_protocol_is_refused_and_so_is_a_connect_without_one() {
    let origin = Origin::replying("x");
    let proxy = TestProxy::before(&origin);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let why = |why: &str| Some(why.to_owned());
        let (answer, _out) = client.open(asking("connect-udp"), false).await;
        assert_eq!(status_of(answer.await), (501, why("upgrade_unsupported")));
        let bare = Request::connect("a.test:443").version(http::Version::HTTP_2);
        let (answer, _out) = client.open(bare.body(()).unwrap(), false).await;
        assert_eq!(status_of(answer.await), (405, why("connect_refused")));
        assert_eq!(client.get("/").await.unwrap().text(), "x", "and no other");
        assert!(client.requests.is_extended_connect_protocol_enabled());
    });
    let mut raw = RawH2::connect(proxy.address);
    let with =
        |fields: &[(&'static str, &'static str)]| [&pseudo("CONNECT", "/")[..], fields].concat();
    let length = [(":protocol", "websocket"), ("content-length", "5")];
    let get = [&pseudo("GET", "/")[..], &[(":protocol", "websocket")]].concat();
    for (stream, fields) in [(1, with(&length)), (3, with(&[])), (5, get)] {
        raw.head(stream, 0, &fields);
        let reset = raw.until(|frame| frame.stream == stream).unwrap();
        assert_eq!((reset.kind, reset.payload), (RST_STREAM, vec![0, 0, 0, 1]));
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_endpoint_that_does_not_know_the_key_has_not_understood() {
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for accept in ["", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"] {
        let origin = Origin::answering(move |_| format!("{wrong}{accept}\r\n").into_bytes());
        let proxy = TestProxy::before(&origin);
        block(async {
            let client = H2Client::connect(proxy.address).await;
            let (answer, _out) = client.open(asking("websocket"), false).await;
            assert_eq!(
                status_of(answer.await),
                (502, Some("bad_answer".to_owned()))
            );
        });
    }
}

#[test]
fn what_an_endpoint_says_instead_passes_and_the_connection_goes_on() {
    let no = |_: &_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let (old, new) = (
        Origin::answering(no),
        http2(|_, mut respond| async move {
            let answer = Response::builder().status(403).body(()).unwrap();
            let mut out = respond.send_response(answer, false).unwrap();
            out.send_data(Bytes::from("no"), true).unwrap();
        }),
    );
    for proxy in [TestProxy::before(&old), before(&new)] {
        let mut client = proxy.client();
        for _ in 0..3 {
            let answer = client.send(UPGRADE).response();
            assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
            assert_eq!(answer.value("connection"), None);
        }
        block(async {
            let client = H2Client::connect(proxy.address).await;
            for _ in 0..2 {
                let (answer, mut out) = client.open(asking("websocket"), false).await;
                // Bytes for a tunnel that is refused are dropped.
                let early = Bytes::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                out.send_data(early, false).unwrap();
                let answer = super::support::h2::read(answer.await.unwrap())
                    .await
                    .unwrap();
                assert_eq!((answer.status(), answer.text()), (403, "no"));
            }
        });
        let lines = proxy.access_lines(5);
        assert!(lines.iter().all(|line| line["status"] == 403), "{lines:?}");
    }
    assert_eq!((old.connections(), new.connections()), (1, 1));
    assert_eq!(old.requests().len(), 5);
}

#[test]
fn other_upgrades_have_no_words_in_http2() {
    let origin = http2(echo);
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route_with(
            "all",
            &[("blue", 1)],
            "path_prefix = \"/\"\nupgrades = [\"tcp\"]",
        )
        .start();
    let mut client = proxy.client();
    let ask = |client: &mut Client, to: &str| {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n"
        ));
        let answer = client.response();
        assert_eq!(answer.value("connection"), None, "{to}");
        let why = answer.value("x-switchback-reason").map(str::to_owned);
        (answer.status, why)
    };
    let refused = (501, Some("upgrade_unsupported".to_owned()));
    assert_eq!(ask(&mut client, "tcp"), refused);
    assert_eq!(origin.connections(), 0, "no plain request gets there");
    // An upgrade that the route does not allow is an ordinary request.
    assert_eq!(ask(&mut client, "other"), (200, None));
}

/// The bytes that an endpoint received, and how the stream ended.
type Heard = (Vec<u8>, Option<Reason>);

/// An HTTP/2 endpoint that sends one frame, and reports what it received.
fn listening() -> (H2Origin, Receiver<Heard>) {
    let (report, reports) = channel();
    let origin = http2(move |request, mut respond| {
        let report = report.clone();
        async move {
            let mut out = respond.send_response(Response::new(()), false).unwrap();
            out.send_data(Bytes::from_static(b"\x82\x03abc"), false)
                .unwrap();
            let (mut body, mut got) = (request.into_body(), Vec::new());
            let end = loop {
                match body.data().await {
                    Some(Ok(data)) => got.extend_from_slice(&data),
                    Some(Err(error)) => break error.reason(),
                    None => break None,
                }
            };
            report.send((got, end)).unwrap();
        }
    });
    (origin, reports)
}

#[test]
fn a_websocket_that_we_end_ends_with_a_close_frame_on_both_streams() {
    for is_silent in [true, false] {
        let (origin, reports) = listening();
        let idle = if is_silent { "300ms" } else { "1h" };
        let proxy = TestProxy::builder()
            .release_with("blue", &origin.release())
            .route("all", "/", &[("blue", 1)])
            .settings(&format!("[timeouts]\nwebsocket_idle = {idle:?}"))
            .start();
        block(async {
            let (answer, mut out) = open(proxy.address).await;
            let mut body = answer.into_body();
            assert_eq!(next(&mut body, 5).await, b"\x82\x03abc");
            if !is_silent {
                proxy.cut("blue");
            }
            let close = if is_silent { AWAY } else { RESTART };
            assert_eq!(next(&mut body, usize::MAX).await, close, "and the end");
            out.send_data(Bytes::new(), true).unwrap();
        });
        let (got, end) = reports.recv_timeout(TIMEOUT).unwrap();
        assert_eq!((got, end), (AWAY_MASKED.to_vec(), None));
    }
}

#[test]
fn a_reset_on_one_side_is_a_reset_on_the_other() {
    // A reset of the stream resets the endpoint's connection.
    let (report, reports) = channel();
    let origin = http1(move |mut stream| {
        let read = stream.read(&mut [0; 16]);
        report.send(read.map_err(|error| error.kind())).unwrap();
    });
    let proxy = TestProxy::before(&origin);
    block(async {
        let (answer, mut out) = open(proxy.address).await;
        assert_eq!(next(&mut answer.into_body(), 5).await, b"first");
        out.send_reset(Reason::CANCEL);
        // The connection itself goes on, and carries the reset.
        let client = H2Client::connect(proxy.address).await;
        drop(client);
        tokio::task::spawn_blocking(move || {
            let read = reports.recv_timeout(TIMEOUT).unwrap();
            assert_eq!(read, Err(std::io::ErrorKind::ConnectionReset));
        })
        .await
        .unwrap();
    });
    // A reset of the connection resets the endpoint's stream.
    let (origin, reports) = listening();
    let proxy = before(&origin);
    let mut client = proxy.client();
    assert_eq!(client.send(UPGRADE).response().status, 101);
    assert_eq!(client.read_exact(5), b"\x82\x03abc");
    socket2::SockRef::from(client.stream())
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(client);
    let (got, end) = reports.recv_timeout(TIMEOUT).unwrap();
    assert_eq!((got, end), (Vec::new(), Some(Reason::CANCEL)));
    proxy.wait_until(|| proxy.roster("blue").in_flight() == 0);
}

#[test]
fn the_last_words_of_an_endpoint_that_reads_no_more_are_passed_on() {
    let origin = Origin::scripted(|stream| {
        let announced = [0, 8, 0, 0, 0, 1];
        let Some(mut raw) = RawH2::accept(stream, &announced) else {
            return;
        };
        let asked = raw.asked().unwrap();
        let mut last = frame(
            HEADERS,
            END_HEADERS,
            asked,
            &header_block(&[(":status", "200")]),
        );
        last.extend(frame(DATA, END_STREAM, asked, b"\x88\x02\x03\xe8"));
        last.extend(frame(RST_STREAM, 0, asked, &[0; 4]));
        raw.bytes(&last);
        raw.rest();
    });
    let lines = format!("endpoints = [{:?}]\nprotocol = \"h2\"", origin.url());
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .start();
    let mut client = proxy.client();
    assert_eq!(
        client.send(format!("{UPGRADE}early")).response().status,
        101
    );
    let mut rest = Vec::new();
    let read = client.reader().read_to_end(&mut rest);
    assert_eq!((read.unwrap(), &rest[..]), (4, &b"\x88\x02\x03\xe8"[..]));
}
