//! Errors of the API server of a cluster.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::net::{HttpError, LongLine, NetError};

/// Reason why a Service is not watched.
#[derive(Debug, Error)]
pub(super) enum ApiError {
    /// The certificates of the API server's authority cannot be used.
    #[error("{0}")]
    Tls(#[from] NetError),
    /// The token cannot be read.
    #[error("the token `{}` cannot be read: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The API server cannot be reached, or its answer ended before its time.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The version is too old to go on from; everything has to be listed again.
    #[error("the version is too old")]
    Expired,
    /// The token is not accepted.
    #[error(
        "the API server answered 401: {0} (is the token of a service account mounted, and not of another cluster?)"
    )]
    Unauthorized(String),
    /// The account has no right.
    #[error(
        "the API server answered 403: {0} (the service account needs get, list and watch on endpointslices.discovery.k8s.io \
         in that namespace)"
    )]
    Forbidden(String),
    /// Another refusal.
    #[error("the API server answered {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// Its reason.
        message: String,
        /// Time after which it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the API sends.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    /// A line of a watch is too long.
    #[error("a line of the watch has {0}")]
    LongLine(#[from] LongLine),
    /// More slices or endpoints than are kept.
    #[error("the Service has more than 1000 slices or 10000 ready endpoints")]
    TooMany,
}

// === impl ApiError ===

impl ApiError {
    /// The error of a status and what the server says about it.
    pub(super) fn of_status(status: u16, message: String, retry_after: Option<Duration>) -> Self {
        match status {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            410 => Self::Expired,
            _ => Self::Refused {
                status,
                message,
                retry_after,
            },
        }
    }

    /// Time after which the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
