//! Errors of health checks.

use std::{error::Error as _, io, sync::Arc, time::Duration};

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
    /// The answer's body lacks the text.
    #[error("`{0}` is not in the first 64 KiB of the answer's body")]
    Body(String),
    /// The answer's body breaks off or is malformed.
    #[error("the answer's body is malformed: {}", .0.as_str())]
    BrokenBody(Reason),
    /// The endpoint closed the connection before it had answered.
    #[error("the connection was closed before the answer")]
    Closed,
    /// No connection could be made.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Exchange(#[source] io::Error),
    /// HTTP/2 went wrong.
    #[error("no answer over HTTP/2")]
    Http2(#[source] Http2Error),
    /// What came is no answer of HTTP/1.1.
    #[error("the answer is malformed")]
    Malformed(#[source] Rejection),
    /// The path cannot be asked for.
    #[error("the path `{0}` cannot be asked for")]
    Path(String),
    /// The answer says that it is not well.
    #[error("it answers with status {0}")]
    Status(u16),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The handshake did not succeed.
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
    /// The other side refused the request, or broke the protocol.
    #[error("the answer was broken off: {}", .0.code)]
    Gone(StreamError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path cannot be asked for.
    #[error("the path cannot be asked for over HTTP/2")]
    Request,
}

// === impl CheckError ===

impl CheckError {
    /// The error and its causes in one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// An error unless the status is a good one.
pub(super) fn check_status(status: u16, health: &HealthSpec) -> Result<(), CheckError> {
    if health.status.contains(status) {
        Ok(())
    } else {
        Err(CheckError::Status(status))
    }
}
