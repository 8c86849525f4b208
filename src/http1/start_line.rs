//! Parser for the lines of a complete head: the parts of each line, found and validated in one pass.
//!
//! A line ends in CR LF and nothing else, a name is a token directly followed by the colon, a value has no control byte
//! but tab, and the spaces around it do not belong to it. The meaning of the parts is not decided here.

use crate::message::swar::{below, equal, find};
use crate::message::{Field, KnownField, Reason, is_token, trim};

/// Position of one field in a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSpan {
    start: u32,
    colon: u32,
    value: u32,
    end: u32,
    known: KnownField,
    /// The line consists of the name, a colon, a space, the value and CR LF.
    is_plain: bool,
}

/// A field, and its raw line if that has the form that would be written.
#[derive(Clone, Copy, Debug)]
pub struct HeaderLine<'h> {
    /// The field.
    pub field: Field<'h>,
    pub(super) whole: Option<&'h [u8]>,
}

/// The parts of a request line.
pub(super) struct RequestLineParts<'h> {
    pub(super) method: &'h [u8],
    pub(super) target: &'h [u8],
    /// `HTTP/1.1`, not `HTTP/1.0`. A later minor version counts as the highest known one (RFC 9110, section 2.5).
    pub(super) is_current: bool,
    /// Position of the first field line.
    pub(super) end: usize,
}

/// The parts of a status line.
pub(super) struct StatusLineParts<'h> {
    pub(super) is_current: bool,
    pub(super) status: u16,
    pub(super) reason: &'h [u8],
    pub(super) end: usize,
}

const VERSION: usize = "HTTP/1.1".len();
const LINE_END: &[u8] = b"\r\n";

// === impl FieldSpan ===

impl FieldSpan {
    pub(super) const EMPTY: Self = Self {
        start: 0,
        colon: 0,
        value: 0,
        end: 0,
        known: KnownField::Te,
        is_plain: false,
    };

    #[inline]
    pub(super) fn field<'h>(&self, head: &'h [u8]) -> Field<'h> {
        Field {
            known: self.known,
            name: &head[self.start as usize..self.colon as usize],
            value: &head[self.value as usize..self.end as usize],
        }
    }

    #[inline]
    pub(super) fn line<'h>(&self, head: &'h [u8]) -> HeaderLine<'h> {
        let whole = || &head[self.start as usize..self.end as usize + LINE_END.len()];
        HeaderLine {
            field: self.field(head),
            whole: self.is_plain.then(whole),
        }
    }
}

/// Parses the request line.
pub(super) fn request_line(head: &[u8]) -> Result<RequestLineParts<'_>, Reason> {
    let space = find(head, 0, |word| below(word, b'!'), |byte| byte <= b' ');
    let method = &head[..space];
    let target = space + 1;
    let end = find(
        head,
        target,
        |word| below(word, b'!') | equal(word, 0x7f),
        |byte| byte <= b' ' || byte == 0x7f,
    );
    let is_split = head.get(space) == Some(&b' ') && head.get(end) == Some(&b' ');
    if !is_split || target == end || !is_token(method) {
        return Err(Reason::InvalidStartLine);
    }
    let version = end + 1;
    let (is_current, after) = match rest(head, version) {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'0'..=b'9',
            after @ ..,
        ] => (*minor != b'0', after),
        _ => return Err(other_version(last_word(head))),
    };
    if !after.starts_with(LINE_END) {
        return Err(Reason::InvalidLineEnd);
    }
    Ok(RequestLineParts {
        method,
        target: &head[target..end],
        is_current,
        end: version + VERSION + LINE_END.len(),
    })
}

