//! Fatal errors of a connection.

use thiserror::Error;

use super::frame::Code;

/// Fatal connection error. Only the buffered output, which ends with a GOAWAY of this code, may still be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("HTTP/2: {code}: {why}")]
pub struct ConnectionError {
    /// Error code of the GOAWAY.
    pub code: Code,
    /// Debug text of the GOAWAY.
    pub why: &'static str,
}

pub(super) fn broken(code: Code, why: &'static str) -> ConnectionError {
    ConnectionError { code, why }
}

pub(super) fn protocol(why: &'static str) -> ConnectionError {
    broken(Code::PROTOCOL_ERROR, why)
}

pub(super) fn size(why: &'static str) -> ConnectionError {
    broken(Code::FRAME_SIZE_ERROR, why)
}
