//! Fields of HTTP/2 that would mean something else in HTTP/1.1.

use super::{seen, seen_get};
use crate::conformance::{
    case::{After, Case, h2case, status},
    h2::{
        frame::{END_HEADERS, END_STREAM, HEADERS, frame, get, head},
        hpack::{block, literal},
    },
};

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/x");
const AUTHORITY: (&str, &str) = (":authority", "a.example");

/// Heads whose pseudo-fields are wrong.
const PSEUDO: [(&str, &[(&str, &str)]); 47] = [
    ("no-method", &[SCHEME, PATH, AUTHORITY]),
    ("no-scheme", &[METHOD, PATH, AUTHORITY]),
    ("no-path", &[METHOD, SCHEME, AUTHORITY]),
    ("no-authority", &[METHOD, SCHEME, PATH]),
    ("nothing", &[]),
    ("two-methods", &[METHOD, METHOD, SCHEME, PATH, AUTHORITY]),
    ("two-schemes", &[METHOD, SCHEME, SCHEME, PATH, AUTHORITY]),
    (
        "two-paths",
        &[METHOD, SCHEME, PATH, (":path", "/private"), AUTHORITY],
    ),
    (
        "two-authorities",
        &[
            METHOD,
            SCHEME,
            PATH,
            AUTHORITY,
            (":authority", "private.example"),
        ],
    ),
    (
        "unknown",
        &[METHOD, SCHEME, PATH, AUTHORITY, (":foo", "bar")],
    ),
    (
        "status",
        &[METHOD, SCHEME, PATH, AUTHORITY, (":status", "200")],
    ),
    ("empty-name", &[METHOD, SCHEME, PATH, AUTHORITY, (":", "x")]),
    ("capitals", &[(":Method", "GET"), SCHEME, PATH, AUTHORITY]),
    (
        "after-a-field",
        &[METHOD, SCHEME, AUTHORITY, ("x-a", "1"), PATH],
    ),
    ("path-empty", &[METHOD, SCHEME, (":path", ""), AUTHORITY]),
    (
        "path-no-slash",
        &[METHOD, SCHEME, (":path", "x"), AUTHORITY],
    ),
    (
        "path-asterisk",
        &[METHOD, SCHEME, (":path", "*"), AUTHORITY],
    ),
    (
        "path-space",
        &[METHOD, SCHEME, (":path", "/x HTTP/1.1"), AUTHORITY],
    ),
    (
        "path-crlf",
        &[
            METHOD,
            SCHEME,
            (":path", "/x HTTP/1.1\r\nHost: private.example\r\n\r\nGET /"),
            AUTHORITY,
        ],
    ),
    (
        "path-lf",
        &[METHOD, SCHEME, (":path", "/x\nX: y"), AUTHORITY],
    ),
    ("path-nul", &[METHOD, SCHEME, (":path", "/x\0"), AUTHORITY]),
    ("path-tab", &[METHOD, SCHEME, (":path", "/x\ty"), AUTHORITY]),
    (
        "path-utf8",
        &[METHOD, SCHEME, (":path", "/\u{e9}"), AUTHORITY],
    ),
    (
        "path-delete",
        &[METHOD, SCHEME, (":path", "/x\x7f"), AUTHORITY],
    ),
    (
        "path-other-authority",
        &[METHOD, SCHEME, (":path", "@private.example/x"), AUTHORITY],
    ),
    ("method-empty", &[(":method", ""), SCHEME, PATH, AUTHORITY]),
    (
        "method-space",
        &[
            (":method", "GET /private HTTP/1.1"),
            SCHEME,
            PATH,
            AUTHORITY,
        ],
    ),
    (
        "method-crlf",
        &[
            (":method", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"),
            SCHEME,
            PATH,
            AUTHORITY,
        ],
    ),
    (
        "method-nul",
        &[(":method", "GET\0"), SCHEME, PATH, AUTHORITY],
    ),
    (
        "method-colon",
        &[(":method", "GET:"), SCHEME, PATH, AUTHORITY],
    ),
    (
        "method-of-33",
        &[
            (":method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"),
            SCHEME,
            PATH,
            AUTHORITY,
        ],
    ),
    (
        "scheme-crlf",
        &[METHOD, (":scheme", "http\r\nX: y"), PATH, AUTHORITY],
    ),
    (
        "scheme-url",
        &[
            METHOD,
            (":scheme", "http://private.example/x?"),
            PATH,
            AUTHORITY,
        ],
    ),
    (
        "scheme-other",
        &[METHOD, (":scheme", "ftp"), PATH, AUTHORITY],
    ),
    (
        "scheme-space",
        &[METHOD, (":scheme", "http x"), PATH, AUTHORITY],
    ),
    ("scheme-empty", &[METHOD, (":scheme", ""), PATH, AUTHORITY]),
    (
        "authority-crlf",
        &[METHOD, SCHEME, PATH, (":authority", "a.example\r\nX: y")],
    ),
    (
        "authority-space",
        &[
            METHOD,
            SCHEME,
            PATH,
            (":authority", "a.example private.example"),
        ],
    ),
    (
        "authority-userinfo",
        &[METHOD, SCHEME, PATH, (":authority", "user@a.example")],
    ),
    (
        "authority-slash",
        &[METHOD, SCHEME, PATH, (":authority", "a.example/private")],
    ),
    (
        "authority-query",
        &[METHOD, SCHEME, PATH, (":authority", "a.example?x")],
    ),
    (
        "authority-fragment",
        &[METHOD, SCHEME, PATH, (":authority", "a.example#x")],
    ),
    (
        "authority-port",
        &[METHOD, SCHEME, PATH, (":authority", "a.example:x")],
    ),
    (
        "authority-list",
        &[
            METHOD,
            SCHEME,
            PATH,
            (":authority", "a.example, private.example"),
        ],
    ),
    (
        "authority-empty",
        &[METHOD, SCHEME, PATH, (":authority", "")],
    ),
    (
        "authority-nul",
        &[METHOD, SCHEME, PATH, (":authority", "a.example\0")],
    ),
    (
        "authority-utf8",
        &[METHOD, SCHEME, PATH, (":authority", "\u{e4}.example")],
    ),
];

/// Fields that no request may have.
const FIELDS: [(&str, &str, &str); 42] = [
    ("capitals", "X-A", "1"),
    ("one-capital", "x-A", "1"),
    ("empty-name", "", "x"),
    ("name-space", "x a", "1"),
    ("name-space-at-end", "x-a ", "1"),
    ("name-colon", "x-a:b", "1"),
    ("name-crlf", "x-a\r\nhost", "private.example"),
    (
        "name-request",
        "x: y\r\n\r\nGET /private HTTP/1.1\r\nHost",
        "a.example",
    ),
    ("name-lf", "x-a\n", "1"),
    ("name-nul", "x-a\0", "1"),
    ("name-tab", "x-a\t", "1"),
    ("name-delete", "x-a\x7f", "1"),
    ("name-utf8", "x-\u{e9}", "1"),
    ("name-parenthesis", "x(a", "1"),
    ("name-slash", "x/a", "1"),
    ("name-quote", "x\"a", "1"),
    ("name-underscore", "x_real_ip", "1.2.3.4"),
    ("value-crlf", "x-a", "1\r\nhost: private.example"),
    (
        "value-request",
        "x-a",
        "1\r\n\r\nGET /private HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ),
    ("value-lf", "x-a", "1\nx-b: 2"),
    ("value-cr", "x-a", "1\rx-b: 2"),
    ("value-nul", "x-a", "1\0"),
    ("value-control", "x-a", "1\x01"),
    ("value-delete", "x-a", "1\x7f"),
    ("value-vertical-tab", "x-a", "1\x0b"),
    ("connection", "connection", "close"),
    ("connection-nominating", "connection", "x-forwarded-for"),
    ("keep-alive", "keep-alive", "timeout=5"),
    ("proxy-connection", "proxy-connection", "keep-alive"),
    ("transfer-encoding", "transfer-encoding", "chunked"),
    (
        "transfer-encoding-identity",
        "transfer-encoding",
        "identity",
    ),
    ("transfer-encoding-gzip", "transfer-encoding", "gzip"),
    ("transfer-encoding-empty", "transfer-encoding", ""),
    ("upgrade", "upgrade", "websocket"),
    ("upgrade-h2c", "upgrade", "h2c"),
    ("te-gzip", "te", "gzip"),
    ("te-more", "te", "trailers, gzip"),
    ("te-chunked", "te", "chunked"),
    ("host-odd", "host", "a b"),
    ("host-list", "host", "a.example, private.example"),
    ("host-crlf", "host", "a.example\r\nx: y"),
    ("expect-unknown", "expect", "miracles"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, fields) in PSEUDO {
        let sent = head(1, fields, END_STREAM);
        cases.push(
            h2case(format!("h2-pseudo-{name}"), &[2, 3, 7])
                .send(sent)
                .refused_on(1),
        );
    }
    for (name, field, value) in FIELDS {
        let fields = [&get("/x")[..], &[(field, value)]].concat();
        let sent = head(1, &fields, END_STREAM);
        cases.push(
            h2case(format!("h2-field-{name}"), &[1, 4, 5, 6, 7])
                .send(sent)
                .refused_on(1),
        );
    }
    cases.extend(good());
    cases.extend(limits());
    cases
}

fn good() -> Vec<Case> {
    let with = |fields: &[(&'static str, &'static str)]| {
        head(1, &[&get("/x")[..], fields].concat(), END_STREAM)
    };
    let to = |fields: &[(&str, &str)]| head(1, fields, END_STREAM);
    let latin = [block(&get("/x")), literal(b"x-a", b"\xe9")].concat();
    vec![
        h2case("h2-fields", &[7])
            .send(with(&[
                ("accept", "*/*"),
                ("x-a", "1"),
                ("x-a", "2"),
                ("x-empty", ""),
            ]))
            .passes_on(
                1,
                seen_get(&["accept: */*", "x-a: 1", "x-a: 2", "x-empty: "]),
            ),
        h2case("h2-value-latin", &[7])
            .send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &latin))
            .passes_on(1, seen_get(&["x-a: \\xe9"])),
        h2case("h2-cookies-are-joined", &[7])
            .send(with(&[
                ("cookie", "a=b"),
                ("x-a", "1"),
                ("cookie", "c=d"),
                ("cookie", "e=f"),
            ]))
            .passes_on(1, seen_get(&["x-a: 1", "cookie: a=b; c=d; e=f"])),
        h2case("h2-one-cookie", &[7])
            .send(with(&[("cookie", "a=b; c=d")]))
            .passes_on(1, seen_get(&["cookie: a=b; c=d"])),
        h2case("h2-te-trailers", &[5, 7])
            .send(with(&[("te", "trailers")]))
            .passes_on(1, seen_get(&["te: trailers", "connection: te"])),
        h2case("h2-http2-settings", &[5])
            .send(with(&[("http2-settings", "AAMAAABk")]))
            .passes_on(1, seen_get(&[])),
        h2case("h2-proxy-authorization", &[5])
            .send(with(&[("proxy-authorization", "Basic x")]))
            .passes_on(1, seen_get(&[])),
        h2case("h2-host-only", &[2, 7])
            .send(to(&[METHOD, SCHEME, PATH, ("host", "a.example")]))
            .passes_on(1, seen_get(&[])),
        h2case("h2-host-only-private", &[2, 7, 26])
            .send(to(&[METHOD, SCHEME, PATH, ("host", "private.example")]))
            .passes_on(1, seen(&["GET /x HTTP/1.1", "Host: private.example"]))
            .private(),
        // `:authority` wins, or the request is refused; the other host is neither used for routing nor forwarded.
        h2case("h2-host-beside-authority", &[2, 7])
            .send(with(&[("host", "a.example")]))
            .passes_on(1, seen_get(&[])),
        h2case("h2-host-against-authority", &[2, 7])
            .send(with(&[("host", "private.example")]))
            .passes_on(1, seen_get(&[])),
        h2case("h2-host-twice", &[2, 7])
            .send(with(&[("host", "a.example"), ("host", "private.example")]))
            .refused_on(1),
        h2case("h2-authority-private", &[2, 7, 26])
            .send(to(&[
                METHOD,
                SCHEME,
                PATH,
                (":authority", "private.example:80"),
            ]))
            .passes_on(1, seen(&["GET /x HTTP/1.1", "Host: private.example:80"]))
            .private(),
        h2case("h2-options-asterisk", &[3, 7])
            .send(to(&[
                (":method", "OPTIONS"),
                SCHEME,
                (":path", "*"),
                AUTHORITY,
            ]))
            .passes_on(1, seen(&["OPTIONS * HTTP/1.1", "Host: a.example"])),
        h2case("h2-method-of-one's-own", &[3, 7])
            .send(to(&[(":method", "BREW"), SCHEME, PATH, AUTHORITY]))
            .passes_on(1, seen(&["BREW /x HTTP/1.1", "Host: a.example"])),
        h2case("h2-identity-spoofed", &[6])
            .send(with(&[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "private.example"),
                ("x-real-ip", "1.2.3.4"),
                ("forwarded", "for=1.2.3.4"),
                ("x-switchback-release", "private"),
            ]))
            .passes_on(
                1,
                seen_get(&[])
                    .added("x-forwarded-host", "a.example")
                    .added("forwarded", "!1.2.3.4"),
            ),
        h2case("h2-path-fragment", &[3, 7])
            .send(to(&[METHOD, SCHEME, (":path", "/x#y"), AUTHORITY]))
            .gets_on(1, status(&[400])),
        h2case("h2-loop", &[27])
            .send(with(&[("via", "2 switchback")]))
            .gets_on(1, status(&[508])),
        h2case("h2-loop-old", &[27])
            .send(with(&[("via", "1.1 a, 1.1 switchback")]))
            .gets_on(1, status(&[508])),
    ]
}

