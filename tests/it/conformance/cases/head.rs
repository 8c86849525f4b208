//! Request lines, field lines, their line ends and their limits.

use super::{SMUGGLED, get, seen_get};
use crate::conformance::case::{After, Case, Listener, case, request, status};

/// Malformed first lines.
const BAD_LINES: [(&str, &[u8], &[u16]); 34] = [
    ("two-spaces-first", b"GET  /x HTTP/1.1", &[400]),
    ("two-spaces-second", b"GET /x  HTTP/1.1", &[400]),
    ("tab", b"GET\t/x HTTP/1.1", &[400]),
    ("tab-second", b"GET /x\tHTTP/1.1", &[400]),
    ("space-before", b" GET /x HTTP/1.1", &[400]),
    ("space-after", b"GET /x HTTP/1.1 ", &[400]),
    ("four-words", b"GET /x y HTTP/1.1", &[400]),
    ("no-version", b"GET /x", &[400]),
    ("no-target", b"GET HTTP/1.1", &[400]),
    ("no-words", b"GET", &[400]),
    ("version-0.9", b"GET /x HTTP/0.9", &[400, 505]),
    ("version-2.0", b"GET /x HTTP/2.0", &[400, 505]),
    ("version-3.0", b"GET /x HTTP/3.0", &[400, 505]),
    ("version-2", b"GET /x HTTP/2", &[400, 505]),
    ("version-lower", b"GET /x http/1.1", &[400, 505]),
    ("version-1.10", b"GET /x HTTP/1.10", &[400, 505]),
    ("version-01.1", b"GET /x HTTP/01.1", &[400, 505]),
    ("version-comma", b"GET /x HTTP/1,1", &[400, 505]),
    ("version-letter", b"GET /x HTTP/1.1x", &[400, 505]),
    ("version-space", b"GET /x HTTP /1.1", &[400, 505]),
    ("version-space-slash", b"GET /x HTTP/ 1.1", &[400, 505]),
    ("version-cut", b"GET /x HTTP/1.", &[400, 505]),
    ("version-other", b"GET /x ICY/1.1", &[400, 505]),
    ("method-at", b"G@T /x HTTP/1.1", &[400]),
    ("method-parenthesis", b"GE(T /x HTTP/1.1", &[400]),
    ("method-colon", b"GET: /x HTTP/1.1", &[400]),
    ("method-nul", b"GE\0T /x HTTP/1.1", &[400]),
    ("method-utf8", b"G\xc3\x89T /x HTTP/1.1", &[400]),
    ("method-slash", b"GE/T /x HTTP/1.1", &[400]),
    (
        "method-of-33",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG /x HTTP/1.1",
        &[400, 405, 414, 501],
    ),
    ("nul-before", b"\0GET /x HTTP/1.1", &[400]),
    ("tls-hello", b"\x16\x03\x01\x02\0\x01\0", &[400]),
    ("carriage-return-inside", b"GET /x\rHTTP/1.1", &[400]),
    ("vertical-tab", b"GET\x0b/x HTTP/1.1", &[400]),
];

