//! The books of one request and its response on an upstream connection.
//!
//! A connection that is used again although something of the last exchange is still under way answers the next client
//! with somebody else's response. So there is one way back to the pool: [`Exchange::finish`], which looks at both sides.

use std::time::Duration;

use super::body_decoder::{BodyDecoder, Decoded};
use super::body_encoder::BodyEncoder;
use super::trailers::Trailers;
use crate::message::{Limits, Reason, Rejection, ValidatedResponse};

/// One request and its response, from the side that sent the request.
#[derive(Debug)]
pub struct Exchange {
    request: BodyEncoder,
    /// Invariant: set only while `request` is complete.
    written: bool,
    response: Option<BodyDecoder>,
    informational: u16,
    keep_alive: bool,
    idle: Option<Duration>,
}

/// The proof that a connection may carry another request. Only [`Exchange::finish`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Reusable {
    idle: Option<Duration>,
}

// === impl Exchange ===

impl Exchange {
    /// Starts the books with the encoder that the request's head left.
    pub const fn new(request: BodyEncoder) -> Self {
        Self {
            request,
            written: false,
            response: None,
            informational: 0,
            keep_alive: false,
            idle: None,
        }
    }

    /// The encoder of the request's body.
    pub const fn request(&mut self) -> &mut BodyEncoder {
        &mut self.request
    }

    /// Takes note that all that was encoded has been handed to the connection; nothing happens if there is more to come.
    pub const fn on_request_sent(&mut self) {
        self.written = self.request.is_complete();
    }

    /// Whether the whole request has been handed to the connection.
    pub const fn is_written(&self) -> bool {
        self.written
    }

    /// Takes note of an informational response.
    ///
    /// # Errors
    ///
    /// `TooManyInformational` beyond the limit.
    pub fn on_informational(&mut self, limits: &Limits) -> Result<(), Rejection> {
        self.informational = self.informational.saturating_add(1);
        if usize::from(self.informational) > limits.informational {
            return Err(Rejection::response(Reason::TooManyInformational));
        }
        Ok(())
    }

    /// Takes note of the final response head. One that comes before the request was written means that upstream will
    /// not read the rest, or will take it for another request: the connection is not used again.
    pub fn on_response(&mut self, facts: &ValidatedResponse<'_>, limits: &Limits) {
        self.keep_alive = facts.keep_alive
            && self.written
            && self.response.is_none()
            && !facts.is_informational();
        self.idle = facts.idle;
        self.response = Some(BodyDecoder::response(facts.framing, limits));
    }

    /// Decodes what arrived of the response's body; see [`BodyDecoder::decode`].
    ///
    /// # Errors
    ///
    /// A body that does not follow its framing, or one that no head has announced.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Rejection> {
        let decoder = self
            .response
            .as_mut()
            .ok_or(Rejection::response(Reason::CutBody))?;
        decoder.decode(input).map_err(|reason| {
            self.keep_alive = false;
            Rejection::response(reason)
        })
    }

    /// Says what it means that upstream has closed the connection here.
    ///
    /// # Errors
    ///
    /// `CutBody` unless the response was over, or ends like this.
    pub fn finish_eof(&mut self) -> Result<(), Rejection> {
        self.keep_alive = false;
        let decoder = self
            .response
            .as_ref()
            .ok_or(Rejection::response(Reason::CutBody))?;
        decoder.finish_eof().map_err(Rejection::response)
    }

    /// Whether the response has been read to its end.
    pub fn is_answered(&self) -> bool {
        self.response.as_ref().is_some_and(BodyDecoder::is_done)
    }

    /// The trailers of the response, once it is over.
    pub fn trailers(&self) -> Option<&Trailers> {
        self.response.as_ref().and_then(BodyDecoder::trailers)
    }

    /// Whether the connection may carry another request, given what was received beyond the end of the response.
    pub fn finish(self, unread: &[u8]) -> Option<Reusable> {
        let is_over = self.written && self.is_answered() && unread.is_empty();
        (is_over && self.keep_alive).then_some(Reusable { idle: self.idle })
    }
}

// === impl Reusable ===

impl Reusable {
    /// How long upstream keeps the connection without a request, if it said so.
    pub const fn idle(&self) -> Option<Duration> {
        self.idle
    }
}

#[cfg(test)]
mod tests;
