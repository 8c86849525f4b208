//! The store itself: one embedded database, used by one thread.
//!
//! Records, whole tables and a few single values stand in three tables. Every write is one transaction that is on the
//! disk when it returns. After an I/O error the database refuses to go on, so its owner opens it anew.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::{
    batch::Batch,
    error::HistoryError,
    folder,
    lane::{Message, Reading},
    record,
};
use crate::model::Revision;

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");
const SNAPSHOTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("snapshots");

/// Memory for pages; a history is read once and then only written.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// How long a start waits for a database that is still being closed.
const HANDOVER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The open database.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    path: PathBuf,
}

/// Why a transaction failed, and whether it may have reached the disk all the same.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) reason: String,
    pub(super) begun: bool,
    /// Whoever was asked to write is gone, and another one may be asked.
    pub(super) gone: bool,
}

impl WriteError {
    /// Tells what became of a write.
    pub(super) fn put(written: &Result<(), Self>, message: Message) -> Message {
        match written {
            Ok(()) => message.number(0),
            Err(error) => message
                .number(1)
                .number(error.begun.into())
                .bytes(error.reason.as_bytes()),
        }
    }

    pub(super) fn take(reading: &mut Reading<'_>) -> Result<(), Self> {
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

impl Store {
    /// Opens the database at a start, when another process may still be closing it.
    pub(super) fn open_first(path: &Path) -> Result<Self, HistoryError> {
        let deadline = Instant::now() + HANDOVER;
        loop {
            match Self::open(path) {
                Err(HistoryError::Held { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Opens the database of a history's folder, and makes it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, HistoryError> {
        let path = folder.join("history.redb");
        let new = !path.exists();
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&path)
            .map_err(|error| open_error(folder, &path, error))?;
        if new {
            folder::sync(folder).map_err(|source| HistoryError::Unreadable {
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(Self {
            database,
            path: folder.to_owned(),
        })
    }

    /// Reads everything.
    pub(super) fn read(&self) -> Result<Batch, HistoryError> {
        self.read_rows().map_err(|error| match error {
            ReadError::Format(found) => HistoryError::UnknownFormat {
                path: self.path.clone(),
                found,
            },
            ReadError::Store(error) => store_error(&self.path, error),
        })
    }

    fn read_rows(&self) -> Result<Batch, ReadError> {
        let mut rows = Batch::default();
        let read = self.database.begin_read()?;
        match read.open_table(META) {
            Ok(meta) => read_meta(&meta, &mut rows)?,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(rows),
            Err(error) => return Err(error.into()),
        }
        for (table, found) in [
            (RECORDS, &mut rows.records),
            (SNAPSHOTS, &mut rows.snapshots),
        ] {
            for row in read.open_table(table)?.iter()? {
                let (revision, bytes) = row?;
                found.push((Revision(revision.value()), bytes.value().to_vec()));
            }
        }
        Ok(rows)
    }

    /// Writes a batch in one transaction; when it returns, the batch is on the disk.
    pub(super) fn write(
        &self,
        batch: &Batch,
        before_commit: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let not_begun = |error: redb::Error| WriteError {
            reason: error.to_string(),
            begun: false,
            gone: false,
        };
        let write = self
            .database
            .begin_write()
            .map_err(|error| not_begun(error.into()))?;
        fill(&write, batch).map_err(not_begun)?;
        before_commit().map_err(|error| not_begun(redb::Error::Io(error)))?;
        write.commit().map_err(|error| WriteError {
            reason: redb::Error::from(error).to_string(),
            begun: true,
            gone: false,
        })
    }

    /// The last record that is not void.
    pub(super) fn last(&self) -> Revision {
        let last = || -> Result<Option<Revision>, redb::Error> {
            let read = self.database.begin_read()?;
            for row in read.open_table(RECORDS)?.iter()?.rev() {
                let (revision, bytes) = row?;
                if record::decode(bytes.value()).is_ok_and(|entry| !entry.is_void()) {
                    return Ok(Some(Revision(revision.value())));
                }
            }
            Ok(None)
        };
        last().ok().flatten().unwrap_or_default()
    }
}

fn fill(write: &redb::WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    let mut meta = write.open_table(META)?;
    // What stands there already is not written again: the imported file lies beside it, and may be long.
    if meta.get("format")?.is_none() {
        meta.insert("format", record::FORMAT.to_le_bytes().as_slice())?;
    }
    if let Some(reserved) = batch.reserved {
        meta.insert("reserved", reserved.to_le_bytes().as_slice())?;
    }
    if let Some(imported) = &batch.imported {
        meta.insert("imported", imported.as_slice())?;
    }
    let mut records = write.open_table(RECORDS)?;
    let mut snapshots = write.open_table(SNAPSHOTS)?;
    for (revision, bytes) in &batch.records {
        records.insert(revision.0, bytes.as_slice())?;
    }
    for (revision, bytes) in &batch.snapshots {
        snapshots.insert(revision.0, bytes.as_slice())?;
    }
    for revision in &batch.remove {
        records.remove(revision.0)?;
        snapshots.remove(revision.0)?;
    }
    Ok(())
}

enum ReadError {
    Format(u64),
    Store(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

fn read_meta(
    meta: &redb::ReadOnlyTable<&'static str, &'static [u8]>,
    rows: &mut Batch,
) -> Result<(), ReadError> {
    let number = |key: &str| -> Result<Option<u64>, ReadError> {
        let bytes = meta.get_owned(key)?;
        let bytes = bytes.and_then(|bytes| bytes.value().try_into().ok());
        Ok(bytes.map(u64::from_le_bytes))
    };
    let format = number("format")?.unwrap_or(record::FORMAT);
    if format != record::FORMAT {
        return Err(ReadError::Format(format));
    }
    rows.reserved = number("reserved")?;
    rows.imported = meta
        .get_owned("imported")?
        .map(|bytes| bytes.value().to_vec());
    Ok(())
}

fn open_error(folder: &Path, file: &Path, error: DatabaseError) -> HistoryError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => HistoryError::Held {
            path: folder.to_owned(),
            pid: None,
        },
        other => store_error(file, other.into()),
    }
}

fn store_error(path: &Path, error: redb::Error) -> HistoryError {
    match error {
        redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
            HistoryError::Unreadable {
                path: path.to_owned(),
                source,
            }
        }
        other => HistoryError::Damaged {
            path: path.to_owned(),
            what: other.to_string(),
        },
    }
}
