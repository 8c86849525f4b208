//! Tests of the head writer, against the parser.

use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

use super::*;
use crate::http1::{FieldSlots, HeadScan, RequestHead, ResponseHead};
use crate::message::{Limits, RequestContextForResponse};

fn fields(lines: &[(&str, &str)], framing: RequestFraming) -> Result<String, WriteError> {
    let mut out = b"before ".to_vec();
    let mut writer = HeadWriter::request(&mut out, b"GET", b"/a", Some(b"b"));
    for (name, value) in lines {
        writer.add(name, value);
    }
    let result = writer.finish(framing).map(|_| ());
    let text = String::from_utf8(out).unwrap();
    assert!(result.is_ok() || text == "before ", "{text:?}");
    result.map(|()| text.strip_prefix("before ").unwrap().to_owned())
}

#[test]
fn a_request_is_written_in_full() {
    let lines = [
        ("host", "a"),
        ("X-Empty", ""),
        ("x-space", " a b\t"),
        ("x-bytes", "\u{e4}"),
    ];
    assert_eq!(
        fields(&lines, RequestFraming::Chunked).unwrap(),
        "GET /a?b HTTP/1.1\r\nhost: a\r\nX-Empty: \r\nx-space: a b\r\nx-bytes: \u{e4}\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    assert_eq!(
        fields(&[], RequestFraming::None).unwrap(),
        "GET /a?b HTTP/1.1\r\n\r\n"
    );
    for length in [0, 9, 10, 1234, u64::MAX] {
        let expected = format!("GET /a?b HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
        assert_eq!(
            fields(&[], RequestFraming::Length(length)).unwrap(),
            expected
        );
    }
}

#[test]
fn framing_fields_come_from_the_framing_alone() {
    for name in ["Content-Length", "TRANSFER-ENCODING"] {
        assert_eq!(
            fields(&[(name, "5")], RequestFraming::None),
            Err(WriteError::FramingField)
        );
    }
}

#[test]
fn bytes_that_would_make_another_line_are_refused() {
    for name in ["", "a b", "a:", "a\r\nb", "a\0", "\u{e4}", " a"] {
        assert_eq!(
            fields(&[(name, "b")], RequestFraming::None),
            Err(WriteError::InvalidName),
            "{name:?}"
        );
    }
    for value in ["a\r\nb: c", "a\nb", "a\rb", "\0", "a\x7f", "\x1b", "\r\n"] {
        assert_eq!(
            fields(&[("a", value), ("b", "c")], RequestFraming::None),
            Err(WriteError::InvalidValue),
            "{value:?}"
        );
    }
}

#[test]
fn odd_start_lines_are_refused() {
    let request = |method: &str, path: &str, query: Option<&str>| {
        let mut out = Vec::new();
        let writer = HeadWriter::request(
            &mut out,
            method.as_bytes(),
            path.as_bytes(),
            query.map(str::as_bytes),
        );
        let verdict = writer.finish(RequestFraming::None).map(|_| ());
        assert_eq!(out.is_empty(), verdict.is_err());
        verdict
    };
    assert_eq!(request("OPTIONS", "*", None), Ok(()));
    for (method, path, query) in [
        ("", "/", None),
        ("G T", "/", None),
        ("GET", "", None),
        ("GET", "/ ", None),
        ("GET", "/a?b", None),
        ("GET", "/\r\n", None),
        ("GET", "/#", None),
        ("GET", "/", Some("a b")),
        ("GET", "/", Some("a\n")),
        ("GET", "/\0", None),
        ("GET", "/\u{e4}", None),
        ("GET", "/", Some("#")),
    ] {
        assert_eq!(
            request(method, path, query),
            Err(WriteError::InvalidStartLine),
            "{method:?} {path:?} {query:?}"
        );
    }
}

#[test]
fn a_response_is_written_with_a_reason_that_can_be_trusted() {
    let response = |status, reason: &[u8], framing: ResponseFraming| {
        let mut out = Vec::new();
        let verdict = HeadWriter::response(&mut out, status, reason).finish(framing);
        verdict.map(|_| String::from_utf8_lossy(&out).into_owned())
    };
    assert_eq!(
        response(200, b"", ResponseFraming::None).unwrap(),
        "HTTP/1.1 200 OK\r\n\r\n"
    );
    assert_eq!(
        response(200, b"Fine", ResponseFraming::UntilClose).unwrap(),
        "HTTP/1.1 200 Fine\r\n\r\n"
    );
    assert_eq!(
        response(404, b"a\r\nb: c", ResponseFraming::None).unwrap(),
        "HTTP/1.1 404 Not Found\r\n\r\n"
    );
    assert_eq!(
        response(299, b"", ResponseFraming::None).unwrap(),
        "HTTP/1.1 299 \r\n\r\n"
    );
    let announced = "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(
        response(304, b"", ResponseFraming::Announced(5)).unwrap(),
        announced
    );
    for status in [0, 99, 600, 1000] {
        assert_eq!(
            response(status, b"", ResponseFraming::None),
            Err(WriteError::InvalidStartLine)
        );
    }
}

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^`|~0-9A-Za-z-]{1,20}".prop_filter("no name with a rule of its own", |name| {
        Field::new(name.as_bytes(), b"").known == KnownField::Other
    })
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let inner = prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8];
    prop::collection::vec(inner, 0..30).prop_map(|value| trim(&value).to_vec())
}

fn request_framing() -> impl Strategy<Value = RequestFraming> {
    prop_oneof![
        Just(RequestFraming::None),
        Just(RequestFraming::Chunked),
        (0..10_000_000_000_000_000_000_u64).prop_map(RequestFraming::Length),
    ]
}

proptest! {
    #[test]
    fn a_request_that_was_written_reads_the_same(
        method in token(),
        path in "/[!-\"$->@-~]{0,20}",
        query in prop::option::of("[!-\"$-~]{0,20}"),
        lines in prop::collection::vec((token(), value()), 0..20),
        framing in request_framing(),
        cut in 0..2000_usize,
    ) {
        let mut out = Vec::new();
        let query = query.as_deref().map(str::as_bytes);
        let mut writer = HeadWriter::request(&mut out, method.as_bytes(), path.as_bytes(), query);
        writer.add("Host", "a.example");
        for (name, value) in &lines {
            writer.add(name, value);
        }
        writer.finish(framing).unwrap();

        let limits = Limits::default();
        let mut scan = HeadScan::default();
        let cut = cut.min(out.len() - 1);
        assert_eq!(scan.request(&out[..cut], &limits), Ok(None));
        assert_eq!(scan.request(&out, &limits), Ok(Some(0..out.len())));
        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(&out, &limits, &mut slots).unwrap();
        let facts = head.validate(&limits).unwrap();
        assert_eq!((head.line().method, facts.target.path), (method.as_bytes(), path.as_bytes()));
        assert_eq!((facts.target.query, facts.framing), (query, framing));
        let read: Vec<_> = head.fields().skip(1).take(lines.len()).map(|field| (field.name, field.value)).collect();
        let written: Vec<_> = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        assert_eq!(read, written);
        assert_eq!(head.fields().len(), 1 + lines.len() + usize::from(framing != RequestFraming::None));
    }

    #[test]
    fn a_response_that_was_written_reads_the_same(
        status in 200..600_u16,
        reason in "[!-~]{1,10}",
        lines in prop::collection::vec((token(), value()), 0..20),
        framing in request_framing(),
    ) {
        let framing = match framing {
            RequestFraming::None => ResponseFraming::UntilClose,
            RequestFraming::Chunked => ResponseFraming::Chunked,
            RequestFraming::Length(length) => ResponseFraming::Length(length),
        };
        let mut out = Vec::new();
        let mut writer = HeadWriter::response(&mut out, status, reason.as_bytes());
        for (name, value) in &lines {
            writer.add(name, value);
        }
        writer.finish(framing).unwrap();

        let limits = Limits::default();
        assert_eq!(HeadScan::default().response(&out, &limits), Ok(Some(0..out.len())));
        let mut slots = FieldSlots::new();
        let head = ResponseHead::parse(&out, &limits, &mut slots).unwrap();
        assert_eq!((head.line().status, head.reason()), (status, reason.as_bytes()));
        if !matches!(status, 204 | 304) {
            assert_eq!(head.validate(RequestContextForResponse::default(), &limits).unwrap().framing, framing);
        }
        let read: Vec<_> = head.fields().take(lines.len()).map(|field| (field.name, field.value)).collect();
        let written: Vec<_> = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        assert_eq!(read, written);
    }
}
