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
    #[error("`{0}` is not in the first 64 KiB of the response body")]
    Body(String),
    /// The body of the response is cut or malformed.
    #[error("malformed response body: {}", .0.as_str())]
    BrokenBody(Reason),
    /// The endpoint closed the connection before it had responded.
    #[error("the connection was closed before the response")]
    Closed,
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The connection failed.
    #[error("the connection failed")]
    Exchange(#[source] io::Error),
    /// The call of the health service failed.
    #[error("gRPC status {0}")]
    Grpc(String),
    /// The response of the health service is malformed.
    #[error("malformed response of the gRPC health service")]
    GrpcMalformed,
    /// HTTP/2 error.
    #[error("no response over HTTP/2")]
    Http2(#[source] Http2Error),
    /// The response is not valid HTTP/1.1.
    #[error("malformed response")]
    Malformed(#[source] Rejection),
    /// The health service says something else than `SERVING`.
    #[error("the gRPC health service says {0}")]
    NotServing(&'static str),
    /// The path cannot be requested.
    #[error("the path `{0}` cannot be requested")]
    Path(String),
    /// The status is outside the expected range.
    #[error("status {0}")]
    Status(u16),
    /// No response in time.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The release's TLS settings cannot be used.
    #[error("the TLS settings cannot be used")]
    TlsSettings(#[source] Arc<NetError>),
}

/// Error of a check over HTTP/2.
#[derive(Debug, Error)]
pub(super) enum Http2Error {
    /// The connection ended first.
    #[error("the connection ended before the response")]
    Ended,
    /// The peer refused the request, or violated the protocol.
    #[error("the response was aborted: {}", .0.code)]
    Gone(StreamError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path cannot be requested.
    #[error("the path cannot be requested over HTTP/2")]
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
