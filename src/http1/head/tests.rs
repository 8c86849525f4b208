//! Tests of the views of heads, together with the preceding scan.

use super::*;
use crate::http1::HeadScan;
use crate::message::RequestFraming;

/// Scans, parses and validates; returns the method, the target and the fields as text.
fn request(text: &[u8]) -> Result<(String, Vec<(String, String)>), Rejection> {
    let limits = Limits::default();
    let Some(range) = HeadScan::default().request(text, &limits)? else {
        panic!("not whole: {}", text.escape_ascii());
    };
    let mut slots = FieldSlots::new();
    let head = RequestHead::parse(&text[range], &limits, &mut slots)?;
    head.validate(&limits)?;
    let line = format!(
        "{} {}",
        head.line().method.escape_ascii(),
        head.line().target.escape_ascii()
    );
    Ok((line, texts(head.fields())))
}

fn texts(fields: Fields<'_>) -> Vec<(String, String)> {
    fields
        .map(|field| {
            (
                field.name.escape_ascii().to_string(),
                field.value.escape_ascii().to_string(),
            )
        })
        .collect()
}

fn refusal(text: &[u8]) -> Option<Reason> {
    request(text).err().map(|rejection| rejection.reason)
}

fn response(text: &[u8]) -> Result<(u16, String), Rejection> {
    let limits = Limits::default();
    let Some(range) = HeadScan::default().response(text, &limits)? else {
        panic!("not whole: {}", text.escape_ascii());
    };
    let mut slots = FieldSlots::new();
    let head = ResponseHead::parse(&text[range], &limits, &mut slots)?;
    head.validate(RequestContextForResponse::default(), &limits)?;
    Ok((head.line().status, head.reason().escape_ascii().to_string()))
}

