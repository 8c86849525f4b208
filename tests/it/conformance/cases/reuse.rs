//! Connections to an origin: reused only after both sides were read to the end; a request is sent twice only if that is
//! safe.

use super::{get, post, seen_get, seen_post};
use crate::conformance::{
    case::{After, Case, case, status},
    origin::{Then, When},
};

const KEPT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
const GONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

pub(super) fn cases() -> Vec<Case> {
    [reused(), poisoned(), early(), retried(), unreachable()]
        .into_iter()
        .flatten()
        .collect()
}

fn reused() -> Vec<Case> {
    let twice = |name: &str, first: String, answer: &str| {
        case(name, &[10])
            .send(first)
            .answers(When::Whole, answer, Then::Keep)
            .and(KEPT, Then::Keep)
            .gets(status(&[200, 204]))
            .connections(1)
    };
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    vec![
        twice("reuse-after-length", get(""), KEPT).sees(seen_get(&[])),
        twice("reuse-after-chunks", get(""), chunks).sees(seen_get(&[])),
        twice(
            "reuse-after-204",
            get(""),
            "HTTP/1.1 204 No Content\r\n\r\n",
        )
        .sees(seen_get(&[])),
        twice(
            "reuse-after-a-body",
            post("Content-Length: 5\r\n", "hello"),
            KEPT,
        )
        .sees(seen_post().length("hello")),
        twice(
            "reuse-after-a-chunked-body",
            post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
            KEPT,
        )
        .sees(seen_post().chunked("a")),
    ]
}

/// Connections with unexpected bytes: the next request uses another one, and the bytes are dropped.
fn poisoned() -> Vec<Case> {
    let odd = |name: &str, answer: String| {
        case(name, &[10, 20])
            .send(get(""))
            .answers(When::Whole, answer, Then::Keep)
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]))
            .connections(2)
    };
    vec![
        odd("poison-answer-behind-answer", format!("{KEPT}{STRAY}")),
        odd("poison-byte-behind-answer", format!("{KEPT}x")),
        odd("poison-crlf-behind-answer", format!("{KEPT}\r\n")),
        odd("poison-answer-behind-chunks", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{STRAY}")),
        odd("poison-length-and-chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        odd("poison-connection-close", GONE.into()),
        odd("poison-old", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into()),
        // There was no request yet.
        case("poison-answer-before-the-request", &[10, 20])
            .send(get(""))
            .answers(When::Accepted, KEPT, Then::Keep)
            .gets(status(&[200, 502]))
            .sees_whatever()
            .then(After::Any),
    ]
}

/// Responses that come before the end of the request.
fn early() -> Vec<Case> {
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let early = |name: &str, sent: String, more: &str| {
        case(name, &[8, 10])
            .send(sent)
            .answers(When::Head, refusal, Then::Keep)
            .receive("no")
            .send(more)
            .gets(status(&[403]).body("no"))
            .sees_a_cut()
            .then(After::Open)
    };
    let smuggled = "GET /private/smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
    vec![
        early(
            "early-answer-length",
            post("Content-Length: 56\r\n", "hello"),
            smuggled,
        ),
        early(
            "early-answer-chunks",
            post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
            &format!("33\r\n{smuggled}\r\n0\r\n\r\n"),
        ),
        early(
            "early-answer-no-byte",
            post("Content-Length: 51\r\n", ""),
            smuggled,
        ),
        case("early-answer-to-an-expectation", &[8, 10])
            .send(post("Content-Length: 54\r\nExpect: 100-continue\r\n", ""))
            .answers(When::Head, refusal, Then::Keep)
            .receive("no")
            .send(smuggled)
            .gets(status(&[403]).body("no").any_interim())
            .sees_a_cut()
            .then(After::Closed),
    ]
}

/// Requests that are sent again, and those that never are.
fn retried() -> Vec<Case> {
    let put = "PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";
    let fresh = |name: &str, sent: &str, seen| {
        case(name, &[9, 21])
            .send(sent)
            .answers(When::Whole, "", Then::Close)
            .gets(status(&[502]))
            .sees(seen)
            .then(After::Any)
    };
    // The origin reads the second request of a connection and closes without a response.
    let stale = |name: &str, sent: &str| {
        case(name, &[9])
            .send(get(""))
            .answers(When::Whole, KEPT, Then::Keep)
            .and("", Then::Close)
            .receive("ok")
            .send(sent)
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]))
    };
    vec![
        fresh(
            "retry-not-on-a-fresh-connection-get",
            &get(""),
            seen_get(&[]),
        ),
        fresh(
            "retry-not-on-a-fresh-connection-post",
            &post("Content-Length: 5\r\n", "hello"),
            seen_post().length("hello"),
        ),
        stale("retry-get-on-a-stale-connection", &get(""))
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]))
            .sees(seen_get(&[])),
        stale("retry-never-post", &post("Content-Length: 5\r\n", "hello"))
            .gets(status(&[502]))
            .sees(seen_post().length("hello"))
            .then(After::Any),
        stale("retry-never-post-without-body", &post("", ""))
            .gets(status(&[502]))
            .sees(seen_post())
            .then(After::Any),
        stale("retry-put-once-at-most", put)
            .gets(status(&[200, 502]))
            .sees_whatever()
            .then(After::Any),
    ]
}

fn unreachable() -> Vec<Case> {
    let to = |method: &str| {
        format!("{method} /x HTTP/1.1\r\nHost: refused.example\r\nContent-Length: 0\r\n\r\n")
    };
    let refused = |name: &str, method: &str| {
        case(name, &[9, 21])
            .send(to(method))
            .gets(status(&[502, 503]))
            .then(After::Any)
    };
    vec![
        refused("unreachable-get", "GET"),
        refused("unreachable-post", "POST"),
    ]
}
