//! Views of heads: start line and fields, borrowed from the bytes of a whole head.

use std::iter::Zip;
use std::mem::MaybeUninit;
use std::slice::Iter;

use crate::message::{
    Asked, Field, Known, Limits, Reason, Rejection, RequestFacts, RequestLine, ResponseFacts,
    StatusLine, Version, is_field_value,
};

/// Room for the fields of one view, on the stack of whoever makes it. It costs nothing to make, and serves once.
pub struct FieldSlots<'h> {
    headers: [MaybeUninit<httparse::Header<'h>>; Limits::MAX_FIELDS],
    known: [Known; Limits::MAX_FIELDS],
}

/// A request head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'h> {
    line: RequestLine<'h>,
    fields: Table<'h>,
}

/// A response head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'h> {
    line: StatusLine,
    reason: &'h [u8],
    fields: Table<'h>,
}

/// The fields of a head in their order.
#[derive(Clone, Debug)]
pub struct Fields<'h>(Zip<Iter<'h, httparse::Header<'h>>, Iter<'h, Known>>);

/// The fields as the parser left them, and what their names mean, found out once.
#[derive(Clone, Copy, Debug)]
struct Table<'h> {
    headers: &'h [httparse::Header<'h>],
    known: &'h [Known],
}

// === impl FieldSlots ===

impl FieldSlots<'_> {
    /// Empty slots.
    pub const fn new() -> Self {
        Self {
            headers: [const { MaybeUninit::uninit() }; Limits::MAX_FIELDS],
            known: [Known::Other; Limits::MAX_FIELDS],
        }
    }
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

// === impl RequestHead ===

impl<'h> RequestHead<'h> {
    /// Makes a view of a head that [`HeadScan::request`](super::HeadScan::request) found.
    ///
    /// # Errors
    ///
    /// Whatever is no request line of HTTP/1.0 or HTTP/1.1, or no field line.
    pub fn parse(
        head: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots<'h>,
    ) -> Result<Self, Rejection> {
        let mut request = httparse::Request::new(&mut []);
        let status = request
            .parse_with_uninit_headers(head, up_to(&mut slots.headers, limits))
            .map_err(|error| {
                reason_of(error, head, |line| line.rsplit(|&byte| byte == b' ').next())
            })?;
        let (Some(method), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(Reason::InvalidStartLine.into());
        };
        check_length(status, head)?;
        let (method, target) = (method.as_bytes(), target.as_bytes());
        let line = RequestLine {
            version: version_of(version),
            method,
            target,
            authority: None,
            ended: false,
        };
        Ok(Self {
            line,
            fields: Table::classify(request.headers, &mut slots.known),
        })
    }

    /// The first line.
    pub const fn line(&self) -> &RequestLine<'h> {
        &self.line
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'h> {
        self.fields.iter()
    }

    /// Judges the head.
    ///
    /// # Errors
    ///
    /// As [`RequestFacts::judge`].
    pub fn judge(&self, limits: &Limits) -> Result<RequestFacts<'h>, Rejection> {
        RequestFacts::judge(&self.line, self.fields(), limits)
    }
}

// === impl ResponseHead ===

impl<'h> ResponseHead<'h> {
    /// Makes a view of a head that [`HeadScan::response`](super::HeadScan::response) found.
    ///
    /// # Errors
    ///
    /// Whatever is no status line of HTTP/1.0 or HTTP/1.1, or no field line; the status is always 502.
    pub fn parse(
        head: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots<'h>,
    ) -> Result<Self, Rejection> {
        Self::parse_inner(head, limits, slots).map_err(Rejection::response)
    }

    fn parse_inner(
        head: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots<'h>,
    ) -> Result<Self, Reason> {
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(
                &mut response,
                head,
                up_to(&mut slots.headers, limits),
            )
            .map_err(|error| {
                reason_of(error, head, |line| line.split(|&byte| byte == b' ').next())
            })?;
        check_length(status, head)?;
        let (Some(version), Some(code)) = (response.version, response.code) else {
            return Err(Reason::InvalidStartLine);
        };
        let reason = response.reason.unwrap_or_default().as_bytes();
        if !is_field_value(reason) {
            return Err(Reason::InvalidStartLine);
        }
        let line = StatusLine {
            version: version_of(version),
            status: code,
            ended: false,
        };
        Ok(Self {
            line,
            reason,
            fields: Table::classify(response.headers, &mut slots.known),
        })
    }

    /// The version and the status.
    pub const fn line(&self) -> StatusLine {
        self.line
    }

    /// The words after the status; empty if there were none, or none in ASCII.
    pub const fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'h> {
        self.fields.iter()
    }

    /// Judges the head as the answer to what was asked.
    ///
    /// # Errors
    ///
    /// As [`ResponseFacts::judge`].
    pub fn judge(&self, asked: Asked, limits: &Limits) -> Result<ResponseFacts<'h>, Rejection> {
        ResponseFacts::judge(self.line, asked, self.fields(), limits)
    }
}

// === impl Table ===

impl<'h> Table<'h> {
    fn classify(headers: &'h [httparse::Header<'h>], known: &'h mut [Known]) -> Self {
        for (known, header) in known.iter_mut().zip(headers) {
            *known = Known::of(header.name.as_bytes());
        }
        Self { headers, known }
    }

    fn iter(&self) -> Fields<'h> {
        Fields(self.headers.iter().zip(self.known))
    }
}

// === impl Fields ===

impl<'h> Iterator for Fields<'h> {
    type Item = Field<'h>;

    #[inline]
    fn next(&mut self) -> Option<Field<'h>> {
        let (header, known) = self.0.next()?;
        Some(Field {
            known: *known,
            name: header.name.as_bytes(),
            value: header.value,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}

fn up_to<'s, 'h>(
    slots: &'s mut [MaybeUninit<httparse::Header<'h>>],
    limits: &Limits,
) -> &'s mut [MaybeUninit<httparse::Header<'h>>] {
    let count = limits.fields.min(slots.len());
    &mut slots[..count]
}

const fn version_of(minor: u8) -> Version {
    if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    }
}

/// The scan and the parser must agree on where the head ends.
fn check_length(status: httparse::Status<usize>, head: &[u8]) -> Result<(), Reason> {
    match status {
        httparse::Status::Complete(length) if length == head.len() => Ok(()),
        _ => Err(Reason::InvalidLineEnd),
    }
}

fn reason_of<'h>(
    error: httparse::Error,
    head: &'h [u8],
    version: fn(&'h [u8]) -> Option<&'h [u8]>,
) -> Reason {
    match error {
        httparse::Error::HeaderName => Reason::InvalidFieldName,
        httparse::Error::HeaderValue => Reason::InvalidFieldValue,
        httparse::Error::NewLine => Reason::InvalidLineEnd,
        httparse::Error::Status => Reason::InvalidStatus,
        httparse::Error::Token => Reason::InvalidStartLine,
        httparse::Error::TooManyHeaders => Reason::TooManyFields,
        httparse::Error::Version => {
            let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
            match version(line) {
                Some(version) if is_other_version(version) => Reason::UnsupportedVersion,
                _ => Reason::InvalidStartLine,
            }
        }
    }
}

/// Whether the text is a version that is neither of ours; if it is one of ours, something around it was wrong.
fn is_other_version(text: &[u8]) -> bool {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => false,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
