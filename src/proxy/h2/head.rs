//! Heads of HTTP/2 as the rules on messages see them, and how heads are written.
//!
//! The engine has looked at a head first: pseudo-fields are whole, come once and come first, names are in lower case and
//! values are values. Everything else is judged by the rules that HTTP/1.1 is judged by.

use std::sync::Arc;

use crate::http2::hpack::Encoder;
use crate::http2::{self, RequestPseudo};
use crate::message::{
    Field, KnownField, KnownSet, Reason, Rejection, RequestFraming, RequestLine, ResponseFraming,
    ValidatedRequest, Version,
};
use crate::proxy::io::{BodyFrame, FieldSink, HeadFields, RequestHead, RequestParts};
use crate::proxy::worker::Shared;

/// The head of a request that came over HTTP/2 and may be forwarded.
pub(super) struct Head {
    head: http2::Head,
    shared: Arc<Shared>,
}

/// Fields that nobody but the receiver should keep. They are sent as literals that are never indexed (RFC 7541, section
/// 7.1.3), by whoever passes them on as well.
const SECRET: KnownSet = KnownSet::of(&[
    KnownField::Authorization,
    KnownField::Cookie,
    KnownField::SetCookie,
]);

/// Writes the fields of a head.
pub(super) struct BlockSink<'o> {
    encoder: Encoder<'o>,
    pub(super) is_valid: bool,
}

// === impl Head ===

impl Head {
    /// Takes a request.
    pub(super) const fn new(head: http2::Head, shared: Arc<Shared>) -> Self {
        Self { head, shared }
    }

    /// What came.
    pub(super) const fn raw(&self) -> &http2::Head {
        &self.head
    }

    /// Judges it as far as the rules go that only HTTP/2 has.
    fn check(&self) -> Result<(), Rejection> {
        if self.head.is_too_long() {
            return Err(Reason::HeadTooLarge.into());
        }
        let RequestPseudo {
            method,
            scheme,
            path,
            ..
        } = self.head.request();
        let protocol = self.head.protocol();
        // A tunnel to an authority has neither; everything else has both.
        let is_http = [b"http".as_slice(), b"https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        let is_target = path.starts_with(b"/") || path == b"*";
        let has_target = method != b"CONNECT" || protocol.is_some();
        if has_target && !(is_http && is_target) {
            return Err(Reason::InvalidTarget.into());
        }
        if protocol.is_some_and(|protocol| !protocol.eq_ignore_ascii_case(b"websocket")) {
            return Err(Reason::UpgradeUnsupported.into());
        }
        Ok(())
    }

    /// Judges it by all rules, and hands it to `look` if it is good. To be called before anything else looks.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(super) fn validate<R>(
        &self,
        look: impl FnOnce(&RequestParts<'_>) -> R,
    ) -> Result<R, Rejection> {
        self.check()?;
        let pseudo = self.head.request();
        let is_socket = self.head.protocol().is_some();
        let line = RequestLine {
            version: Version::Http2,
            // A WebSocket is asked for by the same words whatever brings it, and what follows the head is no body.
            method: if is_socket { b"GET" } else { pseudo.method },
            target: pseudo.path,
            authority: pseudo.authority,
            ended: is_socket || self.head.is_last(),
        };
        let limits = &self.shared.settings.message;
        let mut facts = ValidatedRequest::validate(&line, self.head.fields(), limits)?;
        if is_socket {
            facts.websocket = true;
            facts.framing = RequestFraming::None;
        }
        Ok(look(&RequestParts {
            method: line.method,
            facts: &facts,
            fields: HeadFields::Http2(self.head.fields()),
        }))
    }
}

impl RequestHead for Head {
    fn look<R>(&self, look: impl FnOnce(&RequestParts<'_>) -> R) -> R {
        self.validate(look)
            .expect("the first look found it to be good")
    }
}

/// Whether a broken rule makes a request malformed, so that its stream is reset instead of answered (RFC 9113, 8.1.1).
pub(super) const fn is_malformed(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ConnectionField
            | Reason::DuplicateContentLength
            | Reason::InvalidContentLength
            | Reason::InvalidFieldName
            | Reason::InvalidFieldValue
            | Reason::InvalidTransferEncoding
            | Reason::LengthMismatch
            | Reason::UnknownTransferCoding
    )
}

/// The length that a body was announced with.
pub(super) fn content_length(framing: RequestFraming) -> Option<u64> {
    match framing {
        RequestFraming::Length(length) => Some(length),
        _ => None,
    }
}

/// The trailers that may be forwarded behind the last piece, encoded, and the size of their list.
pub(super) fn trailers(frame: &BodyFrame<'_>) -> Option<(Vec<u8>, usize)> {
    let fields = frame.trailers.filter(|_| frame.last)?;
    let mut block = Vec::new();
    let mut sink = BlockSink::new(&mut block);
    fields.allowed().for_each(|field| sink.field(&field));
    let list = sink.list();
    (list > 0).then_some((block, list))
}

/// Writes the framing as HTTP/2 says it: a length, or nothing; and says whether the head is all there is.
pub(super) fn frame(sink: &mut BlockSink<'_>, framing: ResponseFraming) -> bool {
    let (length, is_over) = match framing {
        ResponseFraming::None => (None, true),
        ResponseFraming::Announced(length) => (Some(length), true),
        ResponseFraming::Length(length) => (Some(length), length == 0),
        ResponseFraming::Chunked | ResponseFraming::UntilClose => (None, false),
    };
    if let Some(length) = length {
        sink.length(length);
    }
    is_over
}

// === impl BlockSink ===

impl<'o> BlockSink<'o> {
    pub(super) fn new(block: &'o mut Vec<u8>) -> Self {
        Self {
            encoder: Encoder::new(block),
            is_valid: true,
        }
    }

    /// Starts the head of an answer.
    pub(super) fn status(&mut self, status: u16) {
        self.encoder.status(status);
    }

    /// Writes a pseudo-field; they come before the fields.
    pub(super) fn pseudo(&mut self, write: impl FnOnce(&mut Encoder<'o>) -> bool) {
        self.is_valid &= write(&mut self.encoder);
    }

    /// The size of the list that was written.
    pub(super) fn list(&self) -> usize {
        self.encoder.list()
    }

    /// Says how long the body is.
    pub(super) fn length(&mut self, length: u64) {
        let mut text = [0; 20];
        let digits = decimal(length, &mut text);
        self.put(KnownField::ContentLength, b"content-length", digits);
    }

    fn put(&mut self, known: KnownField, name: &[u8], value: &[u8]) {
        let is_secret = SECRET.contains(known);
        self.is_valid &= self.encoder.field(known, name, value, is_secret);
    }
}

/// The digits of a number, at the end of `text`.
fn decimal(mut number: u64, text: &mut [u8; 20]) -> &[u8] {
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &text[at..];
        }
    }
}

impl FieldSink for BlockSink<'_> {
    #[inline]
    fn field(&mut self, field: &Field<'_>) {
        // The framing is said once, and nothing of one connection goes to another.
        if field.known != KnownField::ContentLength && !field.known.is_hop_by_hop() {
            self.put(field.known, field.name, field.value);
        }
    }

    #[inline]
    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.put(KnownField::of(name.as_bytes()), name.as_bytes(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_digits() {
        for number in [0, 9, 10, 1_234_567, u64::MAX] {
            let mut text = [0; 20];
            assert_eq!(decimal(number, &mut text), number.to_string().as_bytes());
        }
    }
}