/// Parses the status line. A reason that is not ASCII is dropped.
pub(super) fn status_line(head: &[u8]) -> Result<StatusLineParts<'_>, Reason> {
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        minor @ b'0'..=b'9',
        b' ',
        after @ ..,
    ] = head
    else {
        return Err(other_version(first_word(head)));
    };
    let [
        a @ b'0'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        after @ ..,
    ] = after
    else {
        return Err(Reason::InvalidStatus);
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    let start = VERSION + " 200".len();
    let end = value_end(head, start);
    if !rest(head, end).starts_with(LINE_END) || !matches!(after, [b' ' | b'\r', ..]) {
        return Err(Reason::InvalidStatus);
    }
    let reason = head.get(start + 1..end).unwrap_or_default();
    Ok(StatusLineParts {
        is_current: *minor != b'0',
        status: digit(a) * 100 + digit(b) * 10 + digit(c),
        reason: if reason.is_ascii() { reason } else { b"" },
        end: end + LINE_END.len(),
    })
}

/// Parses the field lines from `from` up to the empty line: returns their number, and the end of the empty line.
pub(super) fn fields(
    head: &[u8],
    from: usize,
    spans: &mut [FieldSpan],
) -> Result<(usize, usize), Reason> {
    if u32::try_from(head.len()).is_err() {
        return Err(Reason::HeadTooLarge);
    }
    let (mut at, mut count) = (from, 0);
    loop {
        let rest = rest(head, at);
        match rest {
            [b'\r', b'\n', ..] => return Ok((count, at + LINE_END.len())),
            [] | [b'\r' | b'\n', ..] => return Err(Reason::InvalidLineEnd),
            _ => {}
        }
        let span = spans.get_mut(count).ok_or(Reason::TooManyFields)?;
        at += field(rest, at, span)?;
        count += 1;
    }
}

/// Parses the field line at the start of `text`, which is at `at` in the head: returns its length.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "no head is longer than 4 GiB"
)]
fn field(text: &[u8], at: usize, span: &mut FieldSpan) -> Result<usize, Reason> {
    let colon = find(text, 0, |word| equal(word, b':'), |byte| byte == b':');
    let Some(after) = text.get(colon + 1..) else {
        return Err(Reason::InvalidFieldName);
    };
    let known = KnownField::of_start(text, colon);
    if known.as_str().is_none() && !is_token(&text[..colon]) {
        return Err(Reason::InvalidFieldName);
    }
    let spaces = match after {
        [b' ', byte, ..] if !is_space(*byte) => 1,
        _ => after.iter().take_while(|byte| is_space(**byte)).count(),
    };
    let end = value_end(after, spaces);
    match rest(after, end) {
        [b'\r', b'\n', ..] => {}
        [] | [b'\n', ..] => return Err(Reason::InvalidLineEnd),
        _ => return Err(Reason::InvalidFieldValue),
    }
    let value = &after[spaces..end];
    let behind = match value {
        [.., byte] if is_space(*byte) => value.len() - trim(value).len(),
        _ => 0,
    };
    let start = at + colon + 1;
    *span = FieldSpan {
        start: at as u32,
        colon: (at + colon) as u32,
        value: (start + spaces) as u32,
        end: (start + end - behind) as u32,
        known,
        is_plain: spaces == 1 && behind == 0 && after[0] == b' ',
    };
    Ok(colon + 1 + end + LINE_END.len())
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Position of the first byte that is not allowed in a value.
#[inline]
fn value_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        at = find(
            text,
            at,
            |word| below(word, b' ') | equal(word, 0x7f),
            |byte| byte < b' ' || byte == 0x7f,
        );
        if text.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

fn rest(head: &[u8], from: usize) -> &[u8] {
    head.get(from..).unwrap_or_default()
}

fn first_word(head: &[u8]) -> &[u8] {
    first_line(head)
        .split(|&byte| byte == b' ')
        .next()
        .unwrap_or_default()
}

fn last_word(head: &[u8]) -> &[u8] {
    first_line(head)
        .rsplit(|&byte| byte == b' ')
        .next()
        .unwrap_or_default()
}

fn first_line(head: &[u8]) -> &[u8] {
    head.split(|&byte| byte == b'\r').next().unwrap_or_default()
}

/// The error of a line without a supported version: another version, or no version at all.
fn other_version(text: &[u8]) -> Reason {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => Reason::InvalidStartLine,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Reason::UnsupportedVersion
        }
        _ => Reason::InvalidStartLine,
    }
}

#[cfg(test)]
mod tests;
