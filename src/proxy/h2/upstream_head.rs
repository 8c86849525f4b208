//! The head of a request as an endpoint of HTTP/2 gets it: `Host` becomes `:authority`, the rest are fields.

use super::head::{BlockSink, content_length};
use super::pooled_connection::PooledStream;
use crate::message::{Field, KnownField, Reason, Rejection, Version, handshake};
use crate::model::Scheme;
use crate::proxy::error::ProxyError;
use crate::proxy::forward;
use crate::proxy::io::{FieldSink, RequestParts};
use crate::proxy::prepare::write_fields;
use crate::proxy::request_context::RequestContext;
use crate::proxy::select::Selected;

/// A request with a stream on a connection, its head encoded and not yet sent.
pub(in crate::proxy) struct Start {
    pub(in crate::proxy) stream: PooledStream,
    /// The head, encoded.
    pub(super) block: Vec<u8>,
    /// The head is all there is.
    pub(super) is_over: bool,
    /// The `Sec-WebSocket-Accept` for a client that has sent a key.
    pub(super) accept: Option<Box<handshake::Accept>>,
}

/// Fields, the first of which is what becomes the authority.
struct Sink<'o>(BlockSink<'o>);

/// Encodes the head of a request.
///
/// # Errors
/// A head that HTTP/2, or the endpoint, has no form for, or that is longer than the endpoint takes.
pub(in crate::proxy) fn start(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    stream: PooledStream,
) -> Result<Start, ProxyError> {
    let is_socket = parts.facts.websocket;
    if is_socket && !stream.takes_protocols() {
        return Err(Rejection::request(Reason::UpgradeUnsupported).into());
    }
    let mut block = context.worker.take_buffer();
    let mut sink = BlockSink::new(&mut block);
    write_pseudo(context, selected, parts, &mut sink);
    let mut sink = Sink(sink);
    write_fields(context, selected, parts, &mut sink);
    let mut sink = sink.0;
    if let Some(length) = content_length(parts.facts.framing) {
        sink.length(length);
    }
    if sink.list() > stream.longest_list() {
        // The endpoint may end the connection of all others for it.
        return Err(Rejection::request(Reason::HeadTooLarge).into());
    }
    if sink.is_valid {
        Ok(Start {
            stream,
            block,
            is_over: parts.facts.framing.is_empty() && !is_socket,
            accept: is_socket.then(|| accept(parts)).flatten(),
        })
    } else {
        Err(Rejection::request(Reason::InvalidTarget).into())
    }
}

/// The `Sec-WebSocket-Accept` for a client that has sent a key: it speaks HTTP/1.1.
fn accept(parts: &RequestParts<'_>) -> Option<Box<handshake::Accept>> {
    if parts.facts.version == Version::Http2 {
        return None;
    }
    let mut fields = parts.fields.clone();
    let key = fields.find(|field| field.known == KnownField::SecWebSocketKey)?;
    Some(Box::new(handshake::accept(key.value)))
}

fn write_pseudo(
    context: &RequestContext,
    selected: &Selected,
    parts: &RequestParts<'_>,
    sink: &mut BlockSink<'_>,
) {
    let scheme = match selected.in_flight.endpoint().url().scheme() {
        Scheme::Http => b"http".as_slice(),
        Scheme::Https => b"https",
    };
    if parts.facts.websocket {
        sink.pseudo(|encoder| encoder.method(b"CONNECT") && encoder.protocol(b"websocket"));
    } else {
        sink.pseudo(|encoder| encoder.method(parts.method));
    }
    sink.pseudo(|encoder| encoder.scheme(scheme));
    let path = forward::path(&parts.facts.target, selected.route());
    match parts.facts.target.query {
        None => sink.pseudo(|encoder| encoder.path(path)),
        Some(query) => {
            let mut target = context.worker.take_buffer();
            target.extend_from_slice(path);
            target.push(b'?');
            target.extend_from_slice(query);
            sink.pseudo(|encoder| encoder.path(&target));
            context.worker.recycle_buffer(target);
        }
    }
}

impl FieldSink for Sink<'_> {
    fn field(&mut self, field: &Field<'_>) {
        self.0.field(field);
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        if name == "host" {
            self.0.pseudo(|encoder| encoder.authority(value));
        } else {
            self.0.add(name, value);
        }
    }
}
