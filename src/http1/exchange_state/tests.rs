//! Tests of the conditions for reusing an upstream connection.

use super::*;
use crate::http1::HeadWriter;
use crate::message::{Field, RequestContextForResponse, RequestFraming, StatusLine, Version};

fn exchange(framing: RequestFraming) -> Exchange {
    Exchange::new(
        HeadWriter::request(&mut Vec::new(), b"GET", b"/", None)
            .finish(framing)
            .unwrap(),
    )
}

fn facts(status: u16, lines: &[(&'static str, &'static str)]) -> ValidatedResponse<'static> {
    let line = StatusLine {
        version: Version::Http11,
        status,
        ended: false,
    };
    let fields = lines
        .iter()
        .map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()));
    ValidatedResponse::validate(
        line,
        RequestContextForResponse {
            head: false,
            websocket: true,
            upgrade: false,
        },
        fields,
        &Limits::default(),
    )
    .unwrap()
}

const FIVE: &[(&str, &str)] = &[("Content-Length", "5"), ("Keep-Alive", "timeout=7")];

/// Runs one exchange; `Some` if the connection may be reused.
fn run(lines: &[(&'static str, &'static str)], body: &[u8]) -> Option<Reusable> {
    let mut exchange = exchange(RequestFraming::None);
    exchange.on_request_sent();
    exchange.on_response(&facts(200, lines), &Limits::default());
    let mut at = 0;
    loop {
        let Ok(decoded) = exchange.decode(&body[at..]) else {
            return exchange.finish(&body[at..]);
        };
        at += decoded.consumed;
        if decoded.end || decoded.consumed == 0 {
            return exchange.finish(&body[at..]);
        }
    }
}

#[test]
fn a_connection_is_used_again_after_both_sides_were_seen_to_the_end() {
    assert_eq!(
        run(FIVE, b"hello"),
        Some(Reusable {
            idle: Some(Duration::from_secs(7))
        })
    );
    assert_eq!(
        run(
            &[("Transfer-Encoding", "chunked")],
            b"5\r\nhello\r\n0\r\n\r\n"
        ),
        Some(Reusable { idle: None })
    );
    assert_eq!(run(&[("Content-Length", "0")], b"").unwrap().idle(), None);
}

#[test]
fn a_connection_with_bytes_missing_or_too_many_is_not_used_again() {
    assert_eq!(run(FIVE, b"hell"), None);
    assert_eq!(run(FIVE, b"hello!"), None);
    assert_eq!(
        run(&[("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n"),
        None
    );
    assert_eq!(
        run(
            &[("Transfer-Encoding", "chunked")],
            b"5\r\nhello\r\n0\r\n\r\nX"
        ),
        None
    );
    assert_eq!(
        run(&[("Transfer-Encoding", "chunked")], b"5\r\nhello!\r\n"),
        None
    );
    assert_eq!(run(&[], b"hello"), None);
    assert_eq!(
        run(
            &[("Content-Length", "5"), ("Connection", "close")],
            b"hello"
        ),
        None
    );
    let both = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
    assert_eq!(run(&both, b"0\r\n\r\n"), None);
}

#[test]
fn an_answer_before_the_request_was_written_spoils_the_connection() {
    let limits = Limits::default();
    for written_later in [false, true] {
        let mut exchange = exchange(RequestFraming::Length(2));
        exchange.on_request_sent();
        assert!(!exchange.is_request_sent());
        exchange.on_response(&facts(200, FIVE), &limits);
        if written_later {
            exchange.request().frame(2).unwrap();
            exchange.on_request_sent();
            assert!(exchange.is_request_sent());
        }
        exchange.decode(b"hello").unwrap();
        assert!(exchange.response_is_read());
        assert_eq!(exchange.finish(b""), None);
    }
}

#[test]
fn a_request_that_was_written_in_parts_is_written_at_its_end() {
    let mut exchange = exchange(RequestFraming::Chunked);
    exchange.request().frame(2).unwrap();
    exchange.on_request_sent();
    assert!(!exchange.is_request_sent());
    exchange.request().finish(&mut Vec::new(), []).unwrap();
    exchange.on_request_sent();
    exchange.on_response(&facts(204, &[]), &Limits::default());
    assert!(exchange.finish(b"").is_some());
}

#[test]
fn an_upgraded_connection_is_never_used_again() {
    let mut exchange = exchange(RequestFraming::None);
    exchange.on_request_sent();
    exchange.on_response(
        &facts(101, &[("Upgrade", "websocket"), ("Connection", "upgrade")]),
        &Limits::default(),
    );
    assert_eq!(exchange.finish(b""), None);
}

#[test]
fn without_an_answer_nothing_is_whole() {
    let mut exchange = exchange(RequestFraming::None);
    exchange.on_request_sent();
    assert_eq!(exchange.finish_eof().unwrap_err().reason, Reason::CutBody);
    assert_eq!(exchange.decode(b"x").unwrap_err().status, 502);
    assert!(exchange.trailers().is_none());
    assert_eq!(exchange.finish(b""), None);
}

#[test]
fn a_close_ends_only_a_body_that_ends_like_this() {
    let limits = Limits::default();
    let mut exchange = exchange(RequestFraming::None);
    exchange.on_request_sent();
    exchange.on_response(&facts(200, &[]), &limits);
    exchange.decode(b"hello").unwrap();
    assert!(exchange.finish_eof().is_ok());
    assert_eq!(exchange.finish(b""), None);

    let mut exchange = self::exchange(RequestFraming::None);
    exchange.on_request_sent();
    exchange.on_response(&facts(200, FIVE), &limits);
    exchange.decode(b"hell").unwrap();
    assert_eq!(exchange.finish_eof().unwrap_err().reason, Reason::CutBody);
}

#[test]
fn informational_responses_are_counted() {
    let limits = Limits {
        informational: 2,
        ..Limits::default()
    };
    let mut exchange = exchange(RequestFraming::None);
    assert!(
        exchange.on_informational(&limits).is_ok() && exchange.on_informational(&limits).is_ok()
    );
    assert_eq!(
        exchange.on_informational(&limits).unwrap_err().reason,
        Reason::TooManyInformational
    );
}
