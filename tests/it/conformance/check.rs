//! The comparison of both ends with the expectations of a case.

use super::{
    case::{After, Answer, Body, Case, Outcome, Request, Seen},
    h2::view::{Stream, View},
    recorder::{End, Recorded},
    wire::{self, Framing, Message, Read},
};

/// The fields that the proxy adds to every request, and the value of each for an untrusted client.
const ADDED: [(&str, &str); 8] = [
    ("forwarded", ""),
    ("traceparent", "*-00"),
    ("via", "1.1 switchback"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-host", ""),
    ("x-forwarded-proto", "http"),
    ("x-real-ip", "127.0.0.1"),
    ("x-request-id", ""),
];

/// The request that proves that a connection still works.
pub(crate) const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe.example\r\n\r\n";

/// The stream of the request that proves that a connection of HTTP/2 still works.
pub(crate) const PROBE_STREAM: u32 = 0x7fff_fff1;

type Verdict = Result<(), String>;

fn fail<T>(why: impl Into<String>) -> Result<T, String> {
    Err(why.into())
}

/// Checks the bytes that the client of HTTP/1.1 got, its probe included.
pub(crate) fn client(case: &Case, got: &Recorded) -> Verdict {
    let mut rest = &got.bytes[..];
    let probe = Answer {
        statuses: vec![200],
        body: Some(b"ok".to_vec()),
        ..Answer::default()
    };
    let probe = (case.after == After::Open).then_some(&probe);
    for answer in case.client.iter().chain(probe) {
        if answer.or_nothing && rest.is_empty() {
            continue;
        }
        let length = one_answer(answer, rest, got.end)?;
        rest = &rest[length..];
    }
    match case.after {
        After::Tunnel(bytes) if rest == bytes => Ok(()),
        After::Tunnel(_) => fail("client: the tunnel brought something else"),
        After::Any | After::Closed | After::Left | After::Open if rest.is_empty() => Ok(()),
        _ => fail(format!("client: more came: `{}`", rest.escape_ascii())),
    }
}

/// Checks one response and the interim ones before it; returns their length in bytes.
fn one_answer(expected: &Answer, bytes: &[u8], end: Option<End>) -> Result<usize, String> {
    let (mut at, mut interim) = (0, Vec::new());
    loop {
        let read = wire::response(&bytes[at..], expected.to_head, end == Some(End::Orderly));
        match read {
            Read::Whole(message, length)
                if (100..200).contains(&message.status()) && message.status() != 101 =>
            {
                interim.push(message.status());
                at += length;
            }
            Read::Whole(message, length) => {
                answer_fields(expected, &message)?;
                if expected.cut {
                    return fail(format!("client: a whole answer, not a cut one: {message}"));
                }
                if expected
                    .interim
                    .as_ref()
                    .is_some_and(|expected| *expected != interim)
                {
                    return fail(format!("client: interim answers {interim:?}"));
                }
                return Ok(at + length);
            }
            Read::Cut if expected.cut => return Ok(bytes.len()),
            Read::Cut => return fail("client: an answer that is cut, or none"),
            Read::Malformed(why) => return fail(format!("client: a malformed answer: {why}")),
        }
    }
}

fn answer_fields(expected: &Answer, message: &Message) -> Verdict {
    fields_of(expected, message.status(), &message.fields, &message.body)?;
    trailers_of(expected, &message.trailers)
}

fn trailers_of(expected: &Answer, trailers: &[(String, String)]) -> Verdict {
    if expected.trailers.is_empty() || expected.trailers == trailers {
        Ok(())
    } else {
        fail(format!("client: trailers {trailers:?}"))
    }
}

/// Checks the streams of HTTP/2, and how the connection ended.
pub(crate) fn streams(case: &Case, got: &Recorded) -> Verdict {
    let view = View::of(&got.bytes);
    if let Some(mistake) = view.mistakes.first() {
        return fail(format!("client: {mistake}"));
    }
    let http2 = case.http2.as_ref().expect("a case of HTTP/2");
    for (id, outcome) in &http2.streams {
        let none = Stream::default();
        let stream = view.streams.get(id).unwrap_or(&none);
        one_stream(outcome, stream, got.end).map_err(|why| format!("stream {id}: {why}"))?;
    }
    match view.streams.get(&PROBE_STREAM) {
        Some(probe) if probe.statuses() == [200] && probe.ended => Ok(()),
        None if case.after != After::Open => Ok(()),
        probe => fail(format!("client: the probe got {probe:?}")),
    }
}

fn one_stream(expected: &Outcome, stream: &Stream, end: Option<End>) -> Verdict {
    let is_error = stream
        .statuses()
        .last()
        .is_some_and(|status| *status >= 400);
    match expected {
        Outcome::Any => Ok(()),
        Outcome::Reset if stream.reset.is_some() => Ok(()),
        Outcome::Refused if stream.reset.is_some() || is_error => Ok(()),
        Outcome::Refused if end.is_some() && stream.heads.is_empty() => Ok(()),
        Outcome::Answer(answer) => one_answer_on(answer, stream, end),
        Outcome::Refused | Outcome::Reset => fail(format!("client: {stream:?}")),
    }
}

fn one_answer_on(expected: &Answer, stream: &Stream, end: Option<End>) -> Verdict {
    // A reset may overtake the head that it belongs to.
    if expected.cut && stream.heads.is_empty() && stream.reset.is_some_and(|code| code != 0) {
        return Ok(());
    }
    let (Some(head), statuses) = (stream.head(), stream.statuses()) else {
        return fail(format!("client: no head: {stream:?}"));
    };
    let (status, interim) = statuses.split_last().expect("there is a final head");
    if expected.cut {
        let is_cut = !stream.ended && (stream.reset.is_some_and(|code| code != 0) || end.is_some());
        return if is_cut {
            Ok(())
        } else {
            fail(format!("client: not cut: {stream:?}"))
        };
    }
    // A reset with NO_ERROR after the end only says that the rest of the request is not wanted.
    if !stream.ended || stream.reset.is_some_and(|code| code != 0) {
        return fail(format!("client: not whole: {stream:?}"));
    }
    if expected
        .interim
        .as_ref()
        .is_some_and(|expected| expected != interim)
    {
        return fail(format!("client: interim answers {interim:?}"));
    }
    fields_of(expected, *status, head, &stream.body)?;
    trailers_of(expected, stream.trailers())
}

fn fields_of(expected: &Answer, status: u16, fields: &[(String, String)], body: &[u8]) -> Verdict {
    if !expected.statuses.contains(&status) {
        return fail(format!("client: status {status}"));
    }
    if expected.body.as_ref().is_some_and(|own| own != body) {
        return fail(format!("client: body `{}`", body.escape_ascii()));
    }
    for (name, value) in &expected.has {
        if wire::values(fields, name) != [value] {
            return fail(format!(
                "client: {name} is {:?}",
                wire::values(fields, name)
            ));
        }
    }
    for name in &expected.lacks {
        if !wire::values(fields, name).is_empty() {
            return fail(format!("client: {name} is there"));
        }
    }
    Ok(())
}

/// Checks the bytes that an origin got on its connections, without the probe.
pub(crate) fn origin(expected: &Seen, connections: &[Recorded]) -> Verdict {
    match expected {
        Seen::Nothing if connections.is_empty() => Ok(()),
        Seen::Nothing => fail("origin: somebody connected"),
        Seen::Cut(probe) => all_cut(probe.as_ref(), connections),
        Seen::Requests(requests) => all_requests(requests, connections),
        Seen::WellFormed => requests(connections).map(|_| ()),
    }
}

fn all_cut(probe: Option<&Request>, connections: &[Recorded]) -> Verdict {
    let (probed, cut): (Vec<&Recorded>, Vec<&Recorded>) = connections
        .iter()
        .partition(|connection| connection.bytes.starts_with(b"GET /probe "));
    cut.into_iter().try_for_each(is_cut)?;
    let probed: Vec<Recorded> = probed.into_iter().cloned().collect();
    all_requests(&probe.cloned().into_iter().collect::<Vec<_>>(), &probed)
}

fn is_cut(connection: &Recorded) -> Verdict {
    // A connection that was opened for it and did not carry a byte of it may serve another request.
    if connection.bytes.is_empty() {
        return Ok(());
    }
    if connection.end.is_none() {
        return fail("origin: the connection was not ended");
    }
    match wire::request(&connection.bytes) {
        Read::Cut => Ok(()),
        Read::Whole(message, _) => fail(format!("origin: a whole request: {message}")),
        Read::Malformed(why) => fail(format!("origin: a malformed request: {why}")),
    }
}

/// All requests on all connections. A probe on a connection that the origin closed after its response was sent again on
/// another one and counts as one request: both have the same id.
fn requests(connections: &[Recorded]) -> Result<Vec<Message>, String> {
    let mut seen: Vec<Message> = Vec::new();
    for connection in connections {
        let before = seen.len();
        let mut rest = &connection.bytes[..];
        while !rest.is_empty() {
            match wire::request(rest) {
                Read::Whole(message, length) => {
                    rest = &rest[length..];
                    let is_again = seen[..before].last().is_some_and(|last| {
                        message.start.starts_with("GET /probe ")
                            && last.values("x-request-id") == message.values("x-request-id")
                    });
                    if !is_again {
                        seen.push(message);
                    }
                }
                // Bytes after the upgrade of a connection belong to the tunnel.
                _ if seen
                    .last()
                    .is_some_and(|last| !last.values("upgrade").is_empty()) =>
                {
                    break;
                }
                Read::Cut => return fail("origin: a request that is cut"),
                Read::Malformed(why) => return fail(format!("origin: a malformed request: {why}")),
            }
        }
    }
    Ok(seen)
}

fn all_requests(expected: &[Request], connections: &[Recorded]) -> Verdict {
    let seen = requests(connections)?;
    if seen.len() != expected.len() {
        return fail(format!(
            "origin: {} requests, not {}",
            seen.len(),
            expected.len()
        ));
    }
    let mut pairs = expected.iter().zip(&seen);
    pairs.try_for_each(|(expected, seen)| one_request(expected, seen))
}

fn one_request(expected: &Request, seen: &Message) -> Verdict {
    let (line, fields) = expected.head.split_first().expect("a request line");
    if *line != seen.start {
        return fail(format!("origin: request line `{}`", seen.start));
    }
    let mut expected_fields: Vec<String> = fields.iter().map(|field| lower_name(field)).collect();
    let own = seen.fields.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        let is_framing = name == "content-length" || name == "transfer-encoding";
        !is_framing && ADDED.iter().all(|(added, _)| *added != name)
    });
    let mut seen_fields: Vec<String> = own
        .map(|(name, value)| lower_name(&format!("{name}: {value}")))
        .filter(|field| {
            expected
                .maybe
                .as_ref()
                .is_none_or(|maybe| lower_name(maybe) != *field)
        })
        .collect();
    // The position of `Host` does not matter; all other fields keep their order.
    for fields in [&mut expected_fields, &mut seen_fields] {
        fields.sort_by_key(|field| !field.starts_with("host:"));
    }
    if expected_fields != seen_fields {
        return fail(format!(
            "origin: fields {seen_fields:?}, not {expected_fields:?}"
        ));
    }
    added_fields(expected, seen)?;
    body(&expected.body, seen)
}