fn limits() -> Vec<Case> {
    let fields = |count: usize| vec![("x-a", "1"); count];
    let many = |count: usize| head(1, &[get("/x"), fields(count)].concat(), END_STREAM);
    let long = format!("/{}", "a".repeat(16 * 1024));
    let path = format!("/{}", "a".repeat(7_999));
    let value = "v".repeat(8_000);
    let list = |count: usize| {
        let mut sent = frame(HEADERS, END_STREAM, 1, &block(&get("/x")));
        for at in 0..count {
            let flags = if at + 1 == count { END_HEADERS } else { 0 };
            sent.extend(frame(9, flags, 1, &block(&[("x-a", &value)])));
        }
        sent
    };
    let target = format!("GET {path} HTTP/1.1");
    vec![
        h2case("h2-limit-target-of-8000", &[11])
            .send(head(1, &get(&path), END_STREAM))
            .passes_on(1, seen(&[&target, "Host: a.example"])),
        h2case("h2-limit-target-too-long", &[11])
            .send({
                let (start, rest) = block(&get(&long)).split_at(10_000).clone_both();
                [
                    frame(HEADERS, END_STREAM, 1, &start),
                    frame(9, END_HEADERS, 1, &rest),
                ]
                .concat()
            })
            .refused_on(1),
        h2case("h2-limit-fields-of-101", &[11])
            .send(many(101))
            .refused_on(1),
        h2case("h2-limit-fields-of-90", &[11])
            .send(many(90))
            .passes_on(1, seen_get(&["x-a: 1"; 90])),
        h2case("h2-limit-list-of-40000", &[11, 17])
            .send(list(5))
            .passes_on(
                1,
                seen_get(&[&format!("x-a: {value}"); 5].map(String::as_str)),
            ),
        h2case("h2-limit-list-of-160000", &[11, 17])
            .send(list(20))
            .refused_on(1)
            .then(After::Any),
        h2case("h2-limit-list-of-16-million", &[11, 17])
            .send(list(2_000))
            .refused_on(1)
            .then(After::Any),
    ]
}

/// Both halves as vectors of their own.
trait CloneBoth {
    fn clone_both(self) -> (Vec<u8>, Vec<u8>);
}

impl CloneBoth for (&[u8], &[u8]) {
    fn clone_both(self) -> (Vec<u8>, Vec<u8>) {
        (self.0.to_vec(), self.1.to_vec())
    }
}
