//! Abuse of HTTP/2: what is refused, what is counted, and that none of it reaches an endpoint.

use crate::support::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    RawFrame, RawH2, SETTINGS, WINDOW_UPDATE, frame, header_block, pseudo,
};
use crate::support::{Origin, TestProxy};

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn code(frame: &RawFrame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap())
}

/// The end of a request: the status, the code of the reset, or that of the GOAWAY.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Answered,
    Closed(Option<u32>),
    Refused(u16),
    Reset(u32),
}

/// A block without a leading update of the table size.
fn without_size(block: &[u8]) -> &[u8] {
    block.strip_prefix(&[0x20]).unwrap_or(block)
}

/// The status of a response, if it is indexed or a literal with an indexed name.
fn status(block: &[u8]) -> End {
    match without_size(block) {
        [0x88, ..] => End::Answered,
        [0x8c, ..] => End::Refused(400),
        [0x8d, ..] => End::Refused(404),
        [0x8e, ..] => End::Refused(500),
        [0x08, 3, b'4', b'0', b'5', ..] => End::Refused(405),
        other => panic!("a status is missing here: {other:02x?}"),
    }
}

fn end_of(raw: &mut RawH2, stream: u32) -> End {
    let is_end = |frame: &RawFrame| {
        frame.kind == GOAWAY || frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM)
    };
    match raw.until(is_end) {
        None => End::Closed(None),
        Some(frame) if frame.kind == GOAWAY => End::Closed(Some(code(&frame))),
        Some(frame) if frame.kind == RST_STREAM => End::Reset(code(&frame)),
        Some(frame) => status(&frame.payload),
    }
}

/// Sends one head on a connection of its own.
fn end_of_head(proxy: &TestProxy, fields: &[(&str, &str)]) -> End {
    let mut raw = RawH2::connect(proxy.address);
    raw.head(1, END_STREAM, fields);
    end_of(&mut raw, 1)
}

