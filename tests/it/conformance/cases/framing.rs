//! The end of a request: `Content-Length`, `Transfer-Encoding`, both, neither.

use super::{SMUGGLED, get, post, seen_get, seen_post};
use crate::conformance::case::{After, Case, case, request, status};

/// Lengths that are not 1 to 19 digits.
const ODD_LENGTHS: [(&str, &str); 22] = [
    ("plus", "+5"),
    ("minus", "-5"),
    ("minus-zero", "-0"),
    ("hex", "0x5"),
    ("hex-digit", "a"),
    ("list", "5, 6"),
    ("list-same", "5, 5"),
    ("list-comma-only", "5,"),
    ("two-words", "5 5"),
    ("empty", ""),
    ("spaces-only", " \t "),
    ("parameter", "5;a"),
    ("fraction", "5.0"),
    ("exponent", "5e0"),
    ("beyond-64-bits", "18446744073709551621"),
    (
        "beyond-32-bits-of-digits",
        "4294967301000000000000000000000005",
    ),
    ("twenty-digits", "00000000000000000005"),
    ("text", "five"),
    ("quoted", "\"5\""),
    ("underscore", "5_0"),
    ("vertical-tab", "\x0b5"),
    ("nul", "5\0"),
];

/// Codings other than exactly `chunked`.
const ODD_CODINGS: [(&str, &str); 27] = [
    ("twice-in-one", "chunked, chunked"),
    ("comma-before", ",chunked"),
    ("comma-after", "chunked,"),
    ("space-comma", "chunked ,"),
    ("gzip-before", "gzip, chunked"),
    ("gzip-after", "chunked, gzip"),
    ("gzip", "gzip"),
    ("identity", "identity"),
    ("identity-before", "identity, chunked"),
    ("identity-after", "chunked, identity"),
    ("prefix", "xchunked"),
    ("suffix", "chunkedx"),
    ("parameter", "chunked;q=1"),
    ("parameter-space", "chunked; foo=bar"),
    ("quoted", "\"chunked\""),
    ("single-quoted", "'chunked'"),
    ("empty", ""),
    ("blank", " \t "),
    ("words", "chunked chunked"),
    ("inner-space", "chun ked"),
    ("vertical-tab-after", "chunked\x0b"),
    ("vertical-tab-before", "\x0bchunked"),
    ("form-feed", "\x0cchunked"),
    ("nul-after", "chunked\0"),
    ("semicolon", "chunked;"),
    ("cow", "cow"),
    ("kelvin", "chun\u{212a}ed"),
];

