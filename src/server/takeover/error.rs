//! Errors of a takeover, as the new process reports them.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Error of a takeover. The running process serves on.
#[derive(Debug, Error)]
pub enum TakeoverError {
    /// Nobody hands over.
    #[error(
        "no running switchback hands over at `{}` (hint: start without --takeover; a running one must have the same history, be \
         started with `serve`, and belong to the same user)", path.display()
    )]
    NobodyThere {
        /// The socket.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The running process refuses.
    #[error("the running switchback does not hand over: {0}")]
    Refused(String),
    /// The running process did not answer as expected, or is gone.
    #[error(
        "the takeover broke off before {during} (the running process has ended, or another one has taken over: its log says \
         which)"
    )]
    BrokenOff {
        /// The state that was waited for.
        during: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The live table of the running process cannot be used here.
    #[error("the live table cannot be used by this version: {0}")]
    Table(String),
}
