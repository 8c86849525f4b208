//! Frames that cost the proxy time without any use: there is a budget, and then the connection ends.

use super::seen_get;
use crate::conformance::{
    case::{After, Case, h2case},
    h2::{
        frame::{
            CONTINUATION, END_STREAM, HEADERS, PRIORITY, data, frame, get, head, ping, rst,
            settings, window,
        },
        hpack::{block, indexed_literal},
    },
    origin::{Then, When},
};

/// More than any budget.
const MANY: u32 = 5_000;

pub(super) fn cases() -> Vec<Case> {
    let flood = |name: &str, sent: Vec<u8>| {
        h2case(format!("h2-flood-{name}"), &[17, 18])
            .never()
            .send(sent)
            .sees_whatever()
            .then(After::Closed)
    };
    let many = |one: &dyn Fn(u32) -> Vec<u8>| {
        (0..MANY)
            .flat_map(|at| one(2 * at + 1))
            .collect::<Vec<u8>>()
    };
    let repeated = |one: Vec<u8>| one.repeat(MANY as usize);
    let opened = || frame(HEADERS, END_STREAM, 1, &block(&get("/never")));
    let start = || head(1, &get("/never"), 0);
    vec![
        flood(
            "rapid-reset",
            many(&|id| [head(id, &get("/never"), END_STREAM), rst(id, 8)].concat()),
        ),
        flood(
            "rapid-reset-with-data",
            many(&|id| [head(id, &get("/never"), 0), data(id, "x", 0), rst(id, 8)].concat()),
        ),
        flood(
            "made-you-reset-by-window",
            many(&|id| [head(id, &get("/never"), END_STREAM), window(id, 0)].concat()),
        ),
        flood(
            "made-you-reset-by-priority",
            many(&|id| {
                [
                    head(id, &get("/never"), END_STREAM),
                    frame(PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[1]].concat()),
                ]
                .concat()
            }),
        ),
        flood(
            "made-you-reset-by-data",
            many(&|id| [head(id, &get("/never"), END_STREAM), data(id, "x", 0)].concat()),
        ),
        flood(
            "malformed-requests",
            many(&|id| head(id, &[(":method", "GET")], END_STREAM)),
        ),
        flood("ping", repeated(ping(0))),
        flood("settings", repeated(settings(&[]))),
        flood(
            "settings-of-tables",
            repeated(settings(&[(1, 0), (1, 4096)])),
        ),
        flood(
            "priority",
            many(&|id| frame(PRIORITY, 0, id, &[0, 0, 0, 0, 9])),
        ),
        flood("empty-data", [start(), repeated(data(1, "", 0))].concat()),
        flood(
            "padded-empty-data",
            [start(), repeated(frame(0, 8, 1, &[3, 0, 0, 0]))].concat(),
        ),
        flood(
            "empty-continuation",
            [opened(), repeated(frame(CONTINUATION, 0, 1, &[]))].concat(),
        ),
        flood(
            "small-continuation",
            [
                opened(),
                repeated(frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))),
            ]
            .concat(),
        ),
        flood(
            "large-continuation",
            [
                opened(),
                frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(16_000))])).repeat(1_000),
            ]
            .concat(),
        ),
        flood("small-windows", repeated(window(0, 1))),
        flood("unknown-frames", repeated(frame(0xf0, 0, 0, &[]))),
        bomb(),
        slow(),
    ]
}

/// A field of 4 kB in the table, referenced again and again by one byte.
fn bomb() -> Case {
    let value = "v".repeat(3_900);
    let start = [
        block(&get("/x")),
        indexed_literal(b"x-bomb", value.as_bytes()),
    ]
    .concat();
    let sent = [start, vec![0xbe; 12_000]].concat();
    h2case("h2-flood-hpack-bomb", &[11, 17, 18])
        .send(frame(HEADERS, END_STREAM | 4, 1, &sent))
        .refused_on(1)
        .then(After::Any)
}

/// A client with a closed window gets the head, and the body once it opens the window.
fn slow() -> Case {
    h2case("h2-reader-without-a-window", &[16, 17])
        .raw()
        .send(crate::conformance::h2::frame::PREFACE)
        .send(settings(&[(4, 0)]))
        .send(head(1, &get("/x"), END_STREAM))
        .answers(
            When::Whole,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            Then::Close,
        )
        .head_on(1)
        .send(window(1, 2))
        .send(window(1, 65_535))
        .send(settings(&[(4, 65_535)]))
        .gets_on(1, crate::conformance::case::status(&[200]).body("hello"))
        .sees(seen_get(&[]))
}