/// Malformed or ambiguous field lines.
const BAD_FIELDS: [(&str, &[u8]); 41] = [
    ("no-colon", b"Foo\r\n"),
    ("empty-name", b": x\r\n"),
    ("space-name", b" : x\r\n"),
    ("space-colon", b"Foo : x\r\n"),
    ("tab-colon", b"Foo\t: x\r\n"),
    ("space-in-name", b"F oo: x\r\n"),
    ("name-parenthesis", b"F(oo: x\r\n"),
    ("name-comma", b"F,oo: x\r\n"),
    ("name-slash", b"F/oo: x\r\n"),
    ("name-semicolon", b"F;oo: x\r\n"),
    ("name-angle", b"F<oo: x\r\n"),
    ("name-equals", b"F=oo: x\r\n"),
    ("name-question", b"F?oo: x\r\n"),
    ("name-at", b"F@oo: x\r\n"),
    ("name-bracket", b"F[oo: x\r\n"),
    ("name-backslash", b"F\\oo: x\r\n"),
    ("name-quote", b"F\"oo: x\r\n"),
    ("name-brace", b"F{oo: x\r\n"),
    ("name-nul", b"F\0oo: x\r\n"),
    ("name-latin", b"F\xe9oo: x\r\n"),
    ("name-utf8", "F\u{e9}oo: x\r\n".as_bytes()),
    ("name-delete", b"F\x7foo: x\r\n"),
    ("name-underscore", b"X_Real_IP: 1.2.3.4\r\n"),
    ("name-underscore-first", b"_x: y\r\n"),
    ("name-underscore-forwarded", b"X-Forwarded_For: 1.2.3.4\r\n"),
    ("folded", b"Foo: x\r\n y\r\n"),
    ("folded-tab", b"Foo: x\r\n\ty\r\n"),
    ("folded-empty", b"Foo: x\r\n \r\n"),
    ("value-nul", b"Foo: x\0y\r\n"),
    ("value-soh", b"Foo: x\x01y\r\n"),
    ("value-backspace", b"Foo: x\x08y\r\n"),
    ("value-vertical-tab", b"Foo: x\x0by\r\n"),
    ("value-form-feed", b"Foo: x\x0cy\r\n"),
    ("value-escape", b"Foo: x\x1by\r\n"),
    ("value-delete", b"Foo: x\x7fy\r\n"),
    ("value-cr", b"Foo: x\ry\r\n"),
    ("value-cr-at-end", b"Foo: x\r\r\n"),
    ("value-lf", b"Foo: x\nBar: y\r\n"),
    ("line-lf", b"Foo: x\n"),
    ("empty-line-lf", b"Foo: x\r\n\n"),
    ("lf-lf", b"Foo: x\n\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, line, statuses) in BAD_LINES {
        let sent = [line, b"\r\nHost: a.example\r\n\r\n", SMUGGLED.as_bytes()].concat();
        cases.push(
            case(format!("line-{name}"), &[2, 3, 11])
                .send(sent)
                .refused(statuses),
        );
    }
    for (name, line) in BAD_FIELDS {
        for (place, before) in [("", &b"Host: a.example\r\n"[..]), ("-first", b"")] {
            let after = if before.is_empty() {
                &b"Host: a.example\r\n"[..]
            } else {
                b""
            };
            let start = b"GET /x HTTP/1.1\r\n";
            let sent = [start, before, line, after, b"\r\n", SMUGGLED.as_bytes()].concat();
            cases.push(
                case(format!("field-{name}{place}"), &[1, 2, 6])
                    .send(sent)
                    .refused(&[400]),
            );
        }
    }
    cases.extend(line_ends());
    cases.extend(limits());
    cases.extend(good());
    cases
}

