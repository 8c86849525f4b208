//! Requests of HTTP/2 as messages: bodies and their lengths, trailers, tunnels, paths.

use super::{seen, seen_get, seen_post};
use crate::conformance::{
    case::{After, Case, h2case, status},
    cases::{AMBIGUOUS, PLAIN, PRIVATE},
    h2::frame::{
        CONTINUATION, END_HEADERS, END_STREAM, HEADERS, data, frame, get, head, post, rst,
    },
    h2::hpack::block,
};

pub(super) fn cases() -> Vec<Case> {
    [bodies(), lengths(), trailers(), connects(), paths(), many()]
        .into_iter()
        .flatten()
        .collect()
}

fn bodies() -> Vec<Case> {
    let empty = data(1, "", 0).repeat(3);
    vec![
        h2case("h2-get", &[7, 26])
            .send(head(1, &get("/x"), END_STREAM))
            .passes_on(1, seen_get(&[])),
        h2case("h2-get-ended-by-empty-data", &[7])
            .send(head(1, &get("/x"), 0))
            .send(data(1, "", END_STREAM))
            .passes_on(1, seen_get(&[]).chunked("")),
        h2case("h2-post-without-length", &[7])
            .send([head(1, &post(&[]), 0), data(1, "hello", END_STREAM)].concat())
            .passes_on(1, seen_post().chunked("hello")),
        h2case("h2-post-in-pieces", &[7])
            .send(
                [
                    head(1, &post(&[]), 0),
                    data(1, "he", 0),
                    empty,
                    data(1, "llo", 0),
                    data(1, "", END_STREAM),
                ]
                .concat(),
            )
            .passes_on(1, seen_post().chunked("hello")),
        h2case("h2-post-padded", &[7])
            .send(
                [
                    head(1, &post(&[]), 0),
                    frame(0, END_STREAM | 8, 1, b"\x03hello\0\0\0"),
                ]
                .concat(),
            )
            .passes_on(1, seen_post().chunked("hello")),
        h2case("h2-post-empty", &[7])
            .send(head(1, &post(&[]), END_STREAM))
            .passes_on(1, seen_post()),
        h2case("h2-head", &[7])
            .send(head(
                1,
                &[&[(":method", "HEAD")], &get("/x")[1..]].concat(),
                END_STREAM,
            ))
            .gets_on(1, status(&[200]).body(""))
            .sees(seen(&["HEAD /x HTTP/1.1", "Host: a.example"])),
        h2case("h2-cut-by-a-reset", &[7, 8, 15])
            .send([head(1, &post(&[]), 0), data(1, "hello", 0)].concat())
            .origin_receives("hello")
            .send(rst(1, 8))
            .origin_ends()
            .sees_a_cut(),
        h2case("h2-cut-by-the-connection", &[7, 8, 15])
            .send([head(1, &post(&[]), 0), data(1, "hello", 0)].concat())
            .origin_receives("hello")
            .reset()
            .sees_a_cut()
            .then(After::Left),
        h2case("h2-cut-length-by-a-reset", &[7, 8])
            .send(
                [
                    head(1, &post(&[("content-length", "10")]), 0),
                    data(1, "hello", 0),
                ]
                .concat(),
            )
            .origin_receives("hello")
            .send(rst(1, 8))
            .origin_ends()
            .sees_a_cut(),
    ]
}

