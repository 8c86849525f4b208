//! Malformed and unexpected frames and header blocks.

use super::seen_get;
use crate::conformance::{
    case::{After, Case, Listener, h2case, status},
    h2::{
        frame::{
            ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING,
            PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY,
            data, frame, get, head, ping, rst, settings, window,
        },
        hpack::{block, indexed_literal, integer},
    },
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, sent) in wrong_frames() {
        cases.push(
            h2case(format!("h2-frame-{name}"), &[7, 17])
                .send(sent)
                .sees_a_cut()
                .then(After::Closed),
        );
    }
    for (name, bytes) in wrong_blocks() {
        let sent = frame(HEADERS, END_HEADERS | END_STREAM, 1, &bytes);
        cases.push(
            h2case(format!("h2-hpack-{name}"), &[7, 17])
                .send(sent)
                .then(After::Closed),
        );
    }
    cases.extend(starts());
    cases.extend(streams());
    cases.extend(harmless());
    cases
}

/// Each ends the connection.
fn wrong_frames() -> Vec<(&'static str, Vec<u8>)> {
    let fields = block(&get("/x"));
    let opened = || frame(HEADERS, END_STREAM, 1, &fields[..10]);
    let large = vec![0; 16_385];
    vec![
        ("data-on-connection", data(0, "x", END_STREAM)),
        (
            "headers-on-connection",
            frame(HEADERS, END_HEADERS | END_STREAM, 0, &fields),
        ),
        (
            "headers-on-even-stream",
            frame(HEADERS, END_HEADERS | END_STREAM, 2, &fields),
        ),
        ("data-on-idle-stream", data(5, "x", END_STREAM)),
        ("rst-on-idle-stream", rst(5, 8)),
        ("rst-on-connection", rst(0, 8)),
        ("rst-too-short", frame(RST_STREAM, 0, 1, &[0; 3])),
        ("window-on-idle-stream", window(5, 1)),
        ("window-zero-on-connection", window(0, 0)),
        ("window-too-short", frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        (
            "window-overflow-on-connection",
            [window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)].concat(),
        ),
        (
            "continuation-alone",
            frame(CONTINUATION, END_HEADERS, 1, &fields),
        ),
        (
            "continuation-on-connection",
            frame(CONTINUATION, END_HEADERS, 0, &fields),
        ),
        (
            "continuation-on-other-stream",
            [opened(), frame(CONTINUATION, END_HEADERS, 3, &fields[10..])].concat(),
        ),
        ("data-inside-block", [opened(), data(1, "x", 0)].concat()),
        ("ping-inside-block", [opened(), ping(0)].concat()),
        (
            "headers-inside-block",
            [opened(), head(3, &get("/x"), END_STREAM)].concat(),
        ),
        (
            "unknown-inside-block",
            [opened(), frame(0xf0, 0, 1, b"x")].concat(),
        ),
        (
            "headers-padding-too-long",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM | PADDED,
                1,
                &[&[255], &fields[..]].concat(),
            ),
        ),
        (
            "headers-priority-cut",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &[0; 3],
            ),
        ),
        (
            "data-padding-too-long",
            [head(1, &get("/x"), 0), frame(DATA, PADDED, 1, b"\x09hello")].concat(),
        ),
        (
            "data-padding-empty",
            [head(1, &get("/x"), 0), frame(DATA, PADDED, 1, b"")].concat(),
        ),
        ("settings-on-stream", frame(SETTINGS, 0, 1, &[])),
        ("settings-odd-length", frame(SETTINGS, 0, 0, &[0; 5])),
        (
            "settings-acknowledging-with-payload",
            frame(SETTINGS, ACK, 0, &[0; 6]),
        ),
        ("settings-window-too-large", settings(&[(4, 0x8000_0000)])),
        ("settings-frame-too-small", settings(&[(5, 100)])),
        ("settings-frame-too-large", settings(&[(5, 0x0100_0000)])),
        ("settings-push-two", settings(&[(2, 2)])),
        ("ping-on-stream", frame(PING, 0, 1, &[0; 8])),
        ("ping-too-short", frame(PING, 0, 0, &[0; 7])),
        ("ping-too-long", frame(PING, 0, 0, &[0; 9])),
        ("goaway-on-stream", frame(GOAWAY, 0, 1, &[0; 8])),
        ("goaway-too-short", frame(GOAWAY, 0, 0, &[0; 7])),
        (
            "push-promise",
            frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[&[0, 0, 0, 2], &fields[..]].concat(),
            ),
        ),
        ("priority-on-connection", frame(PRIORITY, 0, 0, &[0; 5])),
        (
            "data-too-large",
            [head(1, &get("/x"), 0), data(1, &large, 0)].concat(),
        ),
        (
            "headers-too-large",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &large),
        ),
        ("settings-too-large", frame(SETTINGS, 0, 0, &[0; 16_386])),
        ("unknown-too-large", frame(0xf0, 0, 0, &large)),
        (
            "length-of-16-million",
            [&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1][..], &large].concat(),
        ),
        (
            "http-1-request",
            b"GET /private HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(),
        ),
    ]
}

