//! Errors of hooks: of their settings, and of one call.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use super::decision::one_line;
use crate::net::{HttpError, NetError};

/// Error of the settings of a hook.
#[derive(Debug, Error)]
pub enum HookError {
    /// A secret cannot be read.
    #[error("the secret `{}` cannot be read", .path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The variable of a secret is not set.
    #[error("the environment variable `{0}` of a secret is not set")]
    SecretMissing(String),
    /// TLS cannot be set up.
    #[error("TLS towards the hook cannot be set up")]
    Tls(#[source] NetError),
    /// A secret has another form, or can be guessed.
    #[error("the secret is not base64 of 24 to 64 bytes")]
    WeakSecret,
}

/// Error of one call of a hook. Its text is for logs: it has neither the path of the URL nor a secret.
#[derive(Debug, Error)]
pub enum CallError {
    /// The answer of a gate is no decision.
    #[error("{0}")]
    Answer(String),
    /// The command cannot be run.
    #[error("the command cannot be run: {0}")]
    Command(io::Error),
    /// The connection, the handshake or the exchange failed.
    #[error("{0}")]
    Exchange(String),
    /// The command failed.
    #[error("the command ended with {status}{}", said(.output))]
    Exit {
        /// Its exit status, or its signal.
        status: String,
        /// The begin of its output.
        output: String,
    },
    /// The answer is too large.
    #[error("the answer has more than {0} bytes")]
    Large(usize),
    /// The server refused.
    #[error("the server answered {status}")]
    Status {
        /// The status.
        status: u16,
        /// Time after which it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It took too long.
    #[error("there was no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl CallError {
    /// Time after which the server wants to be asked again.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<HttpError> for CallError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Connect(text) | HttpError::Exchange(text) => Self::Exchange(one_line(&text)),
            HttpError::Large(most) => Self::Large(most),
            HttpError::Status {
                status,
                retry_after,
            } => Self::Status {
                status,
                retry_after,
            },
        }
    }
}