fn with<'f>(more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    [&pseudo("GET", "/")[..], more].concat()
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn malformed_heads_are_refused_and_reach_no_endpoint() {
    let origin = Origin::replying("never");
    let proxy = TestProxy::builder()
        .settings("[headers]\nvia = \"switchback\"")
        .release("blue", &[&origin])
        .route("all", "/", &[("blue", 1)])
        .start();
    let long = "a".repeat(20_000);
    let [method, scheme, authority, path] = pseudo("GET", "/")[..] else {
        unreachable!("there are four");
    };
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("no method", vec![scheme, authority, path]),
        ("no scheme", vec![method, authority, path]),
        ("no path", vec![method, scheme, authority]),
        ("no authority", vec![method, scheme, path]),
        ("empty path", vec![method, scheme, authority, (":path", "")]),
        ("two methods", vec![method, method, scheme, authority, path]),
        (
            "two paths",
            vec![method, scheme, authority, path, (":path", "/b")],
        ),
        (
            "two authorities",
            vec![method, scheme, authority, authority, path],
        ),
        ("unknown pseudo-field", with(&[(":evil", "1")])),
        ("pseudo-field of an answer", with(&[(":status", "200")])),
        (
            "pseudo-field after a field",
            vec![method, scheme, authority, ("x-a", "1"), path],
        ),
        ("upper case", with(&[("X-Upper", "1")])),
        ("space in a name", with(&[("x a", "1")])),
        ("colon in a name", with(&[("x:a", "1")])),
        ("line in a name", with(&[("x-a\r\nx-b", "1")])),
        ("empty name", with(&[("", "1")])),
        ("line in a value", with(&[("x-a", "1\r\nx-b: 2")])),
        ("line feed in a value", with(&[("x-a", "1\n2")])),
        ("NUL in a value", with(&[("x-a", "1\u{0}2")])),
        ("space before a value", with(&[("x-a", " 1")])),
        ("space after a value", with(&[("x-a", "1 ")])),
        ("connection", with(&[("connection", "close")])),
        (
            "connection that nominates",
            with(&[("connection", "x-a"), ("x-a", "1")]),
        ),
        ("keep-alive", with(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("upgrade", with(&[("upgrade", "websocket")])),
        (
            "h2c",
            with(&[("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]),
        ),
        ("te", with(&[("te", "gzip")])),
        ("te and more", with(&[("te", "trailers, gzip")])),
        (
            "two lengths",
            with(&[("content-length", "0"), ("content-length", "0")]),
        ),
        ("two lengths in one", with(&[("content-length", "0, 0")])),
        ("length with a sign", with(&[("content-length", "+5")])),
        ("negative length", with(&[("content-length", "-1")])),
        ("length without a body", with(&[("content-length", "5")])),
        ("empty length", with(&[("content-length", "")])),
        (
            "huge length",
            with(&[("content-length", "18446744073709551621")]),
        ),
        (
            "space in the method",
            vec![(":method", "G ET"), scheme, authority, path],
        ),
        (
            "line in the method",
            vec![
                (":method", "GET / HTTP/1.1\r\nx: y"),
                scheme,
                authority,
                path,
            ],
        ),
        (
            "space in the path",
            with(&[])
                .into_iter()
                .map(|f| if f.0 == ":path" { (":path", "/a b") } else { f })
                .collect(),
        ),
        (
            "line in the path",
            vec![method, scheme, authority, (":path", "/ HTTP/1.1\r\nx: y")],
        ),
        ("no slash", vec![method, scheme, authority, (":path", "a")]),
        (
            "absolute path",
            vec![method, scheme, authority, (":path", "http://evil.test/")],
        ),
        ("asterisk", vec![method, scheme, authority, (":path", "*")]),
        (
            "long path",
            vec![method, scheme, authority, (":path", long.as_str())],
        ),
        (
            "scheme with a line",
            vec![method, (":scheme", "http\r\n"), authority, path],
        ),
        (
            "authority with a user",
            vec![method, scheme, (":authority", "user@agents.test"), path],
        ),
        (
            "authority with a path",
            vec![method, scheme, (":authority", "agents.test/x"), path],
        ),
        (
            "authority with a space",
            vec![method, scheme, (":authority", "a b"), path],
        ),
        (
            "authority with a line",
            vec![method, scheme, (":authority", "a\r\nx: y"), path],
        ),
        (
            "empty authority",
            vec![method, scheme, (":authority", ""), path],
        ),
        (
            "odd port",
            vec![method, scheme, (":authority", "a:b"), path],
        ),
        ("odd host beside a good authority", with(&[("host", "a b")])),
        ("two hosts", with(&[("host", "a.test"), ("host", "b.test")])),
        (
            "connect",
            vec![(":method", "CONNECT"), (":authority", "a.test:443")],
        ),
        (
            "connect with a path",
            vec![(":method", "CONNECT"), scheme, authority, path],
        ),
        (
            "extended connect to something else",
            vec![
                (":method", "CONNECT"),
                (":protocol", "connect-udp"),
                scheme,
                authority,
                path,
            ],
        ),
        ("underscore", with(&[("x_real_ip", "1.2.3.4")])),
        ("expectation", with(&[("expect", "202-accepted")])),
        (
            "broken escape",
            vec![method, scheme, authority, (":path", "/%zz")],
        ),
        ("loop", with(&[("via", "2 switchback")])),
    ];
    for (name, fields) in &cases {
        let end = end_of_statusless(&proxy, fields);
        assert!(end, "{name}");
    }
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
}

/// True if a head is refused: by a reset, by the end of the connection, or by a status other than 200.
fn end_of_statusless(proxy: &TestProxy, fields: &[(&str, &str)]) -> bool {
    let mut raw = RawH2::connect(proxy.address);
    raw.head(1, END_STREAM, fields);
    let is_end = |frame: &RawFrame| {
        frame.kind == GOAWAY || frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM)
    };
    match raw.until(is_end) {
        Some(frame) if frame.kind == HEADERS => without_size(&frame.payload).first() != Some(&0x88),
        Some(_) | None => true,
    }
}

#[test]
fn a_good_head_is_answered_and_joined_cookies_arrive_as_one() {
    let origin = Origin::replying("hello");
    let proxy = TestProxy::before(&origin);
    let fields = with(&[
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("host", "other.test"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
    ]);
    assert_eq!(end_of_head(&proxy, &fields), End::Answered);
    let request = origin.last();
    assert_eq!(request.value("cookie"), Some("a=1; b=2"));
    assert_eq!(request.value("host"), Some("agents.test"));
    assert_eq!(request.value("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.value("x-forwarded-host"), Some("agents.test"));
    assert_eq!(request.value("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(
        request.value("forwarded"),
        Some("for=127.0.0.1;host=\"agents.test\";proto=http")
    );
    assert_eq!(request.value("transfer-encoding"), None);
}

#[test]
fn malformed_is_a_reset_and_what_is_only_refused_has_a_status() {
    let origin = Origin::replying("never");
    let proxy = TestProxy::before(&origin);
    let reset = End::Reset(PROTOCOL_ERROR);
    assert_eq!(
        end_of_head(&proxy, &with(&[("connection", "close")])),
        reset
    );
    assert_eq!(
        end_of_head(&proxy, &with(&[("content-length", "5")])),
        reset
    );
    assert_eq!(end_of_head(&proxy, &with(&[("x-a", " 1")])), reset);
    assert_eq!(
        end_of_head(&proxy, &with(&[("x_a", "1")])),
        End::Refused(400)
    );
    let connect = [(":method", "CONNECT"), (":authority", "a.test:443")];
    assert_eq!(end_of_head(&proxy, &connect), End::Refused(405));
}

#[test]
fn a_body_that_is_not_as_long_as_announced_is_never_whole() {
    let origin = Origin::replying("never");
    let proxy = TestProxy::before(&origin);
    for data in [&b"abc"[..], b"abcdefg"] {
        let mut raw = RawH2::connect(proxy.address);
        let mut fields = pseudo("POST", "/");
        fields.push(("content-length", "5"));
        raw.head(1, 0, &fields);
        raw.frame(DATA, END_STREAM, 1, data);
        assert_eq!(end_of(&mut raw, 1), End::Reset(PROTOCOL_ERROR));
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn more_streams_than_allowed_are_refused_unprocessed() {
    let origin = Origin::scripted(|stream| {
        let _ = std::io::Read::read_to_end(&mut &stream, &mut Vec::new());
    });
    let proxy = TestProxy::before(&origin);
    let mut raw = RawH2::connect(proxy.address);
    for stream in 0..110 {
        raw.head(2 * stream + 1, END_STREAM, &pseudo("GET", "/"));
    }
    for stream in 100..110 {
        assert_eq!(end_of(&mut raw, 2 * stream + 1), End::Reset(REFUSED_STREAM));
    }
}

/// Reads until the ACK of a ping, and collects the codes of GOAWAY frames before it; `None` if the peer has closed.
fn until_answered(raw: &mut RawH2, goaways: &mut Vec<u32>) -> Option<()> {
    loop {
        let next = raw.next()?;
        match next.kind {
            GOAWAY => goaways.push(code(&next)),
            PING if next.payload == b"in order" => return Some(()),
            _ => {}
        }
    }
}

/// Sends `flood` until the connection is closed; returns the number of rounds and the codes of GOAWAY frames.
fn flooded(proxy: &TestProxy, mut flood: impl FnMut(u32) -> Vec<u8>) -> (u32, Vec<u32>) {
    let mut raw = RawH2::connect(proxy.address);
    let (mut times, mut goaways) = (0, Vec::new());
    while times < 5_000 {
        times += 1;
        let mut bytes = flood(times);
        // The ACK of a ping shows that everything before it was processed.
        let is_step = times % 50 == 0;
        if is_step {
            bytes.extend(frame(PING, 0, 0, b"in order"));
        }
        if !raw.bytes(&bytes) {
            break;
        }
        if is_step && until_answered(&mut raw, &mut goaways).is_none() {
            break;
        }
    }
    let rest = raw.rest();
    goaways.extend(rest.iter().filter(|frame| frame.kind == GOAWAY).map(code));
    (times, goaways)
}

/// The bytes of round n.
type Flood = Box<dyn FnMut(u32) -> Vec<u8>>;

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn floods_end_in_a_goaway_and_a_closed_connection() {
    let origin = Origin::replying("hello");
    let proxy = TestProxy::before(&origin);
    let open = |raw: &mut Vec<u8>, stream| {
        raw.extend(frame(
            HEADERS,
            END_HEADERS,
            stream,
            &header_block(&pseudo("POST", "/")),
        ));
    };
    let floods: Vec<(&str, Flood)> = vec![
        ("settings", Box::new(|_| frame(SETTINGS, 0, 0, b""))),
        ("ping", Box::new(|_| frame(PING, 0, 0, b"12345678"))),
        (
            "priority",
            Box::new(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ),
        ("unknown", Box::new(|_| frame(0x42, 0, 0, b"x"))),
        (
            "window",
            Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ),
        (
            "empty data",
            Box::new(move |n| {
                let mut bytes = Vec::new();
                if n == 1 {
                    open(&mut bytes, 1);
                }
                bytes.extend(frame(DATA, 0, 1, b""));
                bytes
            }),
        ),
        (
            "rapid reset",
            Box::new(|n| {
                let mut bytes = frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    2 * n - 1,
                    &header_block(&pseudo("GET", "/")),
                );
                bytes.extend(frame(RST_STREAM, 0, 2 * n - 1, &[0, 0, 0, 8]));
                bytes
            }),
        ),
        (
            "made you reset",
            Box::new(|n| {
                let mut bytes = frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    2 * n - 1,
                    &header_block(&pseudo("GET", "/")),
                );
                bytes.extend(frame(WINDOW_UPDATE, 0, 2 * n - 1, &[0, 0, 0, 0]));
                bytes
            }),
        ),
        (
            "malformed heads",
            Box::new(|n| {
                let fields = [&pseudo("GET", "/")[..], &[("connection", "close")]].concat();
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    2 * n - 1,
                    &header_block(&fields),
                )
            }),
        ),
    ];
    for (name, flood) in floods {
        let (times, goaways) = flooded(&proxy, flood);
        assert!(times <= 1_300, "{name}: {times} went through");
        assert!(!goaways.is_empty(), "{name}: {times} without a word");
        assert!(
            goaways
                .iter()
                .all(|code| [NO_ERROR, PROTOCOL_ERROR, ENHANCE_YOUR_CALM].contains(code)),
            "{name}: {goaways:?}"
        );
    }
    // Other clients are served as before.
    assert_eq!(end_of_head(&proxy, &pseudo("GET", "/")), End::Answered);
}

#[test]
fn a_goaway_comes_first_and_what_is_in_flight_may_finish() {
    let origin = Origin::replying("hello");
    let proxy = TestProxy::before(&origin);
    let mut raw = RawH2::connect(proxy.address);
    raw.head(1, 0, &pseudo("POST", "/"));
    for _ in 0..800 {
        raw.frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]);
    }
    let goaway = raw.until(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(code(&goaway), NO_ERROR);
    raw.frame(DATA, END_STREAM, 1, b"body");
    assert_eq!(end_of(&mut raw, 1), End::Answered);
    assert_eq!(origin.last().body, b"body");
}

#[test]
fn a_path_with_a_fragment_is_refused_in_every_way_to_write_it() {
    let origin = Origin::replying("hello");
    let proxy = TestProxy::before(&origin);
    let mut raw = RawH2::connect(proxy.address);
    let rest = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "agents.test"),
    ];
    let head = |path: &[u8]| [&header_block(&rest)[..], path].concat();
    // As a literal, as an indexed literal, by its index, cut by a CONTINUATION, padded, with a priority.
    let words = head(b"\x04\x04/a#b");
    let indexed = head(b"\x44\x04/a#b");
    raw.frame(HEADERS, END_STREAM | END_HEADERS, 1, &words);
    raw.frame(HEADERS, END_STREAM | END_HEADERS, 3, &indexed);
    raw.frame(HEADERS, END_STREAM | END_HEADERS, 5, &head(b"\xbe"));
    raw.frame(HEADERS, END_STREAM, 7, &words[..words.len() - 2]);
    raw.frame(CONTINUATION, END_HEADERS, 7, &words[words.len() - 2..]);
    let padded = [&[3][..], &words, &[0; 3]].concat();
    raw.frame(HEADERS, END_STREAM | END_HEADERS | 8, 9, &padded);
    let with_priority = [&[0, 0, 0, 0, 9][..], &words].concat();
    raw.frame(HEADERS, END_STREAM | END_HEADERS | 0x20, 11, &with_priority);
    for stream in [1, 3, 5, 7, 9, 11] {
        let answer = raw.until(|frame| frame.kind == HEADERS).unwrap();
        assert_eq!(status(&answer.payload), End::Refused(400), "{stream}");
    }
    assert!(origin.requests().is_empty());
    raw.head(13, END_STREAM, &pseudo("GET", "/a%23b"));
    assert_eq!(end_of(&mut raw, 13), End::Answered);
}

#[test]
fn header_blocks_are_bounded() {
    let origin = Origin::replying("never");
    let proxy = TestProxy::before(&origin);
    // A flood of CONTINUATION frames that never ends the block, with and without payload.
    for payload in [vec![], vec![0; 1_000]] {
        let mut raw = RawH2::connect(proxy.address);
        raw.frame(HEADERS, END_STREAM, 1, &header_block(&pseudo("GET", "/")));
        let mut sent = 0;
        while sent < 1_000_000 && raw.frame(CONTINUATION, 0, 1, &payload) {
            sent += 1;
        }
        assert!(sent < 1_000_000, "the connection is cut");
        assert!(raw.rest().iter().all(|frame| frame.kind != HEADERS));
    }
    // A header list that is too long, in one block.
    let value = "a".repeat(4_000);
    let many: Vec<(&str, &str)> = (0..20).map(|_| ("x-a", value.as_str())).collect();
    let block = header_block(&with(&many));
    let mut raw = RawH2::connect(proxy.address);
    let mut parts = block.chunks(16_000).peekable();
    raw.frame(HEADERS, END_STREAM, 1, parts.next().unwrap());
    while let Some(part) = parts.next() {
        let end = if parts.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        raw.frame(CONTINUATION, end, 1, part);
    }
    let is_end = |frame: &RawFrame| matches!(frame.kind, GOAWAY | HEADERS | RST_STREAM);
    if let Some(end) = raw.until(is_end) {
        assert_ne!(without_size(&end.payload).first(), Some(&0x88), "{end:?}");
    }
    assert!(origin.requests().is_empty());
}