/// Malformed header blocks; each ends the connection, for the table of both sides is lost.
fn wrong_blocks() -> Vec<(&'static str, Vec<u8>)> {
    let with = |bytes: &[u8]| [&block(&get("/x"))[..], bytes].concat();
    vec![
        ("index-zero", with(&[0x80])),
        ("index-beyond-table", with(&[0xff, 0x40])),
        ("index-of-empty-table", with(&[0xbe])),
        (
            "integer-overflow",
            with(&[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ]),
        ),
        ("integer-cut", with(&[0xff, 0x80])),
        ("string-cut", with(&[0, 5, b'x'])),
        (
            "string-huge",
            with(&[&[0][..], &integer(0, 7, 100_000_000), b"x"].concat()),
        ),
        (
            "name-index-beyond-table",
            with(&[&[0x0f, 0x7f, 1][..], b"x"].concat()),
        ),
        (
            "huffman-eos",
            with(&[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "huffman-padding-too-long",
            with(&[0, 1, b'x', 0x82, 0x1f, 0xff]),
        ),
        ("huffman-padding-of-zeros", with(&[0, 1, b'x', 0x81, 0x00])),
        (
            "table-too-large",
            [&integer(0x20, 5, 65_536)[..], &block(&get("/x"))].concat(),
        ),
        ("table-size-behind-a-field", with(&integer(0x20, 5, 0))),
    ]
}

/// The beginning of a connection.
fn starts() -> Vec<Case> {
    let raw = |name: &str, sent: &[u8]| h2case(name, &[7, 12]).raw().send(sent).then(After::Closed);
    let request = head(1, &get("/x"), END_STREAM);
    vec![
        raw("h2-start-without-settings", &[PREFACE, &request].concat()),
        raw("h2-start-with-ping", &[PREFACE, &ping(0)].concat()),
        raw(
            "h2-start-with-data",
            &[PREFACE, &data(1, "x", END_STREAM)].concat(),
        ),
        raw("h2-start-cut", &[PREFACE, &settings(&[])[..5]].concat()).shut(),
        raw("h2-start-odd-preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
        raw(
            "h2-start-preface-with-host",
            b"PRI * HTTP/2.0\r\nHost: a.example\r\n\r\nSM\r\n\r\n",
        ),
        raw(
            "h2-start-preface-of-1.1",
            b"PRI * HTTP/1.1\r\nHost: a.example\r\n\r\nSM\r\n\r\n",
        ),
        h2case("h2-start-at-once", &[7])
            .raw()
            .send([PREFACE, &settings(&[]), &request].concat())
            .passes_on(1, seen_get(&[])),
        h2case("h2-idle", &[12])
            .listener(Listener::ImpatientClient)
            .then(After::Closed),
        h2case("h2-idle-after-a-request", &[12])
            .listener(Listener::ImpatientClient)
            .send(request)
            .passes_on(1, seen_get(&[]))
            .then(After::Closed),
        h2case("h2-late-block", &[12])
            .listener(Listener::ImpatientClient)
            .send(frame(HEADERS, END_STREAM, 1, &block(&get("/x"))))
            .then(After::Closed),
        h2case("h2-late-body", &[12])
            .listener(Listener::ImpatientClient)
            .send([head(1, &get("/x"), 0), data(1, "hello", 0)].concat())
            .refused_on(1)
            .sees_a_cut()
            .then(After::Any),
    ]
}

/// Errors on one stream: it, or the connection, ends; no complete request reaches an origin.
fn streams() -> Vec<Case> {
    let depends_on_itself = [&1_u32.to_be_bytes()[..], &[0], &block(&get("/x"))].concat();
    let limited = (0..150)
        .flat_map(|at| head(2 * at + 1, &get("/never"), END_STREAM))
        .collect::<Vec<u8>>();
    let mut over = h2case("h2-streams-over-the-limit", &[17])
        .never()
        .send(limited);
    for at in 100..150 {
        over = over.resets_on(2 * at + 1);
    }
    let over = over.sees_whatever().then(After::Left);
    vec![
        h2case("h2-stream-depends-on-itself", &[7])
            .send(frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &depends_on_itself,
            ))
            .ends_on(1)
            .then(After::Any),
        h2case("h2-stream-number-goes-down", &[7])
            .send(head(5, &get("/x"), END_STREAM))
            .stream_over(5)
            .send(head(3, &get("/x"), END_STREAM))
            .passes_on(5, seen_get(&[]))
            .then(After::Closed),
        h2case("h2-stream-number-again", &[7])
            .send(head(1, &get("/x"), END_STREAM))
            .stream_over(1)
            .send(head(1, &get("/x"), END_STREAM))
            .passes_on(1, seen_get(&[]))
            .then(After::Closed),
        h2case("h2-data-behind-the-end", &[7, 8])
            .send([head(1, &get("/x"), END_STREAM), data(1, "x", END_STREAM)].concat())
            .ends_on(1)
            .then(After::Any),
        h2case("h2-window-zero-on-stream", &[7, 8])
            .send([head(1, &get("/x"), 0), window(1, 0)].concat())
            .refused_on(1)
            .sees_a_cut()
            .then(After::Any),
        h2case("h2-window-overflow-on-stream", &[7, 8])
            .send(
                [
                    head(1, &get("/x"), 0),
                    window(1, 0x7fff_ffff),
                    window(1, 0x7fff_ffff),
                ]
                .concat(),
            )
            .refused_on(1)
            .sees_a_cut()
            .then(After::Any),
        over,
    ]
}

/// Frames that may be ignored are ignored.
fn harmless() -> Vec<Case> {
    let then_get = |name: &str, sent: Vec<u8>| {
        let request = head(1, &get("/x"), END_STREAM);
        h2case(name, &[7, 17])
            .send([sent, request].concat())
            .passes_on(1, seen_get(&[]))
    };
    let fields = block(&get("/x"));
    let padded = [&[4][..], &fields, &[0; 4]].concat();
    let prioritised = [&[0, 0, 0, 0, 15][..], &fields].concat();
    let bytes: Vec<u8> = fields
        .chunks(15)
        .enumerate()
        .flat_map(|(at, part)| {
            let last = (at + 1) * 15 >= fields.len();
            let kind = if at == 0 { HEADERS } else { CONTINUATION };
            let flags = if last { END_HEADERS } else { 0 } | if at == 0 { END_STREAM } else { 0 };
            frame(kind, flags, 1, part)
        })
        .collect();
    let indexed = [
        head(1, &get("/x"), 0)[..0].to_vec(),
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &[&fields[..], &indexed_literal(b"x-a", b"1")].concat(),
        ),
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            3,
            &[&fields[..], &[0xbe]].concat(),
        ),
    ]
    .concat();
    vec![
        then_get("h2-unknown-frame", frame(0xf0, 0xff, 7, b"whatever")),
        then_get("h2-unknown-setting", settings(&[(0xff, 1)])),
        then_get("h2-ping", ping(0)),
        then_get("h2-ping-acknowledged-unasked", ping(ACK)),
        then_get("h2-priority", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        then_get("h2-window", window(0, 1000)),
        then_get(
            "h2-settings",
            settings(&[(1, 0), (3, 10), (4, 100_000), (5, 20_000), (6, 10_000)]),
        ),
        then_get("h2-reserved-bit", frame(PING, 0, 0x8000_0000, b"pingpong")),
        h2case("h2-padded", &[7])
            .send(frame(
                HEADERS,
                END_HEADERS | END_STREAM | PADDED,
                1,
                &padded,
            ))
            .passes_on(1, seen_get(&[])),
        h2case("h2-prioritised", &[7])
            .send(frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &prioritised,
            ))
            .passes_on(1, seen_get(&[])),
        h2case("h2-block-in-pieces", &[7])
            .send(bytes)
            .passes_on(1, seen_get(&[])),
        h2case("h2-table-is-kept", &[7])
            .send(indexed)
            .passes_on(1, seen_get(&["x-a: 1"]))
            .passes_on(3, seen_get(&["x-a: 1"])),
        h2case("h2-reset-behind-the-end", &[7])
            .send(head(1, &get("/x"), END_STREAM))
            .stream_over(1)
            .send(rst(1, 8))
            .passes_on(1, seen_get(&[])),
        h2case("h2-goaway-of-the-client", &[7])
            .send(
                [
                    head(1, &get("/x"), END_STREAM),
                    frame(GOAWAY, 0, 0, &[0; 8]),
                ]
                .concat(),
            )
            .gets_on(1, status(&[200]).body("ok"))
            .sees(seen_get(&[]))
            .then(After::Any),
    ]
}
