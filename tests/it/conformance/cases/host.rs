//! The target host of a request: `Host`, absolute targets, and malformed targets.

use super::{SMUGGLED, seen_get};
use crate::conformance::case::{Case, case, request, status};

/// Malformed values of `Host`.
const ODD_HOSTS: [(&str, &str); 30] = [
    ("empty", ""),
    ("blank", " \t "),
    ("space", "a b"),
    ("tab", "a\tb"),
    ("list", "a.example, private.example"),
    ("slash", "a.example/x"),
    ("query", "a.example?x"),
    ("fragment", "a.example#x"),
    ("userinfo", "user@a.example"),
    ("userinfo-password", "a.example:80@private.example"),
    ("url", "http://a.example"),
    ("port-empty", "a.example:"),
    ("port-text", "a.example:http"),
    ("port-large", "a.example:65536"),
    ("port-plus", "a.example:+80"),
    ("port-minus", "a.example:-1"),
    ("port-twice", "a.example:80:80"),
    ("port-only", ":80"),
    ("backslash", "a.example\\x"),
    ("percent", "a%2eexample"),
    ("percent-nul", "a.example%00"),
    ("quote", "\"a.example\""),
    ("angle", "<a.example>"),
    ("brace", "{a}.example"),
    ("bar", "a|b.example"),
    ("caret", "a^b.example"),
    ("open-bracket", "[::1"),
    ("bracket-text", "[a.example]"),
    ("bracket-then-text", "[::1]x"),
    ("non-ascii", "\u{e4}.example"),
];

/// Malformed targets.
const ODD_TARGETS: [(&str, &[u8]); 27] = [
    ("fragment", b"GET /x#y"),
    ("fragment-first", b"GET #x"),
    ("fragment-in-query", b"GET /x?y#z"),
    ("no-slash", b"GET x"),
    ("query-only", b"GET ?x"),
    ("authority", b"GET a.example:80"),
    ("asterisk", b"GET *"),
    ("asterisk-post", b"POST *"),
    ("asterisk-more", b"OPTIONS *x"),
    ("asterisk-query", b"OPTIONS *?x"),
    ("nul", b"GET /x\0y"),
    ("control", b"GET /x\x01y"),
    ("delete", b"GET /x\x7fy"),
    ("latin", b"GET /x\xe9"),
    ("utf8", "GET /\u{e9}".as_bytes()),
    ("backslash-first", b"GET \\x"),
    ("dots", b"GET ../private"),
    ("absolute-no-host", b"GET http:///x"),
    ("absolute-one-slash", b"GET http:/a.example/x"),
    ("absolute-no-slashes", b"GET http:a.example/x"),
    ("absolute-other-scheme", b"GET ftp://a.example/x"),
    ("absolute-file", b"GET file:///etc/passwd"),
    ("absolute-userinfo", b"GET http://user@a.example/x"),
    ("absolute-odd-port", b"GET http://a.example:x/x"),
    ("absolute-fragment", b"GET http://a.example#x"),
    (
        "absolute-backslash",
        b"GET http://a.example\\@private.example/",
    ),
    ("absolute-space", b"GET http://a.example /x"),
];