fn lower_name(field: &str) -> String {
    let (name, value) = field.split_once(": ").unwrap_or((field, ""));
    format!("{}: {value}", name.to_ascii_lowercase())
}

fn added_fields(expected: &Request, seen: &Message) -> Verdict {
    for (name, usual) in ADDED {
        let special = expected.added.iter().find(|(own, _)| own == name);
        let value = special.map_or(usual, |(_, value)| value);
        let got = seen.values(name);
        let fits = match &*got {
            [got] => matches(value, got),
            _ => false,
        };
        if !fits {
            return fail(format!("origin: {name} is {got:?}, not {value:?}"));
        }
    }
    Ok(())
}

/// True if a value is the expected one; see [`Request::added`].
fn matches(expected: &str, got: &str) -> bool {
    if let Some(other) = expected.strip_prefix('!') {
        !got.contains(other)
    } else if let Some(end) = expected.strip_prefix('*') {
        got.ends_with(end)
    } else if let Some(start) = expected.strip_suffix('*') {
        got.starts_with(start)
    } else {
        expected.is_empty() || expected == got
    }
}

fn body(expected: &Body, seen: &Message) -> Verdict {
    let got = match seen.framing {
        Framing::Chunked => Body::Chunked(seen.body.clone(), seen.trailers.clone()),
        Framing::Length(_) => Body::Length(seen.body.clone()),
        Framing::None | Framing::UntilClose => Body::None,
    };
    if got == *expected {
        Ok(())
    } else {
        fail(format!("origin: body {got:?}, not {expected:?}"))
    }
}
