//! Tests of the line parser, against another parser.

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::*;

const HEAD: &[u8] = b"POST /a/b?c=d HTTP/1.1\r\nHost: a.example:8080\r\nX-Longer-Than-Others: some words, and more\r\n\
    accept:\t*/*  \r\nX-Empty:\r\nX-Tab: a\tb\r\nCONTENT-length: 12\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.0 404 Not Found\r\nServer: x\r\nX-Space:  a b\t\r\nx-bytes: \xc3\xa4\r\n\r\n";

type Read = (Vec<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>);

fn fields_of(head: &[u8], from: usize) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut spans = [FieldSpan::EMPTY; 20];
    let (count, end) = fields(head, from, &mut spans).ok()?;
    if end < head.len() {
        return None;
    }
    let pairs = spans[..count].iter().map(|span| {
        let line = span.line(head);
        if let Some(whole) = line.whole {
            let anew = [line.field.name, b": ", line.field.value, b"\r\n"].concat();
            assert_eq!(whole, anew, "a plain line is what would be written");
        }
        assert_eq!(line.field, Field::new(line.field.name, line.field.value));
        (line.field.name.to_vec(), line.field.value.to_vec())
    });
    Some(pairs.collect())
}

fn request(head: &[u8]) -> Option<Read> {
    let line = request_line(head).ok()?;
    let version = vec![b'0' + u8::from(line.is_current)];
    let words = vec![line.method.to_vec(), line.target.to_vec(), version];
    Some((words, fields_of(head, line.end)?))
}

fn response(head: &[u8]) -> Option<Read> {
    let line = status_line(head).ok()?;
    let version = vec![b'0' + u8::from(line.is_current)];
    let status = line.status.to_string().into_bytes();
    let words = vec![version, status, line.reason.to_vec()];
    Some((words, fields_of(head, line.end)?))
}

/// True for input that the other parser accepts and the preceding scan refuses.
fn is_odd(head: &[u8]) -> bool {
    let starts_odd = matches!(head, [] | [b'\r' | b'\n', ..]);
    let is_bare = |pair: &[u8]| pair[1] == b'\n' && pair[0] != b'\r';
    starts_odd || head.windows(2).any(is_bare)
}

fn pairs(headers: &[httparse::Header<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |header: &httparse::Header<'_>| (header.name.into(), header.value.into());
    headers.iter().map(pair).collect()
}

/// The head with a version known to the other parser, instead of a later minor one.
fn in_known_version(head: &[u8], at: usize) -> Vec<u8> {
    let mut known = head.to_vec();
    if let Some(
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'2'..=b'9',
        ],
    ) = known.get_mut(at..at + VERSION)
    {
        *minor = b'1';
    }
    known
}

fn other_request(head: &[u8]) -> Option<Read> {
    let line = head.iter().position(|&byte| byte == b'\r').unwrap_or(0);
    let head = &in_known_version(head, line.saturating_sub(VERSION))[..];
    let mut headers = [httparse::EMPTY_HEADER; 20];
    let mut request = httparse::Request::new(&mut headers);
    let whole = request.parse(head) == Ok(httparse::Status::Complete(head.len()));
    let words = || {
        Some(vec![
            request.method?.into(),
            request.path?.into(),
            vec![b'0' + request.version?],
        ])
    };
    (whole && !is_odd(head)).then(|| Some((words()?, pairs(request.headers))))?
}

fn other_response(head: &[u8]) -> Option<Read> {
    let head = &in_known_version(head, 0)[..];
    let mut headers = [httparse::EMPTY_HEADER; 20];
    let mut response = httparse::Response::new(&mut headers);
    let whole = response.parse(head) == Ok(httparse::Status::Complete(head.len()));
    let words = || {
        Some(vec![
            vec![b'0' + response.version?],
            format!("{:03}", response.code?)
                .trim_start_matches('0')
                .into(),
            response.reason?.into(),
        ])
    };
    (whole && !is_odd(head)).then(|| Some((words()?, pairs(response.headers))))?
}

/// Every byte at every position, replacing the one there and inserted beside it.
fn every_change(head: &[u8], check: impl Fn(&[u8])) {
    check(head);
    for at in 0..head.len() {
        for byte in 0..=255 {
            let mut changed = head.to_vec();
            changed[at] = byte;
            check(&changed);
            changed.insert(at, head[at]);
            check(&changed);
        }
        let mut cut = head.to_vec();
        cut.remove(at);
        check(&cut);
        check(&head[..at]);
    }
}

/// True if the target is text. The other parser refuses one that is not; ours does so at validation.
fn is_text(read: Option<&Read>) -> bool {
    read.is_none_or(|(words, _)| str::from_utf8(&words[1]).is_ok())
}

fn compare_request(head: &[u8]) {
    let read = request(head);
    if is_text(read.as_ref()) {
        assert_eq!(read, other_request(head), "{}", head.escape_ascii());
    }
}

fn compare_response(head: &[u8]) {
    let other = other_response(head).filter(|(words, _)| words[1] != b"");
    let read = response(head).filter(|(words, _)| words[1] != b"0");
    assert_eq!(read, other, "{}", head.escape_ascii());
}

#[test]
fn both_read_the_same_of_a_request_whatever_is_changed_in_it() {
    every_change(HEAD, compare_request);
}

#[test]
fn both_read_the_same_of_a_response_whatever_is_changed_in_it() {
    every_change(RESPONSE, compare_response);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(vec![
            &b"\r\n"[..],
            b"\r",
            b"\n",
            b": ",
            b":",
            b" ",
            b"\t",
            b"GET / HTTP/1.1\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"Host",
            b"Content-Length",
            b"X-Something-Quite-Long-And-Not-Known",
            b"a value that is longer than some words",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn both_read_the_same_of_anything(text in text()) {
        for start in [&b""[..], b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"] {
            let head = [start, &text].concat();
            compare_request(&head);
            compare_response(&head);
        }
    }
}
