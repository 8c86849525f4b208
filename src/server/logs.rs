//! Opens the configured access log, and reopens its file after rotation.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::ServerError;
use crate::{
    config::{AccessLog as Spec, AccessLogFormat},
    telemetry::{AccessFormat, AccessLog, AccessLogGuard},
};

/// Timeout for a disk to reopen the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// The access log, with the guard of its writing thread and, if it goes to a file, the handle to reopen that.
pub(super) struct OpenedAccessLog {
    pub(super) log: AccessLog,
    pub(super) guard: Option<AccessLogGuard>,
    pub(super) file: Option<LogFile>,
}

/// The file of a log. The writer has the other end.
pub(super) struct LogFile {
    path: PathBuf,
    next: Arc<Mutex<Option<File>>>,
}

/// Writes to the most recently opened file.
struct LogWriter {
    file: File,
    next: Arc<Mutex<Option<File>>>,
}

/// Opens the access log.
pub(super) fn open_access_log(spec: &Spec) -> Result<OpenedAccessLog, ServerError> {
    let format = match spec.format {
        AccessLogFormat::Off => {
            return Ok(OpenedAccessLog {
                log: AccessLog::off(),
                guard: None,
                file: None,
            });
        }
        AccessLogFormat::Combined => AccessFormat::Combined,
        AccessLogFormat::Common => AccessFormat::Common,
        AccessLogFormat::Json => AccessFormat::Json,
        AccessLogFormat::Text => AccessFormat::Text,
    };
    let (target, file): (Box<dyn Write + Send>, _) = match &spec.path {
        None => (Box::new(io::stdout()), None),
        Some(path) => {
            let opened = LogFile::open(path).map_err(|source| ServerError::AccessLog {
                path: path.clone(),
                source,
            })?;
            (Box::new(opened.0), Some(opened.1))
        }
    };
    let (log, guard) = AccessLog::new(target, format, spec.queue);
    Ok(OpenedAccessLog {
        log: log.with_successes(spec.sample.parts()),
        guard: Some(guard),
        file,
    })
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl LogFile {
    fn open(path: &Path) -> io::Result<(LogWriter, Self)> {
        let file = append_to(path)?;
        let next = Arc::<Mutex<_>>::default();
        let writer = LogWriter {
            file,
            next: Arc::clone(&next),
        };
        let path = path.to_owned();
        Ok((writer, Self { path, next }))
    }

    /// Reopens the file, which creates it after a rotation. New lines go there.
    ///
    /// # Errors
    /// When it cannot be opened; the open file stays in use.
    pub(super) async fn reopen(&self) -> io::Result<()> {
        let path = self.path.clone();
        let opening = tokio::task::spawn_blocking(move || append_to(&path));
        let opened = tokio::time::timeout(PATIENCE, opening)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let file = opened.map_err(io::Error::other)??;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let next = self
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(next) = next {
            self.file = next;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_move_the_new_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let (mut writer, file) = LogFile::open(&path).unwrap();
        writer.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        writer.write_all(b"two\n").unwrap();
        file.reopen().await.unwrap();
        writer.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(file.reopen().await.is_err());
        writer.write_all(b"it goes on\n").unwrap();
    }
}