fn lengths() -> Vec<Case> {
    let with = |length: &'static str, body: &str| {
        [
            head(1, &post(&[("content-length", length)]), 0),
            data(1, body, END_STREAM),
        ]
        .concat()
    };
    let refused = |name: &str, sent: Vec<u8>| h2case(name, &[1, 7]).send(sent).refused_on(1);
    let two = |one: &'static str, other: &'static str| {
        let fields = [("content-length", one), ("content-length", other)];
        [head(1, &post(&fields), 0), data(1, "hello", END_STREAM)].concat()
    };
    let smuggled = "0\r\n\r\nGET /private HTTP/1.1\r\nHost: private.example\r\n\r\n";
    let mut cases = vec![
        h2case("h2-length", &[1, 7])
            .send(with("5", "hello"))
            .passes_on(1, seen_post().length("hello")),
        h2case("h2-length-zero", &[1, 7])
            .send(head(1, &post(&[("content-length", "0")]), END_STREAM))
            .passes_on(1, seen_post().length("")),
        refused("h2-length-too-long", with("6", "hello")).sees_a_cut(),
        refused("h2-length-too-short", with("4", "hello")).sees_a_cut(),
        refused("h2-length-zero-with-data", with("0", "hello")).sees_a_cut(),
        refused("h2-length-zero-with-a-request-in-data", with("0", smuggled)).sees_a_cut(),
        refused(
            "h2-length-without-data",
            head(1, &post(&[("content-length", "5")]), END_STREAM),
        ),
        refused("h2-length-twice-same", two("5", "5")),
        refused("h2-length-twice-different", two("5", "6")),
        refused(
            "h2-length-and-coding",
            [
                head(
                    1,
                    &post(&[("content-length", "5"), ("transfer-encoding", "chunked")]),
                    0,
                ),
                data(1, "hello", END_STREAM),
            ]
            .concat(),
        ),
    ];
    for odd in [
        "+5",
        "-5",
        "0x5",
        "5, 5",
        "",
        "5 5",
        "five",
        "18446744073709551621",
        "5;a",
    ] {
        cases.push(refused(&format!("h2-length-odd-{odd}"), {
            [
                head(1, &post(&[("content-length", odd)]), 0),
                data(1, "hello", END_STREAM),
            ]
            .concat()
        }));
    }
    cases
}

fn trailers() -> Vec<Case> {
    let with = |trailers: Vec<u8>| [head(1, &post(&[]), 0), data(1, "hello", 0), trailers].concat();
    let bad = |name: &str, fields: &[(&str, &str)]| {
        h2case(name, &[7, 8])
            .send(with(head(1, fields, END_STREAM)))
            .refused_on(1)
            .sees_a_cut()
    };
    vec![
        h2case("h2-trailers", &[7])
            .send(with(head(1, &[("x-checksum", "42")], END_STREAM)))
            .passes_on(1, seen_post().chunked("hello").trailer("x-checksum", "42")),
        h2case("h2-trailers-that-frame", &[1, 7])
            .send(with(head(
                1,
                &[
                    ("host", "private.example"),
                    ("authorization", "x"),
                    ("x-a", "1"),
                ],
                END_STREAM,
            )))
            .passes_on(1, seen_post().chunked("hello").trailer("x-a", "1")),
        h2case("h2-trailers-in-two-frames", &[7])
            .send(with(
                [
                    frame(HEADERS, END_STREAM, 1, &block(&[("x-a", "1")])),
                    frame(CONTINUATION, END_HEADERS, 1, &block(&[("x-b", "2")])),
                ]
                .concat(),
            ))
            .passes_on(
                1,
                seen_post()
                    .chunked("hello")
                    .trailer("x-a", "1")
                    .trailer("x-b", "2"),
            ),
        bad("h2-trailers-with-path", &[(":path", "/private")]),
        bad(
            "h2-trailers-with-status",
            &[("x-a", "1"), (":status", "200")],
        ),
        bad("h2-trailers-with-unknown-pseudo", &[(":any", "1")]),
        bad("h2-trailers-with-method", &[(":method", "GET")]),
        bad("h2-trailers-with-capitals", &[("X-A", "1")]),
        bad("h2-trailers-with-lf", &[("x-a", "1\nx-b: 2")]),
        bad(
            "h2-trailers-with-crlf-in-name",
            &[("x-a\r\n\r\nGET / HTTP/1.1", "1")],
        ),
        bad("h2-trailers-with-nul", &[("x-a", "\0")]),
        bad("h2-trailers-with-connection", &[("connection", "close")]),
        bad(
            "h2-trailers-with-coding",
            &[("transfer-encoding", "chunked")],
        ),
        h2case("h2-trailers-without-end", &[7, 8])
            .send(with(head(1, &[("x-a", "1")], 0)))
            .refused_on(1)
            .sees_a_cut(),
    ]
}