fn line_ends() -> Vec<Case> {
    let refused = |name: &str, text: &str| {
        case(name, &[1, 2])
            .send(format!("{text}{SMUGGLED}"))
            .refused(&[400])
    };
    vec![
        refused("ends-all-lf", "GET /x HTTP/1.1\nHost: a.example\n\n"),
        refused("ends-first-lf", "GET /x HTTP/1.1\nHost: a.example\r\n\r\n"),
        refused("ends-first-cr", "GET /x HTTP/1.1\rHost: a.example\r\n\r\n"),
        refused(
            "ends-first-cr-cr-lf",
            "GET /x HTTP/1.1\r\r\nHost: a.example\r\n\r\n",
        ),
        refused(
            "ends-folded-first",
            "GET /x HTTP/1.1\r\n Foo: x\r\nHost: a.example\r\n\r\n",
        ),
        refused(
            "ends-empty-line-cr",
            "GET /x HTTP/1.1\r\nHost: a.example\r\n\rX",
        ),
        refused(
            "ends-lf-before",
            "\nGET /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
        ),
        refused(
            "ends-crlf-many-before",
            "\r\n\r\n\r\nGET /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
        ),
        case("ends-crlf-before", &[1])
            .send("\r\nGET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .passes(seen_get(&[])),
        case("ends-in-the-head", &[1, 8])
            .send("GET /x HTTP/1.1\r\nHost: a.exa")
            .shut()
            .gets(status(&[400, 408]).or_nothing())
            .then(After::Closed),
        case("ends-before-the-empty-line", &[1, 8])
            .send("GET /x HTTP/1.1\r\nHost: a.example\r\n")
            .shut()
            .gets(status(&[400, 408]).or_nothing())
            .then(After::Closed),
    ]
}

fn limits() -> Vec<Case> {
    let target = |length: usize| format!("/{}", "a".repeat(length - 1));
    let to = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let seen = |target: &str| request(&[&format!("GET {target} HTTP/1.1"), "Host: a.example"]);
    let fields = |count: usize| "X: y\r\n".repeat(count);
    let method = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF";
    let long = "v".repeat(60_000);
    vec![
        case("limit-target-of-8000", &[11])
            .send(to(&target(8000)))
            .passes(seen(&target(8000))),
        case("limit-target-of-16384", &[11])
            .send(to(&target(16384)))
            .passes(seen(&target(16384))),
        case("limit-target-of-16385", &[11])
            .send(to(&target(16385)))
            .refused(&[400, 414]),
        case("limit-target-endless", &[11])
            .send(format!("GET {}", target(70_000)))
            .refused(&[400, 414, 431]),
        case("limit-fields-of-100", &[11])
            .send(get(&fields(99)))
            .passes(seen_get(&["X: y"; 99])),
        case("limit-fields-of-101", &[11])
            .send(get(&fields(100)))
            .refused(&[400, 431]),
        case("limit-fields-of-5000", &[11])
            .send(get(&fields(5000)))
            .refused(&[400, 431]),
        case("limit-field-of-60000", &[11])
            .send(get(&format!("X: {long}\r\n")))
            .passes(seen_get(&[&format!("X: {long}")])),
        case("limit-head-of-70000", &[11])
            .send(get(&format!("X: {}\r\n", "v".repeat(70_000))))
            .refused(&[400, 431]),
        case("limit-head-endless", &[11])
            .send(format!("GET /x HTTP/1.1\r\nX: {}", "v".repeat(200_000)))
            .refused(&[400, 431]),
        case("limit-name-endless", &[11])
            .send(format!("GET /x HTTP/1.1\r\n{}", "n".repeat(200_000)))
            .refused(&[400, 431]),
        case("limit-method-of-32", &[11])
            .send(format!("{method} /x HTTP/1.1\r\nHost: a.example\r\n\r\n"))
            .passes(request(&[
                &format!("{method} /x HTTP/1.1"),
                "Host: a.example",
            ])),
        case("limit-method-endless", &[11])
            .send("G".repeat(100_000))
            .refused(&[400, 414, 431, 501]),
    ]
}

fn good() -> Vec<Case> {
    let own = |method: &str| format!("{method} /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let seen = |method: &str| request(&[&format!("{method} /x HTTP/1.1"), "Host: a.example"]);
    vec![
        case("good-method-of-one's-own", &[3])
            .send(own("BREW"))
            .passes(seen("BREW")),
        case("good-method-in-lower-case", &[3])
            .send(own("get"))
            .passes(seen("get")),
        case("good-method-with-marks", &[3])
            .send(own("M-SEARCH!"))
            .passes(seen("M-SEARCH!")),
        // RFC 9110, 2.5: a later minor version is read as the highest that is known.
        case("good-version-1.2", &[2])
            .send("GET /x HTTP/1.2\r\nHost: a.example\r\n\r\n")
            .passes(seen_get(&[])),
        case("good-version-1.9", &[2])
            .send("GET /x HTTP/1.9\r\nHost: a.example\r\n\r\n")
            .passes(seen_get(&[])),
        case("good-head", &[1])
            .send(own("HEAD"))
            .gets(status(&[200]).for_head().has("content-length", "2"))
            .sees(seen("HEAD")),
        case("good-fields", &[5])
            .send(get(
                "Accept: */*\r\nX-A:1\r\nx-b:\t2 \r\nX-Empty:\r\nX-A: 3\r\n",
            ))
            .passes(seen_get(&[
                "Accept: */*",
                "X-A: 1",
                "x-b: 2",
                "X-Empty: ",
                "X-A: 3",
            ])),
        case("good-value-with-tab-inside", &[1])
            .send(get("X: a\tb\r\n"))
            .passes(seen_get(&["X: a\\tb"])),
        case("good-value-latin", &[1])
            .send(b"GET /x HTTP/1.1\r\nHost: a.example\r\nX: \xe9\r\n\r\n")
            .passes(seen_get(&["X: \\xe9"])),
        case("good-underscore-where-let", &[6])
            .listener(Listener::Trusting)
            .send(get("X_Own: 1\r\n"))
            .passes(seen_get(&["X_Own: 1"])),
        case("expect-unknown", &[1])
            .send(get("Expect: miracles\r\n"))
            .refused(&[400, 417]),
    ]
}
