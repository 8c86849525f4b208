//! A strict reader of HTTP/1.1 messages that shares no code with the product: a message that it accepts is complete for
//! any reader.

use std::fmt;

/// The result of a reading.
#[derive(Debug)]
pub(crate) enum Read {
    /// A complete message and its length in bytes.
    Whole(Message, usize),
    /// The beginning of a message.
    Cut,
    /// No message.
    Malformed(String),
}

/// The framing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By chunks.
    Chunked,
    /// By `Content-Length`.
    Length(usize),
    /// There is no body.
    None,
    /// By the end of the connection.
    UntilClose,
}

/// A message, bytes that are not printable ASCII escaped.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// The reason for a stop: more bytes are needed, or the bytes are malformed.
enum Stop {
    Cut,
    Malformed(String),
}

type Step<T> = Result<T, Stop>;

/// Reads a request as a strict origin: HTTP/1.1, one `Host`, one framing, no hop-by-hop fields.
pub(crate) fn request(bytes: &[u8]) -> Read {
    finish(bytes, |cursor| {
        let start = cursor.line()?;
        check_request_line(&start)?;
        let fields = cursor.fields()?;
        if values(&fields, "host").len() != 1 {
            return malformed("not exactly one Host");
        }
        let framing = framing(&fields)?.unwrap_or(Framing::None);
        cursor.message(start, fields, framing)
    })
}

/// Reads a response as a strict client. `ended` says that the connection has ended in an orderly way.
pub(crate) fn response(bytes: &[u8], to_head: bool, ended: bool) -> Read {
    finish(bytes, |cursor| {
        let start = cursor.line()?;
        let status = check_status_line(&start)?;
        let fields = cursor.fields()?;
        let announced = framing(&fields)?;
        let framing = match status {
            100..=199 | 204 | 304 => Framing::None,
            _ if to_head => Framing::None,
            _ => announced.unwrap_or(Framing::UntilClose),
        };
        if framing == Framing::UntilClose && !ended {
            return Err(Stop::Cut);
        }
        cursor.message(start, fields, framing)
    })
}

fn finish(bytes: &[u8], read: impl FnOnce(&mut Cursor<'_>) -> Step<Message>) -> Read {
    let mut cursor = Cursor { bytes, at: 0 };
    match read(&mut cursor) {
        Ok(message) => Read::Whole(message, cursor.at),
        Err(Stop::Cut) => Read::Cut,
        Err(Stop::Malformed(why)) => Read::Malformed(why),
    }
}

fn malformed<T>(why: impl Into<String>) -> Step<T> {
    Err(Stop::Malformed(why.into()))
}

fn check_request_line(line: &str) -> Step<()> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let fits = words.next().is_none()
        && method.is_some_and(is_token)
        && target.is_some_and(|target| !target.is_empty() && !target.contains(['#', '\\']))
        && version == Some("HTTP/1.1");
    if fits {
        Ok(())
    } else {
        malformed(format!("request line `{line}`"))
    }
}

fn check_status_line(line: &str) -> Step<u16> {
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3).filter(|_| rest.get(3..4) == Some(" ")))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|status| (100..600).contains(status));
    status.map_or_else(|| malformed(format!("status line `{line}`")), Ok)
}

fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The values of all fields of a name.
pub(crate) fn values<'f>(fields: &'f [(String, String)], name: &str) -> Vec<&'f str> {
    let same = fields
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name));
    same.map(|(_, value)| value.as_str()).collect()
}

fn framing(fields: &[(String, String)]) -> Step<Option<Framing>> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");
    match (&*lengths, &*codings) {
        ([], []) => Ok(None),
        ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
        ([length], []) if is_length(length) => Ok(Some(Framing::Length(
            length.parse().expect("digits that fit"),
        ))),
        _ => malformed(format!("framing {lengths:?} {codings:?}")),
    }
}

fn is_length(text: &str) -> bool {
    (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

// === impl Cursor ===

impl Cursor<'_> {
    /// A line without its CRLF; no other CR, LF or control byte.
    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(Stop::Cut);
        };
        let Some(line) = rest[..end].strip_suffix(b"\r") else {
            return malformed("a line that ends with a bare LF");
        };
        if line
            .iter()
            .any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
        {
            return malformed(format!("a control byte in `{}`", line.escape_ascii()));
        }
        self.at += end + 1;
        Ok(line.escape_ascii().to_string())
    }

    fn fields(&mut self) -> Step<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            match line.split_once(':') {
                Some((name, value)) if is_token(name) => {
                    fields.push((name.into(), value.trim_matches([' ', '\t']).into()));
                }
                _ => return malformed(format!("field line `{line}`")),
            }
        }
    }

    fn take(&mut self, length: usize) -> Step<Vec<u8>> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(Stop::Cut)?.to_vec();
        self.at += length;
        Ok(taken)
    }

    fn message(
        &mut self,
        start: String,
        fields: Vec<(String, String)>,
        framing: Framing,
    ) -> Step<Message> {
        let mut trailers = Vec::new();
        let body = match framing {
            Framing::None => Vec::new(),
            Framing::Length(length) => self.take(length)?,
            Framing::UntilClose => self.take(self.bytes.len() - self.at)?,
            Framing::Chunked => {
                let body = self.chunks()?;
                trailers = self.fields()?;
                body
            }
        };
        Ok(Message {
            start,
            fields,
            framing,
            body,
            trailers,
        })
    }

    /// All chunks; extensions end at the proxy.
    fn chunks(&mut self) -> Step<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let is_hex =
                (1..=8).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_hex {
                return malformed(format!("chunk size `{size}`"));
            }
            match usize::from_str_radix(&size, 16).expect("hexadecimal digits that fit") {
                0 => return Ok(body),
                size => body.extend(self.take(size)?),
            }
            if self.take(2)? != b"\r\n" {
                return malformed("no CRLF after a chunk");
            }
        }
    }
}

// === impl Message ===

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        let digits = self
            .start
            .split(' ')
            .nth(1)
            .expect("a status line was read");
        digits.parse().expect("a status was read")
    }

    /// The values of all fields of a name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.start, self.fields, self.framing)?;
        write!(f, " `{}` {:?}", self.body.escape_ascii(), self.trailers)
    }
}

#[test]
fn the_reader_is_strict() {
    let whole = |text: &str| matches!(request(text.as_bytes()), Read::Whole(_, length) if length == text.len());
    assert!(whole("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(whole(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n"
    ));
    assert!(matches!(
        request(b"GET / HTTP/1.1\r\nHost: a\r\n"),
        Read::Cut
    ));
    for bad in [
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\na\r\n0\r\n\r\n",
    ] {
        assert!(
            matches!(request(bad.as_bytes()), Read::Malformed(_)),
            "{bad:?}"
        );
    }
    assert!(matches!(
        response(b"HTTP/1.1 200 OK\r\n\r\nabc", false, false),
        Read::Cut
    ));
    assert!(matches!(
        response(b"HTTP/1.1 200 OK\r\n\r\nabc", false, true),
        Read::Whole(_, 22)
    ));
}
