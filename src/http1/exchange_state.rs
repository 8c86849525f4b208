//! State of one request and its response on an upstream connection.
//!
//! A connection that is reused while part of the last exchange is still under way would deliver one client's response
//! to the next. So the only way back to the pool is [`Exchange::finish`], which checks both sides.

use std::time::Duration;

use super::body_decoder::{BodyDecoder, Decoded};
use super::body_encoder::BodyEncoder;
use super::trailers::Trailers;
use crate::message::{Limits, Reason, Rejection, ValidatedResponse};

/// State of one exchange, on the side that sent the request.
#[derive(Debug)]
pub struct Exchange {
    request: BodyEncoder,
    /// Invariant: set only while `request` is complete.
    request_sent: bool,
    response: Option<BodyDecoder>,
    informational: u16,
    keep_alive: bool,
    idle: Option<Duration>,
}

/// Proof that a connection may carry another request. Only [`Exchange::finish`] creates one.
#[derive(Debug, PartialEq, Eq)]
pub struct Reusable {
    idle: Option<Duration>,
}

// === impl Exchange ===

impl Exchange {
    /// Starts an exchange with the encoder for the request's body.
    pub const fn new(request: BodyEncoder) -> Self {
        Self {
            request,
            request_sent: false,
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

    /// Records that all encoded bytes were written to the connection; does nothing if more are to come.
    pub const fn on_request_sent(&mut self) {
        self.request_sent = self.request.is_complete();
    }

    /// True if the whole request was written to the connection.
    pub const fn is_request_sent(&self) -> bool {
        self.request_sent
    }

    /// Records an informational response.
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

    /// Records the final response head. If it comes before the request was written, upstream will not read the rest, or
    /// will take it for another request: the connection is not reused.
    pub fn on_response(&mut self, facts: &ValidatedResponse<'_>, limits: &Limits) {
        self.keep_alive = facts.keep_alive
            && self.request_sent
            && self.response.is_none()
            && !facts.is_informational();
        self.idle = facts.idle;
        self.response = Some(BodyDecoder::response(facts.framing, limits));
    }

    /// Decodes received bytes of the response's body; see [`BodyDecoder::decode`].
    ///
    /// # Errors
    ///
    /// A body that violates its framing, or one that no head has announced.
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

    /// Handles the end of the upstream connection.
    ///
    /// # Errors
    ///
    /// `CutBody` unless the response had ended, or ends with the connection.
    pub fn finish_eof(&mut self) -> Result<(), Rejection> {
        self.keep_alive = false;
        let decoder = self
            .response
            .as_ref()
            .ok_or(Rejection::response(Reason::CutBody))?;
        decoder.finish_eof().map_err(Rejection::response)
    }

    /// True if the final head of the response has come.
    pub const fn has_response(&self) -> bool {
        self.response.is_some()
    }

    /// True if the response has been read to its end.
    pub fn response_is_read(&self) -> bool {
        self.response.as_ref().is_some_and(BodyDecoder::is_done)
    }

    /// True if the rest of something in the response's body has to come; see [`BodyDecoder::is_inside`].
    pub fn is_inside_response(&self) -> bool {
        self.response.as_ref().is_some_and(BodyDecoder::is_inside)
    }

    /// The trailers of the response, once it has ended.
    pub fn trailers(&self) -> Option<&Trailers> {
        self.response.as_ref().and_then(BodyDecoder::trailers)
    }

    /// Proof that the connection may carry another request, if so; `unread` are the bytes after the response.
    pub fn finish(self, unread: &[u8]) -> Option<Reusable> {
        let is_over = self.request_sent && self.response_is_read() && unread.is_empty();
        (is_over && self.keep_alive).then_some(Reusable { idle: self.idle })
    }
}

// === impl Reusable ===

impl Reusable {
    /// Time for which upstream keeps an idle connection, if it declared one.
    pub const fn idle(&self) -> Option<Duration> {
        self.idle
    }
}

#[cfg(test)]
mod tests;
