//! Slow, silent and disconnected peers: timeouts (short ones, for the tests), and freed resources.

use super::{get, post, seen_get};
use crate::conformance::{
    case::{After, Case, Listener, case, status},
    origin::{Then, When},
};

pub(super) fn cases() -> Vec<Case> {
    [late(), silent(), gone()].into_iter().flatten().collect()
}

/// Clients that take too long.
fn late() -> Vec<Case> {
    let late = |name: &str, sent: &str| {
        case(name, &[12])
            .listener(Listener::ImpatientClient)
            .send(sent)
            .gets(status(&[408]).or_nothing())
            .then(After::Closed)
    };
    let told = |name: &str, sent: &str| {
        case(name, &[12])
            .listener(Listener::ImpatientClient)
            .send(sent)
            .gets(status(&[408]))
            .then(After::Closed)
    };
    vec![
        late("late-no-byte", ""),
        late("late-one-byte", "G"),
        late("late-crlf", "\r\n"),
        told("late-in-line", "GET /x HT"),
        told("late-in-field", "GET /x HTTP/1.1\r\nHost: a.exa"),
        told(
            "late-before-empty-line",
            "GET /x HTTP/1.1\r\nHost: a.example\r\n",
        ),
        late("late-http2-preface", "PRI * HTTP/2.0\r\n\r\nSM"),
        late("late-body-length", &post("Content-Length: 10\r\n", "hello")).sees_a_cut(),
        late("late-body-no-byte", &post("Content-Length: 10\r\n", "")).sees_a_cut(),
        late(
            "late-body-chunks",
            &post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        )
        .sees_a_cut(),
        late(
            "late-body-chunk-size",
            &post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n1"),
        )
        .sees_a_cut(),
        case("late-second-request", &[12])
            .listener(Listener::ImpatientClient)
            .send(get(""))
            .gets(status(&[200]).body("ok"))
            .sees(seen_get(&[]))
            .then(After::Closed),
        case("late-second-head", &[12])
            .listener(Listener::ImpatientClient)
            .send(format!("{}GET /y HTTP/1.1\r\nHost:", get("")))
            .gets(status(&[200]).body("ok"))
            .gets(status(&[408]))
            .sees(seen_get(&[]))
            .then(After::Closed),
    ]
}

/// Origins that fall silent.
fn silent() -> Vec<Case> {
    let hasty = |name: &str, when: When, answer: &str| {
        case(name, &[13])
            .listener(Listener::ImpatientClient)
            .send(get(""))
            .answers(when, answer, Then::Keep)
            .sees(seen_get(&[]))
    };
    vec![
        hasty("silent-no-byte", When::Never, "")
            .gets(status(&[504]))
            .then(After::Any),
        hasty("silent-in-head", When::Whole, "HTTP/1.1 200 OK\r\nX:")
            .gets(status(&[504]))
            .then(After::Any),
        hasty(
            "silent-in-body",
            When::Whole,
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        )
        .gets(status(&[200]).cut())
        .then(After::Closed),
        hasty(
            "silent-in-chunks",
            When::Whole,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        )
        .gets(status(&[200]).cut())
        .then(After::Closed),
        hasty(
            "silent-until-close",
            When::Whole,
            "HTTP/1.1 200 OK\r\n\r\nhello",
        )
        .gets(status(&[200]).cut())
        .then(After::Closed),
    ]
}

/// Clients that disconnect: the origin's connection is closed within a second.
fn gone() -> Vec<Case> {
    let streaming = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    vec![
        case("gone-before-the-first-byte", &[15])
            .send(get(""))
            .answers(When::Never, "", Then::Keep)
            .origin_receives("\r\n\r\n")
            .reset()
            .origin_ends()
            .sees(seen_get(&[]))
            .then(After::Left),
        case("gone-before-the-first-byte-by-a-fin", &[15])
            .send(get(""))
            .answers(When::Never, "", Then::Keep)
            .origin_receives("\r\n\r\n")
            .shut()
            .origin_ends()
            .gets(status(&[200, 400, 408, 499, 502, 504]).or_nothing())
            .sees(seen_get(&[]))
            .then(After::Closed),
        case("gone-in-a-stream", &[13, 14, 15])
            .send(get(""))
            .answers(When::Whole, streaming, Then::Keep)
            .receive("data: 1")
            .reset()
            .origin_ends()
            .gets(status(&[200]).cut())
            .sees(seen_get(&[]))
            .then(After::Left),
        case("gone-in-a-stream-by-a-fin", &[13, 14, 15])
            .send(get(""))
            .answers(When::Whole, streaming, Then::Keep)
            .receive("data: 1")
            .shut()
            .origin_ends()
            .gets(status(&[200]).cut())
            .sees(seen_get(&[]))
            .then(After::Closed),
        case("gone-in-the-body", &[8, 15])
            .send(post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"))
            .answers(When::Never, "", Then::Keep)
            .origin_receives("hello")
            .reset()
            .origin_ends()
            .sees_a_cut()
            .then(After::Left),
    ]
}
