//! The grammar of chunks, extensions and trailers.

use super::{SMUGGLED, post, seen_post};
use crate::conformance::case::{After, Case, case, status};

/// Malformed chunked bodies.
const BAD: [(&str, &str); 52] = [
    ("hex-prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("hex-prefix-zero", "0x0\r\n\r\n"),
    ("plus", "+5\r\nhello\r\n0\r\n\r\n"),
    ("minus", "-5\r\nhello\r\n0\r\n\r\n"),
    ("minus-zero", "-0\r\n\r\n"),
    ("space-before", " 5\r\nhello\r\n0\r\n\r\n"),
    ("tab-before", "\t5\r\nhello\r\n0\r\n\r\n"),
    ("vertical-tab-after", "5\x0b\r\nhello\r\n0\r\n\r\n"),
    ("space-inside", "0 5\r\nhello\r\n0\r\n\r\n"),
    ("underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("no-digit", "g\r\nhello\r\n0\r\n\r\n"),
    ("digit-then-letter", "5g\r\nhello\r\n0\r\n\r\n"),
    ("empty-size", "\r\nhello\r\n0\r\n\r\n"),
    ("comma", "5,5\r\nhello\r\n0\r\n\r\n"),
    ("fraction", "5.0\r\nhello\r\n0\r\n\r\n"),
    ("nul", "5\0\r\nhello\r\n0\r\n\r\n"),
    ("empty-line-before", "\r\n5\r\nhello\r\n0\r\n\r\n"),
    (
        "seventeen-digits",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "thirty-three-digits",
        "000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "thirty-three-spaces-after",
        "5                                 \r\nhello\r\n0\r\n\r\n",
    ),
    ("space-then-digit", "5 0\r\nhello\r\n0\r\n\r\n"),
    ("space-ends-in-lf", "5 \nhello\r\n0\r\n\r\n"),
    ("space-ends-in-cr", "5 \rhello\r\n0\r\n\r\n"),
    ("size-ends-in-lf", "5\nhello\r\n0\r\n\r\n"),
    ("size-ends-in-cr", "5\rhello\r\n0\r\n\r\n"),
    ("size-ends-in-cr-cr-lf", "5\r\r\nhello\r\n0\r\n\r\n"),
    ("size-ends-in-lf-cr", "5\n\rhello\r\n0\r\n\r\n"),
    ("size-cr-then-other", "5\rX\nhello\r\n0\r\n\r\n"),
    ("extension-ends-in-lf", "5;\nhello\r\n0\r\n\r\n"),
    ("extension-name-ends-in-lf", "5;a\nhello\r\n0\r\n\r\n"),
    ("extension-with-lf", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("extension-with-cr", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("extension-with-nul", "5;a\0\r\nhello\r\n0\r\n\r\n"),
    ("extension-quoted-lf", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
    (
        "extension-quoted-crlf",
        "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    ),
    ("extension-open-quote", "5;a=\"b\r\nhello\r\n0\r\n\r\n"),
    ("extension-cr-cr-lf", "5;a\r\r\nhello\r\n0\r\n\r\n"),
    ("data-too-long", "5\r\nhelloX\r\n0\r\n\r\n"),
    ("data-too-short", "6\r\nhello\r\n0\r\n\r\n"),
    ("data-without-crlf", "5\r\nhello0\r\n\r\n"),
    ("data-ends-in-lf", "5\r\nhello\n0\r\n\r\n"),
    ("data-ends-in-cr", "5\r\nhello\r0\r\n\r\n"),
    ("data-ends-in-cr-cr-lf", "5\r\nhello\r\r\n0\r\n\r\n"),
    ("data-ends-in-two-bytes", "5\r\nhelloXX0\r\n\r\n"),
    ("last-ends-in-lf", "5\r\nhello\r\n0\n\r\n"),
    ("last-empty-line-lf", "5\r\nhello\r\n0\r\n\n"),
    ("last-empty-line-cr", "5\r\nhello\r\n0\r\n\rX"),
    ("trailer-without-colon", "5\r\nhello\r\n0\r\nX\r\n\r\n"),
    ("trailer-folded", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
    ("trailer-space-colon", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
    ("trailer-ends-in-lf", "5\r\nhello\r\n0\r\nX: y\n\r\n"),
    ("trailer-nul", "5\r\nhello\r\n0\r\nX: \0\r\n\r\n"),
];

/// Other encodings of the body `hello`.
const GOOD: [(&str, &str); 19] = [
    ("one", "5\r\nhello\r\n0\r\n\r\n"),
    ("many", "1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n"),
    ("leading-zeros", "0005\r\nhello\r\n000\r\n\r\n"),
    ("sixteen-digits", "0000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("seventeen-zeros", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("space-after", "5 \r\nhello\r\n0  \r\n\r\n"),
    ("tab-after", "5\t\r\nhello\r\n0\t \r\n\r\n"),
    ("space-then-extension", "5 ;a=b\r\nhello\r\n0\t;b\r\n\r\n"),
    ("extension-spaces", "5; a = b ;c\r\nhello\r\n0\r\n\r\n"),
    ("extension-space-after", "5;a \r\nhello\r\n0;b=c\t\r\n\r\n"),
    ("extension", "5;a\r\nhello\r\n0;b\r\n\r\n"),
    ("extension-value", "5;a=b\r\nhello\r\n0\r\n\r\n"),
    (
        "extension-quoted",
        "5;a=\"b; \\\" c\"\r\nhello\r\n0\r\n\r\n",
    ),
    ("extensions", "5;a=b;c;d=\"e\"\r\nhello\r\n0\r\n\r\n"),
    (
        "trailer-framing",
        "5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "trailer-host",
        "5\r\nhello\r\n0\r\nHost: private.example\r\n\r\n",
    ),
    (
        "trailer-identity",
        "5\r\nhello\r\n0\r\nAuthorization: Basic x\r\nCookie: a=b\r\n\r\n",
    ),
    (
        "trailer-forwarded",
        "5\r\nhello\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\n\r\n",
    ),
    (
        "trailer-hop",
        "5\r\nhello\r\n0\r\nConnection: close\r\nUpgrade: h2c\r\nTE: trailers\r\n\r\n",
    ),
];

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in BAD {
        let sent = post(CHUNKED, &format!("{body}{SMUGGLED}"));
        cases.push(
            case(format!("chunk-{name}"), &[1, 8, 10])
                .send(sent)
                .aborted(&[400]),
        );
        // The part that was relayed before the error must not become a complete request.
        let late = format!("3\r\nabc\r\n{body}{SMUGGLED}");
        let (start, rest) = (post(CHUNKED, &late[..8]), &late[8..]);
        cases.push(
            case(format!("chunk-late-{name}"), &[1, 8, 10])
                .send(start)
                .origin_receives("abc")
                .send(rest)
                .aborted(&[400]),
        );
    }
    for (name, body) in GOOD {
        let sent = post(CHUNKED, body);
        cases.push(
            case(format!("chunk-good-{name}"), &[1, 5])
                .send(sent)
                .passes(seen_post().chunked("hello")),
        );
    }
    cases.extend(special());
    cases
}

fn special() -> Vec<Case> {
    let many_extensions = format!(
        "{}0\r\n\r\n",
        format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(17)
    );
    let long_extension = format!("1;{}", "a".repeat(17 * 1024));
    let long_trailer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(17 * 1024));
    let many_trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(4000));
    let endless_trailer = format!("0\r\n{}", "y".repeat(17 * 1024));
    vec![
        case("chunk-extensions-too-large", &[11])
            .send(post(CHUNKED, &many_extensions))
            .aborted(&[400, 413, 431]),
        case("chunk-extension-too-long", &[11])
            .send(post(CHUNKED, &long_extension))
            .aborted(&[400, 413, 431]),
        case("chunk-trailer-too-long", &[11])
            .send(post(CHUNKED, &long_trailer))
            .aborted(&[400, 413, 431]),
        case("chunk-trailers-too-many", &[11])
            .send(post(CHUNKED, &many_trailers))
            .aborted(&[400, 413, 431]),
        case("chunk-trailer-endless", &[11])
            .send(post(CHUNKED, &endless_trailer))
            .aborted(&[400, 413, 431]),
        case("chunk-trailer-passes", &[1])
            .send(post(CHUNKED, "5\r\nhello\r\n0\r\nX-Checksum: 42\r\n\r\n"))
            .passes(seen_post().chunked("hello").trailer("X-Checksum", "42")),
        case("chunk-cut-in-data", &[8])
            .send(post(CHUNKED, "5\r\nhel"))
            .origin_receives("hel")
            .reset()
            .sees_a_cut()
            .then(After::Left),
        case("chunk-cut-before-last", &[8])
            .send(post(CHUNKED, "5\r\nhello\r\n"))
            .origin_receives("hello")
            .shut()
            .gets(status(&[400, 408]).or_nothing())
            .sees_a_cut()
            .then(After::Closed),
        case("chunk-cut-in-last", &[8])
            .send(post(CHUNKED, "5\r\nhello\r\n0\r\n"))
            .origin_receives("hello")
            .shut()
            .gets(status(&[400, 408]).or_nothing())
            .sees_a_cut()
            .then(After::Closed),
        case("chunk-huge-announced", &[1, 8])
            .send(post(CHUNKED, "ffffffffffffffff\r\nhello"))
            .shut()
            .gets(status(&[400, 408]).or_nothing())
            .sees_a_cut()
            .then(After::Closed),
    ]
}
