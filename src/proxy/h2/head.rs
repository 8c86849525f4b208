//! Heads of HTTP/2 as the rules on messages see them, and how heads are made for the library.
//!
//! The library has looked at a head first: pseudo-fields are whole, come once and come first, names are in lower case,
//! no value holds a control character. Everything else is judged by the rules that HTTP/1.1 is judged by. What only
//! HTTP/2 says is checked here: a path is no absolute form, and a value has no space around it.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};

use super::sender::Follows;
use crate::message::{
    Field, Known, KnownSet, Reason, Rejection, RequestFacts, RequestLine, ResponseFraming, Version,
};
use crate::proxy::seam::{FieldSink, HeadFields, Piece, RequestHead, RequestParts, TrailerFields};
use crate::proxy::worker::Shared;

/// The fields of a head or a trailer section, those of one name together.
pub(in crate::proxy) struct FieldList(Vec<(HeaderName, HeaderValue)>);

/// The fields of a list, one by one.
#[derive(Clone)]
pub(in crate::proxy) struct Fields<'h>(std::slice::Iter<'h, (HeaderName, HeaderValue)>);

/// The head of a request that came over HTTP/2 and may be forwarded.
pub(in crate::proxy) struct Head {
    method: Method,
    uri: Uri,
    fields: FieldList,
    ended: bool,
    shared: Arc<Shared>,
}

/// Fields that have another value in every message, or that nobody but the receiver should keep. They are sent as
/// literals that are never indexed (RFC 7541, section 7.1.3), so that they push nothing out of the table of either side.
const UNLIKE_ANY: KnownSet = KnownSet::of(&[
    Known::Authorization,
    Known::Cookie,
    Known::SetCookie,
    Known::Traceparent,
    Known::XRequestId,
]);

/// A map that is being filled with the fields of a head.
pub(super) struct MapSink<'m> {
    map: &'m mut HeaderMap,
    pub(super) is_valid: bool,
}

// === impl Head ===

impl Head {
    /// Takes a request, as far as the rules go that only HTTP/2 has. `ended` says that nothing follows the head.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(super) fn new(
        request: Request<()>,
        ended: bool,
        shared: Arc<Shared>,
    ) -> Result<Self, Rejection> {
        let (parts, ()) = request.into_parts();
        let head = Self {
            method: parts.method,
            uri: parts.uri,
            fields: FieldList::new(parts.headers),
            ended,
            shared,
        };
        head.check()?;
        Ok(head)
    }

    /// Judges it by all other rules, and hands it to `look` if it is good. To be called before anything else looks.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(super) fn first_look<R>(
        &self,
        look: impl FnOnce(&RequestParts<'_>) -> R,
    ) -> Result<R, Rejection> {
        let facts = self.judge()?;
        Ok(look(&RequestParts {
            method: self.method.as_str().as_bytes(),
            facts: &facts,
            fields: HeadFields::Http2(self.fields.iter()),
        }))
    }

    fn check(&self) -> Result<(), Reason> {
        let path = self.target();
        if !(path.starts_with('/') || path == "*" || self.method == Method::CONNECT) {
            return Err(Reason::InvalidTarget);
        }
        // The library keeps a scheme only beside an authority, and takes any, even none.
        let is_http = matches!(self.uri.scheme_str(), Some("http" | "https"));
        if self.uri.authority().is_some() && !is_http && self.method != Method::CONNECT {
            return Err(Reason::InvalidTarget);
        }
        let is_padded = |(_, value): &(HeaderName, HeaderValue)| {
            let edge = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
            edge(value.as_bytes().first()) || edge(value.as_bytes().last())
        };
        if self.fields.0.iter().any(is_padded) {
            return Err(Reason::InvalidFieldValue);
        }
        Ok(())
    }

    fn judge(&self) -> Result<RequestFacts<'_>, Rejection> {
        let line = RequestLine {
            version: Version::Http2,
            method: self.method.as_str().as_bytes(),
            target: self.target().as_bytes(),
            authority: self
                .uri
                .authority()
                .map(|authority| authority.as_str().as_bytes()),
            ended: self.ended,
        };
        RequestFacts::judge(&line, self.fields.iter(), &self.shared.settings.message)
    }

    fn target(&self) -> &str {
        self.uri
            .path_and_query()
            .map_or("", |target| target.as_str())
    }
}

impl RequestHead for Head {
    fn look<R>(&self, look: impl FnOnce(&RequestParts<'_>) -> R) -> R {
        self.first_look(look)
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

/// What follows a piece, with the trailers that may be forwarded.
pub(super) fn what_follows(piece: &Piece<'_>) -> Follows {
    let collect = |fields: TrailerFields<'_>| {
        let mut map = HeaderMap::new();
        let mut sink = MapSink::new(&mut map);
        fields.each(|field| sink.field(&field));
        map
    };
    if piece.last {
        let trailers = piece.trailers.map(collect);
        Follows::Nothing(trailers.filter(|trailers| !trailers.is_empty()))
    } else {
        Follows::More
    }
}

/// The framing as HTTP/2 says it: a length, or nothing; and whether the head is all there is.
pub(super) fn frame(map: &mut HeaderMap, framing: ResponseFraming) -> bool {
    let (length, ended) = match framing {
        ResponseFraming::None => (None, true),
        ResponseFraming::Announced(length) => (Some(length), true),
        ResponseFraming::Length(length) => (Some(length), length == 0),
        ResponseFraming::Chunked | ResponseFraming::UntilClose => (None, false),
    };
    if let Some(length) = length {
        map.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    ended
}

// === impl FieldList ===

impl FieldList {
    pub(super) fn new(map: HeaderMap) -> Self {
        let mut fields: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(map.len());
        for (name, value) in map {
            // A further value of a name comes without it.
            if let Some(name) = name.or_else(|| Some(fields.last()?.0.clone())) {
                fields.push((name, value));
            }
        }
        Self(fields)
    }

    /// The fields in their order.
    pub(in crate::proxy) fn iter(&self) -> Fields<'_> {
        Fields(self.0.iter())
    }
}

// === impl Fields ===

impl<'h> Iterator for Fields<'h> {
    type Item = Field<'h>;

    #[inline]
    fn next(&mut self) -> Option<Field<'h>> {
        self.0
            .next()
            .map(|(name, value)| Field::new(name.as_str().as_bytes(), value.as_bytes()))
    }
}

// === impl MapSink ===

impl<'m> MapSink<'m> {
    pub(super) fn new(map: &'m mut HeaderMap) -> Self {
        Self {
            map,
            is_valid: true,
        }
    }

    fn put(&mut self, known: Known, name: &[u8], value: &[u8]) {
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(UNLIKE_ANY.contains(known));
                // The map refuses more than anybody's limit on fields.
                self.is_valid &= self.map.try_append(name, value).is_ok();
            }
            _ => self.is_valid = false,
        }
    }
}

impl FieldSink for MapSink<'_> {
    fn field(&mut self, field: &Field<'_>) {
        // The framing is said once, and nothing of one connection goes to another.
        if field.known != Known::ContentLength && !field.known.is_hop_by_hop() {
            self.put(field.known, field.name, field.value);
        }
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.put(Known::of(name.as_bytes()), name.as_bytes(), value);
    }
}
