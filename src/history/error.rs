//! Errors of opening a history, with advice.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::ipc::{Decoder, Encoder};

/// Error of opening a history. Each message names the file and says what to do.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// Its content is invalid.
    #[error(
        "the history in `{path}` is damaged: {what}; restore the folder from a copy, or move it away to begin anew with \
         the table of the configuration file"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// Description of the damage.
        what: String,
    },
    /// Another process has it open.
    #[error(
        "the history in `{path}` is held by another process{}; stop that one first, or give this one another \
         `[history] path`", .pid.as_ref().map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// Process id noted in the lock.
        pid: Option<String>,
    },
    /// The writer process cannot be started, or has ended.
    #[error(
        "the process that writes the history in `{path}` cannot be started, or is gone; the log says more"
    )]
    Keeper {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It is not writable.
    #[error(
        "the history in `{path}` cannot be written: {reason}; make the folder writable, or make room on its disk"
    )]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Error of the disk.
        reason: String,
    },
    /// The writes of an ended process are not finished.
    #[error(
        "the history in `{path}` is still being written by the client of process {ended}, which has ended: its disk hangs \
         or is slow; start again once the disk answers"
    )]
    StillWritten {
        /// The folder.
        path: PathBuf,
        /// Id of the ended process.
        ended: u32,
    },
    /// It was written by a later version.
    #[error(
        "the history in `{path}` has format {found}, and this version knows formats up to 2; start the version that \
         wrote it, or move the folder away"
    )]
    UnknownFormat {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
    /// It cannot be opened or read.
    #[error(
        "the history in `{path}` cannot be opened; check that the folder exists and belongs to this user"
    )]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl HistoryError {
    /// Encodes the error for another process.
    pub(super) fn put(&self, message: Encoder) -> Encoder {
        let begin =
            |kind: u64, path: &Path| message.number(kind).bytes(path.as_os_str().as_bytes());
        match self {
            Self::Damaged { path, what } => begin(0, path).bytes(what.as_bytes()),
            Self::Held { path, pid } => begin(1, path).optional(pid.as_ref().map(String::as_bytes)),
            Self::Keeper { path, source } => put_error(begin(2, path), source),
            Self::NotWritable { path, reason } => begin(3, path).bytes(reason.as_bytes()),
            Self::StillWritten { path, ended } => begin(4, path).number((*ended).into()),
            Self::UnknownFormat { path, found } => begin(5, path).number(*found),
            Self::Unreadable { path, source } => put_error(begin(6, path), source),
        }
    }

    /// Decodes an error of another process.
    pub(super) fn take(reading: &mut Decoder<'_>) -> io::Result<Self> {
        let kind = reading.number()?;
        let path = PathBuf::from(OsStr::from_bytes(reading.bytes()?));
        Ok(match kind {
            0 => Self::Damaged {
                path,
                what: reading.text()?,
            },
            1 => Self::Held {
                path,
                pid: reading
                    .optional()?
                    .map(|pid| String::from_utf8_lossy(pid).into_owned()),
            },
            3 => Self::NotWritable {
                path,
                reason: reading.text()?,
            },
            4 => Self::StillWritten {
                path,
                ended: u32::try_from(reading.number()?).unwrap_or_default(),
            },
            5 => Self::UnknownFormat {
                path,
                found: reading.number()?,
            },
            6 => Self::Unreadable {
                path,
                source: take_error(reading)?,
            },
            _ => Self::Keeper {
                path,
                source: take_error(reading)?,
            },
        })
    }
}

fn put_error(message: Encoder, error: &io::Error) -> Encoder {
    let code = error.raw_os_error().unwrap_or_default();
    message
        .number(code.unsigned_abs().into())
        .bytes(error.to_string().as_bytes())
}

fn take_error(reading: &mut Decoder<'_>) -> io::Result<io::Error> {
    let (code, text) = (reading.number()?, reading.text()?);
    Ok(match i32::try_from(code) {
        Ok(0) | Err(_) => io::Error::other(text),
        Ok(code) => io::Error::from_raw_os_error(code),
    })
}

/// Failed transaction, which may have reached the disk all the same.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) reason: String,
    pub(super) begun: bool,
    /// The writer process is gone, and another one may be used.
    pub(super) gone: bool,
}

impl WriteError {
    /// Encodes the result of a write.
    pub(super) fn put(written: &Result<(), Self>, message: Encoder) -> Encoder {
        match written {
            Ok(()) => message.number(0),
            Err(error) => message
                .number(1)
                .number(error.begun.into())
                .bytes(error.reason.as_bytes()),
        }
    }

    pub(super) fn take(reading: &mut Decoder<'_>) -> Result<(), Self> {
        let mut said = || -> io::Result<Option<Self>> {
            if reading.number()? == 0 {
                return Ok(None);
            }
            Ok(Some(Self {
                begun: reading.number()? == 1,
                reason: reading.text()?,
                gone: false,
            }))
        };
        let unknown = |error: io::Error| {
            Some(Self {
                reason: error.to_string(),
                begun: true,
                gone: false,
            })
        };
        said().unwrap_or_else(unknown).map_or(Ok(()), Err)
    }
}
