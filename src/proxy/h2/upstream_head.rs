//! The head of a request as an endpoint of HTTP/2 gets it: `Host` becomes `:authority`, the rest are fields.

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, Method, Request, Uri, Version};

use super::head::MapSink;
use super::upstream::Place;
use crate::message::{Field, Reason, Rejection, RequestFraming};
use crate::model::Scheme;
use crate::proxy::begin::write_fields;
use crate::proxy::error::ProxyError;
use crate::proxy::forward;
use crate::proxy::seam::{FieldSink, RequestParts};
use crate::proxy::ticket::Ticket;

/// A request with a place on a connection, its head made and not yet sent.
pub(in crate::proxy) struct Start {
    pub(super) place: Place,
    pub(super) request: Request<()>,
    /// The head is all there is.
    pub(super) ended: bool,
}

/// Fields and authority.
struct Sink<'m> {
    fields: MapSink<'m>,
    authority: Option<Authority>,
}

/// Makes the head of a request that was selected for.
///
/// # Errors
/// When the head has something that HTTP/2 cannot say.
pub(in crate::proxy) fn start(
    ticket: &Ticket,
    parts: &RequestParts<'_>,
    place: Place,
) -> Result<Start, ProxyError> {
    let mut map = HeaderMap::with_capacity(32);
    let mut sink = Sink {
        fields: MapSink::new(&mut map),
        authority: None,
    };
    write_fields(ticket, parts, &mut sink);
    let (is_valid, authority) = (sink.fields.is_valid, sink.authority);
    if let RequestFraming::Length(length) = parts.facts.framing {
        map.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = map;
    *request.method_mut() = Method::from_bytes(parts.method).map_err(|_| invalid())?;
    *request.uri_mut() = uri(ticket, parts, authority)
        .filter(|_| is_valid)
        .ok_or_else(invalid)?;
    Ok(Start {
        place,
        request,
        ended: parts.facts.framing.is_empty(),
    })
}

fn uri(ticket: &Ticket, parts: &RequestParts<'_>, authority: Option<Authority>) -> Option<Uri> {
    let selection = ticket.selection.as_ref()?;
    let mut target = forward::path(&parts.facts.target, &selection.route).to_vec();
    if let Some(query) = parts.facts.target.query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(match selection.in_flight.endpoint().url().scheme() {
        Scheme::Http => UriScheme::HTTP,
        Scheme::Https => UriScheme::HTTPS,
    });
    uri.authority = Some(authority?);
    uri.path_and_query = Some(PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).ok()?);
    Uri::from_parts(uri).ok()
}

fn invalid() -> ProxyError {
    Rejection::request(Reason::InvalidTarget).into()
}

impl FieldSink for Sink<'_> {
    fn field(&mut self, field: &Field<'_>) {
        self.fields.field(field);
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        if name == "host" {
            self.authority = Authority::try_from(value).ok();
        } else {
            self.fields.add(name, value);
        }
    }
}
