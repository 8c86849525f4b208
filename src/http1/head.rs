//! Views of heads: start line and fields, borrowed from the bytes of a complete head.

use std::slice::Iter;

use super::scan::max_request_line;
use super::start_line::{self, FieldSpan, HeaderLine};
use crate::message::{
    Field, Limits, Reason, Rejection, RequestContextForResponse, RequestLine, StatusLine,
    ValidatedRequest, ValidatedResponse, Version,
};

/// Storage for the fields of one view, on the stack of the caller; on the heap only if there are many.
pub struct FieldSlots {
    few: [FieldSpan; FEW],
    many: Vec<FieldSpan>,
}

/// Number of fields on the stack: most heads have fewer.
const FEW: usize = 24;

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

/// Positions of the fields.
#[derive(Clone, Copy, Debug)]
struct Table<'h> {
    head: &'h [u8],
    spans: &'h [FieldSpan],
}

/// The fields of a head in their order.
#[derive(Clone, Debug)]
pub struct Fields<'h> {
    head: &'h [u8],
    spans: Iter<'h, FieldSpan>,
}

// === impl FieldSlots ===

impl FieldSlots {
    /// Creates empty slots.
    pub const fn new() -> Self {
        Self {
            few: [FieldSpan::EMPTY; FEW],
            many: Vec::new(),
        }
    }

    /// Reads the fields of a head, at most so many: returns their positions, and the end of the head.
    fn read(
        &mut self,
        head: &[u8],
        from: usize,
        most: usize,
    ) -> Result<(&[FieldSpan], usize), Reason> {
        match start_line::fields(head, from, &mut self.few[..most.min(FEW)]) {
            Err(Reason::TooManyFields) if most > FEW => {
                self.many.resize(most, FieldSpan::EMPTY);
                let (count, end) = start_line::fields(head, from, &mut self.many)?;
                Ok((&self.many[..count], end))
            }
            read => read.map(|(count, end)| (&self.few[..count], end)),
        }
    }

    fn read_all(&mut self, head: &[u8], from: usize, most: usize) -> Result<&[FieldSpan], Reason> {
        match self.read(head, from, most)? {
            (spans, end) if end == head.len() => Ok(spans),
            _ => Err(Reason::InvalidLineEnd),
        }
    }
}

impl Default for FieldSlots {
    fn default() -> Self {
        Self::new()
    }
}

/// Maximum number of fields of a request.
fn max_request_fields(limits: &Limits) -> usize {
    limits.fields.min(Limits::MAX_FIELDS)
}

/// Maximum number of fields of a response.
fn max_response_fields(limits: &Limits) -> usize {
    limits.response_fields.min(Limits::MAX_RESPONSE_FIELDS)
}

// === impl RequestHead ===

impl<'h> RequestHead<'h> {
    /// Creates a view of a head that [`HeadScan::request`](super::HeadScan::request) found.
    ///
    /// # Errors
    ///
    /// An invalid request line, a version other than HTTP/1.0 or HTTP/1.1, or an invalid field line.
    pub fn parse(
        head: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots,
    ) -> Result<Self, Rejection> {
        let line = start_line::request_line(head)?;
        let spans = slots.read_all(head, line.end, max_request_fields(limits))?;
        Ok(Self::new(head, &line, spans))
    }

    /// Creates a view of the head at the start of `buffer`, and returns its end, if it is complete and free of
    /// anomalies; the scan handles all else. So a head that arrives in one read is scanned once.
    pub fn parse_start(
        buffer: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots,
    ) -> Option<(Self, usize)> {
        let line = start_line::request_line(buffer).ok()?;
        let (spans, end) = slots
            .read(buffer, line.end, max_request_fields(limits))
            .ok()?;
        let fits = line.end <= max_request_line(limits) && end <= limits.request_head;
        fits.then(|| (Self::new(&buffer[..end], &line, spans), end))
    }

    fn new(
        head: &'h [u8],
        line: &start_line::RequestLineParts<'h>,
        spans: &'h [FieldSpan],
    ) -> Self {
        Self {
            line: RequestLine {
                version: version_of(line.is_current),
                method: line.method,
                target: line.target,
                authority: None,
                ended: false,
            },
            fields: Table { head, spans },
        }
    }

    /// The request line.
    pub const fn line(&self) -> &RequestLine<'h> {
        &self.line
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'h> {
        self.fields.iter()
    }

    /// Validates the head.
    ///
    /// # Errors
    ///
    /// As [`ValidatedRequest::validate`].
    pub fn validate(&self, limits: &Limits) -> Result<ValidatedRequest<'h>, Rejection> {
        ValidatedRequest::validate(&self.line, self.fields(), limits)
    }
}

// === impl ResponseHead ===

impl<'h> ResponseHead<'h> {
    /// Creates a view of a head that [`HeadScan::response`](super::HeadScan::response) found.
    ///
    /// # Errors
    ///
    /// An invalid status line, a version other than HTTP/1.0 or HTTP/1.1, or an invalid field line; the status is
    /// always 502.
    pub fn parse(
        head: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots,
    ) -> Result<Self, Rejection> {
        let line = start_line::status_line(head).map_err(Rejection::response)?;
        let spans = slots
            .read_all(head, line.end, max_response_fields(limits))
            .map_err(Rejection::response)?;
        Ok(Self::new(head, &line, spans))
    }

    /// As [`RequestHead::parse_start`].
    pub fn parse_start(
        buffer: &'h [u8],
        limits: &Limits,
        slots: &'h mut FieldSlots,
    ) -> Option<(Self, usize)> {
        let line = start_line::status_line(buffer).ok()?;
        let (spans, end) = slots
            .read(buffer, line.end, max_response_fields(limits))
            .ok()?;
        let fits = end <= limits.response_head;
        fits.then(|| (Self::new(&buffer[..end], &line, spans), end))
    }

    fn new(head: &'h [u8], line: &start_line::StatusLineParts<'h>, spans: &'h [FieldSpan]) -> Self {
        Self {
            line: StatusLine {
                version: version_of(line.is_current),
                status: line.status,
                ended: false,
            },
            reason: line.reason,
            fields: Table { head, spans },
        }
    }

    /// The version and the status.
    pub const fn line(&self) -> StatusLine {
        self.line
    }

    /// The reason phrase; empty if there was none, or none in ASCII.
    pub const fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'h> {
        self.fields.iter()
    }

    /// Validates the head as the response to a request.
    ///
    /// # Errors
    ///
    /// As [`ValidatedResponse::validate`].
    pub fn validate(
        &self,
        asked: RequestContextForResponse,
        limits: &Limits,
    ) -> Result<ValidatedResponse<'h>, Rejection> {
        ValidatedResponse::validate(self.line, asked, self.fields(), limits)
    }
}

// === impl Table ===

impl<'h> Table<'h> {
    fn iter(&self) -> Fields<'h> {
        Fields {
            head: self.head,
            spans: self.spans.iter(),
        }
    }
}

// === impl Fields ===

impl<'h> Fields<'h> {
    /// The same fields with their raw lines.
    pub fn lines(self) -> impl Iterator<Item = HeaderLine<'h>> {
        let head = self.head;
        self.spans.map(move |span| span.line(head))
    }
}

impl<'h> Iterator for Fields<'h> {
    type Item = Field<'h>;

    #[inline]
    fn next(&mut self) -> Option<Field<'h>> {
        let span = self.spans.next()?;
        Some(span.field(self.head))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}

const fn version_of(is_current: bool) -> Version {
    if is_current {
        Version::Http11
    } else {
        Version::Http10
    }
}

#[cfg(test)]
mod tests;
