//! Requests of the proxy's own, which take the path of all others: selection, pools, retries, limits, the access log.
//!
//! Their head and body are in memory, and so is the response, up to a limit.

use std::future::pending;

use bytes::Bytes;

use crate::message::{Field, Rejection};

use super::error::{ClientError, UpstreamError};
use super::io::{BodyFrame, BodySink, BodySource, ClientBody, FieldSink, Responder, ResponseStart};

/// A request in memory.
pub(super) struct InternalRequest {
    /// The head as HTTP/1.1 has it, with the length of the body.
    pub(super) head: Vec<u8>,
    pub(super) body: Bytes,
    /// Longest body of the response.
    pub(super) most: usize,
}

/// A response in memory.
#[derive(Debug, Default)]
pub(super) struct InternalResponse {
    pub(super) status: u16,
    pub(super) fields: Vec<(Box<str>, Box<[u8]>)>,
    pub(super) body: Vec<u8>,
}

/// The reason why an internal request has no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum InternalError {
    /// It is no valid request.
    #[error("the internal request is invalid")]
    Invalid(#[from] Rejection),
    /// The response was cut, or is longer than the limit.
    #[error("the response to the internal request is incomplete")]
    Incomplete,
}

/// Body of an internal request.
pub(super) struct InternalBody(pub(super) Bytes);

/// Recorder of the response.
pub(super) struct Recorder {
    pub(super) response: InternalResponse,
    most: usize,
}

// === impl InternalResponse ===

impl InternalResponse {
    /// The first value of a field; `name` is in lower case.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

// === impl InternalBody ===

impl BodySource for InternalBody {
    type Error = ClientError;

    async fn next_frame(&mut self) -> Result<BodyFrame<'_>, ClientError> {
        Ok(BodyFrame {
            data: &self.0,
            last: true,
            trailers: None,
        })
    }

    fn is_ready(&mut self) -> bool {
        true
    }
}

impl ClientBody for InternalBody {
    async fn closed(&mut self) {
        pending::<()>().await;
    }
}

// === impl Recorder ===

impl Recorder {
    /// A recorder of at most `most` bytes of body.
    pub(super) fn new(most: usize) -> Self {
        Self {
            response: InternalResponse::default(),
            most,
        }
    }
}

impl FieldSink for Vec<(Box<str>, Box<[u8]>)> {
    fn field(&mut self, field: &Field<'_>) {
        let name = String::from_utf8_lossy(field.name);
        self.push((name.into(), field.value.into()));
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.push((name.into(), value.into()));
    }
}

impl Responder for Recorder {
    fn send_informational(&mut self, _: u16, _: impl FnOnce(&mut dyn FieldSink)) -> bool {
        false
    }

    fn respond(
        &mut self,
        response: &ResponseStart<'_>,
        fields: impl FnOnce(&mut dyn FieldSink),
    ) -> Result<u16, UpstreamError> {
        self.response.status = response.status;
        fields(&mut self.response.fields);
        Ok(response.status)
    }

    fn append(&mut self, last: &[u8]) {
        self.response.body.extend_from_slice(last);
    }

    fn retract(&mut self) -> bool {
        self.response = InternalResponse::default();
        true
    }
}

impl BodySink for Recorder {
    type Error = ClientError;

    async fn send(&mut self, frame: BodyFrame<'_>) -> Result<(), ClientError> {
        let body = &mut self.response.body;
        if body.len() + frame.data.len() > self.most {
            return Err(ClientError::Gone);
        }
        body.extend_from_slice(frame.data);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        Ok(())
    }
}
