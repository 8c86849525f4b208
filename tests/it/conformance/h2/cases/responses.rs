//! Responses of an origin as a client of HTTP/2 gets them.

use super::{seen_get, seen_post};
use crate::conformance::{
    case::{After, Answer, Case, h2case, status},
    h2::frame::{END_STREAM, data, get, head, post, rst},
    origin::{Then, When},
};

/// Malformed responses.
const BAD: [(&str, &[u8]); 16] = [
    (
        "two-lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    ),
    (
        "length-negative",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    ),
    (
        "length-list",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    ),
    (
        "coding-twice",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding-gzip",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "value-nul",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "value-cr",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "folded",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "no-colon",
        b"HTTP/1.1 200 OK\r\nFoo\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "pseudo",
        b"HTTP/1.1 200 OK\r\n:status: 200\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "status-999",
        b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "status-two-digits",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "unsolicited-101",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx",
    ),
    ("no-http", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("nothing", b""),
    ("cut-in-head", b"HTTP/1.1 200 OK\r\nContent-"),
];

/// Responses that are visibly truncated.
const CUT: [(&str, &[u8], Then); 8] = [
    (
        "length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        Then::Close,
    ),
    (
        "length-reset",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        Then::Reset,
    ),
    (
        "chunks",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Then::Close,
    ),
    (
        "last-chunk",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        Then::Close,
    ),
    (
        "bad-chunk",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x1\r\na\r\n0\r\n\r\n",
        Then::Keep,
    ),
    (
        "bad-data-end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        Then::Keep,
    ),
    (
        "bad-trailer",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX y\r\n\r\n",
        Then::Keep,
    ),
    (
        "until-close-reset",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        Then::Reset,
    ),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, bytes) in BAD {
        cases.push(answered(
            format!("h2-answer-bad-{name}"),
            bytes,
            Then::Close,
            status(&[502]),
        ));
    }
    for (name, bytes, then) in CUT {
        cases.push(answered(
            format!("h2-answer-cut-{name}"),
            bytes,
            then,
            status(&[200]).cut(),
        ));
    }
    cases.extend(good());
    cases.extend(gone());
    cases
}

fn answered(name: impl Into<String>, bytes: impl AsRef<[u8]>, then: Then, answer: Answer) -> Case {
    h2case(name, &[7, 8, 20])
        .send(head(1, &get("/x"), END_STREAM))
        .answers(When::Whole, bytes, then)
        .gets_on(1, answer)
        .sees(seen_get(&[]))
}

fn good() -> Vec<Case> {
    let ok = || status(&[200]).body("hello");
    let whole = |name: &str, bytes: &str, answer| answered(name, bytes, Then::Close, answer);
    let hops = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, X-Secret\r\nKeep-Alive: timeout=5\r\n\
        Proxy-Connection: close\r\nUpgrade: h2c\r\nX-Secret: 1\r\n\r\nhello";
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    vec![
        whole(
            "h2-answer-length",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            ok().has("content-length", "5"),
        ),
        whole(
            "h2-answer-chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ok().lacks("content-length"),
        ),
        whole(
            "h2-answer-until-close",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            ok(),
        ),
        whole(
            "h2-answer-204",
            "HTTP/1.1 204 No Content\r\n\r\n",
            status(&[204]).body(""),
        ),
        whole(
            "h2-answer-304",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            status(&[304]).body(""),
        ),
        whole(
            "h2-answer-empty",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            status(&[200]).body(""),
        ),
        whole(
            "h2-answer-hops",
            hops,
            ok().lacks("x-secret").lacks("keep-alive"),
        ),
        whole(
            "h2-answer-capitals",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Mixed-Case: Yes\r\n\r\nhello",
            ok().has("x-mixed-case", "Yes"),
        ),
        whole("h2-answer-interim", early, ok().any_interim()),
        whole(
            "h2-answer-length-and-chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ok().lacks("content-length"),
        ),
        whole(
            "h2-answer-trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Checksum: 42\r\nContent-Length: 9\r\n\r\n",
            ok().trailer("x-checksum", "42"),
        ),
    ]
}

/// Clients that reset a stream, and origins that respond too soon.
fn gone() -> Vec<Case> {
    let streaming = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    vec![
        h2case("h2-gone-before-the-first-byte", &[15])
            .send(head(1, &get("/x"), END_STREAM))
            .answers(When::Never, "", Then::Keep)
            .origin_receives("\r\n\r\n")
            .send(rst(1, 8))
            .origin_ends()
            .sees(seen_get(&[])),
        h2case("h2-gone-in-a-stream", &[13, 14, 15])
            .send(head(1, &get("/x"), END_STREAM))
            .answers(When::Whole, streaming, Then::Keep)
            .receive("data: 1")
            .send(rst(1, 8))
            .origin_ends()
            .sees(seen_get(&[])),
        h2case("h2-gone-with-the-connection", &[15])
            .send(head(1, &get("/x"), END_STREAM))
            .answers(When::Never, "", Then::Keep)
            .origin_receives("\r\n\r\n")
            .reset()
            .origin_ends()
            .sees(seen_get(&[]))
            .then(After::Left),
        h2case("h2-early-answer", &[8, 10])
            .send([head(1, &post(&[]), 0), data(1, "hello", 0)].concat())
            .answers(When::Head, refusal, Then::Keep)
            .gets_on(1, status(&[403]).body("no"))
            .origin_ends()
            .sees_a_cut(),
        h2case("h2-post-is-never-sent-twice", &[9])
            .send(
                [
                    head(1, &post(&[("content-length", "5")]), 0),
                    data(1, "hello", END_STREAM),
                ]
                .concat(),
            )
            .answers(When::Whole, "", Then::Close)
            .gets_on(1, status(&[502]))
            .sees(seen_post().length("hello")),
    ]
}