#[test]
fn a_request_is_read_as_it_was_sent() {
    let (line, fields) =
        request(b"PURGE /a?b HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab:\t a b \t\r\nX-Bytes: \xc3\xa4\r\n\r\n").unwrap();
    assert_eq!(line, "PURGE /a?b");
    let expected = [
        ("Host", "a"),
        ("X-Empty", ""),
        ("X-Tab", "a b"),
        ("X-Bytes", "\\xc3\\xa4"),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn a_view_can_be_made_again() {
    let (text, limits) = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        Limits::default(),
    );
    for _ in 0..2 {
        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(text, &limits, &mut slots).unwrap();
        assert_eq!(
            head.validate(&limits).unwrap().framing,
            RequestFraming::Chunked
        );
    }
}

#[test]
fn odd_request_lines_are_refused() {
    for line in [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / a HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/11",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/01.1",
        "GET / HTTP /1.1",
        "GET / HTTPS/1.1",
        "G\0T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET  HTTP/1.1",
        "GET / HTTP/1.1\0",
        "GET /\0 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\u{e4} HTTP/1.1",
        "GET /# HTTP/1.1",
        "G\u{e4}T / HTTP/1.1",
        "GET /\x0b HTTP/1.1",
        "GET /\rHTTP/1.1",
        "GET\r/ HTTP/1.1",
        "GET / HTTP/1.1\r",
        "GET / HTTP/+1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/1,1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "Host: a",
    ] {
        let rejection = request(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).unwrap_err();
        assert_eq!(rejection.status, 400, "{line:?} {rejection}");
    }
}

#[test]
fn other_versions_are_not_supported() {
    for version in [
        "HTTP/0.9", "HTTP/2.0", "HTTP/2.1", "HTTP/3.0", "HTTP/9.9", "HTTP/0.0",
    ] {
        let rejection =
            request(format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes()).unwrap_err();
        assert_eq!(
            (rejection.status, rejection.reason),
            (505, Reason::UnsupportedVersion),
            "{version}"
        );
    }
}

#[test]
fn a_later_minor_version_is_read_as_the_highest_that_is_known() {
    for minor in 2..=9 {
        let head = format!("GET / HTTP/1.{minor}\r\nHost: a\r\n\r\n");
        assert!(request(head.as_bytes()).is_ok(), "{minor}");
    }
}

#[test]
fn odd_field_lines_are_refused() {
    for line in [
        "X",
        "X Y",
        ": a",
        " : a",
        "X : a",
        "X\t: a",
        "X\0: a",
        "X: a\0",
        "X: \x01",
        "X: a\x7fb",
        "X: a\rb",
        "X\r: a",
        "X:\r a",
        "X: a\r",
        "(X): a",
        "X,Y: a",
        "\u{e4}: a",
        "X\u{e4}: a",
        "\"X\": a",
        "X: a\x0b",
        "X\x0b: a",
        "=",
        "X: a\x0c",
        "\0",
        "X: \x1b[0m",
        "X;: a",
        "X/Y: a",
        "X[: a",
        "\r: a",
        "X\\: a",
        "\x7f: b",
        "X@: a",
        "Host : b",
        "Content-Length : 5",
        "Transfer-Encoding\x0b: chunked",
        "X: a\r\r",
    ] {
        for (before, after) in [("Host: a\r\n", ""), ("", "\r\nHost: a")] {
            let text = format!("GET / HTTP/1.1\r\n{before}{line}{after}\r\n\r\n");
            assert!(request(text.as_bytes()).is_err(), "{text:?}");
        }
    }
    assert_eq!(
        refusal(b"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n"),
        Some(Reason::InvalidLineEnd)
    );
    assert_eq!(
        refusal(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
        Some(Reason::InvalidLineEnd)
    );
    assert_eq!(
        refusal(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n"),
        Some(Reason::InvalidLineEnd)
    );
}

#[test]
fn a_control_character_anywhere_is_refused() {
    let text = b"GET /a?b HTTP/1.1\r\nHost: a.example\r\nX-A: b c\r\n\r\n";
    for byte in (0..0x20).chain([0x7f]).filter(|&byte| byte != b'\t') {
        for at in 0..text.len() - 1 {
            let mut odd = text.to_vec();
            odd.insert(at, byte);
            odd.extend_from_slice(b"\r\n\r\n");
            // A doubled CR LF is an empty line: the head ends early, or never was one.
            let verdict = request(&odd);
            let is_line_end =
                byte == b'\r' && odd[at + 1] == b'\n' && odd[at.saturating_sub(1)] == b'\n';
            assert!(
                verdict.is_err() || is_line_end,
                "{} {verdict:?}",
                odd.escape_ascii()
            );
        }
    }
}

#[test]
fn too_many_fields_are_refused() {
    let text = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "a: b\r\n".repeat(count)
        )
    };
    assert!(request(text(99).as_bytes()).is_ok());
    let rejection = request(text(100).as_bytes()).unwrap_err();
    assert_eq!(
        (rejection.status, rejection.reason),
        (431, Reason::TooManyFields)
    );
    let limits = Limits {
        fields: 2,
        ..Limits::default()
    };
    let text = text(2);
    let mut slots = FieldSlots::new();
    assert!(RequestHead::parse(text.as_bytes(), &limits, &mut slots).is_err());
}

#[test]
fn a_view_is_of_exactly_one_head() {
    let limits = Limits::default();
    for text in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\nx"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"",
        b"GET /",
    ] {
        let mut slots = FieldSlots::new();
        assert!(
            RequestHead::parse(text, &limits, &mut slots).is_err(),
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn a_response_is_read_as_it_was_sent() {
    assert_eq!(
        response(b"HTTP/1.1 200 All is well\r\n\r\n").unwrap(),
        (200, "All is well".to_owned())
    );
    assert_eq!(
        response(b"HTTP/1.0 404 \r\n\r\n").unwrap(),
        (404, String::new())
    );
    assert_eq!(
        response(b"HTTP/1.1 204\r\n\r\n").unwrap(),
        (204, String::new())
    );
    assert_eq!(
        response(b"HTTP/1.1 599 \xe4\r\n\r\n").unwrap(),
        (599, String::new())
    );
}

#[test]
fn odd_responses_are_bad_gateways() {
    for text in [
        "HTTP/1.1 99 x",
        "HTTP/1.1 2000 x",
        "HTTP/1.1 20 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 000 x",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 +20 x",
        "HTTP/1.1 2x0 x",
        "HTTP/2.0 200 OK",
        "HTTP/1.1",
        "ICY 200 OK",
        "200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\x01K",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 101 x",
        "HTTP/1.1 200 OK\r\nX : a",
        "HTTP/1.1 200 OK\r\nX",
        "HTTP/1.1 200 OK\r\n: a",
        "HTTP/1.1 200 OK\r\nX: a\r\n b",
        "HTTP/1.1 200 OK\r\nX: a\nY: b",
        "HTTP/1.1 200 OK\r\nX: a\0b",
        "HTTP/1.1 200 OK\r\nX: a\rb",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 O\rK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: x",
    ] {
        let rejection = response(format!("{text}\r\n\r\n").as_bytes()).unwrap_err();
        assert_eq!(rejection.status, 502, "{text:?}");
    }
}

/// The fast path for a complete head finds the same head as the scan.
#[test]
fn what_is_read_at_first_sight_is_what_the_scan_finds() {
    let text = b"POST /a HTTP/1.1\r\nHost: a\r\nX-Long: 0123456789 0123456789\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let limits = Limits {
        request_head: 66,
        target: 8,
        method: 6,
        fields: 3,
        ..Limits::default()
    };
    let check = |text: &[u8]| {
        let mut slots = FieldSlots::new();
        let start = RequestHead::parse_start(text, &limits, &mut slots);
        let mut others = FieldSlots::new();
        let scanned = HeadScan::default().request(text, &limits);
        let parsed = scanned.ok().flatten().and_then(|range| {
            let head = RequestHead::parse(&text[range.clone()], &limits, &mut others);
            Some((head.ok()?, range))
        });
        let (Some((head, end)), Some((other, range))) = (start, &parsed) else {
            let has_empty_line = text.starts_with(b"\r\n");
            assert!(
                start.is_none() && (parsed.is_none() || has_empty_line),
                "{}",
                text.escape_ascii()
            );
            return;
        };
        assert_eq!((0..end, head.line()), (range.clone(), other.line()));
        assert!(head.fields().eq(other.fields()));
    };
    for at in 0..text.len() {
        check(&text[..at]);
        for byte in (0..=255).chain(*b"\r\n") {
            let mut odd = text.to_vec();
            odd[at] = byte;
            check(&odd);
            odd.insert(at, text[at]);
            check(&odd);
        }
        for more in 0..4 {
            let mut long = text.to_vec();
            long.splice(at..at, vec![b'x'; more]);
            check(&long);
        }
    }
}

#[test]
fn heads_with_many_fields_are_read_all_the_same() {
    for count in [FEW - 1, FEW, FEW + 1, Limits::MAX_FIELDS] {
        let text = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(text.as_bytes(), &Limits::default(), &mut slots).unwrap();
        assert_eq!(head.fields().count(), count);
    }
}

#[test]
fn an_answer_may_have_more_fields_than_a_request() {
    let limits = Limits::default();
    let text = |count: usize| {
        format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "Set-Cookie: b\r\n".repeat(count)
        )
    };
    for count in [Limits::MAX_FIELDS + 1, limits.response_fields] {
        let text = text(count);
        let mut slots = FieldSlots::new();
        let head = ResponseHead::parse(text.as_bytes(), &limits, &mut slots).unwrap();
        assert_eq!(head.fields().count(), count);
        assert!(
            head.validate(RequestContextForResponse::default(), &limits)
                .is_ok()
        );
    }
    let text = text(limits.response_fields + 1);
    let mut slots = FieldSlots::new();
    let refused = ResponseHead::parse(text.as_bytes(), &limits, &mut slots).unwrap_err();
    assert_eq!(refused.reason, Reason::TooManyFields);
}
