//! Hop-by-hop fields end at the proxy, in both directions; fields that others rely on cannot be nominated.

use super::{get, post, seen_get, seen_post};
use crate::conformance::{
    case::{After, Case, case, status},
    origin::{Then, When},
};

/// Fields that end at the proxy.
const ENDING: [(&str, &str); 16] = [
    (
        "keep-alive",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
    ),
    ("keep-alive-alone", "Keep-Alive: timeout=5, max=10\r\n"),
    ("proxy-connection", "Proxy-Connection: keep-alive\r\n"),
    ("te-alone", "TE: gzip, trailers;q=0.5\r\n"),
    (
        "upgrade-h2c",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    ),
    (
        "upgrade-h2c-without-connection",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    ),
    (
        "upgrade-other",
        "Connection: upgrade\r\nUpgrade: TLS/1.0, foo/2\r\n",
    ),
    ("http2-settings-alone", "HTTP2-Settings: AAMAAABk\r\n"),
    (
        "proxy-authorization",
        "Proxy-Authorization: Basic dXNlcg==\r\n",
    ),
    ("proxy-authenticate", "Proxy-Authenticate: Basic\r\n"),
    ("nominated", "Connection: X-Secret\r\nX-Secret: 1\r\n"),
    ("nominated-case", "Connection: x-SECRET\r\nX-Secret: 1\r\n"),
    (
        "nominated-many",
        "Connection: keep-alive, X-A,X-B ,\tX-C\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n",
    ),
    ("nominated-later", "X-Secret: 1\r\nConnection: X-Secret\r\n"),
    (
        "nominated-twice",
        "Connection: X-A\r\nX-A: 1\r\nConnection: X-B\r\nX-B: 2\r\nX-A: 3\r\n",
    ),
    (
        "nominated-empty-elements",
        "Connection: , ,X-Secret,,\r\nX-Secret: 1\r\n",
    ),
];

/// Fields that cannot be nominated, and a value that each may have.
const PROTECTED: [(&str, &str); 11] = [
    ("Authorization", "Bearer x"),
    ("Cookie", "a=b"),
    ("Mcp-Session-Id", "s"),
    ("Mcp-Method", "tools/call"),
    ("Mcp-Name", "add"),
    ("Content-Type", "text/plain"),
    ("Mcp-Protocol-Version", "2026-07-28"),
    ("mcp-other", "x"),
    ("Content-Encoding", "gzip"),
    ("authorization", "Basic x"),
    ("COOKIE", "c=d"),
];

/// Fields of the proxy that a nomination must not take away.
const OWN: [&str; 9] = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "Forwarded",
    "X-Real-IP",
    "Via",
    "X-Request-Id",
    "traceparent",
    "Host",
];

/// Responses of the origin whose fields end at the proxy, and the fields that must be gone.
const ANSWERS: [(&str, &str, &str); 7] = [
    (
        "keep-alive",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
        "keep-alive",
    ),
    (
        "keep-alive-connection",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
        "connection",
    ),
    (
        "proxy-connection",
        "Proxy-Connection: close\r\n",
        "proxy-connection",
    ),
    (
        "nominated",
        "Connection: X-Secret\r\nX-Secret: 1\r\n",
        "x-secret",
    ),
    (
        "upgrade",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "upgrade",
    ),
    ("te", "TE: trailers\r\n", "te"),
    (
        "proxy-authenticate",
        "Proxy-Authenticate: Basic\r\n",
        "proxy-authenticate",
    ),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, fields) in ENDING {
        cases.push(
            case(format!("hop-{name}"), &[4, 5])
                .send(get(fields))
                .passes(seen_get(&[])),
        );
    }
    for (name, value) in PROTECTED {
        let fields = format!("{name}: {value}\r\nConnection: {name}\r\n");
        let kept = format!("{name}: {value}");
        cases.push(
            case(format!("hop-protected-{name}"), &[5])
                .send(get(&fields))
                .passes(seen_get(&[&kept])),
        );
    }
    for name in OWN {
        let fields = format!("Connection: {name}\r\n");
        cases.push(
            case(format!("hop-own-{name}"), &[5])
                .send(get(&fields))
                .passes(seen_get(&[])),
        );
    }
    for (name, fields, gone) in ANSWERS {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok");
        cases.push(
            case(format!("hop-answer-{name}"), &[5])
                .send(get(""))
                .answers(When::Whole, answer, Then::Keep)
                .gets(status(&[200]).body("ok").lacks(gone))
                .sees(seen_get(&[])),
        );
    }
    cases.extend(framing());
    cases
}

fn framing() -> Vec<Case> {
    let nominated = |name: &str, fields: &str, body: &str| {
        post(&format!("{fields}Connection: {name}\r\n"), body)
    };
    let cookie = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nConnection: Set-Cookie, Content-Length\r\n\r\nok";
    vec![
        case("hop-content-length", &[1, 5])
            .send(nominated(
                "Content-Length",
                "Content-Length: 5\r\n",
                "hello",
            ))
            .passes(seen_post().length("hello")),
        case("hop-transfer-encoding", &[1, 5])
            .send(nominated(
                "Transfer-Encoding",
                "Transfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ))
            .passes(seen_post().chunked("hello")),
        // The proxy accepts trailers, and says so in a field of its own.
        case("hop-te", &[5])
            .send(get("TE: trailers, gzip\r\nConnection: TE\r\n"))
            .passes(seen_get(&["te: trailers", "connection: te"])),
        case("hop-close", &[5])
            .send(get("Connection: close\r\n"))
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]))
            .then(After::Closed),
        case("hop-close-among-others", &[5])
            .send(get("Connection: X-A, Close\r\nX-A: 1\r\n"))
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]))
            .then(After::Closed),
        case("hop-odd-connection", &[5])
            .send(get("Connection: a b\r\n"))
            .refused(&[400]),
        case("hop-connection-parameter", &[5])
            .send(get(
                "Connection: keep-alive; timeout=5, X-Gone; q=1\r\nX-Gone: 1\r\nTimeout: 5\r\n",
            ))
            .passes(seen_get(&["Timeout: 5"])),
        case("hop-answer-protected", &[5])
            .send(get(""))
            .answers(When::Whole, cookie, Then::Keep)
            .gets(status(&[200]).body("ok").has("set-cookie", "a=b"))
            .sees(seen_get(&[])),
    ]
}
