//! HTTP/2 heads: their validation by the common message rules, and their encoding.
//!
//! The engine has validated a head first: pseudo-fields are complete, unique and come first, names are in lower case
//! and values are valid. The rules of HTTP/1.1 validate everything else.

use std::sync::Arc;

use crate::http2::hpack::Encoder;
use crate::http2::{self, RequestPseudo};
use crate::message::{
    Field, KnownField, KnownSet, Reason, Rejection, RequestFraming, RequestLine, ResponseFraming,
    ValidatedRequest, Version,
};
use crate::proxy::io::{BodyFrame, FieldSink, HeadFields, RequestHead, RequestParts};
use crate::proxy::shared::Shared;

/// A request head that came over HTTP/2 and may be forwarded.
pub(super) struct Head {
    head: http2::Head,
    shared: Arc<Shared>,
}

/// Secret fields. They are sent as literals that are never indexed, here and by every hop after it (RFC 7541, section
/// 7.1.3).
const SECRET: KnownSet = KnownSet::of(&[
    KnownField::Authorization,
    KnownField::Cookie,
    KnownField::SetCookie,
]);

/// Encoder for the fields of a head.
pub(super) struct BlockSink<'o> {
    encoder: Encoder<'o>,
    pub(super) is_valid: bool,
}

// === impl Head ===

impl Head {
    /// Wraps the head of a request.
    pub(super) const fn new(head: http2::Head, shared: Arc<Shared>) -> Self {
        Self { head, shared }
    }

    /// The received head.
    pub(super) const fn raw(&self) -> &http2::Head {
        &self.head
    }

    /// Validates the rules that only HTTP/2 has.
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
        // A CONNECT tunnel to an authority has neither; all other requests have both.
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

    /// Validates it by all rules, and calls `look` with it if it is valid. Must be called before any other reader.
    ///
    /// # Errors
    /// The first rule that it violates.
    pub(super) fn validate<R>(
        &self,
        look: impl FnOnce(&RequestParts<'_>) -> R,
    ) -> Result<R, Rejection> {
        self.check()?;
        let pseudo = self.head.request();
        let is_socket = self.head.protocol().is_some();
        let line = RequestLine {
            version: Version::Http2,
            // A WebSocket handshake looks the same whatever the protocol, and the data after its head is no body.
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

/// True if the violation makes a request malformed, so that its stream is reset without a response (RFC 9113, 8.1.1).
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

/// The declared length of a body.
pub(super) fn content_length(framing: RequestFraming) -> Option<u64> {
    match framing {
        RequestFraming::Length(length) => Some(length),
        _ => None,
    }
}

/// The trailers that may be forwarded with the last frame, encoded, and the size of their list.
pub(super) fn trailers(frame: &BodyFrame<'_>) -> Option<(Vec<u8>, usize)> {
    let fields = frame.trailers.filter(|_| frame.last)?;
    let mut block = Vec::new();
    let mut sink = BlockSink::new(&mut block);
    fields.allowed().for_each(|field| sink.field(&field));
    let list = sink.list();
    (list > 0).then_some((block, list))
}

/// Writes the framing in HTTP/2's form: a length, or nothing; true if the head ends the stream.
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

    /// Starts the head of a response.
    pub(super) fn status(&mut self, status: u16) {
        self.encoder.status(status);
    }

    /// Writes a pseudo-field; these come before the fields.
    pub(super) fn pseudo(&mut self, write: impl FnOnce(&mut Encoder<'o>) -> bool) {
        self.is_valid &= write(&mut self.encoder);
    }

    /// Size of the written field list.
    pub(super) fn list(&self) -> usize {
        self.encoder.list()
    }

    /// Writes the length of the body.
    pub(super) fn length(&mut self, length: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(length).as_bytes();
        self.put(KnownField::ContentLength, b"content-length", digits);
    }

    fn put(&mut self, known: KnownField, name: &[u8], value: &[u8]) {
        let is_secret = SECRET.contains(known);
        self.is_valid &= self.encoder.field(known, name, value, is_secret);
    }
}

impl FieldSink for BlockSink<'_> {
    #[inline]
    fn field(&mut self, field: &Field<'_>) {
        // Framing is set by this encoder, and hop-by-hop fields belong to one connection only.
        if field.known != KnownField::ContentLength && !field.known.is_hop_by_hop() {
            self.put(field.known, field.name, field.value);
        }
    }

    #[inline]
    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.put(KnownField::of(name.as_bytes()), name.as_bytes(), value);
    }
}
