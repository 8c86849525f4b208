//! Errors of health checks.

use std::{io, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    http2::StreamError,
    message::{Reason, Rejection},
    model::HealthSpec,
    net::NetError,
};

/// Error of a check.
#[derive(Debug, Error)]
pub(super) enum CheckError {
    /// The body of the response lacks the text.
    #[error("`{0}` is not in the first 64 KiB of the answer's body")]
    Body(String),
    /// The body of the response is cut or malformed.
    #[error("the answer's body is malformed: {}", .0.as_str())]
    BrokenBody(Reason),
    /// The endpoint closed the connection before it had responded.
    #[error("the connection was closed before the answer")]
    Closed,
    /// No connection could be made.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The connection failed.
    #[error("the connection broke")]
    Exchange(#[source] io::Error),
    /// HTTP/2 error.
    #[error("no answer over HTTP/2")]
    Http2(#[source] Http2Error),
    /// The response is not valid HTTP/1.1.
    #[error("the answer is malformed")]
    Malformed(#[source] Rejection),
    /// The path cannot be requested.
    #[error("the path `{0}` cannot be asked for")]
    Path(String),
    /// The status is outside the expected range.
    #[error("it answers with status {0}")]
    Status(u16),
    /// No response in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The TLS handshake failed.
    #[error("no TLS")]
    Tls(#[source] io::Error),
    /// The release's TLS settings cannot be used.
    #[error("the TLS settings cannot be used")]
    TlsSettings(#[source] Arc<NetError>),
}

/// Error of a check over HTTP/2.
#[derive(Debug, Error)]
pub(super) enum Http2Error {
    /// The connection ended first.
    #[error("the connection ended before the answer")]
    Ended,
    /// The peer refused the request, or violated the protocol.
    #[error("the answer was broken off: {}", .0.code)]
    Gone(StreamError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path cannot be requested.
    #[error("the path cannot be asked for over HTTP/2")]
    Request,
}

/// Fails unless the status is expected.
pub(super) fn check_status(status: u16, health: &HealthSpec) -> Result<(), CheckError> {
    if health.status.contains(status) {
        Ok(())
    } else {
        Err(CheckError::Status(status))
    }
}
