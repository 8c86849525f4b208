//! Whether both ends saw what a case says.

use super::{
    case::{After, Answer, Body, Case, Request, Seen},
    tape::{End, Recorded},
    wire::{self, Framing, Message, Read},
};

/// The fields that the proxy adds to every request, and the value that each has for a client that is not trusted.
const ADDED: [(&str, &str); 8] = [
    ("forwarded", ""),
    ("traceparent", ""),
    ("via", "1.1 switchback"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-host", ""),
    ("x-forwarded-proto", "http"),
    ("x-real-ip", "127.0.0.1"),
    ("x-request-id", ""),
];

/// The request that proves that a connection still works.
pub(crate) const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe.example\r\n\r\n";

type Verdict = Result<(), String>;

fn fail<T>(why: impl Into<String>) -> Result<T, String> {
    Err(why.into())
}

/// Checks what the client of HTTP/1.1 got, its probe included.
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

/// Checks one answer and the interim ones before it; how many bytes they took.
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
    if !expected.statuses.contains(&message.status()) {
        return fail(format!("client: status {}", message.status()));
    }
    if expected
        .body
        .as_ref()
        .is_some_and(|body| *body != message.body)
    {
        return fail(format!("client: body `{}`", message.body.escape_ascii()));
    }
    for (name, value) in &expected.has {
        if message.values(name) != [value] {
            return fail(format!("client: {name} is {:?}", message.values(name)));
        }
    }
    for name in &expected.lacks {
        if !message.values(name).is_empty() {
            return fail(format!("client: {name} is there"));
        }
    }
    Ok(())
}

/// Checks what an origin got on its connections, without the probe.
pub(crate) fn origin(expected: &Seen, connections: &[Recorded]) -> Verdict {
    match expected {
        Seen::Nothing if connections.is_empty() => Ok(()),
        Seen::Nothing => fail("origin: somebody connected"),
        Seen::Cut => connections.iter().try_for_each(is_cut),
        Seen::Requests(requests) => all_requests(requests, connections),
        Seen::WellFormed => requests(connections).map(|_| ()),
    }
}

fn is_cut(connection: &Recorded) -> Verdict {
    if connection.end.is_none() {
        return fail("origin: the connection was not ended");
    }
    match wire::request(&connection.bytes) {
        Read::Cut => Ok(()),
        Read::Whole(message, _) => fail(format!("origin: a whole request: {message}")),
        Read::Malformed(why) => fail(format!("origin: a malformed request: {why}")),
    }
}

/// All requests on all connections.
fn requests(connections: &[Recorded]) -> Result<Vec<Message>, String> {
    let mut seen: Vec<Message> = Vec::new();
    for connection in connections {
        let mut rest = &connection.bytes[..];
        while !rest.is_empty() {
            match wire::request(rest) {
                Read::Whole(message, length) => {
                    rest = &rest[length..];
                    seen.push(message);
                }
                // What follows the upgrade of a connection is the tunnel's.
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
    // `Host` goes where it likes; all others keep their order.
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

/// Whether a value is what is expected; see [`Request::added`].
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