/// Every way to request a tunnel.
const CONNECTS: [(&str, &str); 8] = [
    (
        "authority",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    ),
    ("authority-old", "CONNECT a.example:443 HTTP/1.0\r\n\r\n"),
    (
        "no-port",
        "CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ),
    ("path", "CONNECT /x HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    (
        "absolute",
        "CONNECT http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ),
    ("asterisk", "CONNECT * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    (
        "with-body",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "websocket",
        "CONNECT /x HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, value) in ODD_HOSTS {
        let sent = format!("GET /x HTTP/1.1\r\nHost: {value}\r\n\r\n{SMUGGLED}");
        cases.push(
            case(format!("host-{name}"), &[2])
                .send(sent)
                .refused(&[400]),
        );
        let absolute =
            format!("GET http://a.example/x HTTP/1.1\r\nHost: {value}\r\n\r\n{SMUGGLED}");
        cases.push(
            case(format!("host-absolute-{name}"), &[2])
                .send(absolute)
                .refused(&[400]),
        );
    }
    for (name, start) in ODD_TARGETS {
        let sent = [
            start,
            b" HTTP/1.1\r\nHost: a.example\r\n\r\n",
            SMUGGLED.as_bytes(),
        ]
        .concat();
        cases.push(
            case(format!("target-{name}"), &[2, 3])
                .send(sent)
                .refused(&[400]),
        );
    }
    for (name, sent) in CONNECTS {
        let sent = format!("{sent}{SMUGGLED}");
        cases.push(
            case(format!("connect-{name}"), &[3])
                .send(sent)
                .refused(&[400, 405, 501]),
        );
    }
    cases.extend(counts());
    cases.extend(good());
    cases.extend(absolute());
    cases
}

fn counts() -> Vec<Case> {
    let refused = |name: &str, text: &str| {
        case(name, &[2])
            .send(format!("{text}{SMUGGLED}"))
            .refused(&[400])
    };
    vec![
        refused("host-missing", "GET /x HTTP/1.1\r\nAccept: */*\r\n\r\n"),
        refused("host-missing-and-no-fields", "GET /x HTTP/1.1\r\n\r\n"),
        refused(
            "host-twice-same",
            "GET /x HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
        ),
        refused(
            "host-twice-different",
            "GET /x HTTP/1.1\r\nHost: a.example\r\nHost: private.example\r\n\r\n",
        ),
        refused(
            "host-twice-case",
            "GET /x HTTP/1.1\r\nHost: a.example\r\nX: y\r\nhOST: private.example\r\n\r\n",
        ),
        refused(
            "host-twice-empty",
            "GET /x HTTP/1.1\r\nHost:\r\nHost: a.example\r\n\r\n",
        ),
        refused(
            "host-twice-old",
            "GET /x HTTP/1.0\r\nHost: a.example\r\nHost: private.example\r\n\r\n",
        ),
        refused(
            "host-space-colon",
            "GET /x HTTP/1.1\r\nHost : private.example\r\nHost: a.example\r\n\r\n",
        ),
        refused(
            "host-folded",
            "GET /x HTTP/1.1\r\nHost: a.example\r\n private.example\r\n\r\n",
        ),
        refused(
            "host-absolute-missing",
            "GET http://a.example/x HTTP/1.1\r\n\r\n",
        ),
        refused(
            "host-absolute-twice",
            "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nHost: private.example\r\n\r\n",
        ),
    ]
}

fn good() -> Vec<Case> {
    let to = |host: &str| format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let seen = |host: &str| request(&["GET /x HTTP/1.1", &format!("Host: {host}")]);
    let options = "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n";
    vec![
        case("good-host", &[2])
            .send(to("a.example"))
            .passes(seen("a.example")),
        case("good-host-port", &[2])
            .send(to("a.example:8080"))
            .passes(seen("a.example:8080")),
        case("good-host-address", &[2])
            .send(to("127.0.0.1:80"))
            .passes(seen("127.0.0.1:80")),
        case("good-host-address-6", &[2])
            .send(to("[::1]:80"))
            .passes(seen("[::1]:80")),
        case("good-host-capitals", &[2])
            .send(to("A.Example"))
            .passes(seen("A.Example")),
        case("good-host-spaces-around", &[2])
            .send(to(" \ta.example\t "))
            .passes(seen("a.example")),
        // Every spelling of the private host leads to its route.
        case("host-private", &[2, 26])
            .send(to("private.example"))
            .passes(seen("private.example"))
            .private(),
        case("host-private-capitals", &[2, 26])
            .send(to("PRIVATE.Example"))
            .passes(seen("PRIVATE.Example"))
            .private(),
        case("host-private-port", &[2, 26])
            .send(to("private.example:1"))
            .passes(seen("private.example:1"))
            .private(),
        case("host-private-dot", &[2, 26])
            .send(to("private.example."))
            .passes(seen("private.example."))
            .private(),
        case("host-private-almost", &[2, 26])
            .send(to("xprivate.example"))
            .passes(seen("xprivate.example")),
        case("good-asterisk", &[3])
            .send(options)
            .passes(request(&["OPTIONS * HTTP/1.1", "Host: a.example"])),
    ]
}

/// Absolute targets, whose host wins.
fn absolute() -> Vec<Case> {
    let to = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: b.example\r\n\r\n");
    let seen = |target: &str, host: &str| {
        request(&[&format!("GET {target} HTTP/1.1"), &format!("Host: {host}")])
    };
    let options = "OPTIONS http://a.example HTTP/1.1\r\nHost: b.example\r\n\r\n";
    let old = "GET http://a.example/x HTTP/1.0\r\n\r\n";
    vec![
        case("absolute", &[2])
            .send(to("http://a.example/x"))
            .passes(seen_get(&[])),
        case("absolute-no-path", &[2])
            .send(to("http://a.example"))
            .passes(seen("/", "a.example")),
        case("absolute-query", &[2])
            .send(to("http://a.example?y"))
            .passes(seen("/?y", "a.example")),
        case("absolute-path-and-query", &[2])
            .send(to("http://a.example/x?y=z"))
            .passes(seen("/x?y=z", "a.example")),
        case("absolute-capitals", &[2])
            .send(to("HTTP://A.example:80/x"))
            .passes(seen("/x", "A.example:80")),
        case("absolute-private", &[2, 26])
            .send(to("http://private.example/x"))
            .passes(seen("/x", "private.example"))
            .private(),
        case("absolute-not-private", &[2, 26])
            .send("GET http://a.example/x HTTP/1.1\r\nHost: private.example\r\n\r\n")
            .passes(seen_get(&[])),
        case("absolute-private-path", &[2, 26])
            .send(to("http://a.example/private/x"))
            .passes(seen("/private/x", "a.example"))
            .private(),
        case("absolute-asterisk", &[2, 3])
            .send(options)
            .passes(request(&["OPTIONS * HTTP/1.1", "Host: a.example"])),
        case("absolute-old", &[2])
            .send(old)
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]).added("via", "1.0 switchback"))
            .then(crate::conformance::case::After::Closed),
    ]
}
