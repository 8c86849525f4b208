//! Responses of an origin that is broken, hostile, or disconnects half-way.

use super::{get, seen_get};
use crate::conformance::{
    case::{After, Answer, Case, case, request, status},
    origin::{Then, When},
};

/// Malformed responses: the client gets 502.
const BAD: [(&str, &[u8]); 48] = [
    ("two-lengths-same", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    ("two-lengths-different", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    ("length-list", b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"),
    ("length-negative", b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
    ("length-plus", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"),
    ("length-hex", b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok"),
    ("length-empty", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok"),
    ("length-text", b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"),
    ("length-huge", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok"),
    ("coding-twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("coding-two-lines", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("coding-gzip", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("coding-identity", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok"),
    ("coding-comma", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    ("coding-suffix", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked2\r\n\r\n0\r\n\r\n"),
    ("coding-old", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("coding-space-colon", b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("length-space-colon", b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"),
    ("value-nul", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"),
    ("value-cr", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"),
    ("value-cr-set-cookie", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b=c\r\nContent-Length: 2\r\n\r\nok"),
    ("value-control", b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 2\r\n\r\nok"),
    ("value-delete", b"HTTP/1.1 200 OK\r\nX: a\x7fb\r\nContent-Length: 2\r\n\r\nok"),
    ("folded", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    ("folded-length", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok"),
    ("no-colon", b"HTTP/1.1 200 OK\r\nFoo\r\nContent-Length: 2\r\n\r\nok"),
    ("empty-name", b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok"),
    ("space-in-name", b"HTTP/1.1 200 OK\r\nF oo: x\r\nContent-Length: 2\r\n\r\nok"),
    ("line-lf", b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nok"),
    ("all-lf", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    ("empty-line-before", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-two-digits", b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-four-digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-text", b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-099", b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-000", b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-600", b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-999", b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-negative", b"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-plus", b"HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status-missing", b"HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"),
    ("version-2", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("version-0.9", b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("version-other", b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("no-http", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("body-only", b"hello"),
    ("nothing", b""),
    ("cut-in-head", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
];

/// Responses that are visibly truncated, and how the origin ends them.
const CUT: [(&str, &[u8], Then); 17] = [
    (
        "length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        Then::Close,
    ),
    (
        "length-no-byte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
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
        "chunks-no-byte",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        Then::Close,
    ),
    (
        "chunks-reset",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Then::Reset,
    ),
    (
        "chunk-data",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        Then::Close,
    ),
    (
        "chunk-size",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1",
        Then::Close,
    ),
    (
        "last-chunk",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        Then::Close,
    ),
    (
        "trailer",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
        Then::Close,
    ),
    (
        "bad-size",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x1\r\na\r\n0\r\n\r\n",
        Then::Keep,
    ),
    (
        "bad-data-end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        Then::Keep,
    ),
    (
        "bad-data-end-lf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
        Then::Keep,
    ),
    (
        "bad-trailer",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX y\r\n\r\n",
        Then::Keep,
    ),
    (
        "bad-trailer-nul",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
        Then::Keep,
    ),
    (
        "until-close-reset",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        Then::Reset,
    ),
    (
        "until-close-old-reset",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        Then::Reset,
    ),
];

/// Responses that are malformed behind a good head, before a byte of them was sent.
const BROKEN: [(&str, &[u8]); 4] = [
    ("size-first", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
    ("size-lf", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    ("size-huge", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("extension", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, bytes) in BAD {
        cases.push(
            case(format!("answer-bad-{name}"), &[20, 21])
                .send(get(""))
                .answers(When::Whole, bytes, Then::Close)
                .gets(status(&[502]))
                .sees(seen_get(&[]))
                .then(After::Any),
        );
    }
    for (name, bytes) in BROKEN {
        cases.push(
            case(format!("answer-broken-{name}"), &[8, 20])
                .send(get(""))
                .answers(When::Whole, bytes, Then::Keep)
                .gets(status(&[502]))
                .sees(seen_get(&[]))
                .then(After::Any),
        );
    }
    for (name, bytes, then) in CUT {
        cases.push(
            case(format!("answer-cut-{name}"), &[8, 20])
                .send(get(""))
                .answers(When::Whole, bytes, then)
                .gets(status(&[200]).cut())
                .sees(seen_get(&[]))
                .then(After::Closed),
        );
    }
    cases.extend(limits());
    cases.extend(without_body());
    cases.extend(good());
    cases.extend(interim());
    cases
}

fn answered(name: &str, requirements: &[u8], bytes: impl AsRef<[u8]>, answer: Answer) -> Case {
    case(name, requirements)
        .send(get(""))
        .answers(When::Whole, bytes, Then::Close)
        .gets(answer)
        .sees(seen_get(&[]))
}

/// A response with an end of its own, on a connection that stays open.
fn whole(name: &str, requirements: &[u8], bytes: impl AsRef<[u8]>, answer: Answer) -> Case {
    case(name, requirements)
        .send(get(""))
        .answers(When::Whole, bytes, Then::Keep)
        .gets(answer)
        .sees(seen_get(&[]))
}

fn limits() -> Vec<Case> {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok");
    let trailers = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: {}\r\n\r\n",
        "y".repeat(17 * 1024)
    );
    let ok = || status(&[200]).body("ok");
    vec![
        whole(
            "answer-head-of-60000",
            &[11],
            head(&format!("X: {}\r\n", "v".repeat(60_000))),
            ok(),
        ),
        whole(
            "answer-head-of-70000",
            &[11, 20],
            head(&format!("X: {}\r\n", "v".repeat(70_000))),
            status(&[502]),
        )
        .then(After::Any),
        answered(
            "answer-head-endless",
            &[11, 20],
            format!("HTTP/1.1 200 OK\r\nX: {}", "v".repeat(300_000)),
            status(&[502]),
        )
        .then(After::Any),
        answered(
            "answer-line-endless",
            &[11, 20],
            format!("HTTP/1.1 200 {}", "v".repeat(300_000)),
            status(&[502]),
        )
        .then(After::Any),
        whole(
            "answer-fields-of-250",
            &[11],
            head(&"X: y\r\n".repeat(249)),
            ok(),
        ),
        whole(
            "answer-fields-of-300",
            &[11, 20],
            head(&"X: y\r\n".repeat(300)),
            status(&[502]),
        )
        .then(After::Any),
        whole(
            "answer-trailers-too-long",
            &[11, 8],
            trailers,
            status(&[200]).cut(),
        )
        .then(After::Closed),
    ]
}

/// Bodies where there can be none: they are dropped.
fn without_body() -> Vec<Case> {
    let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
    let head = "HEAD /x HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let seen_head = || request(&["HEAD /x HTTP/1.1", "Host: a.example"]);
    let kept = |name: &str, text: String, code: u16| {
        case(name, &[10, 20])
            .send(get(""))
            .answers(When::Whole, text, Then::Keep)
            .gets(status(&[code]).body(""))
            .sees(seen_get(&[]))
    };
    vec![
        kept(
            "answer-204-with-a-body",
            format!("HTTP/1.1 204 No Content\r\n\r\n{stray}"),
            204,
        ),
        kept(
            "answer-204-with-a-length",
            format!("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello{stray}"),
            204,
        ),
        kept(
            "answer-204-with-chunks",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .into(),
            204,
        ),
        kept(
            "answer-304-with-a-body",
            format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello{stray}"),
            304,
        ),
        case("answer-to-head-with-a-body", &[10, 20])
            .send(head)
            .answers(
                When::Whole,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                Then::Keep,
            )
            .gets(status(&[200]).for_head().has("content-length", "5"))
            .sees(seen_head()),
        case("answer-to-head-with-chunks", &[10, 20])
            .send(head)
            .answers(
                When::Whole,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                Then::Keep,
            )
            .gets(status(&[200]).for_head())
            .sees(seen_head()),
        case("answer-to-head-until-close", &[10])
            .send(head)
            .answers(When::Whole, "HTTP/1.1 200 OK\r\n\r\n", Then::Close)
            .gets(status(&[200]).for_head())
            .sees(seen_head()),
    ]
}

fn good() -> Vec<Case> {
    let ok = || status(&[200]).body("hello");
    let old_client = "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let to_old = |name: &str, bytes: &str| {
        case(name, &[1])
            .send(old_client)
            .answers(When::Whole, bytes, Then::Close)
            .gets(ok())
            .sees(seen_get(&[]).added("via", "1.0 switchback"))
            .then(After::Closed)
    };
    vec![
        whole(
            "answer-length",
            &[1],
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            ok().has("content-length", "5"),
        ),
        whole(
            "answer-chunks",
            &[1],
            chunks,
            ok().has("transfer-encoding", "chunked")
                .lacks("content-length"),
        ),
        answered(
            "answer-until-close",
            &[1, 8],
            "HTTP/1.1 200 OK\r\n\r\nhello",
            ok(),
        ),
        answered("answer-old", &[1, 8], "HTTP/1.0 200 OK\r\n\r\nhello", ok()),
        answered(
            "answer-old-length",
            &[1],
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            ok(),
        ),
        whole(
            "answer-empty",
            &[1],
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            status(&[200]).body(""),
        ),
        whole(
            "answer-length-and-chunks",
            &[20],
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ok().lacks("content-length"),
        ),
        whole(
            "answer-chunks-and-length",
            &[20],
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ok().lacks("content-length"),
        ),
        whole(
            "answer-chunk-extensions",
            &[1],
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n",
            ok(),
        ),
        whole(
            "answer-without-reason",
            &[1],
            "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello",
            ok(),
        ),
        whole(
            "answer-status-of-one's-own",
            &[1],
            "HTTP/1.1 299 Own\r\nContent-Length: 5\r\n\r\nhello",
            status(&[299]).body("hello"),
        ),
        whole(
            "answer-error",
            &[1],
            "HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhello",
            status(&[500]).body("hello"),
        ),
        whole(
            "answer-fields",
            &[5],
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nSet-Cookie: a=b\r\nX-B:2\r\n\r\nhello",
            ok().has("x-a", "1")
                .has("x-b", "2")
                .has("set-cookie", "a=b"),
        ),
        to_old("answer-chunks-to-old", chunks),
        to_old(
            "answer-length-to-old",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ),
        case("answer-cut-to-old", &[8])
            .send(old_client)
            .answers(
                When::Whole,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                Then::Close,
            )
            .gets(status(&[200]).cut())
            .sees(seen_get(&[]).added("via", "1.0 switchback"))
            .then(After::Closed),
    ]
}

fn interim() -> Vec<Case> {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n";
    let post =
        "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let seen_post = || {
        request(&["POST /x HTTP/1.1", "Host: a.example"])
            .length("hello")
            .maybe("Expect: 100-continue")
    };
    vec![
        whole(
            "interim-103",
            &[20],
            format!("{early}{ok}"),
            status(&[200]).body("hello").interim(&[103]),
        ),
        whole(
            "interim-102-and-103",
            &[20],
            format!("HTTP/1.1 102 Processing\r\n\r\n{early}{ok}"),
            status(&[200]).body("hello").interim(&[102, 103]),
        ),
        whole(
            "interim-100-of-them",
            &[20],
            format!("{}{ok}", early.repeat(100)),
            status(&[200]).body("hello").interim(&[103; 100]),
        ),
        whole(
            "interim-without-end",
            &[20],
            format!("{}{ok}", early.repeat(500)),
            status(&[502]).any_interim(),
        )
        .then(After::Any),
        answered(
            "interim-then-nothing",
            &[20],
            early,
            status(&[502]).interim(&[103]),
        )
        .then(After::Any),
        whole(
            "interim-bad",
            &[20],
            format!("HTTP/1.1 103 Early Hints\r\nX: \0\r\n\r\n{ok}"),
            status(&[502]),
        )
        .then(After::Any),
        whole(
            "interim-with-a-length",
            &[20],
            format!("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n{ok}"),
            status(&[200, 502]).any_interim(),
        )
        .then(After::Any),
        case("interim-100-then-body", &[1, 20])
            .send(post)
            .receive("HTTP/1.1 100 ")
            .send("hello")
            .gets(status(&[200]).body("ok").any_interim())
            .sees(seen_post()),
        case("interim-expect-and-body-at-once", &[1, 20])
            .send(format!("{post}hello"))
            .gets(status(&[200]).body("ok").any_interim())
            .sees(seen_post()),
        // HTTP/1.0 has no interim responses.
        case("interim-to-old", &[20])
            .send("GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
            .answers(When::Whole, format!("{early}{ok}"), Then::Close)
            .gets(status(&[200]).body("hello"))
            .sees(seen_get(&[]).added("via", "1.0 switchback"))
            .then(After::Closed),
    ]
}