fn connects() -> Vec<Case> {
    let refused = |name: &str, fields: &[(&str, &str)], rest: Vec<u8>| {
        h2case(name, &[3, 7])
            .send([head(1, fields, 0), rest].concat())
            .refused_on(1)
    };
    let smuggled = data(
        1,
        "GET /private HTTP/1.1\r\nHost: private.example\r\n\r\n",
        0,
    );
    let connect = (":method", "CONNECT");
    let to = (":authority", "private.example:443");
    let (scheme, path) = ((":scheme", "http"), (":path", "/x"));
    vec![
        refused("h2-connect", &[connect, to], Vec::new()),
        refused("h2-connect-with-data", &[connect, to], smuggled.clone()),
        refused(
            "h2-connect-with-end",
            &[connect, to],
            data(1, "", END_STREAM),
        ),
        refused(
            "h2-connect-with-path",
            &[connect, scheme, path, to],
            smuggled.clone(),
        ),
        refused("h2-connect-without-authority", &[connect], Vec::new()),
        refused(
            "h2-connect-with-length",
            &[connect, to, ("content-length", "5")],
            data(1, "hello", END_STREAM),
        ),
        refused(
            "h2-connect-websocket-with-length",
            &[
                connect,
                (":protocol", "websocket"),
                scheme,
                path,
                to,
                ("content-length", "5"),
            ],
            data(1, "hello", END_STREAM),
        ),
        refused(
            "h2-connect-other-protocol",
            &[connect, (":protocol", "connect-udp"), scheme, path, to],
            smuggled,
        ),
        refused(
            "h2-protocol-of-a-get",
            &[
                (":method", "GET"),
                (":protocol", "websocket"),
                scheme,
                path,
                to,
            ],
            data(1, "", END_STREAM),
        ),
    ]
}

/// The paths of HTTP/1.1 once more: the rule is the same for both protocols.
fn paths() -> Vec<Case> {
    let sent = |path: &str| head(1, &get(path), END_STREAM);
    let line = |path: &str| format!("GET {path} HTTP/1.1");
    let ambiguous = AMBIGUOUS.iter().map(|(name, path)| {
        h2case(format!("h2-path-ambiguous-{name}"), &[26])
            .send(sent(path))
            .refused_on(1)
    });
    let private = PRIVATE.iter().map(|(name, path)| {
        let seen = seen(&[&line(path), "Host: a.example"]);
        h2case(format!("h2-path-private-{name}"), &[26])
            .send(sent(path))
            .passes_on(1, seen)
            .private()
    });
    let plain = PLAIN.iter().map(|(name, path)| {
        let seen = seen(&[&line(path), "Host: a.example"]);
        h2case(format!("h2-path-plain-{name}"), &[26])
            .send(sent(path))
            .passes_on(1, seen)
    });
    ambiguous.chain(private).chain(plain).collect()
}

fn many() -> Vec<Case> {
    let bad = [&get("/x")[..], &[("host", "a b")]].concat();
    vec![
        h2case("h2-two-streams", &[7])
            .send(
                [
                    head(1, &get("/x"), END_STREAM),
                    head(3, &get("/x"), END_STREAM),
                ]
                .concat(),
            )
            .passes_on(1, seen_get(&[]))
            .passes_on(3, seen_get(&[])),
        // A malformed stream does not affect a sound one.
        h2case("h2-good-beside-bad", &[7])
            .send([head(1, &bad, END_STREAM), head(3, &get("/x"), END_STREAM)].concat())
            .refused_on(1)
            .passes_on(3, seen_get(&[]))
            .then(After::Any),
    ]
}