/// Heads with two framings or an ambiguous one; `{}` stands for the rest of the fields.
const ODD_HEADS: [(&str, &str); 24] = [
    (
        "two-lengths-same",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
    ),
    (
        "two-lengths-different",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
    ),
    (
        "two-lengths-apart",
        "Content-Length: 5\r\nX: y\r\nCONTENT-LENGTH: 0\r\n",
    ),
    (
        "three-lengths",
        "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
    ),
    (
        "length-then-chunked",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "chunked-then-length",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ),
    (
        "zero-length-and-chunked",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "odd-length-and-chunked",
        "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "length-and-identity",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
    ),
    (
        "length-and-empty-coding",
        "Content-Length: 5\r\nTransfer-Encoding:\r\n",
    ),
    (
        "two-codings-same",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "two-codings-identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ),
    (
        "two-codings-gzip",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "two-codings-empty",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
    ),
    ("coding-space-colon", "Transfer-Encoding : chunked\r\n"),
    ("coding-tab-colon", "Transfer-Encoding\t: chunked\r\n"),
    ("coding-underscore", "Transfer_Encoding: chunked\r\n"),
    ("coding-folded", "Transfer-Encoding:\r\n chunked\r\n"),
    ("coding-behind-lf", "X: y\nTransfer-Encoding: chunked\r\n"),
    ("coding-behind-cr", "X: y\rTransfer-Encoding: chunked\r\n"),
    ("coding-nul-in-name", "Transfer\0-Encoding: chunked\r\n"),
    ("length-space-colon", "Content-Length : 5\r\n"),
    ("length-folded", "Content-Length:\r\n 5\r\n"),
    ("length-underscore", "Content_Length: 5\r\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, value) in ODD_LENGTHS {
        let fields = format!("Content-Length: {value}\r\n");
        let sent = post(&fields, &format!("hello{SMUGGLED}"));
        cases.push(
            case(format!("length-{name}"), &[1])
                .send(sent)
                .refused(&[400]),
        );
    }
    for (name, value) in ODD_CODINGS {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        let sent = post(&fields, &format!("0\r\n\r\n{SMUGGLED}"));
        cases.push(
            case(format!("coding-{name}"), &[1])
                .send(sent)
                .refused(&[400, 501]),
        );
    }
    for (name, fields) in ODD_HEADS {
        let sent = post(fields, &format!("0\r\n\r\n{SMUGGLED}"));
        cases.push(
            case(format!("framing-{name}"), &[1])
                .send(sent)
                .refused(&[400, 501]),
        );
    }
    cases.extend(old());
    cases.extend(good());
    cases
}

/// HTTP/1.0, which has no chunks.
fn old() -> Vec<Case> {
    let chunked =
        "POST /x HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let both = "POST /x HTTP/1.0\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let without = "POST /x HTTP/1.0\r\nHost: a.example\r\n\r\n";
    let plain = "POST /x HTTP/1.0\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";
    let kept = "GET /x HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n";
    vec![
        case("old-chunked", &[1]).send(chunked).refused(&[400, 501]),
        case("old-length-and-chunked", &[1])
            .send(both)
            .refused(&[400, 501]),
        // Without a length there is no body: following bytes are never forwarded, least of all until the end of the
        // connection.
        case("old-without-length", &[1])
            .send(format!("{without}{SMUGGLED}"))
            .gets(status(&[200]).body("ok"))
            .sees(seen_post().added("via", "1.0 switchback"))
            .then(After::Closed),
        case("old-length", &[1])
            .send(plain)
            .gets(status(&[200]).body("ok"))
            .sees(seen_post().length("hello").added("via", "1.0 switchback"))
            .then(After::Closed),
        case("old-keep-alive", &[1, 5])
            .send(kept)
            .passes(seen_get(&[]).added("via", "1.0 switchback")),
    ]
}

fn good() -> Vec<Case> {
    let body = |fields: &str, body: &str| post(fields, body);
    let put = "PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi";
    let delete =
        "DELETE /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let patch = "PATCH /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    vec![
        case("good-length", &[1])
            .send(body("Content-Length: 5\r\n", "hello"))
            .passes(seen_post().length("hello")),
        case("good-length-zero", &[1])
            .send(body("Content-Length: 0\r\n", ""))
            .passes(seen_post().length("")),
        case("good-length-of-nineteen-digits", &[1])
            .send(body("content-length:0000000000000000005\r\n", "hello"))
            .passes(seen_post().length("hello")),
        case("good-length-with-spaces-around", &[1])
            .send(body("Content-Length: \t5 \t\r\n", "hello"))
            .passes(seen_post().length("hello")),
        case("good-length-of-a-get", &[1])
            .send(format!("{}hello", get("Content-Length: 5\r\n")))
            .passes(seen_get(&[]).length("hello")),
        case("good-no-body", &[1])
            .send(body("", ""))
            .passes(seen_post()),
        case("good-chunked", &[1])
            .send(body(
                "Transfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ))
            .passes(seen_post().chunked("hello")),
        case("good-chunked-in-capitals", &[1])
            .send(body(
                "TRANSFER-ENCODING: Chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ))
            .passes(seen_post().chunked("hello")),
        case("good-chunked-with-tabs-around", &[1])
            .send(body(
                "Transfer-Encoding:\tchunked\t\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ))
            .passes(seen_post().chunked("hello")),
        case("good-put", &[1])
            .send(put)
            .passes(request(&["PUT /x HTTP/1.1", "Host: a.example"]).length("hi")),
        case("good-delete-chunked", &[1])
            .send(delete)
            .passes(request(&["DELETE /x HTTP/1.1", "Host: a.example"]).chunked("")),
        case("good-patch-chunked", &[1])
            .send(patch)
            .passes(request(&["PATCH /x HTTP/1.1", "Host: a.example"]).chunked("a")),
        // Two requests in one write are two requests.
        case("good-pipelined", &[1])
            .send(format!(
                "{}{}",
                body("Content-Length: 5\r\n", "hello"),
                get("")
            ))
            .gets(status(&[200]).body("ok"))
            .gets(status(&[200]).body("ok"))
            .sees(seen_post().length("hello"))
            .sees(seen_get(&[])),
        case("good-pipelined-behind-chunks", &[1])
            .send(format!(
                "{}{}",
                body("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
                get("")
            ))
            .gets(status(&[200]).body("ok"))
            .gets(status(&[200]).body("ok"))
            .sees(seen_post().chunked("a"))
            .sees(seen_get(&[])),
        // A malformed second request does not affect the first one.
        case("good-then-bad", &[1])
            .send(format!(
                "{}{}",
                get(""),
                post("Content-Length: x\r\n", "hello")
            ))
            .gets(status(&[200]).body("ok"))
            .gets(status(&[400]))
            .sees(seen_get(&[]))
            .then(After::Closed),
        case("cut-length", &[1, 8])
            .send(body("Content-Length: 10\r\n", "hello"))
            .origin_receives("hello")
            .reset()
            .sees_a_cut()
            .then(After::Left),
        case("cut-length-of-nines", &[1, 8])
            .send(body("Content-Length: 9999999999999999999\r\n", "hello"))
            .origin_receives("hello")
            .reset()
            .sees_a_cut()
            .then(After::Left),
        case("cut-length-by-a-fin", &[1, 8])
            .send(body("Content-Length: 10\r\n", "hello"))
            .shut()
            .sees_a_cut()
            .gets(status(&[400, 408]).or_nothing())
            .then(After::Closed),
    ]
}
